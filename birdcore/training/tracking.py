"""A run's figures for programs that others made: TensorBoard always, Weights & Biases or MLflow where asked for.

TensorBoard's event files lie in ``RUN/events/``, so ``tensorboard --logdir runs`` shows every run. The two services are
named in the environment variable ``BIRDCORE_TRACK`` (``wandb``, ``mlflow``, or both with a comma between), are installed
by whoever wants them, and take their own settings from the environment, as they always do.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import math
import numbers
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from birdcore.config import to_dict
from birdcore.errors import ConfigError
from birdcore.training.run_directory import RunDirectory, replace_atomically

__all__ = ["TRACK", "RunTracker", "tracked"]

logger = logging.getLogger(__name__)

TRACK = "BIRDCORE_TRACK"
SERVICES = ("wandb", "mlflow")
PROJECT = "birdcore"

_LONGEST_PARAMETER = 500  # letters; MLflow takes no more


class RunTracker:
    """Hands each epoch's figures on; made by :func:`tracked`, which also closes it.

    Attributes
    ----------
    run : whose figures they are
    """

    def __init__(self, run: RunDirectory, services: dict[str, ModuleType]) -> None:
        self.run = run
        self._services = services
        self._writer: SummaryWriter | None = None
        self._wandb_run: Any = None
        self._mlflow_open = False

    def log(self, row: dict[str, Any]) -> None:
        """Hand on one row of the run's metrics.

        The files are opened with the first row: a run that fails before it leaves none behind, and a resumed one knows
        from which epoch on older events no longer hold.
        """
        epoch = int(row["epoch"])
        figures = {_tag(name): float(value) for name, value in row.items() if _is_figure(name, value)}
        if self._writer is None:
            self._writer = SummaryWriter(str(self.run.path / "events"), purge_step=epoch)
            self._open_services()
        for tag, value in figures.items():
            self._writer.add_scalar(tag, value, global_step=epoch)
        self._writer.flush()
        what = f"did not take the figures of epoch {epoch}"
        if self._wandb_run is not None:
            with self._forgiving("wandb", what):
                self._wandb_run.log(figures, step=epoch)
        if self._mlflow_open:
            with self._forgiving("mlflow", what):
                self._services["mlflow"].log_metrics(figures, step=epoch)

    def close(self, *, failed: bool) -> None:
        """End what was opened; the services show the run as failed or finished.

        How the training ended stays as it is, whether or not they hear of it.
        """
        if self._writer is not None:
            with self._forgiving("tensorboard", "could not be closed"):
                self._writer.close()
        if self._wandb_run is not None:
            with self._forgiving("wandb", "was not told of the end"):
                self._wandb_run.finish(exit_code=int(failed))
        if self._mlflow_open:
            with self._forgiving("mlflow", "was not told of the end"):
                self._services["mlflow"].end_run("FAILED" if failed else "FINISHED")

    def _open_services(self) -> None:
        """Begin the run at the services, or go on with the one that was begun before a resume."""
        known = self._read_identities()
        for name, begin in (("wandb", self._begin_wandb), ("mlflow", self._begin_mlflow)):
            if name in self._services:
                with self._forgiving(name, "takes no figures of this run"):
                    begin(known)
        if known:
            text = json.dumps(known) + "\n"
            replace_atomically(self._identities, lambda file: file.write_text(text, encoding="utf-8"))

    def _begin_wandb(self, known: dict[str, str]) -> None:
        self._wandb_run = self._services["wandb"].init(
            project=PROJECT,
            name=self.run.name,
            id=known.setdefault("wandb", secrets.token_hex(8)),
            resume="allow",
            dir=str(self.run.path),
            config=to_dict(self.run.config),
        )

    def _begin_mlflow(self, known: dict[str, str]) -> None:
        mlflow = self._services["mlflow"]
        mlflow.set_experiment(PROJECT)
        begun = known.get("mlflow")
        active = mlflow.start_run(run_id=begun, run_name=None if begun else self.run.name)
        self._mlflow_open = True
        known["mlflow"] = active.info.run_id
        if not begun:
            settings = to_dict(self.run.config)
            mlflow.log_params({key: str(value)[:_LONGEST_PARAMETER] for key, value in settings.items()})

    @contextlib.contextmanager
    def _forgiving(self, name: str, what: str) -> Iterator[None]:
        """Warn where a service fails, such as when its server is away: the training is not to end for it."""
        errors: list[type[Exception]] = [OSError]
        if name == "wandb":
            errors.append(self._services[name].errors.Error)
        elif name == "mlflow":
            errors.append(self._services[name].exceptions.MlflowException)
        try:
            yield
        except tuple(errors) as error:
            logger.warning("%s %s: %s", name, what, error)

    def _read_identities(self) -> dict[str, str]:
        try:
            known = json.loads(self._identities.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return {service: known[service] for service in self._services if service in known}

    @property
    def _identities(self) -> Path:
        return self.run.path / "tracking.json"


@contextlib.contextmanager
def tracked(run: RunDirectory) -> Iterator[RunTracker]:
    """Track a run while the block runs.

    Raises
    ------
    ConfigError
        If ``BIRDCORE_TRACK`` names an unknown service, or one that is not installed.
    """
    tracker = RunTracker(run, _load_services())
    try:
        yield tracker
    except BaseException:
        tracker.close(failed=True)
        raise
    tracker.close(failed=False)


def _load_services() -> dict[str, ModuleType]:
    services = {}
    for name in filter(None, (part.strip() for part in os.environ.get(TRACK, "").split(","))):
        if name not in SERVICES:
            raise ConfigError(f"{TRACK} = {name!r}: unknown; one of {', '.join(SERVICES)}, or leave it empty")
        try:
            services[name] = importlib.import_module(name)
        except ModuleNotFoundError:
            raise ConfigError(
                f"{TRACK} = {name!r}: the package is not installed; pip install {name}, or leave {TRACK} empty"
            ) from None
    return services


def _is_figure(name: str, value: object) -> bool:
    return name != "epoch" and isinstance(value, numbers.Real) and math.isfinite(value)


def _tag(name: str) -> str:
    """TensorBoard's groups: training, validation, and how it ran.

    >>> _tag("train_loss"), _tag("macro_auc"), _tag("seconds")
    ('training/loss', 'validation/macro_auc', 'run/seconds')
    """
    if name.startswith("train_"):
        return f"training/{name.removeprefix('train_')}"
    if name == "learning_rate" or name.endswith("seconds"):
        return f"run/{name}"
    return f"validation/{name}"

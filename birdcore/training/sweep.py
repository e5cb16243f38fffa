"""A small search over training settings: a grid, or Optuna's TPE where ranges are wide; sequential and resumable.

A sweep file (TOML) names a config beside it, what all trials have in common, and what is tried::

    config = "s3_mobilenet_v2.toml"
    sampler = "grid"              # or "tpe"
    metric = "top1"               # of the validation fold; the best epoch counts
    num_trials = 12               # with "tpe" only

    [settings]                    # any setting of a run
    epochs = 4

    [search]                      # a list of values, or, with "tpe", a range
    optimizer = ["adamw", "sgd"]
    learning_rate = { low = 1e-4, high = 1e-1, log = true }

::

    RUN/
      trial-000/ …                run directories
      sweep.sqlite                Optuna's study: ``optuna-dashboard sqlite:///RUN/sweep.sqlite`` shows it
      sweep.json, sweep.csv       every trial with its settings and figures
      sweep.png, sweep.svg        heat map over the first two settings searched
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import logging
import math
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import optuna

from birdcore.config import TrainConfig, from_dict, to_dict
from birdcore.errors import ConfigError, RunError
from birdcore.locks import exclusive_lock
from birdcore.print_figures import encode_figure, print_heat_map
from birdcore.training.loop import fit
from birdcore.training.run_directory import RunDirectory, replace_atomically

__all__ = ["SweepConfig", "read_sweep", "run_sweep"]

logger = logging.getLogger(__name__)

METRICS = ("macro_auc", "cmap", "top1", "field_top1")


@dataclass(frozen=True, kw_only=True)
class SweepConfig:
    """What a sweep tries.

    Parameters
    ----------
    base : settings that all trials share
    search : setting → values, or ``{"low": …, "high": …, "log": …}``
    sampler : "grid" tries every combination of values; "tpe" tries ``num_trials`` that look promising
    metric : figure of the validation fold to be made large
    num_trials : with "tpe"; a grid has as many as it has points
    """

    base: TrainConfig
    search: dict[str, Any]
    sampler: Literal["grid", "tpe"] = "grid"
    metric: str = "macro_auc"
    num_trials: int = 20

    def __post_init__(self) -> None:
        known = to_dict(self.base)
        for name, values in self.search.items():
            if name not in known:
                raise ConfigError(f"search: unknown setting {name!r}; known are {', '.join(known)}")
            if isinstance(values, dict):
                if self.sampler == "grid" or not {"low", "high"} <= set(values) <= {"low", "high", "log"}:
                    raise ConfigError(
                        f"search: {name} = {values!r}: a grid needs a list of values; a range (low, high, log) needs "
                        "sampler = 'tpe'"
                    )
            elif not isinstance(values, list) or not values:
                raise ConfigError(f"search: {name} = {values!r}: must be a list of values")
            else:
                for value in values:
                    from_dict(TrainConfig, known | {name: value}, source="search")
        if not self.search:
            raise ConfigError("search: empty; name at least one setting and the values to try")
        if self.metric not in METRICS:
            raise ConfigError(f"metric = {self.metric!r}: must be one of {', '.join(METRICS)}")
        if self.num_trials < 1:
            raise ConfigError(f"num_trials = {self.num_trials}: must be at least 1")


def read_sweep(path: str | Path, *, read_config: Callable[[Path], TrainConfig]) -> SweepConfig:
    """Read a sweep file.

    Parameters
    ----------
    path : TOML; see the module's text
    read_config : reads the TOML file of a run's settings

    Raises
    ------
    ConfigError
        If a file cannot be read, or a setting is unknown or wrong.
    """
    path = Path(path)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as TOML ({error})") from error
    if "config" not in content:
        raise ConfigError(f"{path.name}: setting 'config' is missing; name the TOML file of the run to vary")
    base = read_config(path.parent / content.pop("config"))
    shared = content.pop("settings", {})
    content["base"] = to_dict(base) | shared
    return from_dict(SweepConfig, content, source=path.name)


def run_sweep(folder: str | Path, sweep: SweepConfig, *, data_root: Path) -> dict[str, Any]:
    """Train every trial in turn; what was interrupted goes on, what has finished stays.

    A trial that fails for its settings (a loss that became infinite) is noted and left behind.

    Parameters
    ----------
    folder : where the trials' runs, tables and figures are; made where missing
    data_root : folder of the tables that the config names

    Returns
    -------
    what sweep.json holds: ``metric``, ``best`` (a trial) and ``trials``: number, run, settings, state, value (the best
    epoch's metric)

    Raises
    ------
    RunError
        If the folder holds another sweep, another process is at work on it, a trial was asked to stop, or every trial
        failed.
    DataError
        If the data cannot be used.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    refusal = f"{folder}: another process is at work on this sweep; wait until it has ended"
    with exclusive_lock(folder / ".sweep.lock", timeout_seconds=1.0, refusal=refusal):
        return _run(folder, sweep, data_root)


def _run(folder: Path, sweep: SweepConfig, data_root: Path) -> dict[str, Any]:
    _claim(folder, sweep)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name="sweep",
        storage=f"sqlite:///{(folder / 'sweep.sqlite').resolve()}",
        sampler=optuna.samplers.TPESampler(seed=sweep.base.seed),
        direction="maximize",
        load_if_exists=True,
    )
    if sweep.sampler == "grid":
        names = list(sweep.search)
        for point in itertools.product(*sweep.search.values()):
            study.enqueue_trial(dict(zip(names, point, strict=True)), skip_if_exists=True)
    _finish(study, folder, sweep, data_root)
    report = _report(study, sweep)
    _write(folder / "sweep.json", json.dumps(report, indent=1, allow_nan=False) + "\n")
    _write(folder / "sweep.csv", _as_csv(report["trials"]))
    _draw(folder, sweep, report["trials"])
    return report


def _claim(folder: Path, sweep: SweepConfig) -> None:
    """Note what is tried in this folder; another sweep there would mix two questions."""
    noted = folder / "config.sweep.json"
    if not noted.is_file():
        _write(noted, json.dumps(to_dict(sweep), indent=1) + "\n")
        return
    theirs = from_dict(SweepConfig, json.loads(noted.read_text(encoding="utf-8")), source=str(noted))
    if to_dict(theirs) != to_dict(sweep):
        raise RunError(f"{folder}: holds another sweep; choose another --run")


def _finish(study: optuna.Study, folder: Path, sweep: SweepConfig, data_root: Path) -> None:
    state = optuna.trial.TrialState
    # A trial left running belongs to a process that died: its run directory knows how far it came.
    for trial in study.get_trials(deepcopy=False, states=(state.RUNNING,)):
        if set(trial.params) == set(sweep.search):
            _train_trial(study, trial.number, trial.params, folder, sweep, data_root)
            continue
        study.tell(trial.number, state=state.FAIL)  # it died before its settings were noted
        if fixed := trial.system_attrs.get("fixed_params"):
            study.enqueue_trial(fixed)
    total = math.prod(map(len, sweep.search.values())) if sweep.sampler == "grid" else sweep.num_trials
    while (done := len(_ended(study, sweep))) < total:
        trial = study.ask()
        chosen = {name: _suggest(trial, name, values) for name, values in sweep.search.items()}
        logger.info("trial %d of %d: %s", done + 1, total, chosen)
        _train_trial(study, trial.number, chosen, folder, sweep, data_root)


def _ended(study: optuna.Study, sweep: SweepConfig) -> list[optuna.trial.FrozenTrial]:
    states = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.FAIL)
    return [t for t in study.get_trials(deepcopy=False, states=states) if set(t.params) == set(sweep.search)]


def _suggest(trial: optuna.Trial, name: str, values: Any) -> Any:
    if isinstance(values, list):
        return trial.suggest_categorical(name, values)
    if isinstance(values["low"], int) and isinstance(values["high"], int):
        return trial.suggest_int(name, values["low"], values["high"], log=values.get("log", False))
    return trial.suggest_float(name, values["low"], values["high"], log=values.get("log", False))


def _train_trial(
    study: optuna.Study, number: int, chosen: Mapping[str, Any], folder: Path, sweep: SweepConfig, data_root: Path
) -> None:
    name = _run_name(number)
    config = from_dict(TrainConfig, to_dict(sweep.base) | dict(chosen), source=name)
    begun = (folder / name / "config.json").is_file()
    run = RunDirectory.open(folder / name) if begun else RunDirectory.create(folder, config, name=name)
    if run.status().state != "finished":
        try:
            fit(run, data_root=data_root)
        except RunError as error:  # such as a learning rate at which the loss becomes infinite: that is an answer
            logger.warning("%s: %s", name, error)
            study.tell(number, state=optuna.trial.TrialState.FAIL)
            return
        if run.status().state != "finished":
            raise RunError(f"{run.path}: stopped as asked; the same command goes on where it was")
    best = max(run.metrics(), key=lambda row: _value(row, sweep.metric))
    if best.get(sweep.metric) is None:
        raise RunError(f"{run.path}: has no {sweep.metric}; is fold -1 (no validation) set?")
    study.tell(number, _value(best, sweep.metric))


def _value(row: Mapping[str, Any], metric: str) -> float:
    value = row.get(metric)
    return float("-inf") if value is None else value


def _run_name(number: int) -> str:
    return f"trial-{number:03d}"


def _report(study: optuna.Study, sweep: SweepConfig) -> dict[str, Any]:
    trials = [
        {
            "number": trial.number,
            "run": _run_name(trial.number),
            "state": "finished" if trial.state == optuna.trial.TrialState.COMPLETE else "failed",
            "value": trial.value,
            "settings": {name: trial.params[name] for name in sweep.search},
        }
        for trial in _ended(study, sweep)
    ]
    finished = [trial for trial in trials if trial["value"] is not None]
    if not finished:
        raise RunError(f"all {len(trials)} trials failed; the log of each says why (trial-000/status.json)")
    best = max(finished, key=lambda trial: trial["value"])
    return {"metric": sweep.metric, "sampler": sweep.sampler, "best": best, "trials": trials}


def _as_csv(trials: Sequence[Mapping[str, Any]]) -> str:
    buffer = io.StringIO()
    rows = [{key: value for key, value in t.items() if key != "settings"} | t["settings"] for t in trials]
    writer = csv.DictWriter(buffer, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def _draw(folder: Path, sweep: SweepConfig, trials: Sequence[Mapping[str, Any]]) -> None:
    """The heat map over the first two settings; where others were searched as well, the best trial of a cell counts."""
    row_name, column_name = next(iter(sweep.search)), [*sweep.search][min(1, len(sweep.search) - 1)]
    rows, columns = (
        _axis(sweep.search[name], [t["settings"][name] for t in trials]) for name in (row_name, column_name)
    )
    if len(sweep.search) == 1:
        row_name, rows = "", [""]
    cells = [[float("nan")] * len(columns) for _ in rows]
    for trial in trials:
        row = rows.index(trial["settings"][row_name]) if row_name else 0
        column = columns.index(trial["settings"][column_name])
        value = trial["value"]
        if value is not None and not cells[row][column] >= value:
            cells[row][column] = value
    figure = print_heat_map(
        cells,
        rows=[_label(value) for value in rows],
        columns=[_label(value) for value in columns],
        row_title=row_name.replace("_", " "),
        column_title=column_name.replace("_", " "),
        value_title=f"validation {sweep.metric.replace('_', ' ')}",
        title=sweep.base.architecture,
    )
    for kind in ("png", "svg"):
        content = encode_figure(figure, kind)
        replace_atomically(folder / f"sweep.{kind}", lambda path, content=content: path.write_bytes(content))


def _axis(values: Any, tried: list[Any]) -> list[Any]:
    return list(values) if isinstance(values, list) else sorted(set(tried))


def _label(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _write(path: Path, text: str) -> None:
    replace_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))

"""Looking on at many runs: each file is read when it has changed, and not again.

A page that looks every two seconds at hundreds of runs, of which one is training, then reads one status each time. What
a run measured in each epoch is read only for the runs that somebody looks at.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from birdcore.config import TrainConfig
from birdcore.errors import BirdcoreError
from birdcore.evaluation.comparison import ScoredRecordings
from birdcore.training.evaluation import read_scores, read_summary
from birdcore.training.queue import list_runs
from birdcore.training.run_directory import LOST_AFTER_SECONDS, RunDirectory, RunJob, RunStatus

__all__ = ["ObservedRun", "RunObserver"]

logger = logging.getLogger(__name__)

Content = TypeVar("Content")

_MOST_KEPT = 4000
"""Files whose content is remembered; those looked at longest ago are forgotten first."""


@dataclass(frozen=True, kw_only=True)
class ObservedRun:
    """A run as it stands right now.

    Parameters
    ----------
    run : its directory
    config : what it trains
    status : where it stands
    job : how it is trained in the background; None for a run that was started from the command line
    has_folds : whether it is a cross-validation
    """

    run: RunDirectory
    config: TrainConfig
    status: RunStatus
    job: RunJob | None
    has_folds: bool

    @property
    def name(self) -> str:
        """Name of the run."""
        return self.run.name

    @property
    def total_epochs(self) -> int:
        """Epochs of the whole run; of a cross-validation, of all its folds together."""
        return self.config.epochs * (self.config.num_folds if self.has_folds else 1)


class RunObserver:
    """Reads runs for everybody who looks on; safe to share between threads.

    Attributes
    ----------
    num_reads : files read so far
    """

    def __init__(self) -> None:
        self.num_reads = 0
        self._kept: dict[Path, tuple[tuple[int, ...], Any]] = {}
        self._lock = threading.Lock()

    def runs(self, root: str | Path | None = None) -> list[ObservedRun]:
        """The runs of a root that can be read, newest first; by default those of ``places.runs_root()``."""
        return self._observe_all(list_runs(root))

    def problems(self, root: str | Path | None = None) -> list[str]:
        """Why the other runs of a root cannot be read, a sentence each."""
        problems = []
        for run in list_runs(root):
            try:
                self.observe(run)
            except BirdcoreError as error:
                problems.append(str(error))
        return problems

    def folds(self, run: RunDirectory) -> list[ObservedRun]:
        """The folds of a cross-validation that have begun, in order; none for other runs."""
        found = [RunDirectory(config.parent) for config in run.path.glob("fold-*/config.json")]
        return self._observe_all(sorted(found, key=lambda fold: (len(fold.name), fold.name)))

    def _observe_all(self, runs: list[RunDirectory]) -> list[ObservedRun]:
        observed = []
        for run in runs:
            with contextlib.suppress(BirdcoreError):  # see problems
                observed.append(self.observe(run))
        return observed

    def observe(self, run: RunDirectory) -> ObservedRun:
        """A run as it stands right now.

        Raises
        ------
        BirdcoreError
            If its settings or its status cannot be read.
        """
        config = self._read(run.path / "config.json", lambda _: run.config)
        status = self._read(run.path / "status.json", lambda _: run.status())
        # A run gets lost by what does not happen: its file stays as it is.
        if status.has_process and time.time() - status.heartbeat > LOST_AFTER_SECONDS:
            status = dataclasses.replace(status, state="lost")
        path = run.path / "job.json"
        job = self._read(path, lambda _: run.job()) if path.is_file() else None
        has_folds = (job is not None and job.kind == "folds") or (run.path / "fold-0").is_dir()
        return ObservedRun(run=run, config=config, status=status, job=job, has_folds=has_folds)

    def metrics(self, run: RunDirectory) -> list[dict[str, Any]]:
        """Rows of a run's metrics, one per epoch; not to be changed.

        Raises
        ------
        RunError
            If the file is damaged.
        """
        path = run.path / "metrics.jsonl"
        return self._read(path, lambda _: run.metrics()) if path.is_file() else []

    def summary(self, run: RunDirectory) -> dict[str, Any] | None:
        """What the best epoch's evaluation found (see ``evaluation.summarize``), or None where there is none yet.

        Raises
        ------
        RunError
            If the file is damaged.
        """
        path = run.results / "validation.json"
        return self._read(path, read_summary) if path.is_file() else None

    def scores(self, run: RunDirectory, split: str) -> ScoredRecordings | None:
        """What the run says of each recording of a split ("validation" or "test"), or None where that is not known.

        Raises
        ------
        RunError
            If the file is damaged.
        """
        path = run.results / f"{split}.npz"
        return self._read(path, read_scores) if path.is_file() else None

    def _read(self, path: Path, reader: Callable[[Path], Content]) -> Content:
        """The content of a file, as remembered where the file is still the same.

        Raises
        ------
        BirdcoreError
            What the reader raises, also where the file is missing.
        """
        try:
            stat = path.stat()
        except OSError:  # the reader says it better
            return reader(path)
        stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)  # a replaced file may have the date of the old one
        with self._lock:
            kept = self._kept.pop(path, None)
            if kept is not None:
                self._kept[path] = kept  # the most recently used are last
        if kept is None or kept[0] != stamp:
            # Read after it was looked at: a file replaced in between is read once too often, never too seldom.
            kept = (stamp, _content_or_error(path, reader))
            with self._lock:
                self.num_reads += 1
                self._kept.pop(path, None)
                self._kept[path] = kept
                while len(self._kept) > _MOST_KEPT:
                    del self._kept[next(iter(self._kept))]
        if isinstance(kept[1], BirdcoreError):
            raise type(kept[1])(*kept[1].args)  # what is raised itself keeps the frames it passes alive
        return kept[1]


def _content_or_error(path: Path, reader: Callable[[Path], Content]) -> Content | BirdcoreError:
    """A damaged file is remembered, too: it stays damaged until it changes."""
    try:
        return reader(path)
    except BirdcoreError as error:
        logger.warning("%s", error)
        return type(error)(*error.args)

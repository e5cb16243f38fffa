"""The run directory: the one truth about a training run, shared by the process that trains and everyone who looks on.

::

    runs/20250301-142530-crnn/
      config.json      the TrainConfig; written last on creation, so a folder with it is complete
      job.json         RunJob: how a background job trains it, and its place in the queue; not there for other runs
      status.json      RunStatus: state, progress, heartbeat; replaced as a whole
      metrics.jsonl    one line per epoch; only ever appended to
      train.log        what the process printed
      checkpoints/     replaced as a whole, so a half-written one is never read
      weights/         the network of the best epoch, a model like any other
      results/         what the evaluation of the best epoch found
      events/          the metrics once more, for TensorBoard
      tracking.json    names of the run at other services; not there without them
      stop, pause      present while somebody asks the run to stop, or to hold
      .lock            held by the process that trains, and set free by its death
      .reserve         room for the last word on a full disk

While a process trains, it alone writes status, metrics and checkpoints; pages and the command line read them and may
ask for a stop or a pause. A run that nothing trains is changed under the lock of the queue (``jobs``). Whether the
process is alive is told by its heartbeat, never by its process id: ids are used again, and the folder may lie on
another machine.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import math
import numbers
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from birdcore.config import TrainConfig, from_dict, to_dict
from birdcore.errors import RunError
from birdcore.locks import exclusive_lock, is_locked
from birdcore.training.failures import describe_failure

__all__ = ["LOST_AFTER_SECONDS", "RunDirectory", "RunJob", "RunStatus", "replace_atomically"]

logger = logging.getLogger(__name__)

LOST_AFTER_SECONDS = 60.0
"""A run whose last heartbeat is older than this has lost its process. A heartbeat comes about once a second."""

RESERVE_BYTES = 65_536
"""Kept free for a run's last status: on a full disk a run must still be able to say that it failed, and why."""

TAKE_OVER_SECONDS = 10.0
"""How long a process waits for its predecessor to let go of the run: enough to write a last status."""

_WRITING = threading.Lock()
"""A status is read, changed and replaced, which two threads of the process that trains must not interleave."""

_WRITTEN_STATES = ("waiting", "running", "paused", "finished", "stopped", "failed")
_END_STATES = ("finished", "stopped", "failed")


@dataclass(frozen=True, kw_only=True)
class RunStatus:
    """Where a run stands.

    Parameters
    ----------
    state : "waiting" (in the queue), "running" (a process trains, or was started a moment ago), "paused" (as asked; its
        process holds, or, without one, its place in the queue is kept), "finished", "stopped" (as asked), "failed", or
        "lost" (its process has given no heartbeat for ``LOST_AFTER_SECONDS``; never written, only derived)
    epoch : epochs completed
    step, total_steps : optimizer steps done, and steps in the whole run; 0 where not known yet
    windows_per_second : training windows per second, lately
    eta_seconds : seconds to the end of the run, estimated
    best : best validation macro AUC so far
    message : a sentence for people, such as why the run failed
    heartbeat : unix time in seconds of the last sign of life
    pid, hostname : the training process, for people to look up; never used to tell whether it is alive. None while
        there is none yet
    """

    state: str
    epoch: int = 0
    step: int = 0
    total_steps: int = 0
    windows_per_second: float | None = None
    eta_seconds: float | None = None
    best: float | None = None
    message: str = ""
    heartbeat: float = 0.0
    pid: int | None = None
    hostname: str | None = None

    @property
    def is_active(self) -> bool:
        """Whether the run is under way or in the queue: waiting, running or paused."""
        return self.state in ("waiting", "running", "paused")

    @property
    def has_process(self) -> bool:
        """Whether a process trains the run, holds it, or was started to."""
        return self.state == "running" or (self.state == "paused" and self.pid is not None)


@dataclass(frozen=True, kw_only=True)
class RunJob:
    """How a run is trained in the background.

    Parameters
    ----------
    data_root : folder of the data set
    kind : which program trains it, see ``jobs.enqueue_job``
    command : program and arguments in place of that of the kind, or None
    queued : unix time in seconds when the run was put into the queue; None for one that nobody is to start
    """

    data_root: str
    kind: str = "run"
    command: tuple[str, ...] | None = None
    queued: float | None = None


class RunDirectory:
    """One training run on disk. Make one with :meth:`create`, look at one with :meth:`open`.

    Attributes
    ----------
    path : the folder
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._last_beat = -math.inf

    @classmethod
    def create(
        cls,
        root: str | Path,
        config: TrainConfig,
        *,
        name: str | None = None,
        stem: str | None = None,
        job: RunJob | None = None,
    ) -> RunDirectory:
        """Make a new run directory, in state "waiting".

        Parameters
        ----------
        root : folder of all runs; made where missing
        config : what to train
        name : name of the folder, which must be free
        stem : what the name begins with otherwise, by default ``YYYYMMDD-HHMMSS-architecture``; ``-2``, ``-3`` … is
            added where taken
        job : how it is trained in the background, if it is

        Raises
        ------
        RunError
            If the given name is no plain folder name, or is taken, or the folder cannot be written.
        """
        root = Path(root)
        try:
            root.mkdir(parents=True, exist_ok=True)
            if name is not None:
                path = root / _plain_name(name)
                path.mkdir()
            else:
                path = _make_unique(root, _plain_name(stem or f"{datetime.now():%Y%m%d-%H%M%S}-{config.architecture}"))
            run = cls(path)
            (path / "checkpoints").mkdir()
            run._keep_reserve()
            run._replace_status(RunStatus(state="waiting", heartbeat=time.time()))
            if job is not None:
                run.write_job(job)
            _write_text(path / "config.json", json.dumps(to_dict(config), indent=2) + "\n")
        except FileExistsError:
            raise RunError(f"{path}: exists already; resume that run, or choose another name") from None
        except OSError as error:
            raise RunError(f"{root}: no run can be made here. {describe_failure(error)}") from error
        return run

    @classmethod
    def open(cls, path: str | Path) -> RunDirectory:
        """An existing run.

        Raises
        ------
        RunError
            If the folder is not a run directory.
        """
        path = Path(path)
        if not (path / "config.json").is_file():
            raise RunError(f"{path}: not a run directory (it has no config.json); expected a folder that train.py made")
        return cls(path)

    def __repr__(self) -> str:
        return f"RunDirectory({str(self.path)!r})"

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.path.name

    @property
    def config(self) -> TrainConfig:
        """What the run trains.

        Raises
        ------
        RunError
            If config.json cannot be read.
        ConfigError
            If it holds unknown or wrong settings.
        """
        path = self.path / "config.json"
        return from_dict(TrainConfig, _read_object(path), source=str(path))

    @property
    def log(self) -> Path:
        """The file that collects what the training process prints."""
        return self.path / "train.log"

    @property
    def results(self) -> Path:
        """Folder for what the evaluation of the best epoch found; not there before."""
        return self.path / "results"

    def job(self) -> RunJob | None:
        """How the run is trained in the background; None for one that was not made for it.

        Raises
        ------
        RunError
            If job.json is damaged.
        """
        path = self.path / "job.json"
        if not path.is_file():
            return None
        values = _read_object(path)
        try:
            command = values.get("command")
            return RunJob(**(values | {"command": tuple(command) if command else None}))
        except TypeError as error:
            raise RunError(f"{path}: is damaged ({error}); delete the file to train this run anew") from error

    def write_job(self, job: RunJob) -> None:
        """Note how the run is trained in the background."""
        _write_text(self.path / "job.json", json.dumps(_plain(dataclasses.asdict(job)), indent=2) + "\n")

    def checkpoint_path(self, name: str) -> Path:
        """Path of a checkpoint, such as ``last.safetensors``; write it through :func:`replace_atomically`."""
        return self.path / "checkpoints" / _plain_name(name)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the run as the one process that trains it, while the block runs.

        Raises
        ------
        RunError
            If another process holds it.
        """
        refusal = f"{self.path}: another process trains this run already; stop that one first"
        with exclusive_lock(self._lock_file, timeout_seconds=TAKE_OVER_SECONDS, refusal=refusal):
            yield

    def is_held(self) -> bool:
        """Whether a living process of this machine holds the run, however long it has given no heartbeat."""
        return is_locked(self._lock_file)

    @property
    def _lock_file(self) -> Path:
        return self.path / ".lock"

    def begin(self) -> None:
        """Take the run over as the process that trains it: state "running", and no leftovers of a killed predecessor.

        A stop or pause asked for since the run was put into the queue stays; one that a killed predecessor did not live
        to obey is dropped, or the resumed run would stop at once.
        """
        status = self._read_status()
        if not (status.state == "waiting" or (status.state == "running" and status.pid is None)):
            self.drop_requests()
        for folder in (self.path, self.path / "checkpoints", self.results, self.path / "weights"):
            # "….tmp" is ours, ".tmp…" are safetensors' own, "….part" those of saved weights.
            for pattern in (".*.tmp", ".tmp*", "*.part"):
                for leftover in folder.glob(pattern):
                    leftover.unlink(missing_ok=True)
        self._keep_reserve()
        self.write_status(state="running", message="")

    def fail(self, error: BaseException) -> None:
        """Note that the training failed and why, on a full disk too; where even that is impossible, the log tells."""
        self._reserve_file.unlink(missing_ok=True)
        try:
            self.write_status(state="failed", message=describe_failure(error))
        except (OSError, RunError) as second:
            logger.error("%s: failed (%s), which could not be noted: %s", self.path, describe_failure(error), second)

    def _keep_reserve(self) -> None:
        if not self._reserve_file.is_file():
            # Random bytes: zeros would take no room on a disk that compresses.
            replace_atomically(self._reserve_file, lambda file: file.write_bytes(secrets.token_bytes(RESERVE_BYTES)))

    @property
    def _reserve_file(self) -> Path:
        return self.path / ".reserve"

    def status(self) -> RunStatus:
        """Where the run stands; state is "lost" where the heartbeat has stopped.

        Raises
        ------
        RunError
            If status.json is missing or damaged.
        """
        status = self._read_status()
        if status.has_process and time.time() - status.heartbeat > LOST_AFTER_SECONDS:
            return dataclasses.replace(status, state="lost")
        return status

    def write_status(self, **changes: Any) -> None:
        """Change some fields of the status, and beat.

        Going to "running" notes this process's id and host; going to an end state drops pending requests.

        Raises
        ------
        RunError
            If a field or state is unknown.
        """
        unknown = sorted(set(changes) - {field.name for field in dataclasses.fields(RunStatus)})
        if unknown:
            raise RunError(f"status has no field {unknown[0]!r}")
        state = changes.get("state")
        if state is not None and state not in _WRITTEN_STATES:
            raise RunError(f"state = {state!r}: must be one of {', '.join(_WRITTEN_STATES)}")
        if state == "running":
            changes = {"pid": os.getpid(), "hostname": socket.gethostname()} | changes
        with _WRITING:
            self._replace_status(dataclasses.replace(self._read_status(), **({"heartbeat": time.time()} | changes)))
            self._last_beat = time.monotonic()
        if state in _END_STATES:
            self.drop_requests()

    def heartbeat(self) -> None:
        """Show that the process is alive. Call it as often as convenient: the disk sees at most one a second."""
        if time.monotonic() - self._last_beat >= 1.0:
            self.write_status()

    @contextlib.contextmanager
    def beating(self, *, interval_seconds: float = 5.0) -> Iterator[None]:
        """Beat in the background while the block runs.

        Preparing data and validating can take minutes without a call of :meth:`heartbeat`, and the run must not be
        taken for lost meanwhile.
        """
        over = threading.Event()

        def beat() -> None:
            while not over.wait(interval_seconds):
                try:
                    self.heartbeat()
                except (OSError, RunError) as error:  # a full disk may have room again by the next beat
                    logger.warning("%s: no heartbeat could be written (%s)", self.path, error)

        thread = threading.Thread(target=beat, name=f"heartbeat-{self.name}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _read_status(self) -> RunStatus:
        path = self.path / "status.json"
        values = _read_object(path)
        known = {field.name for field in dataclasses.fields(RunStatus)}
        if values.get("state") not in _WRITTEN_STATES:
            raise RunError(f"{path}: state = {values.get('state')!r}; expected one of {', '.join(_WRITTEN_STATES)}")
        return RunStatus(**{key: value for key, value in values.items() if key in known})

    def _replace_status(self, status: RunStatus) -> None:
        _write_text(self.path / "status.json", json.dumps(_plain(dataclasses.asdict(status)), indent=2) + "\n")

    def append_metrics(self, row: dict[str, Any]) -> None:
        """Add one epoch's figures; they are on the disk when this returns.

        Parameters
        ----------
        row : has an integer "epoch"; NaN and infinities are stored as null, which JSON has instead

        Raises
        ------
        RunError
            If the row names no epoch.
        """
        if not isinstance(row.get("epoch"), numbers.Integral):
            raise RunError(f"metrics row {row!r}: needs an integer 'epoch'")
        line = json.dumps(_plain(row)).encode() + b"\n"
        with open(self._metrics_file, "ab+") as file:
            complete = _complete_length(file)
            file.truncate(complete)
            file.write(line)
            file.flush()
            os.fsync(file.fileno())

    def metrics(self) -> list[dict[str, Any]]:
        """All rows in the order written. A last line cut off by a crash, or being written right now, is left out.

        Raises
        ------
        RunError
            If a complete line is not a JSON object.
        """
        try:
            content = self._metrics_file.read_bytes()
        except FileNotFoundError:
            return []
        *lines, _torn = content.split(b"\n")
        return [_parse_object(line, f"{self._metrics_file}, line {i}") for i, line in enumerate(lines, start=1)]

    def truncate_metrics(self, *, after_epoch: int) -> None:
        """Drop the rows of epochs beyond ``after_epoch``: a resumed run starts there and will write them again."""
        kept = [row for row in self.metrics() if row["epoch"] <= after_epoch]
        _write_text(self._metrics_file, "".join(json.dumps(row) + "\n" for row in kept))

    @property
    def _metrics_file(self) -> Path:
        return self.path / "metrics.jsonl"

    def request_stop(self) -> None:
        """Ask the training process to stop after its current step; it leaves a checkpoint to resume from."""
        self._stop_file.touch()

    def stop_requested(self) -> bool:
        """Whether somebody asked for a stop that has not been obeyed yet, of this run or the one that it is a fold of."""
        return self._stop_file.exists() or (self._is_part and (self.path.parent / self._stop_file.name).exists())

    def request_pause(self) -> None:
        """Ask the training process to hold after its current step, until :meth:`withdraw_pause`."""
        self._pause_file.touch()

    def pause_requested(self) -> bool:
        """Whether the training process is to hold, because of this run or the one that it is a fold of."""
        return self._pause_file.exists() or (self._is_part and (self.path.parent / self._pause_file.name).exists())

    def withdraw_pause(self) -> None:
        """Let a holding process go on."""
        self._pause_file.unlink(missing_ok=True)

    def drop_requests(self) -> None:
        """Forget what was asked of a process that has ended."""
        self._stop_file.unlink(missing_ok=True)
        self._pause_file.unlink(missing_ok=True)

    @property
    def _is_part(self) -> bool:
        """Whether the run lies in the directory of another, as folds do."""
        return (self.path.parent / "config.json").is_file()

    @property
    def _stop_file(self) -> Path:
        return self.path / "stop"

    @property
    def _pause_file(self) -> Path:
        return self.path / "pause"


def replace_atomically(path: str | Path, writer: Callable[[Path], object]) -> None:
    """Write a file so that readers see the old content or the new, never a part, however the process ends.

    Parameters
    ----------
    path : the file to make or replace
    writer : is given the path of a temporary file in the same folder, and fills it
    """
    path = Path(path)
    # A name of its own per call: two writers sharing a temporary file could move each other's half into place.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        writer(temporary)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())  # or a power cut may leave the new name with empty content
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _make_unique(root: Path, name: str) -> Path:
    """A new folder of that name, or with a number behind it; mkdir decides who was first."""
    number = 1
    while True:
        path = root / (name if number == 1 else f"{name}-{number}")
        try:
            path.mkdir()
        except FileExistsError:
            number += 1
        else:
            return path


def _plain_name(name: str) -> str:
    if not name or name != Path(name).name or name.startswith("."):
        raise RunError(f"{name!r}: must be a plain name without folders or a leading dot")
    return name


def _write_text(path: Path, text: str) -> None:
    replace_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def _complete_length(file: Any) -> int:
    """Bytes up to and including the last line break."""
    file.seek(0)
    return file.read().rfind(b"\n") + 1


def _read_object(path: Path) -> dict[str, Any]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror}); the run directory is incomplete") from error
    return _parse_object(content, str(path))


def _parse_object(content: bytes, where: str) -> dict[str, Any]:
    try:
        values = json.loads(content)
    except ValueError as error:
        raise RunError(f"{where}: is damaged ({error}); expected a JSON object") from error
    if not isinstance(values, dict):
        raise RunError(f"{where}: holds a {type(values).__name__}; expected a JSON object")
    return values


def _plain(value: Any) -> Any:
    """The value in JSON's types: numpy numbers become Python's, NaN and infinities become None."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, bool | str) or value is None:
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value) if math.isfinite(value) else None
    raise RunError(f"{value!r}: a {type(value).__name__} cannot be stored; give numbers, text, lists or dictionaries")

"""Training jobs in the background: each is ``train.py`` in a process of its own, which outlives who started it.

A page puts a run into the queue, then only reads its run directory and leaves requests there; any page, any user and
any later process can do that. Nothing about a job is kept in memory here, and none of this loads torch.

========  ==================================================================================
a run is  and then
========  ==================================================================================
waiting   starts when a place is free; can be paused (keeps its turn), stopped or deleted
running   can be paused, or stopped, which saves first
paused    holds its place and its memory; can be continued or stopped
stopped   can be resumed, as can one that failed or is lost: it ends as if it had never ended
finished  can be retried, like every run: a new run with the same settings
========  ==================================================================================
"""

from __future__ import annotations

import ipaddress
import os
import re
import secrets
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from birdcore import places
from birdcore.config import TrainConfig
from birdcore.errors import ConfigError, RunError
from birdcore.places import slug
from birdcore.training.queue import (
    KINDS,
    advance_queue,
    list_runs,
    max_active,
    queue_lock,
    read_status,
    set_max_active,
)
from birdcore.training.run_directory import RunDirectory, RunJob

__all__ = [
    "ALLOW_TRAINING",
    "advance_queue",
    "check_paths",
    "continue_job",
    "delete_job",
    "enqueue_job",
    "list_runs",
    "max_active",
    "pause_job",
    "resume_job",
    "retry_job",
    "set_max_active",
    "stop_job",
    "training_allowed",
]

ALLOW_TRAINING = "BIRDCORE_ALLOW_TRAINING"
"""Environment variable; "1" lets visitors from other computers train."""

_TABLES = ("manifest", "extra_manifest", "background", "strong")
_PRETRAINED = ("yamnet_file", "birdnet_file", "imagenet_file")
_WEIGHTS = ("trunk_weights", "teacher")


def enqueue_job(
    config: TrainConfig,
    *,
    root: str | Path | None = None,
    data_root: str | Path | None = None,
    name: str | None = None,
    kind: str = "run",
    command: Sequence[str] | None = None,
) -> RunDirectory:
    """Put a new training run into the queue; it starts at once where a place is free.

    Parameters
    ----------
    config : what to train
    root : folder of all runs; by default ``places.runs_root()``
    data_root : folder of the data set, in one of the configured folders; by default ``places.data_root()``. The process
        finds it as ``BIRDCORE_DATA``
    name : what somebody calls the run; the folder's name is made of its letters and digits, by default of the time and
        the architecture
    kind : "run", or "folds" for a cross-validation with a run per fold inside the run directory
    command : program and arguments in place of that, to which the path of the run directory is added

    Returns
    -------
    The new run directory, in state "waiting" or "running".

    Raises
    ------
    RunError
        If the run cannot be made, or the program does not exist.
    ConfigError
        If the settings or the data folder lead outside the configured folders.
    """
    root = Path(root or places.runs_root())
    data_root = Path(data_root or places.data_root()).resolve()
    check_paths(config, data_root)
    if kind not in KINDS:
        raise RunError(f"kind = {kind!r}: unknown; one of {', '.join(KINDS)}")
    if command and shutil.which(command[0]) is None:
        raise RunError(f"{command[0]}: cannot be started (there is no such program)")
    job = RunJob(data_root=str(data_root), kind=kind, command=tuple(command) if command else None, queued=time.time())
    run = RunDirectory.create(root, config, stem=slug(name or "") or None, job=job)
    advance_queue(root)
    return run


def check_paths(config: TrainConfig, data_root: Path) -> None:
    """Refuse what leads outside the configured folders: settings come from people at a browser.

    Parameters
    ----------
    config : what is to be trained
    data_root : folder of the data set, resolved

    Raises
    ------
    ConfigError
        If the data folder, a table or pretrained weights lie elsewhere.
    """
    roots = [*places.recording_roots(), places.cache_root()]
    if not any(data_root.is_relative_to(root) for root in roots):
        raise ConfigError(
            f"{data_root}: is not in a folder that training may read ({', '.join(map(str, roots))}); "
            "move the data there, or name its folder in BIRDCORE_DATA"
        )
    # Pretrained weights may also lie beside the data, in models/.
    allowed = {name: [data_root] for name in _TABLES} | {
        name: [*roots, places.weights_root(), data_root.parent / "models"] for name in _PRETRAINED
    }
    for name, folders in allowed.items():
        value = getattr(config, name)
        path = (data_root / value).resolve()
        if value and not any(path.is_relative_to(folder) for folder in folders):
            raise ConfigError(
                f"{name} = {value!r}: leads outside the data folder; give a path relative to {data_root}, inside it"
            )
    folders = [*roots, places.weights_root(), places.runs_root()]
    for name in _WEIGHTS:
        value = getattr(config, name)
        # A name is looked up in the folder of weights; a path there and in the working directory.
        paths = [] if value == Path(value).name != ".." else [places.weights_root() / value, Path(value)]
        if value and not all(any(path.resolve().is_relative_to(folder) for folder in folders) for path in paths):
            raise ConfigError(
                f"{name} = {value!r}: leads outside the folders of weights and runs; give the name of weights, or the "
                "folder of those of a run"
            )


def stop_job(run: RunDirectory) -> None:
    """Ask a run to stop after its current step, with a checkpoint to resume from; one that has ended stays as it is.

    One that waits is taken out of the queue.
    """
    with queue_lock(run.path.parent):
        status = run.status()
        if status.has_process:
            run.request_stop()
        elif status.is_active:
            run.write_status(state="stopped", message="Stopped while it waited.")


def pause_job(run: RunDirectory) -> None:
    """Ask a run to hold after its current step; its process stays, with its memory and its place.

    One that waits in the queue is passed over until it is continued, then has its old turn.

    Raises
    ------
    RunError
        If the run has ended.
    """
    with queue_lock(run.path.parent):
        status = run.status()
        if status.has_process:
            run.request_pause()
        elif status.is_active:
            run.write_status(state="paused", pid=None, hostname=None, message="Paused while it waited.")
        else:
            raise RunError(f"{run.name}: cannot be paused, it is {status.state}")


def continue_job(run: RunDirectory) -> None:
    """Let a paused run go on.

    Raises
    ------
    RunError
        If the run is not paused.
    """
    with queue_lock(run.path.parent):
        status = run.status()
        if status.has_process:
            run.withdraw_pause()
        elif status.state == "paused":
            run.write_status(state="waiting", message="")
        else:
            raise RunError(f"{run.name}: cannot be continued, it is {status.state}; resume it instead")
    advance_queue(run.path.parent)


def resume_job(run: RunDirectory) -> RunDirectory:
    """Put a run that was stopped, failed or lost its process back into the queue; it goes on from its last checkpoint.

    Raises
    ------
    RunError
        If the run is under way or has finished, or its process turns out to be alive.
    """
    with queue_lock(run.path.parent):
        status = run.status()
        if status.state not in ("stopped", "failed", "lost"):
            remedy = "retry it to train anew" if status.state == "finished" else "nothing to resume"
            raise RunError(f"{run.name}: cannot be resumed, it is {status.state}; {remedy}")
        _refuse_held(run)
        job = run.job() or RunJob(data_root=str(places.data_root()))
        run.drop_requests()
        # First the place in the queue, then the state: dying in between leaves the run as it was.
        run.write_job(RunJob(data_root=job.data_root, kind=job.kind, command=job.command, queued=time.time()))
        run.write_status(
            state="waiting", pid=None, hostname=None, message="", windows_per_second=None, eta_seconds=None
        )
    advance_queue(run.path.parent)
    return run


def retry_job(run: RunDirectory) -> RunDirectory:
    """Train the settings of a run once more, from the beginning, as a new run beside it.

    Returns
    -------
    The new run directory.
    """
    job = run.job() or RunJob(data_root=str(places.data_root()))
    named = not re.match(r"\d{8}-\d{6}-", run.name)  # otherwise the name is a time, and the new run has its own
    return enqueue_job(
        run.config,
        root=run.path.parent,
        data_root=job.data_root,
        name=run.name if named else None,
        kind=job.kind,
        command=job.command,
    )


def delete_job(run: RunDirectory, *, root: str | Path | None = None) -> None:
    """Remove a run's directory with all that is in it.

    Parameters
    ----------
    root : folder of all runs, by default ``places.runs_root()``; nothing outside it is ever removed

    Raises
    ------
    RunError
        If the run is being trained, or is no folder right inside the root.
    """
    root = Path(root or places.runs_root()).resolve()
    path = Path(os.path.abspath(run.path))  # not resolved: a link must be seen as the link it is
    if path.is_symlink() or path.resolve().parent != root or not (path / "config.json").is_file():
        raise RunError(f"{run.path}: is no run in {root}, and is not deleted")
    path = path.resolve()
    with queue_lock(root):
        status = read_status(run)
        if status is not None and status.has_process:
            raise RunError(f"{run.name}: is {status.state}; stop it before you delete it")
        _refuse_held(run)
        # Renamed first: whatever happens then, nobody sees half a run.
        os.replace(path, root / f".deleted-{run.name}-{secrets.token_hex(4)}")
    # Outside the lock: gigabytes on a slow disk take longer than others wait for the queue.
    for remains in root.glob(".deleted-*"):  # those of a deletion that was cut short, too
        shutil.rmtree(remains, ignore_errors=True)  # links inside are removed, not followed


def _refuse_held(run: RunDirectory) -> None:
    if run.is_held():
        raise RunError(
            f"{run.name}: gives no sign of life, but process {run.status().pid} still holds it; end that process first"
        )


def training_allowed(address: str | None) -> tuple[bool, str]:
    """Whether visitors may start training: only people at this computer, unless the environment allows everybody.

    Parameters
    ----------
    address : what the app listens on; None or "" is every network

    Returns
    -------
    allowed : whether it is
    reason : a sentence for people
    """
    if os.environ.get(ALLOW_TRAINING) == "1":
        return True, f"Training is allowed to everybody who reaches this app ({ALLOW_TRAINING}=1)."
    try:
        local = ipaddress.ip_address(address or "").is_loopback
    except ValueError:
        local = address == "localhost"
    if local:
        return True, "Training is allowed: this app can be reached from this computer only."
    return False, (
        "Training is off, because this app can be reached from other computers. "
        f"Set `{ALLOW_TRAINING}=1` in its environment to allow it."
    )

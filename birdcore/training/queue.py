"""The queue of training jobs: which run may start, and the process that sees each run through.

The queue has no file of its own: it is the waiting runs of a root, in the order in which they were queued. Whoever
comes by (a page, a job that ends) starts what may start, one at a time under a lock, so no process has to live for the
queue to move on.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from birdcore import places
from birdcore.errors import RunError
from birdcore.locks import exclusive_lock
from birdcore.training.failures import describe_exit
from birdcore.training.processes import GROUP_VARIABLES
from birdcore.training.run_directory import RunDirectory, RunJob, RunStatus, replace_atomically

__all__ = [
    "KINDS",
    "advance_queue",
    "list_runs",
    "max_active",
    "queue_lock",
    "read_status",
    "see_through",
    "set_max_active",
    "start_now",
]

logger = logging.getLogger(__name__)

KINDS = ("run", "folds")
"""What a job is: one run, or a cross-validation with a run per fold. ``train.py --resume`` trains either, from the
beginning where there is no checkpoint yet."""

MOST_ACTIVE = 64


def list_runs(root: str | Path | None = None) -> list[RunDirectory]:
    """All runs in a folder (by default ``places.runs_root()``), newest first; empty where there is no such folder."""
    root = Path(root or places.runs_root())
    made = []
    # config.json is written once, when the run is made, and makes the folder a run directory.
    for config in root.glob("*/config.json"):
        if not config.parent.name.startswith("."):  # being deleted
            with contextlib.suppress(OSError):  # deleted this moment
                made.append((config.stat().st_mtime_ns, config.parent))
    return [RunDirectory(path) for _, path in sorted(made, reverse=True)]


def max_active(root: str | Path | None = None) -> int:
    """As many runs train at once in a root; 1 where nobody said otherwise."""
    path = _settings_file(Path(root or places.runs_root()))
    try:
        return _checked_number(json.loads(path.read_text(encoding="utf-8"))["max_active"])
    except FileNotFoundError:
        return 1
    except (OSError, ValueError, KeyError, TypeError, RunError) as error:
        logger.warning("%s: cannot be used (%s); one run trains at a time", path, error)
        return 1


def set_max_active(root: str | Path | None, number: int) -> None:
    """Set how many runs train at once in a root, and start what may start now; what runs already goes on.

    Raises
    ------
    RunError
        If the number is not between 1 and 64.
    """
    root = Path(root or places.runs_root())
    text = json.dumps({"max_active": _checked_number(number)}) + "\n"
    root.mkdir(parents=True, exist_ok=True)
    replace_atomically(_settings_file(root), lambda file: file.write_text(text, encoding="utf-8"))
    advance_queue(root)


def _checked_number(number: object) -> int:
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= MOST_ACTIVE:
        raise RunError(f"max_active = {number!r}: must be a whole number from 1 to {MOST_ACTIVE}")
    return number


def _settings_file(root: Path) -> Path:
    return root / "queue.json"


@contextlib.contextmanager
def queue_lock(root: Path) -> Iterator[None]:
    """Let only one process or thread change a root's runs that nothing trains, or two could both start the same one."""
    root.mkdir(parents=True, exist_ok=True)
    refusal = f"{root}: the queue is busy; try again in a moment"
    with exclusive_lock(root / ".queue.lock", timeout_seconds=30.0, refusal=refusal):
        yield


def read_status(run: RunDirectory) -> RunStatus | None:
    """The status, or None where it cannot be read: such a run must not hold up the others."""
    try:
        return run.status()
    except RunError as error:
        logger.warning("%s; taken for ended", error)
        return None


def advance_queue(root: str | Path | None = None) -> list[RunDirectory]:
    """Start the runs that wait and may start now; safe from any number of processes at once, and cheap.

    Parameters
    ----------
    root : folder of all runs; by default ``places.runs_root()``

    Returns
    -------
    the runs that were started
    """
    root = Path(root or places.runs_root())
    # Most calls find nothing to do, and need no lock to see that.
    if not _waiting(root):
        return []
    started = []
    with queue_lock(root):
        free = max_active(root) - sum(_has_process(run) for run in list_runs(root))
        for run in _waiting(root):
            if free <= 0:
                break
            if start_now(run):
                started.append(run)
                free -= 1
    return started


def _waiting(root: Path) -> list[RunDirectory]:
    """The queue: runs that wait for a place, those queued first in front."""
    queued = []
    for run in list_runs(root):
        status = read_status(run)
        if status is not None and status.state == "waiting":
            try:
                job = run.job()
            except RunError as error:
                logger.warning("%s; not started", error)
                continue
            if job is not None and job.queued is not None:
                queued.append((job.queued, run.name, run))
    return [run for _, _, run in sorted(queued, key=lambda entry: entry[:2])]


def _has_process(run: RunDirectory) -> bool:
    status = read_status(run)
    return status is not None and status.has_process


def start_now(run: RunDirectory) -> bool:
    """Start the process that sees a waiting run through; to be called under the lock of the queue.

    Returns
    -------
    whether it was started; if not, the run has failed and says why, or is trained by somebody else already
    """
    if run.is_held():
        return False
    try:
        # Before the process is there: from here on the run takes up a place, and if we die now it is lost, not twofold.
        run.write_status(state="running", pid=None, hostname=None, message="starting")
    except (OSError, RunError) as error:
        logger.error("%s: cannot be started: %s", run.path, error)
        return False
    program = [sys.executable, str(places.project_root() / "train.py"), "--job", str(run.path.resolve())]
    try:
        with open(run.log, "ab") as log:
            process = subprocess.Popen(
                program,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=places.project_root(),
                env=_environment(run),
                start_new_session=True,  # Ctrl-C in the app's terminal must not end the training
            )
    except OSError as error:
        run.fail(error)
        return False
    # A child that nobody waits for stays a zombie as long as this process lives.
    threading.Thread(target=process.wait, name=f"wait-{run.name}", daemon=True).start()
    return True


def _environment(run: RunDirectory) -> dict[str, str]:
    # We may belong to a group of training processes; the new process does not.
    kept = {name: value for name, value in os.environ.items() if name not in GROUP_VARIABLES}
    return kept | {"BIRDCORE_DATA": _job(run).data_root, "PYTHONUNBUFFERED": "1"}


def _job(run: RunDirectory) -> RunJob:
    return run.job() or RunJob(data_root=str(places.data_root()))


def see_through(run: RunDirectory) -> int:
    """Run a job's program to its end, note an end that it did not note itself, and start what waits next.

    A process of its own does this, small enough to outlive the training where memory runs out, and independent of any
    page.

    Returns
    -------
    exit code of the program; minus the signal that ended it
    """
    job = _job(run)
    command = job.command or (sys.executable, str(places.project_root() / "train.py"), "--resume")
    root = run.path.parent
    try:
        try:
            child = subprocess.Popen([*command, str(run.path.resolve())], stdin=subprocess.DEVNULL, process_group=0)
        except OSError as error:
            run.fail(RunError(f"{command[0]}: cannot be started ({error.strerror})"))
            return 1
        code = _await_end(child)
        _note_end(run, job, code)
        return code
    finally:
        advance_queue(root)


def _await_end(child: subprocess.Popen) -> int:
    """Exit code of a program; where it was killed, the processes that it had started for further devices go with it."""
    # Not reaped yet, its number still belongs to its group and to nobody else.
    if os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT).si_code != os.CLD_EXITED:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
    return child.wait()


def _note_end(run: RunDirectory, job: RunJob, code: int) -> None:
    """Say how a program ended that did not say so itself."""
    try:
        with queue_lock(run.path.parent):
            status = run.status()
            unsaid = status.has_process or status.state == "lost"
            # Unless the run was queued again or taken over meanwhile: then another process speaks for it.
            if unsaid and _job(run) == job and not run.is_held():
                run.fail(RunError(describe_exit(code, run.log)))
    except (OSError, RunError) as error:  # such as the folder having been deleted meanwhile
        logger.warning("run %s ended with exit code %d, which could not be noted: %s", run.name, code, error)

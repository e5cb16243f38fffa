"""A lock on disk that its holder's death sets free."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from birdcore.errors import RunError

__all__ = ["exclusive_lock", "is_locked"]


@contextlib.contextmanager
def exclusive_lock(path: Path, *, timeout_seconds: float, refusal: str) -> Iterator[None]:
    """Hold a lock while the block runs; of all processes and threads, one at a time can.

    The lock is SQLite's: it works on every system, needs no room on the disk, and is dropped when its holder dies,
    where a lock file of our own would stay behind.

    Parameters
    ----------
    path : the file that stands for the lock; made where missing, always empty
    timeout_seconds : how long to wait for the holder
    refusal : what to say when that was in vain

    Raises
    ------
    RunError
        If the lock is held by another for too long, or cannot be made.
    """
    try:
        lock = sqlite3.connect(path, timeout=timeout_seconds, isolation_level=None)
    except sqlite3.OperationalError as error:
        raise RunError(f"{refusal} ({path}: {error})") from error
    with contextlib.closing(lock):
        try:
            # Or its journal would lie beside the lock: it needs room, and stays where the holder is killed.
            lock.execute("PRAGMA journal_mode = MEMORY")
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            raise RunError(f"{refusal} ({path}: {error})") from error
        yield


def is_locked(path: Path) -> bool:
    """Whether somebody holds the lock right now."""
    if not path.is_file():
        return False
    try:
        with exclusive_lock(path, timeout_seconds=0.2, refusal="held"):  # another may be looking just now
            return False
    except RunError:
        return True

"""The recordings in files and folders."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from birdcore.audio.decode import AUDIO_SUFFIXES

__all__ = ["find_recordings"]

logger = logging.getLogger(__name__)


def find_recordings(
    paths: Iterable[str | Path], *, on_unreadable: Callable[[Path, str], None] | None = None
) -> Iterator[Path]:
    """Recordings in files and folders, one by one, each once.

    Folders are searched with all their subfolders, in the order of names; links are followed, but no folder is entered
    twice. Hidden files and folders are passed over (among them the ``._`` twins that macOS leaves on memory cards),
    and so is every file without the ending of a sound. A file that is named itself is taken whatever its name.

    Parameters
    ----------
    paths : files and folders; a path that does not exist is given out, so that whoever opens it says so
    on_unreadable : called with a folder that cannot be read, and the reason; by default it is logged
    """
    seen_files: set[str] = set()
    seen_folders: set[tuple[int, int]] = set()
    for given in map(Path, paths):
        for path in _walk(given, seen_folders, on_unreadable or _log_unreadable) if os.path.isdir(given) else (given,):
            identity = os.path.abspath(path)
            if identity not in seen_files:
                seen_files.add(identity)
                yield path


def _walk(folder: Path, seen: set[tuple[int, int]], on_unreadable: Callable[[Path, str], None]) -> Iterator[Path]:
    """Recordings below a folder. Folders yet to be searched are kept in a list: a tree may be deeper than the stack."""
    pending = [folder]
    while pending:
        current = pending.pop()
        try:
            status = current.stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(current) as entries:
                names = sorted(entry.name for entry in entries)
        except OSError as error:
            on_unreadable(current, f"folder cannot be read ({error.strerror or error})")
            continue
        subfolders = []
        for path in (current / name for name in names if not name.startswith(".")):
            if os.path.isdir(path):
                subfolders.append(path)
            # A broken link is given out, so that it is listed as missing; pipes and devices are no recordings.
            elif path.suffix.lower() in AUDIO_SUFFIXES and (os.path.isfile(path) or os.path.islink(path)):
                yield path
        pending.extend(reversed(subfolders))


def _log_unreadable(folder: Path, reason: str) -> None:
    logger.warning("%s: %s", folder, reason)

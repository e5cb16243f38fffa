"""Files that are either whole or not there, and what identifies their content."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from birdcore.errors import DataError

__all__ = ["file_sha256", "force_to_disk", "open_replacement", "read_text", "replacement_path", "write_text"]


@contextmanager
def replacement_path(path: str | Path, *, durable: bool = False) -> Iterator[Path]:
    """A temporary file beside ``path`` that takes its place when the block ends well, and vanishes when it does not.

    A reader sees the old file or the new one, never half of one, even if the program is killed in between.

    Parameters
    ----------
    path : folders on the way are made
    durable : force the content onto the disk first, so that a power cut cannot leave the new name with nothing in it.
        What can be made again, and is written by the thousand, needs no such wait
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # A short name of its own: the final name may already be as long as the file system allows.
    part = path.with_name(f".birdcore-{uuid.uuid4().hex}.part")
    try:
        yield part
        if durable:
            force_to_disk(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def force_to_disk(path: Path) -> None:
    """Wait until what was written to a file is on the disk; a disk that is full says so here at the latest."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


@contextmanager
def open_replacement(path: str | Path, *, durable: bool = False) -> Iterator[TextIO]:
    """Like :func:`replacement_path`, opened for writing text (UTF-8, line feeds as given)."""
    with replacement_path(path, durable=durable) as part, part.open("w", encoding="utf-8", newline="") as file:
        yield file


def write_text(path: str | Path, text: str | Iterable[str], *, durable: bool = False) -> None:
    """Write a text (or its pieces) as UTF-8, replacing the file at once.

    Parameters
    ----------
    path, durable : see :func:`replacement_path`
    text : written with its line ends as they are
    """
    with open_replacement(path, durable=durable) as file:
        file.writelines([text] if isinstance(text, str) else text)


def read_text(path: str | Path) -> str:
    """The text of a UTF-8 file, with or without byte order mark; line ends stay as they are.

    Raises
    ------
    DataError
        If the file cannot be opened or is not UTF-8.
    """
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            return file.read()
    except OSError as error:
        raise DataError(f"{path}: cannot be opened ({error.strerror or error})") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not UTF-8 text (byte {error.start}); save it as UTF-8") from error


def file_sha256(path: str | Path) -> str:
    """SHA-256 of a file's content, in hexadecimal; read in pieces, however large it is."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

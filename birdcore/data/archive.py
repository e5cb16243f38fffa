"""A data set that comes as a ZIP archive: unpacked beside the other data sets, as a whole or not at all.

An archive comes from somebody's browser and says about itself what it likes. Nothing of what it says is relied on: names
are checked before anything is written, and bytes are counted while they are.
"""

from __future__ import annotations

import contextlib
import lzma
import os
import re
import secrets
import shutil
import stat
import time
import unicodedata
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from birdcore.audio.decode import AUDIO_SUFFIXES
from birdcore.data.readers import detect_format
from birdcore.errors import DataError
from birdcore.places import slug, uploads_root

__all__ = ["TABLE_SUFFIXES", "ArchiveLimits", "UnpackedDataset", "unpack_dataset"]

TABLE_SUFFIXES = frozenset({".csv", ".txt", ".json"})
"""Tables and annotations; with recordings, all that is unpacked."""

CHUNK_BYTES = 1 << 20
SMALL_BYTES = 1 << 20
"""Files up to this size may be compressed as well as they like: a table of one word, or a second of silence."""

SPARE_BYTES = 1 << 30
"""Left free on the disk: training needs room, too."""

LEFTOVER_SECONDS = 24 * 3600.0
LONGEST_NAME = 200  # bytes of one part of a path; file systems take 255
DEEPEST = 12
_UNFINISHED = ".unpacking-"


@dataclass(frozen=True, kw_only=True)
class ArchiveLimits:
    """How much an archive may hold.

    Parameters
    ----------
    total_bytes : of all files, unpacked
    num_files : entries, folders included
    ratio : unpacked bytes per compressed byte of one file; sound hardly shrinks, what swells more is meant to do harm
    """

    total_bytes: int = 8 << 30
    num_files: int = 50_000
    ratio: float = 100.0


@dataclass(frozen=True, kw_only=True)
class UnpackedDataset:
    """What came of an archive.

    Parameters
    ----------
    folder : where the data set lies
    data_format : see ``birdcore.data.readers``
    num_files : files unpacked
    left_out : names of files that are neither sound nor table
    """

    folder: Path
    data_format: str
    num_files: int
    left_out: tuple[str, ...]


def unpack_dataset(
    archive: BinaryIO | Path,
    *,
    name: str,
    root: Path | None = None,
    limits: ArchiveLimits | None = None,
    progress: Callable[[float], None] | None = None,
) -> UnpackedDataset:
    """Unpack a ZIP archive into a new folder.

    A single folder around everything is taken off. Hidden files, and what macOS adds, are passed over in silence; other
    files that are neither sound nor table are left out and named.

    Parameters
    ----------
    archive : a ZIP file
    name : of the archive or the data set; the folder's name is made of its letters and digits
    root : folder of all uploads; by default ``places.uploads_root()``
    limits : by default those of :class:`ArchiveLimits`
    progress : called with the share that is done, 0 to 1

    Returns
    -------
    UnpackedDataset
        Its folder appears when it is complete.

    Raises
    ------
    DataError
        If the archive is damaged, encrypted, too large or no data set, or leads outside its folder; nothing is kept.
    """
    root, limits = root or uploads_root(), limits or ArchiveLimits()
    stem = slug(PurePosixPath(name).stem) or "upload"
    try:
        with zipfile.ZipFile(archive) as opened:
            chosen, left_out = _choose_entries(opened, name=name, limits=limits)
            root.mkdir(parents=True, exist_ok=True)
            _remove_leftovers(root)
            _require_room(root, sum(info.file_size for info, _ in chosen), name=name)
            target = root / f"{_UNFINISHED}{secrets.token_hex(8)}"
            target.mkdir()
            try:
                _unpack(opened, chosen, target, name=name, limits=limits, report=progress or (lambda share: None))
                data_format = _format_of(target, name=name)
                folder = _move_into_place(target, root / stem)
            finally:
                shutil.rmtree(target, ignore_errors=True)
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, ValueError) as error:
        raise DataError(f"{name}: cannot be read as a ZIP archive ({error}); did the upload finish?") from error
    except OSError as error:
        raise DataError(f"{name}: cannot be unpacked into {root} ({error.strerror or error})") from error
    return UnpackedDataset(folder=folder, data_format=data_format, num_files=len(chosen), left_out=tuple(left_out))


def _choose_entries(
    opened: zipfile.ZipFile, *, name: str, limits: ArchiveLimits
) -> tuple[list[tuple[zipfile.ZipInfo, PurePosixPath]], list[str]]:
    """The entries to unpack with their paths, and the names of those left out."""
    entries = opened.infolist()
    if len(entries) > limits.num_files:
        raise DataError(f"{name}: holds {len(entries):,} files; at most {limits.num_files:,} are taken")
    chosen: list[tuple[zipfile.ZipInfo, PurePosixPath]] = []
    left_out: list[str] = []
    for info in entries:
        path = _checked_path(info, name=name)  # of every entry: one that leads outside condemns the whole archive
        if info.is_dir() or any(part.startswith(".") or part == "__MACOSX" for part in path.parts):
            continue
        if path.suffix.lower() not in AUDIO_SUFFIXES | TABLE_SUFFIXES:
            left_out.append(str(path))
            continue
        if info.flag_bits & 0x1:
            raise DataError(f"{name}: {path} is encrypted; make the archive without a password")
        _require_ratio(info, info.file_size, name=name, limits=limits)
        chosen.append((info, path))
    total = sum(info.file_size for info, _ in chosen)
    if total > limits.total_bytes:
        raise DataError(f"{name}: {_size(total)} unpacked; at most {_size(limits.total_bytes)} are taken")
    if not any(path.suffix.lower() in AUDIO_SUFFIXES for _, path in chosen):
        raise DataError(f"{name}: holds no recordings; expected {', '.join(sorted(AUDIO_SUFFIXES))}")
    chosen = _without_wrapper(chosen)
    # Names that a file system may take for one another would overwrite each other.
    seen: dict[str, PurePosixPath] = {}
    for _, path in chosen:
        other = seen.setdefault(unicodedata.normalize("NFC", str(path)).casefold(), path)
        if other is not path:
            raise DataError(f"{name}: {path} stands in it twice (as {other}); rename one of them")
    return chosen, left_out


def _checked_path(info: zipfile.ZipInfo, *, name: str) -> PurePosixPath:
    """The entry's path, if it stays inside the folder and is an ordinary file or folder."""
    given = info.orig_filename.replace("\\", "/")  # zipfile itself cuts names at a NUL
    parts = given.rstrip("/").split("/")
    shown = repr(given[:120])
    if given.startswith("/") or re.match(r"[A-Za-z]:", given) or ".." in parts:
        raise DataError(f"{name}: {shown} leads outside the archive's folder; make the archive anew, from the folder")
    if not all(part and part != "." for part in parts) or any(ord(letter) < 32 for letter in given):
        raise DataError(f"{name}: {shown} is no file name; make the archive anew")
    if len(parts) > DEEPEST or any(len(part.encode("utf-8", "replace")) > LONGEST_NAME for part in parts):
        raise DataError(f"{name}: {shown} is too long or too deep; use shorter names")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise DataError(f"{name}: {shown} is a link or a device; put the files themselves into the archive")
    return PurePosixPath(*parts)


def _without_wrapper(
    chosen: list[tuple[zipfile.ZipInfo, PurePosixPath]],
) -> list[tuple[zipfile.ZipInfo, PurePosixPath]]:
    """Paths without the one folder that all lie in, as most programs add it; a single species folder stays."""
    while len({path.parts[0] for _, path in chosen}) == 1 and all(len(path.parts) > 1 for _, path in chosen):
        inner = [(info, PurePosixPath(*path.parts[1:])) for info, path in chosen]
        has_table = any(len(path.parts) == 1 and path.suffix.lower() in TABLE_SUFFIXES for _, path in inner)
        if not has_table and not any(len(path.parts) > 1 for _, path in inner):
            break
        chosen = inner
    return chosen


def _require_ratio(info: zipfile.ZipInfo, num_bytes: int, *, name: str, limits: ArchiveLimits) -> None:
    if num_bytes > SMALL_BYTES and num_bytes > limits.ratio * max(1, info.compress_size):
        raise DataError(
            f"{name}: {info.filename!r} unpacks to more than {limits.ratio:g} times its size, as no recording does; "
            "pack the recordings themselves"
        )


def _require_room(root: Path, num_bytes: int, *, name: str) -> None:
    free = shutil.disk_usage(root).free
    if num_bytes + SPARE_BYTES > free:
        raise DataError(
            f"{name}: needs {_size(num_bytes)}, and {_size(SPARE_BYTES)} to spare, where {_size(free)} are free; "
            "delete old uploads or runs"
        )


def _unpack(
    opened: zipfile.ZipFile,
    chosen: list[tuple[zipfile.ZipInfo, PurePosixPath]],
    target: Path,
    *,
    name: str,
    limits: ArchiveLimits,
    report: Callable[[float], None],
) -> None:
    announced = max(1, sum(info.file_size for info, _ in chosen))
    total = 0
    for info, path in chosen:
        file = target / path
        file.parent.mkdir(parents=True, exist_ok=True)
        written = 0
        with opened.open(info) as source, file.open("xb") as sink:
            while chunk := source.read(CHUNK_BYTES):
                written += len(chunk)
                total += len(chunk)
                # What the archive announced of itself was checked before; this is what it really holds.
                _require_ratio(info, written, name=name, limits=limits)
                if total > limits.total_bytes:
                    raise DataError(f"{name}: unpacks to more than {_size(limits.total_bytes)}")
                sink.write(chunk)
        report(min(1.0, total / announced))


def _format_of(folder: Path, *, name: str) -> str:
    try:
        return detect_format(folder)
    except DataError as error:
        raise DataError(str(error).replace(f"{folder}: ", f"{name}: ")) from error


def _move_into_place(folder: Path, wanted: Path) -> Path:
    """Rename to the wanted name, or the next free one; a folder of that name that holds something is never replaced."""
    number = 1
    while True:
        target = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
        if not target.exists():
            try:
                os.rename(folder, target)
            except OSError:
                if not target.exists():  # otherwise another upload took the name this moment
                    raise
            else:
                return target
        number += 1


def _remove_leftovers(root: Path) -> None:
    """What a process left behind that was killed while unpacking."""
    for leftover in root.glob(f"{_UNFINISHED}*"):
        with contextlib.suppress(OSError):  # another visit's, finished this moment
            if time.time() - leftover.stat().st_mtime > LEFTOVER_SECONDS:
                shutil.rmtree(leftover, ignore_errors=True)


def _size(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:.1f} GB" if num_bytes >= 1e8 else f"{num_bytes / 1e6:.1f} MB"

"""Weights that replace others: at once, with the replaced ones kept.

A folder of weights is put in place by renaming, never by writing into it, so nobody reads half of one. What it replaces
moves to ``weights/.versions/<name>/<time>/`` and can come back.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from birdcore.errors import WeightsError
from birdcore.locks import exclusive_lock
from birdcore.models.checkpoint import Weights, find_weights

__all__ = ["Version", "finish_installations", "install_weights", "list_versions", "restore_version"]

VERSIONS = ".versions"
NEW = ".new"

LONGEST_WAIT_SECONDS = 30.0
"""For another process that replaces the same weights: it copies some megabytes."""


@dataclass(frozen=True, kw_only=True)
class Version:
    """One earlier version.

    Parameters
    ----------
    name : when it was replaced, as ``20261121-104500``
    weights : its folder and facts
    """

    name: str
    weights: Weights


def install_weights(draft: str | Path, folder: str | Path) -> Weights:
    """Put a copy of a finished folder of weights in the place of another, which is kept as an earlier version.

    Parameters
    ----------
    draft : the folder to install; it stays as it is
    folder : where it goes, e.g. ``weights/crnn``

    Raises
    ------
    WeightsError
        If the draft is no usable folder of weights, or the disk refuses.
    RunError
        If somebody else is replacing these weights, and takes too long.
    """
    folder = Path(folder)
    find_weights(Path(draft).resolve())
    with _replacing(folder):
        return _install(Path(draft), folder)


@contextlib.contextmanager
def _replacing(folder: Path) -> Iterator[None]:
    """Of all processes, one at a time replaces a folder of weights: the names on the way there are always the same."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WeightsError(f"weights {folder.name!r}: could not be installed ({error.strerror or error})") from error
    refusal = f"weights {folder.name!r}: cannot be replaced now, as somebody else is replacing them; try again"
    with exclusive_lock(
        folder.with_name(f".{folder.name}.lock"), timeout_seconds=LONGEST_WAIT_SECONDS, refusal=refusal
    ):
        yield


def _install(draft: Path, folder: Path) -> Weights:
    new = folder.with_name(f".{folder.name}{NEW}")
    try:
        shutil.rmtree(new, ignore_errors=True)
        partial = folder.with_name(f".{folder.name}.copying")
        shutil.rmtree(partial, ignore_errors=True)
        # What is about its making stays behind.
        shutil.copytree(draft, partial, ignore=shutil.ignore_patterns("publication.*", ".*"))
        os.rename(partial, new)  # complete from here on: whoever finds it may finish the installation
        _swap(new, folder)
    except OSError as error:
        raise WeightsError(f"weights {folder.name!r}: could not be installed ({error.strerror or error})") from error
    return find_weights(folder.resolve())


def _swap(new: Path, folder: Path) -> None:
    if folder.exists():
        kept = _versions_of(folder)
        kept.mkdir(parents=True, exist_ok=True)
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        number = 1
        name = stamp
        while (kept / name).exists():
            number += 1
            name = f"{stamp}-{number}"
        os.rename(folder, kept / name)
    try:
        os.rename(new, folder)
    except FileNotFoundError:
        if not folder.exists():  # otherwise somebody else has just finished this installation
            raise


def finish_installations(root: str | Path) -> None:
    """Finish what was interrupted between its two renames: the old weights gone, the new ones not yet in place."""
    for new in Path(root).glob(f".*{NEW}"):
        folder = new.with_name(new.name.removeprefix(".").removesuffix(NEW))
        if not folder.exists():
            with contextlib.suppress(OSError):  # somebody else was faster, or the folder may only be read
                os.rename(new, folder)


def list_versions(folder: str | Path) -> list[Version]:
    """Earlier versions of a folder of weights, the one replaced last first; damaged ones are left out."""
    found = []
    kept = _versions_of(Path(folder))
    for path in sorted(kept.iterdir(), reverse=True) if kept.is_dir() else []:
        try:
            found.append(Version(name=path.name, weights=find_weights(path.resolve())))
        except WeightsError:
            continue
    return found


def restore_version(folder: str | Path, version: str) -> Weights:
    """Bring an earlier version back; what it replaces becomes an earlier version in turn.

    Raises
    ------
    WeightsError
        If there is no such version, or the disk refuses.
    RunError
        If somebody else is replacing these weights, and takes too long.
    """
    folder = Path(folder)
    with _replacing(folder):
        found = {entry.name: entry for entry in list_versions(folder)}
        if version not in found:
            raise WeightsError(
                f"weights {folder.name!r}: have no earlier version {version!r}; there are: {', '.join(found) or 'none'}"
            )
        restored = _install(found[version].weights.path, folder)
        shutil.rmtree(found[version].weights.path)
        return restored


def _versions_of(folder: Path) -> Path:
    return folder.parent / VERSIONS / folder.name

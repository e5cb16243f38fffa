"""Where things lie: data, runs, weights, and the folders recordings may be opened from.

Read from the environment, once per call.
"""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path

from birdcore.errors import ConfigError, DataError

__all__ = [
    "cache_root",
    "check_weights_name",
    "data_root",
    "project_root",
    "recording_roots",
    "resolve_recording",
    "runs_root",
    "slug",
    "uploads_root",
    "weights_root",
]


def project_root() -> Path:
    """The folder that holds ``birdcore/``."""
    return Path(__file__).resolve().parent.parent


def data_root() -> Path:
    """Data sets: ``BIRDCORE_DATA``, or ``data/`` in the project."""
    return Path(os.environ.get("BIRDCORE_DATA") or project_root() / "data").resolve()


def uploads_root() -> Path:
    """Data sets that came through the browser: ``uploads/`` in the data root, each in a folder of its own."""
    return data_root() / "uploads"


def runs_root() -> Path:
    """Training runs: ``BIRDCORE_RUNS``, or ``runs/`` in the project."""
    return Path(os.environ.get("BIRDCORE_RUNS") or project_root() / "runs").resolve()


def weights_root() -> Path:
    """Model weights: ``BIRDCORE_WEIGHTS``, or ``weights/`` in the project."""
    return Path(os.environ.get("BIRDCORE_WEIGHTS") or project_root() / "weights").resolve()


def check_weights_name(name: str) -> None:
    """Refuse what cannot be the name of weights: it becomes a folder, and a word of addresses and commands.

    Raises
    ------
    ConfigError
        If the name breaks the rule, which the message gives.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,59}", name):
        raise ConfigError(
            f"name {name!r}: use small letters, digits, “-” and “_”, beginning with a letter or digit, 60 at most"
        )


def cache_root() -> Path:
    """What can be made again (exported engines, feature caches, uploads).

    ``BIRDCORE_CACHE``, or ``~/.cache/birdcore``.
    """
    return Path(os.environ.get("BIRDCORE_CACHE") or Path.home() / ".cache" / "birdcore").resolve()


def recording_roots() -> list[Path]:
    """Folders on the server that recordings may be opened from.

    ``BIRDCORE_RECORDINGS`` (separated like PATH), and the data root.
    """
    named = [Path(part) for part in os.environ.get("BIRDCORE_RECORDINGS", "").split(os.pathsep) if part]
    return [root.resolve() for root in [*named, data_root()]]


def resolve_recording(path: str | Path) -> Path:
    """A recording's real path, if it lies in one of the configured folders.

    Raises
    ------
    DataError
        If the path leads outside the configured folders (links are followed first) or does not exist.
    """
    roots = recording_roots()
    given = Path(path)
    candidates = [given] if given.is_absolute() else [root / given for root in roots]
    for candidate in candidates:
        try:
            resolved = candidate.resolve()
            if any(resolved.is_relative_to(root) for root in roots) and resolved.exists():
                return resolved
        except (OSError, ValueError, RuntimeError):  # a name too long, with a NUL in it, or a ring of links
            continue
    raise DataError(
        f"{path}: not found in the folders that recordings may be opened from ({', '.join(map(str, roots))}); "
        "move it there, or name its folder in BIRDCORE_RECORDINGS"
    )


def slug(text: str) -> str:
    """A folder name from what somebody typed: lower-case letters, digits and dashes; "" where none is left.

    >>> slug("Réseau no. 2 / ../night")
    'reseau-no-2-night'
    """
    letters = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", letters).strip("-")[:60].rstrip("-")

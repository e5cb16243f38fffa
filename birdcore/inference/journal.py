"""The journal of a batch: one line for every recording begun and finished, so that a killed batch goes on where it was.

``journal.jsonl`` holds the settings in its first line, then, as JSON,

- ``begun`` before a recording is analysed, so that one that ends the whole program is known when the batch resumes;
- ``done`` with everything that was found, ``failed`` with the reason, or ``interrupted`` where the user stopped.

Lines are only ever appended, and the last line about a recording counts. A line that a crash cut short is dropped.
Recordings are told apart by absolute path; one whose size or time of change differs is another recording.
"""

from __future__ import annotations

import base64
import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from birdcore.errors import DataError

__all__ = ["FileState", "Journal", "array_text", "parse_array"]

logger = logging.getLogger(__name__)

FORMAT = 2
"""Version of the lines; a journal of another version is not continued."""


@dataclass(frozen=True, kw_only=True)
class FileState:
    """What tells a recording from a changed one of the same name.

    Parameters
    ----------
    size : bytes
    mtime_ns : time of the last change, nanoseconds
    """

    size: int
    mtime_ns: int


@dataclass(kw_only=True, slots=True)
class _Entry:
    """The last word about a recording, where its line begins, and how often it was begun since it last ended well."""

    kind: str
    state: FileState
    position: int
    num_begun: int


class Journal:
    """An open journal; a context manager.

    Parameters
    ----------
    path : made with its folder if it does not exist
    settings : what every result in the journal depends on, as plain JSON values

    Raises
    ------
    DataError
        If the file belongs to a batch with other settings, or is no journal.
    """

    def __init__(self, path: str | Path, *, settings: dict[str, Any]) -> None:
        self.path = Path(path)
        self._entries: dict[str, _Entry] = {}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("a+b")
        try:
            self._read(json.loads(json.dumps(settings)))
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def has_done(self, recording: str, state: FileState) -> bool:
        """Whether this recording, unchanged, has been analysed."""
        entry = self._entries.get(recording)
        return entry is not None and entry.kind == "done" and entry.state == state

    def num_abrupt_ends(self, recording: str, state: FileState) -> int:
        """How often the program ended without a word while it analysed this recording."""
        entry = self._entries.get(recording)
        if entry is None or entry.kind != "begun" or entry.state != state:
            return 0
        return entry.num_begun

    def write(self, kind: str, recording: str, state: FileState, **content: Any) -> None:
        """Append a line. It survives the end of the program, and, if it says what was found, that of the computer.

        Parameters
        ----------
        kind : "begun", "done", "failed" or "interrupted"
        recording : absolute path
        content : further JSON values
        """
        line = {"kind": kind, "recording": recording, "size": state.size, "mtime_ns": state.mtime_ns, **content}
        position = self._append(line)
        self._note(line, position)

    def done(self) -> list[str]:
        """The recordings that have been analysed, in the order in which they first came."""
        return [recording for recording, entry in self._entries.items() if entry.kind == "done"]

    def content(self, recording: str) -> dict[str, Any]:
        """The last line about a recording."""
        self._file.seek(self._entries[recording].position)
        return json.loads(self._file.readline())

    def _read(self, settings: dict[str, Any]) -> None:
        """Read what is there, cut off a broken last line, and see that the settings are the same."""
        self._file.seek(0)
        header, position = None, 0
        for number, text in enumerate(self._file, start=1):
            if not text.endswith(b"\n"):
                logger.warning("%s: the last line was cut short and is dropped", self.path)
                self._file.truncate(position)
                break
            line = self._parse(text, number)
            if number == 1:
                header = line or {}
            elif line is not None:
                self._note(line, position)
            position += len(text)
        if header is not None and not self._is_continued(header, settings):
            self._file.truncate(0)
            self._entries.clear()
            header = None
        if header is None:
            self._append({"kind": "settings", "format": FORMAT, "settings": settings})

    def _parse(self, text: bytes, number: int) -> dict[str, Any] | None:
        """One line; None where it is damaged, in which case its recording counts as not analysed."""
        try:
            line = json.loads(text)
        except ValueError:
            line = None
        if not isinstance(line, dict) or (number > 1 and not {"kind", "recording", "size", "mtime_ns"} <= line.keys()):
            logger.warning("%s, line %d: is damaged and is passed over", self.path, number)
            return None
        return line

    def _is_continued(self, header: dict[str, Any], settings: dict[str, Any]) -> bool:
        """Whether the settings are the same; if not, nothing may be lost by beginning again."""
        if header.get("kind") != "settings" or header.get("format") != FORMAT:
            raise DataError(f"{self.path}: is not a journal that can be continued; choose another output folder")
        before = header["settings"]
        changed = [name for name in [*settings, *before] if before.get(name) != settings.get(name)]
        if changed and self.done():
            name = changed[0]
            raise DataError(
                f"{self.path.parent}: holds a batch made with {name} {before.get(name)!r}, and now "
                f"{settings.get(name)!r} is asked for; ask for the same to continue it, or choose another output folder"
            )
        return not changed

    def _note(self, line: dict[str, Any], position: int) -> None:
        """Remember the last word about a recording."""
        state = FileState(size=line["size"], mtime_ns=line["mtime_ns"])
        before = self._entries.get(line["recording"])
        num_begun = 0
        if line["kind"] == "begun":
            was_begun = before is not None and before.kind == "begun" and before.state == state
            num_begun = before.num_begun + 1 if was_begun else 1
        self._entries[line["recording"]] = _Entry(
            kind=line["kind"], state=state, position=position, num_begun=num_begun
        )

    def _append(self, line: dict[str, Any]) -> int:
        """Write a line to the end of the file; its position."""
        position = self._file.seek(0, os.SEEK_END)
        self._file.write(json.dumps(line, allow_nan=False, separators=(",", ":")).encode("ascii") + b"\n")
        self._file.flush()
        if line["kind"] == "done":
            os.fsync(self._file.fileno())
        return position


def array_text(values: np.ndarray, dtype: str) -> str:
    """An array as text that keeps every bit.

    Parameters
    ----------
    dtype : NumPy's name of a little-endian type, e.g. ``"<f4"``
    """
    return base64.b64encode(np.ascontiguousarray(values, dtype=dtype).tobytes()).decode("ascii")


def parse_array(text: str, dtype: str) -> np.ndarray:
    """Inverse of :func:`array_text`; shape (num_values,)."""
    return np.frombuffer(base64.b64decode(text), dtype=dtype)

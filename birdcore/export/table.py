"""The event table, ``events.csv``: comma separated, one header line, one row per event, UTF-8.

Columns: ``path,label,common_name,onset,offset,fmin,fmax,confidence``. Onset and offset are seconds from the start of
the recording, fmin and fmax Hz (empty where an event has no band). How numbers and text from strangers are written is
said in :mod:`birdcore.export.cells`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from birdcore.config import ClassName
from birdcore.errors import BirdcoreError, DataError
from birdcore.events import Event
from birdcore.export.cells import (
    CONFIDENCE_DECIMALS,
    HERTZ_DECIMALS,
    SECONDS_DECIMALS,
    common_name_of,
    csv_line,
    edge_texts,
    guarded_path,
    guarded_text,
    number_text,
    parse_number,
    path_text,
    unguarded_path,
    unguarded_text,
)
from birdcore.files import read_text, write_text

__all__ = ["TABLE_COLUMNS", "read_table", "table_header", "table_rows", "table_text", "write_table"]

TABLE_COLUMNS = ("path", "label", "common_name", "onset", "offset", "fmin", "fmax", "confidence")


def table_header() -> str:
    """The first line of the table."""
    return csv_line(TABLE_COLUMNS)


def table_rows(events: Iterable[Event], *, class_names: Sequence[ClassName], recording: str | Path) -> str:
    """The lines of one recording, without the header; tables of several recordings are lines one below the other.

    Parameters
    ----------
    events : in the order in which they are to stand
    class_names : where the common names come from; a label without one is its own
    recording : path written in the first column
    """
    path = guarded_path(path_text(recording))
    lines = []
    for event in events:
        band = ("", "") if event.fmin is None else edge_texts(event.fmin, event.fmax, HERTZ_DECIMALS)
        lines.append(
            csv_line(
                [
                    path,
                    guarded_text(event.label),
                    guarded_text(common_name_of(event.label, class_names)),
                    *edge_texts(event.onset, event.offset, SECONDS_DECIMALS),
                    *band,
                    number_text(event.confidence, CONFIDENCE_DECIMALS),
                ]
            )
        )
    return "".join(lines)


def table_text(events: Iterable[Event], *, class_names: Sequence[ClassName], recording: str | Path) -> str:
    """The whole table of one recording; see :func:`table_rows`. Without events it is the header alone."""
    return table_header() + table_rows(events, class_names=class_names, recording=recording)


def write_table(
    events: Iterable[Event], path: str | Path, *, class_names: Sequence[ClassName], recording: str | Path
) -> None:
    """Write the table of one recording to a file; see :func:`table_rows`."""
    write_text(path, table_text(events, class_names=class_names, recording=recording))


def read_table(path: str | Path) -> dict[str, list[Event]]:
    """Read an event table.

    Columns may stand in any order and others may stand between them; ``common_name``, ``fmin``, ``fmax`` and
    ``confidence`` may be missing (no band, confidence 1).

    Returns
    -------
    Recording → its events, both in the order of the file.

    Raises
    ------
    DataError
        If the file cannot be read, or a row is not an event; the message names the line.
    """
    reader = csv.reader(io.StringIO(read_text(path), newline=""))
    recordings: dict[str, list[Event]] = {}
    try:
        header = next(reader, [])
        missing = [name for name in ("path", "label", "onset", "offset") if name not in header]
        if missing:
            raise DataError(f"{path}: no column {missing[0]!r}; an event table has {','.join(TABLE_COLUMNS)}")
        for cells in reader:
            if any(cells):
                row = dict(zip(header, cells + [""] * (len(header) - len(cells)), strict=False))
                event = _event_of(row, where=f"{path}, line {reader.line_num}")
                recordings.setdefault(unguarded_path(row["path"]), []).append(event)
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: is not a row of a table ({error})") from error
    return recordings


def _event_of(row: dict[str, str], *, where: str) -> Event:
    """One row as an event."""

    def number(name: str) -> float:
        return parse_number(row.get(name, ""), where=f"{where}: {name}")

    onset, offset = number("onset"), number("offset")
    fmin, fmax = (number("fmin"), number("fmax")) if row.get("fmin") or row.get("fmax") else (None, None)
    confidence = number("confidence") if row.get("confidence") else 1.0
    try:
        return Event(
            label=unguarded_text(row["label"]),
            onset=onset,
            offset=offset,
            fmin=fmin,
            fmax=fmax,
            confidence=confidence,
        )
    except BirdcoreError as error:
        raise DataError(f"{where}: {error}") from error

"""Raven selection tables: tab separated, one header line, ``<stem>.Table.1.selections.txt``.

Written are the columns Raven asks for, in its order, then our own (``RAVEN_COLUMNS``). An empty result is still a
file: the header alone. Low and High Freq are the event's own band; an event without one leaves them empty.

A table may cover several recordings that Raven has opened as one sequence: Begin and End Time then run on from file to
file, while File Offset is inside the file that Begin Path names.

How numbers and text from strangers are written is said in :mod:`birdcore.export.cells`; Raven knows no quoting, so
tabs and line ends in names become spaces.

Source
------
Raven Pro user's manual (Cornell Lab of Ornithology), chapter "Measurements and annotations: saving and opening
selection tables".
"""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from birdcore.config import ClassName
from birdcore.errors import BirdcoreError, DataError
from birdcore.events import Event
from birdcore.export.cells import (
    CONFIDENCE_DECIMALS,
    HERTZ_DECIMALS,
    SECONDS_DECIMALS,
    common_name_of,
    edge_texts,
    guarded_path,
    guarded_text,
    number_text,
    one_line,
    parse_number,
    path_text,
    unguarded_path,
    unguarded_text,
)
from birdcore.files import read_text, write_text

__all__ = [
    "RAVEN_COLUMNS",
    "RAVEN_SUFFIX",
    "SequencePart",
    "raven_sequence_text",
    "raven_text",
    "read_raven",
    "read_raven_sequence",
    "write_raven",
    "write_raven_sequence",
]

logger = logging.getLogger(__name__)

RAVEN_COLUMNS = (
    "Selection",
    "View",
    "Channel",
    "Begin Time (s)",
    "End Time (s)",
    "Low Freq (Hz)",
    "High Freq (Hz)",
    "Common Name",
    "Scientific Name",
    "Species Code",
    "Confidence",
    "Begin Path",
    "File Offset (s)",
)

RAVEN_SUFFIX = ".Table.1.selections.txt"

LABEL_COLUMNS = ("Species Code", "Species", "Annotation", "Call type", "Common Name", "Label")
"""Where the label of a selection stands, in order of preference; the first is ours, the others are other people's
habits."""


@dataclass(frozen=True, kw_only=True)
class SequencePart:
    """One recording of a sequence.

    Parameters
    ----------
    recording : path of the file
    duration : seconds; the next file begins after it
    events : with times from the start of this file
    """

    recording: str
    duration: float
    events: Sequence[Event]


def raven_text(events: Iterable[Event], *, class_names: Sequence[ClassName], recording: str | Path) -> str:
    """The selection table of one recording.

    Parameters
    ----------
    events : in the order in which they are numbered
    class_names : where the names come from; a label without a common name is its own
    recording : path written as Begin Path
    """
    return "".join(_lines([(path_text(recording), 0.0, event) for event in events], class_names))


def raven_sequence_text(parts: Iterable[SequencePart], *, class_names: Sequence[ClassName]) -> str:
    """The selection table of recordings opened one after the other; see :func:`raven_text`."""
    rows, start = [], 0.0
    for part in parts:
        rows += [(path_text(part.recording), start, event) for event in part.events]
        start += part.duration
    return "".join(_lines(rows, class_names))


def write_raven(
    events: Iterable[Event], path: str | Path, *, class_names: Sequence[ClassName], recording: str | Path
) -> None:
    """Write the selection table of one recording to a file; see :func:`raven_text`."""
    write_text(path, raven_text(events, class_names=class_names, recording=recording))


def write_raven_sequence(parts: Iterable[SequencePart], path: str | Path, *, class_names: Sequence[ClassName]) -> None:
    """Write the selection table of a sequence of recordings to a file; see :func:`raven_sequence_text`."""
    write_text(path, raven_sequence_text(parts, class_names=class_names))


def read_raven(path: str | Path) -> list[Event]:
    """Read a selection table; times are its Begin and End Time.

    Read are UTF-8 with or without byte order mark, any line ends, rows whose trailing cells are missing, and a trailing
    unnamed column. The label stands in the first of ``LABEL_COLUMNS`` that has one (case does not matter). Of a
    selection that comes twice, for a waveform and a spectrogram view, the spectrogram's row is kept. Selections
    without length (points in time) are no events and are left out, with a warning in the log; those without height
    have no band.

    Returns
    -------
    In the order of the file.

    Raises
    ------
    DataError
        If the file cannot be read, a column is missing, or a cell is not what it should be; the message names the line.
    """
    return [event for _, event in _read(path, onset_column="Begin Time (s)")]


def read_raven_sequence(path: str | Path) -> dict[str, list[Event]]:
    """Read a selection table of several recordings; times are inside each file. See :func:`read_raven`.

    Returns
    -------
    Begin Path → its events, both in the order of the file.

    Raises
    ------
    DataError
        As :func:`read_raven`; also where the columns Begin Path or File Offset (s) are missing.
    """
    recordings: dict[str, list[Event]] = {}
    for recording, event in _read(path, onset_column="File Offset (s)"):
        recordings.setdefault(recording, []).append(event)
    return recordings


def _lines(rows: Iterable[tuple[str, float, Event]], class_names: Sequence[ClassName]) -> list[str]:
    """Header and rows; a row is given as recording, start of the recording in the sequence, and event."""
    scientific = {name.code: name.scientific for name in class_names}
    lines = [RAVEN_COLUMNS]
    for selection, (recording, start, event) in enumerate(rows, start=1):
        band = ("", "") if event.fmin is None else edge_texts(event.fmin, event.fmax, HERTZ_DECIMALS)
        lines.append(
            (
                str(selection),
                "Spectrogram 1",
                "1",
                *edge_texts(start + event.onset, start + event.offset, SECONDS_DECIMALS),
                *band,
                guarded_text(one_line(common_name_of(event.label, class_names))),
                guarded_text(one_line(scientific.get(event.label, ""))),
                guarded_text(one_line(event.label)),
                number_text(event.confidence, CONFIDENCE_DECIMALS),
                guarded_path(one_line(recording)),
                number_text(event.onset, SECONDS_DECIMALS),
            )
        )
    return ["\t".join(cells) + "\n" for cells in lines]


def _read(path: str | Path, *, onset_column: str) -> list[tuple[str, Event]]:
    """Recording (Begin Path, "" where there is none) and event of each selection."""
    rows = _one_row_per_selection(_rows(path, onset_column=onset_column))
    found, num_points = [], 0
    for where, row in rows:
        begin, end = (_number(row, name, where=where) for name in ("begin time (s)", "end time (s)"))
        if begin == end:
            num_points += 1
            continue
        onset = _number(row, onset_column.lower(), where=where)
        # Rounded because the sum's last bit may differ from the offset that was written.
        offset = end if onset == begin else round(onset + (end - begin), SECONDS_DECIMALS)
        fmin, fmax = _band(row, where=where)
        confidence = _number(row, "confidence", where=where) if row.get("confidence") else 1.0
        try:
            event = Event(label=_label(row), onset=onset, offset=offset, fmin=fmin, fmax=fmax, confidence=confidence)
        except BirdcoreError as error:
            raise DataError(f"{where}: {error}") from error
        found.append((unguarded_path(row.get("begin path", "")), event))
    if num_points:
        logger.warning("%s: %d selections without length are left out", path, num_points)
    return found


def _rows(path: str | Path, *, onset_column: str) -> list[tuple[str, dict[str, str]]]:
    """Place in the file and cells by lower-case column name, of each line that is not empty."""
    reader = csv.reader(io.StringIO(read_text(path), newline=""), delimiter="\t", quoting=csv.QUOTE_NONE)
    rows = []
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        required = {"Begin Time (s)", "End Time (s)", onset_column}
        if onset_column != "Begin Time (s)":
            required.add("Begin Path")
        for name in sorted(required):
            if name.lower() not in header:
                raise DataError(f"{path}: no column {name!r}; is this a Raven selection table (tab separated)?")
        if not any(name.lower() in header for name in LABEL_COLUMNS):
            raise DataError(f"{path}: no column with labels; expected one of {', '.join(LABEL_COLUMNS)}")
        for cells in reader:
            if any(cell.strip() for cell in cells):
                row = {name: cell.strip() for name, cell in zip(header, cells, strict=False) if name}
                rows.append((f"{path}, line {reader.line_num}", row))
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: is not a row of a table ({error})") from error
    return rows


def _one_row_per_selection(rows: Iterable[tuple[str, dict[str, str]]]) -> list[tuple[str, dict[str, str]]]:
    """Of the rows with one selection number the first, or the first that belongs to a spectrogram view."""
    kept: dict[str, tuple[str, dict[str, str]]] = {}
    for where, row in rows:
        key = row.get("selection") or where  # a row without a number is a selection of its own
        is_spectrogram = row.get("view", "").lower().startswith("spectrogram")
        was_spectrogram = key in kept and kept[key][1].get("view", "").lower().startswith("spectrogram")
        if key not in kept or (is_spectrogram and not was_spectrogram):
            kept[key] = (where, row)
    return list(kept.values())


def _label(row: dict[str, str]) -> str:
    """The label of a selection, "" where no column has one."""
    return unguarded_text(next((row[name.lower()] for name in LABEL_COLUMNS if row.get(name.lower())), ""))


def _band(row: dict[str, str], *, where: str) -> tuple[float, float] | tuple[None, None]:
    """Lowest and highest frequency of a selection; None where they are missing or equal."""
    names = ("low freq (hz)", "high freq (hz)")
    if not all(row.get(name) for name in names):
        return None, None
    fmin, fmax = (_number(row, name, where=where) for name in names)
    return (None, None) if fmin == fmax else (fmin, fmax)


def _number(row: dict[str, str], name: str, *, where: str) -> float:
    """The number in a column, given by its lower-case name."""
    written = next((column for column in RAVEN_COLUMNS if column.lower() == name), name)
    return parse_number(row.get(name, ""), where=f"{where}: {written}")

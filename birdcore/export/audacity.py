"""Audacity label tracks: tab separated, no header, ``.txt``.

A label is a line ``start  end  text``, followed by a line ``\\  low_hz  high_hz`` where it has a band. Audacity
documents no column for a score, so it ends the text: ``Great Tit 0.91``. A label may lack its frequency line, so lines
are not pairs.

Text goes in with tabs and line ends as spaces: Audacity knows no quoting.

Source
------
Audacity manual, "Importing and exporting labels".
"""

from __future__ import annotations

import csv
import io
import logging
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from birdcore.config import ClassName
from birdcore.errors import BirdcoreError, DataError
from birdcore.events import Event
from birdcore.export.cells import HERTZ_DECIMALS, SECONDS_DECIMALS, edge_texts, one_line, parse_number
from birdcore.files import read_text, write_text

__all__ = ["audacity_text", "read_audacity", "write_audacity"]

logger = logging.getLogger(__name__)

UNDEFINED_EDGE = -1.0
"""Audacity's frequency for an edge that was never set."""

# Two decimals, as written here: "call 1" is a name, "call 1.00" a name and a score.
SCORED_TEXT = re.compile(r"(?:(?P<name>.*) )?(?P<confidence>0\.\d\d|1\.00)")


def audacity_text(events: Iterable[Event], *, class_names: Sequence[ClassName]) -> str:
    """The label track of one recording.

    Parameters
    ----------
    events : in the order in which they are to stand
    class_names : where the common names come from; a label whose common name is missing, or shared by several classes,
        is written as its code
    """
    names = _names(class_names)
    lines = []
    for event in events:
        text = f"{one_line(names.get(event.label, event.label))} {event.confidence:.2f}"
        lines.append((*edge_texts(event.onset, event.offset, SECONDS_DECIMALS), text))
        if event.fmin is not None:
            lines.append(("\\", *edge_texts(event.fmin, event.fmax, HERTZ_DECIMALS)))
    return "".join("\t".join(cells) + "\n" for cells in lines)


def write_audacity(events: Iterable[Event], path: str | Path, *, class_names: Sequence[ClassName]) -> None:
    """Write the label track of one recording to a file; see :func:`audacity_text`."""
    write_text(path, audacity_text(events, class_names=class_names))


def read_audacity(path: str | Path, *, class_names: Sequence[ClassName] = ()) -> list[Event]:
    """Read a label track.

    A score at the end of a text (two decimals, at most 1) becomes the confidence, else it is 1. A lower frequency edge
    that is undefined is 0 Hz; without an upper one the label has no band. Labels without length (points in time) are
    no events and are left out, with a warning in the log.

    Parameters
    ----------
    path : UTF-8, with or without byte order mark, any line ends
    class_names : texts that are the common name of one of these become its code

    Returns
    -------
    In the order of the file.

    Raises
    ------
    DataError
        If the file cannot be read, or a line is not a label; the message names the line.
    """
    codes = {common: code for code, common in _names(class_names).items()}
    reader = csv.reader(io.StringIO(read_text(path), newline=""), delimiter="\t", quoting=csv.QUOTE_NONE)
    labels: list[dict] = []
    try:
        for cells in reader:
            where = f"{path}, line {reader.line_num}"
            if not any(cell.strip() for cell in cells):
                continue
            if cells[0].strip() == "\\":
                if not labels or "band" in labels[-1]:
                    raise DataError(f"{where}: a line of frequencies must follow the label it belongs to")
                labels[-1]["band"] = _numbers(cells[1:3], ("low frequency", "high frequency"), where=where)
            else:
                onset, offset = _numbers(cells[:2], ("start", "end"), where=where)
                text = cells[2].strip() if len(cells) > 2 else ""
                labels.append({"where": where, "onset": onset, "offset": offset, "text": text})
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: is not a label ({error})") from error
    events = [_event_of(label, codes) for label in labels if label["onset"] != label["offset"]]
    if len(events) < len(labels):
        logger.warning("%s: %d labels without length are left out", path, len(labels) - len(events))
    return events


def _names(class_names: Sequence[ClassName]) -> dict[str, str]:
    """Code → common name, of the classes whose common name tells them apart."""
    counts = Counter(name.common for name in class_names)
    codes = {name.code for name in class_names}
    return {
        name.code: name.common
        for name in class_names
        if name.common and counts[name.common] == 1 and name.common not in codes
    }


def _event_of(label: dict, codes: dict[str, str]) -> Event:
    """One label, with the frequencies that may have followed it, as an event."""
    name, confidence = label["text"], 1.0
    scored = SCORED_TEXT.fullmatch(name)
    if scored:
        name, confidence = scored["name"] or "", float(scored["confidence"])
    low, high = label.get("band", (UNDEFINED_EDGE, UNDEFINED_EDGE))
    has_band = high != UNDEFINED_EDGE and high != low
    try:
        return Event(
            label=codes.get(name, name),
            onset=label["onset"],
            offset=label["offset"],
            fmin=max(low, 0.0) if has_band else None,
            fmax=high if has_band else None,
            confidence=confidence,
        )
    except BirdcoreError as error:
        raise DataError(f"{label['where']}: {error}") from error


def _numbers(cells: Sequence[str], names: Sequence[str], *, where: str) -> list[float]:
    """The numbers in the cells; a cell that is missing is an error that names it."""
    padded = [*cells, *[""] * (len(names) - len(cells))]
    return [parse_number(cell.strip(), where=f"{where}: {name}") for cell, name in zip(padded, names, strict=True)]

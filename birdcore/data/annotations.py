"""Annotated recordings: boxes in time and frequency, by file."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from birdcore.data.recordings import SPLITS
from birdcore.data.table import TableRow, read_table
from birdcore.errors import DataError
from birdcore.events import Event

__all__ = [
    "LONGEST_EVENT_SECONDS",
    "UNKNOWN_LABELS",
    "UNNAMED_LABELS",
    "AnnotatedRecording",
    "cap_events",
    "event_of",
    "group_annotated",
    "read_annotations",
]

UNKNOWN_LABELS = frozenset({"????", "x-other", "x-sp", "oiseau-sp", "unknown"})
"""Labels of birds that the annotator could not name: neither a species nor its absence."""

UNNAMED_LABELS = frozenset({"????"})
"""Those of ``UNKNOWN_LABELS`` that may be any species, also one that the model reports. Where such a bird sings, no
species is taken as absent; the others stand for species outside the annotator's list."""

LONGEST_EVENT_SECONDS = 10.0
"""Boxes are capped at this length. The longest published training window is 10 s, so a longer box marks no call: it
brackets a chorus or a series, and drawn by its middle it would show the same few seconds in every epoch."""


@dataclass(frozen=True, kw_only=True)
class AnnotatedRecording:
    """A recording and all boxes drawn on it.

    Parameters
    ----------
    path : the file
    events : boxes, by onset
    split : "train", "test", "validation" or "none"
    label_kind : how the boxes were made
    complete : every audible bird of the file is boxed, so what is not boxed is silence
    group : recordings of one site or day, never split; "" where unknown
    site, date : where (a name) and when (``YYYY-MM-DD``) it was recorded, or ""
    frames_known : the boxes say when a bird sings; False where they are only the windows that were labelled
    """

    path: Path
    events: tuple[Event, ...]
    split: str = "none"
    label_kind: str = ""
    complete: bool = True
    group: str = ""
    site: str = ""
    date: str = ""
    frames_known: bool = True

    @property
    def is_isolated(self) -> bool:
        """The calls were cut out of their background."""
        return self.label_kind.startswith("isolated")


def cap_events(events: Iterable[Event], *, longest: float = LONGEST_EVENT_SECONDS) -> tuple[Event, ...]:
    """Events none of which is longer than a limit: a longer one becomes consecutive pieces of equal length.

    What is painted stays the same, but each piece is drawn and counted by itself.

    Parameters
    ----------
    longest : seconds, above 0
    """
    capped: list[Event] = []
    for event in events:
        count = math.ceil(event.duration / longest - 1e-9)  # an event exactly as long as the limit stays whole
        if count <= 1:
            capped.append(event)
            continue
        edges = [*(event.onset + event.duration * i / count for i in range(count)), event.offset]
        capped += [dataclasses.replace(event, onset=begin, offset=end) for begin, end in itertools.pairwise(edges)]
    return tuple(capped)


def group_annotated(
    annotated: list[AnnotatedRecording], *, group_by: Literal["site", "date"]
) -> list[AnnotatedRecording]:
    """Annotated recordings with the group that a split keeps together.

    Parameters
    ----------
    group_by : what the group is. Where that is unknown or the same for all, date (or site) is taken instead; where
        that does not part them either, each recording is a group
    """
    for by in (group_by, "date" if group_by == "site" else "site"):
        groups = [getattr(a, by) for a in annotated]
        if all(groups) and len(set(groups)) > 1:
            return [dataclasses.replace(a, group=group) for a, group in zip(annotated, groups, strict=True)]
    return [dataclasses.replace(a, group=a.path.stem) for a in annotated]


def event_of(
    row: TableRow, *, label: str, onset: float, offset: float, fmin: float | None, fmax: float | None
) -> Event:
    """An event read from a row of a table; a box that makes no sense is an error that names the row.

    Raises
    ------
    DataError
        See :class:`Event`.
    """
    try:
        return Event(label=label, onset=onset, offset=offset, fmin=fmin, fmax=fmax)
    except DataError as error:
        raise DataError(f"{row.where}: {error}") from error


def read_annotations(path: str | Path) -> list[AnnotatedRecording]:
    """Read a table of boxes.

    Parameters
    ----------
    path : CSV with ``filename, start_s, end_s, low_hz, high_hz, species_code``; file names are relative to the
        table's folder, and may lead to the folders beside it (``../clips/a.ogg``) but not further. ``split`` and
        ``label_kind`` may follow; without a ``label_kind`` every audible bird of a file is taken to be boxed

    Returns
    -------
    one entry per file, in order of file name

    Raises
    ------
    DataError
        If the table is missing, a row cannot be read, or a file name leads elsewhere (file, row and column are named).
    """
    path = Path(path)
    allowed = path.parent.resolve().parent
    boxes: dict[str, list[Event]] = {}
    rows: dict[str, TableRow] = {}
    columns = ("filename", "start_s", "end_s", "low_hz", "high_hz", "species_code")
    for row in read_table(path, required=columns):
        name = row.required_text("filename")
        if not (path.parent / name).resolve().is_relative_to(allowed):
            raise DataError(f"{row.where}: filename {name!r} leads outside the data folder")
        event = event_of(
            row,
            label=row.required_text("species_code"),
            onset=row.required_number("start_s"),
            offset=row.required_number("end_s"),
            fmin=row.number_in("low_hz"),
            fmax=row.number_in("high_hz"),
        )
        row.one_of("split", SPLITS)
        boxes.setdefault(name, []).append(event)
        rows.setdefault(name, row)
    return [
        AnnotatedRecording(
            path=(path.parent / name).resolve(),
            events=tuple(sorted(events, key=lambda event: event.onset)),
            split=rows[name].text("split") or "none",
            label_kind=rows[name].text("label_kind"),
            complete=_boxes_everything(rows[name].text("label_kind")),
        )
        for name, events in sorted(boxes.items())
    ]


def _boxes_everything(label_kind: str) -> bool:
    """Whether boxes of this kind are all there are in a file; other kinds box one species or a single song only."""
    return not label_kind or label_kind.startswith(("hand boxes (Audacity", "isolated", "Raven boxes"))

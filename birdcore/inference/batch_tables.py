"""The tables of a batch, and what its journal keeps of a recording to make them from."""

from __future__ import annotations

import itertools
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from birdcore.config import ClassName
from birdcore.events import Event
from birdcore.export.audacity import write_audacity
from birdcore.export.cells import csv_line, guarded_path, guarded_text, path_text
from birdcore.export.raven import RAVEN_SUFFIX, write_raven
from birdcore.export.table import table_header, table_rows
from birdcore.files import open_replacement, replacement_path, write_text
from birdcore.inference.events import decode_events
from birdcore.inference.journal import Journal, array_text, parse_array
from birdcore.scores import Scores

__all__ = ["recording_content", "write_failures", "write_tables"]

ROW_GROUP_ROWS = 65_536
"""Rows of scores that are held in memory before they are written."""

LONGEST_NAME = 200
"""Bytes of a recording's name that names of its tables keep; with their endings they stay below what file systems
allow."""


def write_tables(
    journal: Journal,
    output: Path,
    *,
    class_names: Sequence[ClassName],
    threshold: float | Mapping[str, float],
    formats: Collection[str],
) -> dict[str, Any]:
    """Make every table from the journal.

    Parameters
    ----------
    output : folder for the tables, each of which replaces the earlier one at once
    threshold : confidence from which on events are listed, one for all or by species code
    formats : "raven" and "audacity" where asked for; ``events.csv`` and ``scores.parquet`` are always written

    Returns
    -------
    ``num_recordings``, ``num_events`` and ``faults`` (path and sentence) of what is in them
    """
    num_recordings = num_events = 0
    faults = []
    taken: set[str] = set()
    with (
        open_replacement(output / "events.csv") as table,
        replacement_path(output / "scores.parquet") as parquet,
        _ScoreWriter(parquet, class_names) as score_writer,
    ):
        table.write(table_header())
        for recording in journal.done():
            content = journal.content(recording)
            events = _events(content, class_names, threshold)
            table.write(table_rows(events, class_names=class_names, recording=content["path"]))
            score_writer.write(content)
            name = _unique_name(PurePath(content["relative"]), taken)
            if "raven" in formats:
                # Raven opens the sound by this path, wherever Raven itself was started.
                path = output / "raven" / f"{name}{RAVEN_SUFFIX}"
                write_raven(events, path, class_names=class_names, recording=recording)
            if "audacity" in formats:
                write_audacity(events, output / "audacity" / f"{name}.txt", class_names=class_names)
            num_recordings += 1
            num_events += len(events)
            if content["fault"]:
                faults.append((path_text(content["path"]), content["fault"]))
    return {"num_recordings": num_recordings, "num_events": num_events, "faults": tuple(faults)}


class _ScoreWriter:
    """Writes ``scores.parquet`` in large row groups, whatever the length of the recordings."""

    def __init__(self, path: Path, class_names: Sequence[ClassName]) -> None:
        fields = [("path", pa.string()), ("start", pa.float64()), ("end", pa.float64())]
        self._schema = pa.schema(fields + [(name.code, pa.float32()) for name in class_names])
        self._writer = pq.ParquetWriter(str(path), self._schema)
        self._waiting: list[pa.RecordBatch] = []
        self._num_waiting = 0

    def __enter__(self) -> _ScoreWriter:
        return self

    def __exit__(self, *exception: object) -> None:
        self._flush()
        self._writer.close()

    def write(self, content: Mapping[str, Any]) -> None:
        """Add the windows of one recording."""
        starts, ends = parse_array(content["starts"], "<f8"), parse_array(content["ends"], "<f8")
        scores = _window_scores(content)
        columns = [pa.array([path_text(content["path"])] * len(starts), pa.string()), pa.array(starts), pa.array(ends)]
        columns += [pa.array(column) for column in scores.T]
        self._waiting.append(pa.record_batch(columns, schema=self._schema))
        self._num_waiting += len(starts)
        if self._num_waiting >= ROW_GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        self._writer.write_table(pa.Table.from_batches(self._waiting, schema=self._schema))
        self._waiting, self._num_waiting = [], 0


def _unique_name(relative: PurePath, taken: set[str]) -> PurePath:
    """Name for the tables of a recording: its own without the ending; with it, and then a number, where that is taken.

    Names that differ only in case count as equal, since some file systems take them for one.
    """
    base = os.fsencode(relative.stem)[:LONGEST_NAME].decode("utf-8", "ignore") or "recording"
    longer = f"{base}{relative.suffix}"
    candidates = itertools.chain((base, longer), (f"{longer}-{number}" for number in itertools.count(2)))
    name = next(n for n in map(relative.with_name, candidates) if str(n).casefold() not in taken)
    taken.add(str(name).casefold())
    return name


def write_failures(failures: Iterable[tuple[str, str]], path: Path) -> None:
    """Write the table of recordings that could not be analysed: path and reason of each."""
    rows = [(guarded_path(failed), guarded_text(reason)) for failed, reason in failures]
    write_text(path, map(csv_line, [("path", "reason"), *rows]))


def recording_content(scores: Scores, events: Iterable[Event], path: Path, root: str) -> dict[str, Any]:
    """What the journal keeps of a recording."""
    relative = os.path.relpath(os.path.abspath(path), root) if root else PurePath(os.path.abspath(path)).name
    return {
        "path": str(path),
        "relative": PurePath(relative).as_posix(),
        "duration": float(scores.duration),
        "fault": scores.fault,
        "starts": array_text(scores.window_onsets, "<f8"),
        "ends": array_text(scores.window_offsets, "<f8"),
        "scores": array_text(scores.windows, "<f4"),
        # Without frame scores, runs of windows are the events: made from the scores above, at any threshold.
        "calls": None if scores.frames is None else [_event_row(event) for event in events],
    }


def _event_row(event: Event) -> list[str | float | None]:
    """Label and numbers of an event; plain numbers, for JSON knows none of NumPy's."""
    numbers = (event.onset, event.offset, event.fmin, event.fmax, event.confidence)
    return [event.label, *(None if number is None else float(number) for number in numbers)]


def _events(
    content: Mapping[str, Any], class_names: Sequence[ClassName], threshold: float | Mapping[str, float]
) -> list[Event]:
    """The events of a recording that reach the threshold, from what the journal keeps of it."""
    if content["calls"] is None:
        windows = _window_scores(content)
        scores = Scores(
            class_names=tuple(class_names),
            duration=content["duration"],
            windows=windows,
            window_onsets=parse_array(content["starts"], "<f8"),
            window_offsets=parse_array(content["ends"], "<f8"),
            recording=windows.max(axis=0),
        )
        return decode_events(scores, threshold=threshold)
    names = ("label", "onset", "offset", "fmin", "fmax", "confidence")
    events = [Event(**dict(zip(names, values, strict=True))) for values in content["calls"]]
    if isinstance(threshold, Mapping):
        return [event for event in events if event.confidence >= threshold.get(event.label, 0.5)]
    return [event for event in events if event.confidence >= threshold]


def _window_scores(content: Mapping[str, Any]) -> np.ndarray:
    """Shape (num_windows, num_classes), in [0, 1]."""
    return parse_array(content["scores"], "<f4").reshape(len(parse_array(content["starts"], "<f8")), -1)

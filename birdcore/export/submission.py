"""Submissions to BirdCLEF: one row per recording and 5 s, one column per species, a probability in each cell.

``row_id`` is ``<name of the recording>_<end second>``, as in ``soundscape_8358733_5``. Which species there are, and in
which order, is what the competition's ``sample_submission.csv`` says.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from birdcore.errors import DataError
from birdcore.export.cells import CONFIDENCE_DECIMALS, csv_line, number_text
from birdcore.files import read_text, write_text
from birdcore.scores import Scores

__all__ = ["ROW_SECONDS", "SubmissionColumns", "match_columns", "read_sample_columns", "row_scores", "write_submission"]

ROW_SECONDS = 5
"""Length of the stretch that a row is about."""

SHORTEST_REST_SECONDS = 0.5
"""A recording that ends this little after a full row has no row for the rest: encoders add fractions of a second."""


@dataclass(frozen=True, kw_only=True)
class SubmissionColumns:
    """What the columns of a submission are filled with.

    Parameters
    ----------
    codes : columns after ``row_id``, in order
    sources : for each, the model's class number; None where the model does not know the species, and 0 is written
    unused : codes that the model knows and the submission has no column for
    """

    codes: tuple[str, ...]
    sources: tuple[int | None, ...]
    unused: tuple[str, ...]

    @property
    def unknown(self) -> tuple[str, ...]:
        """Columns that the model cannot fill."""
        return tuple(code for code, source in zip(self.codes, self.sources, strict=True) if source is None)


def read_sample_columns(path: str | Path) -> tuple[str, ...]:
    """Species columns of a ``sample_submission.csv``.

    Raises
    ------
    DataError
        If the file cannot be read, does not begin with ``row_id``, or has no species, or one twice.
    """
    name = Path(path).name
    header = next(csv.reader(io.StringIO(read_text(path))), [])
    if header[:1] != ["row_id"]:
        raise DataError(f"{name}, row 1: the first column is {''.join(header[:1])!r}; expected row_id")
    codes = tuple(code.strip() for code in header[1:])
    if not codes or not all(codes):
        raise DataError(f"{name}, row 1: expected one column per species after row_id, each with a name")
    twice = next((code for number, code in enumerate(codes) if code in codes[:number]), None)
    if twice:
        raise DataError(f"{name}, row 1: column {twice!r} is there twice; keep one")
    return codes


def match_columns(codes: Sequence[str], *, model_codes: Sequence[str]) -> SubmissionColumns:
    """Which class of a model fills which column.

    Parameters
    ----------
    codes : columns of the submission
    model_codes : classes of the model, in order

    Raises
    ------
    DataError
        If the model knows none of the columns.
    """
    known = {code: number for number, code in enumerate(model_codes)}
    if not any(code in known for code in codes):
        raise DataError(
            f"the submission asks for {', '.join(codes[:3])}, … and the model knows {', '.join(model_codes[:3])}, …: "
            "no species in common; use weights that were trained on the competition's species"
        )
    return SubmissionColumns(
        codes=tuple(codes),
        sources=tuple(known.get(code) for code in codes),
        unused=tuple(code for code in model_codes if code not in set(codes)),
    )


def row_scores(scores: Scores) -> np.ndarray:
    """Scores of each row: the mean over the windows that reach into it, weighted by how far.

    Windows that are the rows, as of a model with windows of 5 s that do not overlap, are taken as they are.

    Returns
    -------
    shape (num_rows, num_classes), in [0, 1]; row ``i`` ends at second ``5 (i + 1)``
    """
    full = math.floor(scores.duration / ROW_SECONDS)
    rest = scores.duration - full * ROW_SECONDS
    num_rows = max(1, full + (rest > SHORTEST_REST_SECONDS))
    begins = np.arange(num_rows)[:, None] * float(ROW_SECONDS)
    # The last window may reach beyond the recording; what lies there is padding.
    offsets = np.minimum(scores.window_offsets, max(scores.duration, ROW_SECONDS))
    overlap = np.minimum(begins + ROW_SECONDS, offsets) - np.maximum(begins, scores.window_onsets)
    weights = np.clip(overlap, 0, None)  # (rows, windows)
    total = weights.sum(axis=1, keepdims=True)
    return (weights @ scores.windows.astype(np.float64)) / np.maximum(total, 1e-9)


def write_submission(path: str | Path, recordings: Iterable[tuple[str, Scores]], *, columns: SubmissionColumns) -> int:
    """Write a submission; the file is either whole or not there.

    Parameters
    ----------
    recordings : name without ending, and scores, of each recording, in order
    columns : see :func:`match_columns`

    Returns
    -------
    number of rows

    Raises
    ------
    DataError
        If two recordings have the same name, as their rows could not be told apart.
    """
    count = 0

    def lines() -> Iterator[str]:
        nonlocal count
        yield csv_line(["row_id", *columns.codes])
        names = set()
        for name, scores in recordings:
            if name in names:
                raise DataError(f"{name}: two recordings have this name, and row_id would name both; rename one")
            names.add(name)
            for number, row in enumerate(row_scores(scores), start=1):
                cells = [
                    "0" if source is None else number_text(float(row[source]), CONFIDENCE_DECIMALS)
                    for source in columns.sources
                ]
                count += 1
                yield csv_line([f"{name}_{number * ROW_SECONDS}", *cells])

    write_text(path, lines())
    return count

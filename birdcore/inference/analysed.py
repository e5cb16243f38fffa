"""Recordings of a table run through a model, for the reports on it, and figures as values that JSON can hold.

What cannot be analysed, or only in part, is left out and listed with the reason.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from birdcore.data.recordings import Recording
from birdcore.errors import BirdcoreError, DataError
from birdcore.scores import Scores

if TYPE_CHECKING:
    from birdcore.inference.predictor import Predictor

__all__ = [
    "BOOTSTRAP_SEED",
    "AnalysedClips",
    "analyze_clips",
    "analyze_recording",
    "label_matrix",
    "plain_values",
    "progress_part",
]

logger = logging.getLogger(__name__)

BOOTSTRAP_SEED = 0
"""Of the bootstrap, so that a figure comes out the same every time."""


@dataclass(frozen=True, kw_only=True)
class AnalysedClips:
    """Recordings that were analysed.

    Parameters
    ----------
    recordings : those that could be
    scores : the model's score of each whole recording, shape (num_recordings, num_classes), in [0, 1]
    failed : ``path`` and ``reason`` of each of the others
    """

    recordings: list[Recording]
    scores: np.ndarray
    failed: list[dict[str, str]]


def analyze_recording(
    predictor: Predictor, path: Path, failed: list[dict[str, str]], *, overlap: float | None = None
) -> Scores | None:
    """Scores of a whole recording; None where there are none, or only of a part.

    Parameters
    ----------
    failed : gets ``path`` and ``reason`` in that case
    overlap : seconds that successive windows share; half a window where None
    """
    try:
        scores = predictor.analyze(path, overlap=overlap)
    except BirdcoreError as error:
        reason = str(error)
    else:
        if not scores.fault:
            return scores
        reason = f"left out because it can be read only in part ({scores.fault})"
    logger.warning("%s: %s", path, reason)
    failed.append({"path": str(path), "reason": reason})
    return None


def analyze_clips(
    predictor: Predictor, recordings: Sequence[Recording], progress: Callable[[float], None] | None
) -> AnalysedClips:
    """Run a model over recordings.

    Parameters
    ----------
    progress : called with the share done, 0 to 1

    Raises
    ------
    DataError
        If none of them can be analysed.
    """
    analyzed, rows, failed = [], [], []
    for number, recording in enumerate(recordings, start=1):
        scores = analyze_recording(predictor, recording.path, failed)
        if scores is not None:
            analyzed.append(recording)
            rows.append(scores.recording)
        if progress:
            progress(number / len(recordings))
    if not rows:
        raise DataError(f"none of {len(recordings)} recordings could be analysed; the first: {failed[0]['reason']}")
    return AnalysedClips(recordings=analyzed, scores=np.array(rows, dtype=np.float64), failed=failed)


def label_matrix(recordings: Sequence[Recording], codes: Sequence[str]) -> np.ndarray:
    """Which class each recording is labelled with.

    Returns
    -------
    shape (num_recordings, num_classes), bool
    """
    return np.array([[recording.label == code for code in codes] for recording in recordings], dtype=bool)


def progress_part(
    progress: Callable[[float], None] | None, done: int, size: int, total: int
) -> Callable[[float], None] | None:
    """Progress of a part of the work as progress of all of it.

    Parameters
    ----------
    progress : of all of it
    done, size, total : how much is done before the part, how much the part is, and how much there is, in any unit
    """
    return (lambda fraction: progress((done + fraction * size) / total)) if progress else None


def plain_values(value: Any) -> Any:
    """The same as values JSON can hold: NumPy numbers become plain, nan becomes None."""
    if isinstance(value, dict):
        return {key: plain_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_values(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and math.isnan(value) else value

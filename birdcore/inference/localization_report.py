"""How well a model tells when, and at what frequency, species sing: every figure, from a table of boxes."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from birdcore.data.annotations import UNKNOWN_LABELS, AnnotatedRecording, read_annotations
from birdcore.errors import DataError
from birdcore.evaluation.events import (
    DetectionCounts,
    box_average_precision,
    boxes_to_mask,
    count_cells,
    event_f1,
    events_to_frames,
    frame_f1,
    within_collar,
    within_overlap,
)
from birdcore.events import Event
from birdcore.frames import frames_to_seconds, seconds_to_frames
from birdcore.inference.analysed import analyze_recording, plain_values
from birdcore.inference.events import decode_events
from birdcore.scores import Scores

if TYPE_CHECKING:
    from birdcore.inference.predictor import Predictor

__all__ = ["complete_recordings", "evaluate_localization"]

GRID_SECONDS = 0.04
"""Frame length on which models are compared, whatever their own."""

BOX_THRESHOLD = 0.05
"""Boxes are scored from this confidence on; average precision ranks them, so a high threshold would only end it
early."""

BOX_IOUS = (0.3, 0.5)


def complete_recordings(
    annotations_path: str | Path, *, split: str = "test", prefix: str = ""
) -> list[AnnotatedRecording]:
    """The recordings on which localization is measured: those whose every audible bird is boxed.

    Parameters
    ----------
    annotations_path, split, prefix : see :func:`evaluate_localization`

    Raises
    ------
    DataError
        If the table cannot be read.
    """
    recordings = [recording for recording in read_annotations(annotations_path) if recording.complete]
    if all(recording.split == "none" for recording in recordings):
        split = ""
    folder = Path(annotations_path).parent.resolve()
    return [
        recording
        for recording in recordings
        if split in ("", recording.split)
        and Path(os.path.relpath(recording.path, folder)).as_posix().startswith(prefix)
    ]


def evaluate_localization(
    predictor: Predictor,
    annotations_path: str | Path,
    *,
    split: str = "test",
    prefix: str = "",
    progress: Callable[[float], None] | None = None,
) -> dict[str, Any]:
    """How well it is told when, and at what frequency, species sing.

    Frames are compared on a grid of 40 ms, frames and events at the model's threshold. Events are matched one to one,
    by a collar (onsets within 200 ms, offsets within 200 ms or 20 % of the event) and, as a second figure, by temporal
    overlap (IoU of at least 0.5). Boxes of every confidence from 0.05 on enter the average precision. Dice compares
    the model's time-frequency map at the threshold with the boxes painted on the same grid; what lies above the
    model's highest band is not compared. Boxes of species the model does not know are no misses, but what it reports
    there is a false alarm, unless the annotator could not name the bird either
    (:data:`birdcore.data.annotations.UNKNOWN_LABELS`).

    Parameters
    ----------
    predictor : a model with a frame head
    annotations_path : table of boxes; see :func:`birdcore.data.annotations.read_annotations`
    split : files to use; "" for all, and all are used where the table has no splits
    prefix : beginning of the names of the files to use; "" for all
    progress : called with the share done, 0 to 1

    Returns
    -------
    ``frames``, ``events_by_collar``, ``events_by_overlap`` (each macro_f1, micro_f1, precision, recall), ``dice``
    (macro, micro), ``box_average_precision`` (by IoU), ``per_class``. Dice and boxes are None where annotations have no
    bands.

    Raises
    ------
    DataError
        If the table cannot be read, nothing in it can be evaluated, or the model has no frame head.
    """
    annotated = complete_recordings(annotations_path, split=split, prefix=prefix)
    if not annotated:
        raise DataError(
            f"{annotations_path}: no completely annotated recording with split {split!r} whose name begins with "
            f"{prefix!r}"
        )
    codes = [name.code for name in predictor.config.class_names]
    compared = _compare_recordings(predictor, annotated, codes, progress)
    reference, reported, boxes = compared.reference, compared.reported, compared.boxes
    by_collar = event_f1(reference, reported, codes=codes, matches=within_collar(), ignore=UNKNOWN_LABELS)
    by_overlap = event_f1(reference, reported, codes=codes, matches=within_overlap(), ignore=UNKNOWN_LABELS)
    precisions = {}
    if compared.cells is not None:
        precisions = {
            iou: box_average_precision(reference, boxes, codes=codes, iou=iou, ignore=UNKNOWN_LABELS)
            for iou in BOX_IOUS
        }
    support = Counter(event.label for events in reference for event in events)
    per_class = [
        {
            "code": code,
            "support": support[code],
            "frame_f1": compared.frames.f1[index],
            "event_f1_by_collar": by_collar.f1[index],
            "event_f1_by_overlap": by_overlap.f1[index],
            "dice": compared.cells.f1[index] if compared.cells is not None else None,
            **{f"box_average_precision_{iou}": result.per_class[code] for iou, result in precisions.items()},
        }
        for index, code in enumerate(codes)
    ]
    result = {
        "split": split,
        "prefix": prefix,
        "threshold": predictor.config.threshold,
        "grid_seconds": GRID_SECONDS,
        "num_recordings": len(reference),
        "num_events": sum(support[code] for code in codes),
        "num_species": sum(support[code] > 0 for code in codes),
        "num_events_of_unknown_species": sum(n for code, n in support.items() if code not in codes),
        "failed": compared.failed,
        "frames": _detection_section(compared.frames),
        "events_by_collar": _detection_section(by_collar),
        "events_by_overlap": _detection_section(by_overlap),
        "dice": (
            {"macro": compared.cells.macro_f1, "micro": compared.cells.micro_f1} if compared.cells is not None else None
        ),
        "box_average_precision": {str(iou): result.macro for iou, result in precisions.items()} or None,
        "per_class": per_class,
    }
    return plain_values(result)


def _detection_section(counts: DetectionCounts) -> dict[str, float]:
    return {
        "macro_f1": counts.macro_f1,
        "micro_f1": counts.micro_f1,
        "precision": counts.precision,
        "recall": counts.recall,
    }


@dataclass(frozen=True, kw_only=True)
class _Comparison:
    """Annotations beside what a model reports, one list of events per recording; counts are those of all recordings."""

    reference: list[Sequence[Event]]
    reported: list[Sequence[Event]]
    boxes: list[Sequence[Event]]
    frames: DetectionCounts
    cells: DetectionCounts | None
    failed: list[dict[str, str]]


def _compare_recordings(
    predictor: Predictor,
    annotated: Sequence[AnnotatedRecording],
    codes: Sequence[str],
    progress: Callable[[float], None] | None,
) -> _Comparison:
    """Run the model over annotated recordings."""
    threshold = predictor.config.threshold
    scored = [e for recording in annotated for e in recording.events if e.label in codes]
    has_bands = all(event.fmin is not None for event in scored)
    nothing = np.zeros(len(codes), dtype=np.int64)
    frames = cells = DetectionCounts(hits=nothing, misses=nothing, false_alarms=nothing)
    reference, reported, boxes, failed = [], [], [], []
    for number, recording in enumerate(annotated, start=1):
        scores = analyze_recording(predictor, recording.path, failed)
        if scores is not None:
            if scores.frames is None:
                raise DataError(
                    f"weights {predictor.weights.name!r}: have no frame head, so they cannot tell when a species "
                    "sings; evaluate localization with a crnn"
                )
            try:
                frames += _compare_frames(recording.events, scores, threshold)
                has_bands = has_bands and scores.band_edges is not None
                if has_bands:
                    cells += _compare_cells(recording.events, scores, threshold)
            except DataError as error:
                raise DataError(f"{recording.path.name}: {error}") from error
            reference.append(recording.events)
            reported.append(decode_events(scores, threshold=threshold))
            boxes.append(decode_events(scores, threshold=BOX_THRESHOLD))
        if progress:
            progress(number / len(annotated))
    if not reference:
        raise DataError(f"none of {len(annotated)} recordings could be analysed; the first: {failed[0]['reason']}")
    return _Comparison(
        reference=reference,
        reported=reported,
        boxes=boxes,
        frames=frames,
        cells=cells if has_bands else None,
        failed=failed,
    )


def _compare_frames(events: Iterable[Event], scores: Scores, threshold: float) -> DetectionCounts:
    """Frames of one recording on the common grid: a frame takes the score of the model's frame at its centre."""
    num_frames = max(1, math.ceil(seconds_to_frames(scores.duration, GRID_SECONDS) - 1e-9))
    centres = [frames_to_seconds(i + 0.5, GRID_SECONDS) for i in range(num_frames)]
    indices = np.array([int(seconds_to_frames(centre, scores.frame_seconds)) for centre in centres])
    estimated = scores.frames[np.minimum(indices, len(scores.frames) - 1)] >= threshold
    grid = {"frame_seconds": GRID_SECONDS, "num_frames": num_frames}
    reference = events_to_frames(events, scores.codes, **grid)
    ignored = events_to_frames(events, sorted(UNKNOWN_LABELS), **grid).any(axis=1)
    return frame_f1(reference, estimated, ignored_frames=ignored)


def _compare_cells(events: Sequence[Event], scores: Scores, threshold: float) -> DetectionCounts:
    """Time-frequency cells of one recording on the model's own grid."""
    grid = {"frame_seconds": scores.frame_seconds, "num_frames": len(scores.frames)}
    reference = boxes_to_mask(events, scores.codes, **grid, band_edges=scores.band_edges)
    unknown = [event for event in events if event.label in UNKNOWN_LABELS]
    labels = sorted(UNKNOWN_LABELS)
    boxed = [event for event in unknown if event.fmin is not None]
    ignored = boxes_to_mask(boxed, labels, **grid, band_edges=scores.band_edges).any(axis=2)
    bandless = [event for event in unknown if event.fmin is None]
    ignored |= events_to_frames(bandless, labels, **grid).any(axis=1)[:, None]
    return count_cells(reference, _estimated_cells(scores, threshold), ignored=ignored)


def _estimated_cells(scores: Scores, threshold: float) -> np.ndarray:
    """Shape (num_frames, num_bands, num_classes), bool: where the model hears each class.

    Of long recordings only the band of each frame is kept; there a cell is on where the frame is and its centre is
    inside.
    """
    if scores.bands is not None:
        return scores.bands >= threshold
    centres = ((scores.band_edges[:-1] + scores.band_edges[1:]) / 2)[None, :, None]
    inside = (scores.band_low[:, None] <= centres) & (centres < scores.band_high[:, None])
    return inside & (scores.frames >= threshold)[:, None]

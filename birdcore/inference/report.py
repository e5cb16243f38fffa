"""How good a model is: run it over annotated tables and compute every figure of a model card.

Each function takes a predictor and tables, and gives plain values that JSON can hold (None where a figure is
undefined). Recordings that cannot be analysed, or only in part, are left out of the figures and listed under
``failed``.
"""

from __future__ import annotations

import dataclasses
import logging
import math
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from birdcore.config import ClassName
from birdcore.data.annotations import UNKNOWN_LABELS, AnnotatedRecording, read_annotations
from birdcore.data.recordings import Recording, read_backgrounds, read_manifest
from birdcore.errors import BirdcoreError, DataError
from birdcore.evaluation.clips import (
    bootstrap_interval,
    class_average_precision,
    macro_roc_auc,
    per_class_table,
    top1_accuracy,
)
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
from birdcore.evaluation.rejection import false_alarm_rate, known_unknown_auroc, rejected_share
from birdcore.events import Event
from birdcore.frames import frames_to_seconds, seconds_to_frames
from birdcore.inference.events import decode_events
from birdcore.scores import Scores

if TYPE_CHECKING:
    from birdcore.inference.predictor import Predictor

__all__ = [
    "GRID_SECONDS",
    "REED_WARBLERS",
    "complete_recordings",
    "evaluate_clips",
    "evaluate_localization",
    "evaluate_rejection",
    "window_claims",
]

logger = logging.getLogger(__name__)

GRID_SECONDS = 0.04
"""Frame length on which models are compared, whatever their own."""

BOX_THRESHOLD = 0.05
"""Boxes are scored from this confidence on; average precision ranks them, so a high threshold would only end it
early."""

BOX_IOUS = (0.3, 0.5)

REED_WARBLERS = ("grrwar1", "marwar3", "blrwar1", "sedwar1")
"""Four birds that even people confuse, from one source: nothing but their song tells their recordings apart."""

CLIP_METRICS = {
    "macro_roc_auc": macro_roc_auc,
    "class_average_precision": class_average_precision,
    "top1_accuracy": top1_accuracy,
}

KNOWN_KEPT = 0.85
"""Share of the known recordings that must still be named while unknown ones are rejected."""

SEED = 0
"""Of the bootstrap, so that a figure comes out the same every time."""


@dataclass(frozen=True, kw_only=True)
class _Clips:
    """Recordings that were analysed, with the model's recording-level scores."""

    recordings: list[Recording]
    scores: np.ndarray
    failed: list[dict[str, str]]


def evaluate_clips(
    predictor: Predictor,
    manifest_path: str | Path,
    *,
    split: str = "test",
    paths: Collection[Path] | None = None,
    progress: Callable[[float], None] | None = None,
) -> dict[str, Any]:
    """How well the species of whole recordings are named.

    Parameters
    ----------
    predictor : the model
    manifest_path : table of recordings; see :func:`birdcore.data.recordings.read_manifest`
    split : rows to use; "" for all
    paths : of these, only the recordings at these paths; None for all
    progress : called with the share done, 0 to 1

    Returns
    -------
    ``all``, ``field`` (as recorded, not cut out), ``reed_warblers`` (those recordings and classes only),
    ``across_sources`` (species recorded by another source than most of their training data) and, in ``per_source``,
    one entry per source: each with ``num_recordings``, ``num_species`` and, for every metric, ``value`` and the ends
    ``low`` and ``high`` of a 95 % interval (bootstrap over groups; None where there are fewer than two). ``per_class``
    is a table over all recordings. Recordings of species the model does not know are left out and counted in
    ``num_unknown_species``.

    Raises
    ------
    DataError
        If the table cannot be read, or nothing in it can be evaluated.
    """
    chosen = [recording for recording in read_manifest(manifest_path) if split in ("", recording.split)]
    if paths is not None:
        chosen = [recording for recording in chosen if recording.path in paths]
    codes = [name.code for name in predictor.config.class_names]
    chosen = _in_words_of(predictor.config.class_names, chosen)
    known = [recording for recording in chosen if recording.label in codes]
    if not known:
        raise DataError(
            f"{manifest_path}: {len(chosen)} recordings with split {split!r}, none of a species that "
            f"{predictor.weights.name} knows; is it the right table for this model?"
        )
    clips = _collect(predictor, known, progress)
    reference = _reference(clips.recordings, codes)

    def section(chosen_rows: Callable[[Recording], bool], columns: Sequence[int]) -> dict[str, Any] | None:
        rows = [row for row, recording in enumerate(clips.recordings) if chosen_rows(recording)]
        groups = [clips.recordings[row].group for row in rows]
        part = np.ix_(rows, columns)
        return _clip_section(reference[part], clips.scores[part], groups) if rows else None

    every = range(len(codes))
    reed_warblers = [codes.index(code) for code in REED_WARBLERS if code in codes]
    sources = sorted({recording.source for recording in clips.recordings})
    result = {
        "split": split,
        "threshold": predictor.config.threshold,
        "num_unknown_species": len({recording.label for recording in chosen} - set(codes)),
        "failed": clips.failed,
        "all": section(lambda recording: True, every),
        "field": section(lambda recording: recording.kind == "field", every),
        "reed_warblers": section(lambda recording: recording.label in REED_WARBLERS, reed_warblers),
        "across_sources": section(lambda recording: recording.cross_source, every),
        "per_source": {
            source: section(lambda recording, source=source: recording.source == source, every) for source in sources
        },
        "per_class": per_class_table(reference, clips.scores, codes=codes, threshold=predictor.config.threshold),
    }
    return _plain(result)


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
    return _plain(result)


def evaluate_rejection(
    predictor: Predictor,
    known_manifest_path: str | Path,
    unknown_manifest_path: str | Path,
    *,
    held_out_codes: Collection[str],
    backgrounds_path: str | Path | None = None,
    progress: Callable[[float], None] | None = None,
) -> dict[str, Any]:
    """How well a model keeps silent about what it does not know.

    Parameters
    ----------
    predictor : the model
    known_manifest_path : table of recordings of species it knows; those of the test split are used
    unknown_manifest_path : table of recordings of further species
    held_out_codes : species of that table that took no part in training; only these are used
    backgrounds_path : table of background recordings, of which those of the test split are used, or None
    progress : called with the share done, 0 to 1

    Returns
    -------
    ``auroc`` of the best score (value, low, high); ``answered`` and ``answered_right``: threshold and share of unknown
    recordings rejected when known ones count as named with any answer, or with the right one only; ``at_threshold``:
    shares at the model's own threshold; ``false_alarms``: share of windows, set side by side, of backgrounds without
    birds that report any species, as the window's or as a call in it (None without a table).

    Raises
    ------
    DataError
        If a table cannot be read, or nothing in it can be evaluated.
    """
    codes = [name.code for name in predictor.config.class_names]
    threshold = predictor.config.threshold
    known = [r for r in read_manifest(known_manifest_path) if r.split == "test" and r.label in codes]
    unknown = [r for r in read_manifest(unknown_manifest_path) if r.label in held_out_codes and r.label not in codes]
    quiet = [
        r
        for r in (read_backgrounds(backgrounds_path) if backgrounds_path else [])
        if r.has_bird is False and r.split == "test"
    ]
    if not known or not unknown:
        raise DataError(
            f"{known_manifest_path} and {unknown_manifest_path}: {len(known)} recordings of known and {len(unknown)} "
            "of held-out species; both are needed"
        )
    total = len(known) + len(unknown) + len(quiet)
    known_clips = _collect(predictor, known, _part(progress, 0, len(known), total))
    unknown_clips = _collect(predictor, unknown, _part(progress, len(known), len(unknown), total))
    known_best, unknown_best = known_clips.scores.max(axis=1), unknown_clips.scores.max(axis=1)
    right = _reference(known_clips.recordings, codes)[np.arange(len(known_best)), known_clips.scores.argmax(axis=1)]
    answered = rejected_share(known_best, unknown_best, known_kept=KNOWN_KEPT)
    answered_right = rejected_share(known_best, unknown_best, known_kept=KNOWN_KEPT, known_right=right)
    is_known = np.arange(len(known_best) + len(unknown_best)) < len(known_best)
    low, high = bootstrap_interval(
        lambda reference, best: known_unknown_auroc(best[reference], best[~reference]),
        is_known,
        np.concatenate([known_best, unknown_best]),
        groups=[recording.group for recording in known_clips.recordings + unknown_clips.recordings],
        generator=np.random.default_rng(SEED),
    )
    result = {
        "split": "test",
        "num_known": len(known_best),
        "num_unknown": len(unknown_best),
        "num_unknown_species": len({recording.label for recording in unknown_clips.recordings}),
        "failed": known_clips.failed + unknown_clips.failed,
        "auroc": {"value": known_unknown_auroc(known_best, unknown_best), "low": low, "high": high},
        "known_kept": KNOWN_KEPT,
        "answered": {"threshold": answered[0], "rejected_share": answered[1]},
        "answered_right": {"threshold": answered_right[0], "rejected_share": answered_right[1]},
        "at_threshold": {
            "threshold": threshold,
            "known_answered": float((known_best >= threshold).mean()),
            "known_answered_right": float(((known_best >= threshold) & right).mean()),
            "unknown_rejected": float((unknown_best < threshold).mean()),
        },
        "false_alarms": None,
    }
    if quiet:
        result["false_alarms"] = _false_alarms(
            predictor, quiet, _part(progress, len(known) + len(unknown), len(quiet), total)
        )
    return _plain(result)


def window_claims(scores: Scores) -> np.ndarray:
    """What a person would see of each window: its score, or the confidence of a call in it where that is higher.

    Returns
    -------
    shape (num_windows, num_classes), in [0, 1]
    """
    claims = scores.windows.astype(np.float64)
    if scores.frames is not None:
        spans = zip(scores.window_onsets, scores.window_offsets, strict=True)
        for row, (onset, offset) in zip(claims, spans, strict=True):
            first = int(onset / scores.frame_seconds)
            inside = scores.frames[first : max(first + 1, math.ceil(offset / scores.frame_seconds))]
            np.maximum(row, inside.max(axis=0), out=row)
    return claims


def _reference(recordings: Sequence[Recording], codes: Sequence[str]) -> np.ndarray:
    """Shape (num_recordings, num_classes), bool."""
    return np.array([[recording.label == code for code in codes] for recording in recordings], dtype=bool)


def _in_words_of(class_names: Sequence[ClassName], recordings: Sequence[Recording]) -> list[Recording]:
    """Recordings labelled with the model's codes: models from outside have their own, and share scientific names only."""
    codes = {name.code for name in class_names}
    by_scientific = {name.scientific.casefold(): name.code for name in class_names if name.scientific}
    return [
        recording
        if recording.label in codes
        else dataclasses.replace(
            recording, label=by_scientific.get(recording.scientific_name.casefold(), recording.label)
        )
        for recording in recordings
    ]


def _analyze(
    predictor: Predictor, path: Path, failed: list[dict[str, str]], *, overlap: float | None = None
) -> Scores | None:
    """Scores of a whole recording; None, and a note, where there are none."""
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


def _collect(predictor: Predictor, recordings: Sequence[Recording], progress: Callable[[float], None] | None) -> _Clips:
    """Run the model over recordings."""
    analyzed, rows, failed = [], [], []
    for number, recording in enumerate(recordings, start=1):
        scores = _analyze(predictor, recording.path, failed)
        if scores is not None:
            analyzed.append(recording)
            rows.append(scores.recording)
        if progress:
            progress(number / len(recordings))
    if not rows:
        raise DataError(f"none of {len(recordings)} recordings could be analysed; the first: {failed[0]['reason']}")
    return _Clips(recordings=analyzed, scores=np.array(rows, dtype=np.float64), failed=failed)


def _part(progress: Callable[[float], None] | None, done: int, size: int, total: int) -> Callable[[float], None] | None:
    """Progress of a part of the work as progress of all of it."""
    return (lambda fraction: progress((done + fraction * size) / total)) if progress else None


def _clip_section(reference: np.ndarray, scores: np.ndarray, groups: Sequence[str]) -> dict[str, Any]:
    """Every clip metric, with its interval."""
    held = reference.any(axis=0)
    section: dict[str, Any] = {"num_recordings": len(reference), "num_species": int(held.sum())}
    for name, metric in CLIP_METRICS.items():
        value = metric(reference, scores)
        low = high = math.nan
        if len(set(groups)) > 1:
            # Of thousands of classes few have a positive, and only those count; resampling them all takes minutes.
            figure, arrays = metric, (reference[:, held], scores[:, held])
            if name == "top1_accuracy":
                hits = reference[np.arange(len(reference)), scores.argmax(axis=1)]
                figure, arrays = _mean_hits, (hits, hits)
            generator = np.random.default_rng(SEED)
            low, high = bootstrap_interval(figure, *arrays, groups=groups, generator=generator)
        section[name] = {"value": value, "low": low, "high": high}
    return section


def _mean_hits(hits: np.ndarray, _: np.ndarray) -> float:
    return float(hits.mean())


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
        scores = _analyze(predictor, recording.path, failed)
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


def _false_alarms(
    predictor: Predictor, recordings: Sequence[Recording], progress: Callable[[float], None] | None
) -> dict[str, Any]:
    """Share of windows of birdless recordings that report a species, over all and per kind of recording."""
    windows: dict[str, list[np.ndarray]] = {}
    failed: list[dict[str, str]] = []
    for number, recording in enumerate(recordings, start=1):
        scores = _analyze(predictor, recording.path, failed, overlap=0.0)
        if scores is not None:
            windows.setdefault(recording.kind, []).append(window_claims(scores))
        if progress:
            progress(number / len(recordings))
    if not windows:
        raise DataError(f"none of {len(recordings)} backgrounds could be analysed; the first: {failed[0]['reason']}")
    per_kind = {kind: np.concatenate(parts) for kind, parts in sorted(windows.items())}
    everything = np.concatenate(list(per_kind.values()))
    threshold = predictor.config.threshold
    return {
        "threshold": threshold,
        "window_seconds": predictor.config.window_seconds,
        "num_windows": len(everything),
        "rate": false_alarm_rate(everything, threshold),
        "per_kind": {
            kind: {"num_windows": len(rows), "rate": false_alarm_rate(rows, threshold)}
            for kind, rows in per_kind.items()
        },
        "failed": failed,
    }


def _plain(value: Any) -> Any:
    """The same as values JSON can hold: NumPy numbers become plain, nan becomes None."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and math.isnan(value) else value

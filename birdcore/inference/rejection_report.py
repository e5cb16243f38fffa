"""How well a model keeps silent about what it does not know: other species, and places without birds."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from birdcore.data.recordings import Recording, read_backgrounds, read_manifest
from birdcore.errors import DataError
from birdcore.evaluation.clips import bootstrap_interval
from birdcore.evaluation.rejection import false_alarm_rate, known_unknown_auroc, rejected_share
from birdcore.inference.analysed import (
    BOOTSTRAP_SEED,
    analyze_clips,
    analyze_recording,
    label_matrix,
    plain_values,
    progress_part,
)
from birdcore.scores import Scores

if TYPE_CHECKING:
    from birdcore.inference.predictor import Predictor

__all__ = ["evaluate_rejection", "window_claims"]

KNOWN_KEPT = 0.85
"""Share of the known recordings that must still be named while unknown ones are rejected."""


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
    known_clips = analyze_clips(predictor, known, progress_part(progress, 0, len(known), total))
    unknown_clips = analyze_clips(predictor, unknown, progress_part(progress, len(known), len(unknown), total))
    known_best, unknown_best = known_clips.scores.max(axis=1), unknown_clips.scores.max(axis=1)
    right = label_matrix(known_clips.recordings, codes)[np.arange(len(known_best)), known_clips.scores.argmax(axis=1)]
    answered = rejected_share(known_best, unknown_best, known_kept=KNOWN_KEPT)
    answered_right = rejected_share(known_best, unknown_best, known_kept=KNOWN_KEPT, known_right=right)
    is_known = np.arange(len(known_best) + len(unknown_best)) < len(known_best)
    low, high = bootstrap_interval(
        lambda reference, best: known_unknown_auroc(best[reference], best[~reference]),
        is_known,
        np.concatenate([known_best, unknown_best]),
        groups=[recording.group for recording in known_clips.recordings + unknown_clips.recordings],
        generator=np.random.default_rng(BOOTSTRAP_SEED),
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
            predictor, quiet, progress_part(progress, len(known) + len(unknown), len(quiet), total)
        )
    return plain_values(result)


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


def _false_alarms(
    predictor: Predictor, recordings: Sequence[Recording], progress: Callable[[float], None] | None
) -> dict[str, Any]:
    """Share of windows of birdless recordings that report a species, over all and per kind of recording."""
    windows: dict[str, list[np.ndarray]] = {}
    failed: list[dict[str, str]] = []
    for number, recording in enumerate(recordings, start=1):
        scores = analyze_recording(predictor, recording.path, failed, overlap=0.0)
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

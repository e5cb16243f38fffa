"""How well a model names the species of whole recordings: every figure, from a table of labelled recordings."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from birdcore.config import ClassName
from birdcore.data.recordings import Recording, read_manifest
from birdcore.errors import DataError
from birdcore.evaluation.clips import (
    bootstrap_interval,
    class_average_precision,
    macro_roc_auc,
    per_class_table,
    top1_accuracy,
)
from birdcore.inference.analysed import BOOTSTRAP_SEED, analyze_clips, label_matrix, plain_values

if TYPE_CHECKING:
    from birdcore.inference.predictor import Predictor

__all__ = ["evaluate_clips"]

REED_WARBLERS = ("grrwar1", "marwar3", "blrwar1", "sedwar1")
"""Four birds that even people confuse, from one source: nothing but their song tells their recordings apart."""

CLIP_METRICS = {
    "macro_roc_auc": macro_roc_auc,
    "class_average_precision": class_average_precision,
    "top1_accuracy": top1_accuracy,
}


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
    clips = analyze_clips(predictor, known, progress)
    reference = label_matrix(clips.recordings, codes)

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
    return plain_values(result)


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
            generator = np.random.default_rng(BOOTSTRAP_SEED)
            low, high = bootstrap_interval(figure, *arrays, groups=groups, generator=generator)
        section[name] = {"value": value, "low": low, "high": high}
    return section


def _mean_hits(hits: np.ndarray, _: np.ndarray) -> float:
    return float(hits.mean())

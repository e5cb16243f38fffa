"""A model whose answers are known, and tables for it to be measured on."""

import csv
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from birdcore.config import MEL_S0, ClassName, ModelConfig
from birdcore.errors import AudioError
from birdcore.scores import Scores

CODES = ("gretit1", "eurbla", "grrwar1", "marwar3", "blrwar1", "sedwar1")
CLASS_NAMES = tuple(ClassName(code=code, common=code, scientific="") for code in CODES)
DURATION = 10.0
FRAME_SECONDS = 0.02
EDGES = np.array([0.0, 1000.0, 2000.0, 4000.0, 8000.0])


class KnowingPredictor:
    """Gives scores that a test has laid down, by the name of the file; no file is opened.

    The evaluation touches only ``config``, ``weights`` and ``analyze`` of a predictor, and what it computes depends on
    nothing but the scores, so laying them down tests all of it.
    """

    def __init__(self, scores, *, threshold=0.5):
        self.config = ModelConfig(
            architecture="crnn",
            class_names=CLASS_NAMES,
            window_seconds=5.0,
            features=MEL_S0,
            threshold=threshold,
        )
        self.weights = SimpleNamespace(name="knowing", facts={})
        self.engine = "torch"
        self.scores = scores
        self.overlaps = []

    def analyze(self, path, *, overlap=None):
        """The scores laid down for a file, or an error for "broken"."""
        self.overlaps.append(overlap)
        if Path(path).stem == "broken":
            raise AudioError(f"{Path(path).name}: cannot be decoded as audio")
        return self.scores(Path(path).stem)


def clip_scores(best, *, value=0.9, fault=None):
    """Scores of a recording with one class above all others."""
    recording = np.full(len(CODES), 0.1)
    if best is not None:
        recording[CODES.index(best)] = value
    return Scores(
        class_names=CLASS_NAMES,
        duration=DURATION,
        windows=np.stack([recording, recording]),
        window_onsets=np.array([0.0, 5.0]),
        window_offsets=np.array([5.0, 10.0]),
        recording=recording,
        fault=fault,
    )


def localized_scores(boxes, *, keeps_bands=True):
    """Scores that are certain of some boxes (label, onset, offset, fmin, fmax) and of nothing else."""
    num_frames = round(DURATION / FRAME_SECONDS)
    frames = np.zeros((num_frames, len(CODES)), dtype=np.float16)
    low, high = np.zeros_like(frames, dtype=np.float32), np.full_like(frames, 8000, dtype=np.float32)
    bands = np.zeros((num_frames, len(EDGES) - 1, len(CODES)), dtype=np.float16)
    for label, onset, offset, fmin, fmax in boxes:
        column, rows = CODES.index(label), slice(round(onset / FRAME_SECONDS), round(offset / FRAME_SECONDS))
        frames[rows, column], low[rows, column], high[rows, column] = 1, fmin, fmax
        bands[rows, (EDGES[:-1] >= fmin) & (EDGES[1:] <= fmax), column] = 1
    scores = clip_scores(None)
    return Scores(
        class_names=CLASS_NAMES,
        duration=DURATION,
        windows=scores.windows,
        window_onsets=scores.window_onsets,
        window_offsets=scores.window_offsets,
        recording=frames.max(axis=0),
        frames=frames,
        frame_seconds=FRAME_SECONDS,
        band_low=low,
        band_high=high,
        bands=bands if keeps_bands else None,
        band_edges=EDGES,
    )


def written(path, rows):
    """A table from dictionaries with the same keys."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)
    return path


def recording(stem, code, **columns):
    """A row of a manifest."""
    defaults = {"split": "test", "kind": "field", "group": stem, "source": "here", "cross_source": "0"}
    return {"path": f"{stem}.wav", "species_code": code, **defaults, **columns}

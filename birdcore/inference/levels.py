"""How far the sound in each band stands above the background: what a model's boxes are measured by."""

from __future__ import annotations

import numpy as np

from birdcore.config import MelConfig
from birdcore.features.bands import ROWS_PER_BAND, band_edges, visible_rows
from birdcore.inference.growing import GrowingArray

__all__ = ["LevelMeter"]

BACKGROUND_PERCENTILE = 30.0
"""Of the levels around a moment: the background, as long as nothing sounds in a band most of the time."""

BACKGROUND_SECONDS = 15.0
"""The background is what is there within this many seconds, so that it may change in a long recording."""

STEP_SECONDS = 5.0
"""The background is found anew this often."""

QUIETEST = 1e-12
"""Power below which there is silence."""


class LevelMeter:
    """Levels above the background, of a recording whose mel spectrogram arrives in blocks.

    The background of a band and a time is the 30th percentile of its levels within 15 s.

    Parameters
    ----------
    features : of the mel spectrogram
    frame_stride : mel frames in a frame
    """

    def __init__(self, features: MelConfig, frame_stride: int) -> None:
        rows = visible_rows(features)
        num_bands = len(rows) // ROWS_PER_BAND
        frame_seconds = features.frame_seconds * frame_stride
        self.band_edges = band_edges(features, num_bands)
        """Shape (num_bands + 1,), Hz, ascending."""
        self._rows = rows[: num_bands * ROWS_PER_BAND]
        self._decibels = 20.0 / features.power
        self._stride = frame_stride
        self._step = max(1, round(STEP_SECONDS / frame_seconds))
        self._reach = max(1, round(BACKGROUND_SECONDS / frame_seconds))
        self._mel = np.zeros((len(self._rows), 0), dtype=np.float32)  # of a frame that is not complete
        self._levels = np.zeros((0, num_bands), dtype=np.float32)  # as far back as the background needs them
        self._done = 0  # of these, frames whose background is known
        self._above = GrowingArray((num_bands,), np.float16)

    def push(self, mel: np.ndarray) -> None:
        """Take mel frames before scaling, shape (num_rows, num_new_frames)."""
        mel = np.concatenate([self._mel, mel[self._rows]], axis=1)
        complete = mel.shape[1] // self._stride * self._stride
        self._mel = mel[:, complete:]
        self._add(mel[:, :complete], self._stride)
        while len(self._levels) >= self._done + self._step + self._reach:
            self._compare()

    def finish(self, num_frames: int) -> np.ndarray:
        """Levels above the background, shape (num_frames, num_bands), dB, float16.

        A last frame that is not complete counts; where frames are missing, the last one is there again.
        """
        if self._mel.shape[1]:
            self._add(self._mel, self._mel.shape[1])
        while self._done < len(self._levels):
            self._compare()
        above = self._above.rows(num_frames)
        missing = num_frames - len(above)
        return np.pad(above, ((0, missing), (0, 0)), mode="edge") if missing else above

    def _add(self, mel: np.ndarray, stride: int) -> None:
        cells = mel.reshape(len(self._rows) // ROWS_PER_BAND, ROWS_PER_BAND, -1, stride).mean(axis=(1, 3))
        self._levels = np.concatenate([self._levels, self._decibels * np.log10(np.maximum(cells, QUIETEST)).T])

    def _compare(self) -> None:
        """The next frames with what is around them."""
        begin, end = self._done, self._done + self._step
        background = np.percentile(self._levels[: end + self._reach], BACKGROUND_PERCENTILE, axis=0)
        self._above.append(self._levels[begin:end] - background)
        behind = max(0, min(end, len(self._levels)) - self._reach)
        self._levels = self._levels[behind:]
        self._done = min(end - behind, len(self._levels))

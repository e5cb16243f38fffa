"""What a model says about a recording: every score, before any threshold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from birdcore.config import ClassName
from birdcore.errors import ShapeError

__all__ = ["Scores"]


@dataclass(frozen=True, kw_only=True)
class Scores:
    """All scores of one recording. Thresholds are applied later and lose nothing.

    Parameters
    ----------
    class_names : the classes, in column order
    duration : seconds analysed
    windows : shape (num_windows, num_classes), in [0, 1]
    window_onsets, window_offsets : shape (num_windows,), seconds (float64)
    recording : shape (num_classes,), in [0, 1]; pooled over the windows
    frames : shape (num_frames, num_classes), in [0, 1], float16; None from a model without a frame head.
        Frame i covers ``[i, i + 1) * frame_seconds``; its score is at most a little above that of the windows over it
    frame_seconds : seconds per frame, or None
    band_low, band_high : shape (num_frames, num_classes), Hz, float16: the band in which a class would sing in each
        frame, from the time-frequency head; None from a model without one
    bands : shape (num_frames, num_bands, num_classes), in [0, 1], float16; kept for short recordings only, else None
    band_edges : shape (num_bands + 1,), Hz, or None
    above_background : shape (num_frames, num_level_bands), dB, float16: how far the sound, whoever makes it, stands above
        the background of its time; None from a model without a time-frequency head
    level_edges : shape (num_level_bands + 1,), Hz, or None
    fault : a sentence where reading stopped early (a damaged file), else None
    note : a sentence where the recording is not what the model is made for (far too short), else None
    """

    class_names: tuple[ClassName, ...]
    duration: float
    windows: np.ndarray
    window_onsets: np.ndarray
    window_offsets: np.ndarray
    recording: np.ndarray
    frames: np.ndarray | None = None
    frame_seconds: float | None = None
    band_low: np.ndarray | None = None
    band_high: np.ndarray | None = None
    bands: np.ndarray | None = None
    band_edges: np.ndarray | None = None
    above_background: np.ndarray | None = None
    level_edges: np.ndarray | None = None
    fault: str | None = None
    note: str | None = None

    def __post_init__(self) -> None:
        num_classes = len(self.class_names)
        if self.windows.ndim != 2 or self.windows.shape[1] != num_classes:
            raise ShapeError(f"windows: shape {self.windows.shape}, expected (num_windows, {num_classes})")
        if self.recording.shape != (num_classes,):
            raise ShapeError(f"recording: shape {self.recording.shape}, expected ({num_classes},)")
        if self.frames is not None and (self.frames.ndim != 2 or self.frames.shape[1] != num_classes):
            raise ShapeError(f"frames: shape {self.frames.shape}, expected (num_frames, {num_classes})")

    @property
    def codes(self) -> tuple[str, ...]:
        """Class codes, in column order."""
        return tuple(name.code for name in self.class_names)

    def top(self, count: int = 5) -> list[tuple[ClassName, float]]:
        """The classes with the highest recording-level scores, best first."""
        order = np.argsort(-self.recording, kind="stable")[:count]
        return [(self.class_names[i], float(self.recording[i])) for i in order]

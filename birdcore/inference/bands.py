"""In which band a class sings: limits read off a time-frequency map."""

from __future__ import annotations

import numpy as np

__all__ = ["band_limits"]


def band_limits(probability: np.ndarray, band_edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper limit of the band around each column's peak, where it falls to half of the peak.

    The crossing is interpolated between the centres of neighbouring bands, so limits are finer than the bands.

    Parameters
    ----------
    probability : shape (num_frames, num_bands, num_classes), in [0, 1]
    band_edges : shape (num_bands + 1,), Hz

    Returns
    -------
    (low, high), each of shape (num_frames, num_classes), Hz, ``low < high``; float16, in steps of at most 8 Hz up to 16 kHz
    """
    num_bands = probability.shape[1]
    peak = probability.max(axis=1, keepdims=True)
    # A column of zeros has no band: the whole range.
    relative = np.where(peak > 0, probability / np.maximum(peak, 1e-12), 1.0)
    index = np.arange(num_bands)[None, :, None]
    top = probability.argmax(axis=1)[:, None]
    inside = relative >= 0.5
    # The lowest and the highest band of the run that holds the peak.
    first = np.where((index < top) & ~inside, index + 1, 0).max(axis=1)
    last = np.where((index > top) & ~inside, index - 1, num_bands - 1).min(axis=1)

    def value(at: np.ndarray) -> np.ndarray:
        return np.take_along_axis(relative, np.clip(at, 0, num_bands - 1)[:, None], axis=1)[:, 0]

    def beyond(inner: np.ndarray, outer: np.ndarray) -> np.ndarray:
        """Distance in bands from the inner band's centre to the crossing of one half."""
        return (value(inner) - 0.5) / np.maximum(value(inner) - value(outer), 1e-6)

    low = np.where(first > 0, first + 0.5 - beyond(first, first - 1), 0.0)
    high = np.where(last < num_bands - 1, last + 0.5 + beyond(last, last + 1), num_bands)
    positions = np.arange(num_bands + 1)
    return tuple(np.interp(limit, positions, band_edges).astype(np.float16) for limit in (low, high))

"""The box in time and frequency that a sound's own energy fills."""

from __future__ import annotations

import numpy as np
from scipy.fft import next_fast_len

from birdcore.errors import AudioError
from birdcore.frames import samples_to_seconds

__all__ = ["energy_box"]


def energy_box(samples: np.ndarray, sample_rate: int, *, share: float = 0.99) -> tuple[float, float, float, float]:
    """The box in time and frequency that a sound's own energy fills.

    In time, and separately in frequency, what remains outside is cut off in equal halves at either end, so the box
    holds at least ``2 * share - 1`` of the energy.

    Parameters
    ----------
    samples : shape (num_samples,)
    sample_rate : Hz
    share : share of the energy between onset and offset, and between fmin and fmax; in (0, 1)

    Returns
    -------
    onset, offset : seconds from the first sample
    fmin, fmax : Hz

    Raises
    ------
    AudioError
        If the sound is empty or silent, so that no box exists.
    """
    sound = np.asarray(samples, dtype=np.float64)
    power = np.square(sound)
    if power.size == 0 or not power.sum() > 0:
        raise AudioError("the sound is empty or silent and has no box; choose a stretch that holds a call")
    length = next_fast_len(power.size, real=True)
    spectrum = np.square(np.abs(np.fft.rfft(sound, length)))
    first, last = _central_share(power, share)
    lowest, highest = _central_share(spectrum, share)
    step = sample_rate / length  # Hz from one bin to the next; a bin reaches half a step to either side
    return (
        samples_to_seconds(first, sample_rate),
        samples_to_seconds(last + 1, sample_rate),
        max(0.0, (lowest - 0.5) * step),
        min(sample_rate / 2, (highest + 0.5) * step),
    )


def _central_share(energy: np.ndarray, share: float) -> tuple[int, int]:
    """First and last index of what is left when ``(1 - share) / 2`` of the energy is cut off at either end."""
    cumulative = np.cumsum(energy)
    tail = cumulative[-1] * (1 - share) / 2
    first = int(np.searchsorted(cumulative, tail, side="right"))
    last = int(np.searchsorted(cumulative, cumulative[-1] - tail, side="left"))
    return first, max(first, last)

"""Changes to mel spectrograms that leave the species what it is.

All work on unscaled mel spectrograms of shape (num_frames, n_mels), where two sounds add up in power.
Randomness comes from a passed generator.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import uniform_filter
from scipy.signal import filtfilt

__all__ = ["add_in_power", "equalize", "reduce_noise_in_mel", "shift_frequency", "stretch_time"]

NOISE_FLOOR_SECONDS = 2.0
"""Time constant of the noise floor: slow against a song, quick against wind."""

GATE_THRESHOLD = 1.0
"""Half open where a cell is this many times its floor above the floor. The package's 2 is for single Fourier bins; the
mean over the bins of a mel filter stands out less."""

GATE_SLOPE = 10.0
GATE_SMOOTHING_SECONDS = 0.02
GATE_SMOOTHING_BANDS = 3
TWIN_RESIDUE = 0.1
"""Share of the magnitude that stays where the gate is shut (-20 dB): digital silence would be a clue of its own."""


def add_in_power(first: np.ndarray, second: np.ndarray, *, power: float) -> np.ndarray:
    """Spectrogram of two sounds heard together, taken as uncorrelated.

    Parameters
    ----------
    first, second : shape (num_frames, n_mels)
    power : exponent of the spectrograms, 1 for magnitude or 2 for power
    """
    if power == 2:
        return first + second
    return (first ** (2 / power) + second ** (2 / power)) ** (power / 2)


def equalize(
    mel: np.ndarray, *, positions: np.ndarray, strength_db: float, power: float, generator: np.random.Generator
) -> np.ndarray:
    """Another microphone: a smooth random gain over frequency, sometimes with the treble cut off as a codec does.

    Parameters
    ----------
    mel : shape (num_frames, num_rows)
    positions : shape (num_rows,), where each row lies on the mel axis, from 0 (lowest) to 1
    strength_db : standard deviation of the gain in dB; 0 leaves the sound as it is
    """
    if strength_db <= 0:
        return mel
    angle = np.pi * positions
    gain_db = sum(generator.normal() * np.cos(order * angle + generator.uniform(0, np.pi)) for order in (1, 2, 3))
    gain_db = gain_db * strength_db / np.sqrt(1.5)
    # Low-rate sources hold nothing above their own Nyquist frequency; that must not name a species. A row counts from
    # its lower edge, as it always did, so that older runs resume to the same end.
    if generator.random() < 0.15:
        gain_db = gain_db - 80.0 * (positions * (1 - 1 / len(positions)) > generator.uniform(0.72, 1.0))
    return mel * (10.0 ** (gain_db * power / 20.0)).astype(np.float32)


def shift_frequency(mel: np.ndarray, *, bands: float) -> np.ndarray:
    """The same sound a little higher (bands > 0) or lower, by a fraction of mel bands; edges repeat."""
    n_mels = mel.shape[1]
    source = np.clip(np.arange(n_mels) - bands, 0, n_mels - 1)
    low = np.floor(source).astype(int)
    high = np.minimum(low + 1, n_mels - 1)
    fraction = (source - low).astype(np.float32)
    return mel[:, low] * (1 - fraction) + mel[:, high] * fraction


def stretch_time(mel: np.ndarray, *, num_frames: int) -> np.ndarray:
    """The same sound slower or faster, at the same pitch: resampled linearly to a number of frames."""
    if len(mel) == num_frames:
        return mel
    source = (np.arange(num_frames) + 0.5) * (len(mel) / num_frames) - 0.5
    source = np.clip(source, 0, len(mel) - 1)
    low = np.floor(source).astype(int)
    high = np.minimum(low + 1, len(mel) - 1)
    fraction = (source - low).astype(np.float32)[:, None]
    return mel[low] * (1 - fraction) + mel[high] * fraction


def reduce_noise_in_mel(mel: np.ndarray, *, frame_seconds: float, power: float) -> np.ndarray:
    """The noise-reduced twin of a recording: what does not stand out of its band is turned down by 20 dB.

    Spectral gating whose noise floor follows each band over time, with the rule and time constant of
    :func:`birdcore.audio.denoise.reduce_noise`. It works on the mel spectrogram that is cached anyway, so a twin needs
    no decoding, no second cache and no part of the recording beyond a few seconds around the cut.

    Parameters
    ----------
    mel : shape (num_frames, n_mels), unscaled, 0 or more
    frame_seconds : seconds from one frame to the next
    power : exponent of the spectrogram, 1 for magnitude or 2 for power

    Returns
    -------
    shape (num_frames, n_mels), float32; no cell is louder than before

    Source
    ------
    Sainburg, Thielk and Gentner (2020), PLOS Computational Biology 16; the package noisereduce (non-stationary).
    """
    magnitude = np.asarray(mel, dtype=np.float32) ** np.float32(1 / power)
    decay = np.exp(-frame_seconds / NOISE_FLOOR_SECONDS)
    # Forwards and backwards, so that a call is not louder than its floor just because it is new.
    floor = filtfilt([1 - decay], [1, -decay], magnitude, axis=0, padlen=min(len(magnitude) - 1, 50)).clip(min=1e-12)
    mask = 1 / (1 + np.exp(-GATE_SLOPE * np.clip(magnitude / floor - 1 - GATE_THRESHOLD, -3, 3)))
    smoothing = (max(1, round(GATE_SMOOTHING_SECONDS / frame_seconds)), GATE_SMOOTHING_BANDS)
    mask = uniform_filter(mask, size=smoothing, mode="nearest")
    gain = TWIN_RESIDUE + (1 - TWIN_RESIDUE) * mask
    return (magnitude * gain).astype(np.float32) ** np.float32(power)

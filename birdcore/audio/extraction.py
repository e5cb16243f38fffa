"""Which parts of a recording are signal and which are noise, from its spectrogram alone.

Cells of the magnitude spectrogram that stand out of both their row (a frequency over time) and their column (a moment
over frequency) are signal. Nothing is learned, and no species is known: a car that passes is signal too.

Source
------
Lasseck (2013), "Bird song classification in field recordings: winning solution for NIPS4B 2013 competition"; Sprengel,
Jaggi, Kilcher and Hofmann (2016), "Audio based bird species identification using deep learning techniques", CLEF.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from scipy import ndimage

from birdcore.audio.spans import complement_spans, keep_spans
from birdcore.audio.waveform import as_waveform
from birdcore.errors import ConfigError, ShapeError
from birdcore.frames import frames_to_seconds, samples_to_seconds

__all__ = [
    "DILATION_FRAMES",
    "HOP_LENGTH",
    "NOISE_THRESHOLD",
    "N_FFT",
    "SIGNAL_THRESHOLD",
    "Extraction",
    "Morphology",
    "extract_signal",
    "signal_mask",
    "signal_spans",
]

Morphology = Literal["opening+dilation", "opening", "closing+dilation"]
"""How specks are removed and neighbours joined: "opening" is Sprengel et al. (2016), "closing+dilation" is Lasseck
(2013), who fills gaps and lets specks live, and "opening+dilation" is what the S2 zoo settled on after trying
both."""

N_FFT = 2048
HOP_LENGTH = 512
SIGNAL_THRESHOLD = 3.0
# Lower than for signal, so that what is taken for noise is surely none; what lies between the two is neither.
NOISE_THRESHOLD = 2.5
DILATION_FRAMES = 15
ELEMENT_CELLS = (4, 4)

# Relative to the loudest cell (-100 dB): below lies the rounding of float32, which would stand out of digital silence.
ROUNDING_FLOOR = 1e-5


@dataclass(frozen=True, kw_only=True, eq=False)
class Extraction:
    """A recording, and which parts of it are signal and noise. The parts stay where they are on the time axis.

    Parameters
    ----------
    samples : shape (num_samples,), float32, the recording
    sample_rate : Hz
    mask : shape (num_bins, num_frames), bool; True where a cell is signal
    times : shape (num_frames,), seconds at which the frames are centred
    frequencies : shape (num_bins,), Hz
    signal_spans, noise_spans : sorted (onset, offset) in seconds; the two never overlap, and what neither covers is
        undecided
    """

    samples: np.ndarray
    sample_rate: int
    mask: np.ndarray
    times: np.ndarray
    frequencies: np.ndarray
    signal_spans: list[tuple[float, float]]
    noise_spans: list[tuple[float, float]]

    def signal(self) -> np.ndarray:
        """The recording with all but the signal spans silenced: shape (num_samples,), float32."""
        return keep_spans(self.samples, self.signal_spans, sample_rate=self.sample_rate)

    def noise(self) -> np.ndarray:
        """The recording with all but the noise spans silenced: shape (num_samples,), float32."""
        return keep_spans(self.samples, self.noise_spans, sample_rate=self.sample_rate)


def signal_mask(
    magnitude: np.ndarray,
    *,
    threshold: float = SIGNAL_THRESHOLD,
    morphology: Morphology = "opening+dilation",
) -> np.ndarray:
    """Cells of a spectrogram that are signal.

    A cell is taken where it exceeds ``threshold`` times its row median and ``threshold`` times its column median; a
    binary opening then removes specks, or a closing fills gaps, and a dilation joins what is near, all of 4 x 4 cells.

    Parameters
    ----------
    magnitude : shape (num_bins, num_frames), 0 or more; on any frequency axis and scale, as the result does not change
        with the level
    threshold : above 0
    morphology : see ``Morphology``

    Returns
    -------
    shape (num_bins, num_frames), bool

    Raises
    ------
    ShapeError
        If the spectrogram is not two-dimensional, or has no cells.
    ConfigError
        If the threshold is not above 0, or the morphology is unknown.
    """
    if magnitude.ndim != 2 or not magnitude.size:
        raise ShapeError(f"magnitude: shape {magnitude.shape}, expected (num_bins, num_frames), neither of them 0")
    if not threshold > 0:
        raise ConfigError(f"threshold {threshold}: must be above 0")
    if morphology not in get_args(Morphology):
        raise ConfigError(f"morphology {morphology!r}: unknown; one of {', '.join(get_args(Morphology))}")
    peak = float(magnitude.max())
    if peak <= 0:
        return np.zeros(magnitude.shape, dtype=bool)
    scaled = np.asarray(magnitude, dtype=np.float32) / np.float32(peak)
    rows = np.median(scaled, axis=1, keepdims=True)
    columns = np.median(scaled, axis=0, keepdims=True)
    stands_out = (scaled > threshold * rows) & (scaled > threshold * columns) & (scaled > ROUNDING_FLOOR)
    element = np.ones(ELEMENT_CELLS, dtype=bool)
    if morphology == "closing+dilation":
        return ndimage.binary_dilation(ndimage.binary_closing(stands_out, element), element)
    opened = ndimage.binary_opening(stands_out, element)
    return opened if morphology == "opening" else ndimage.binary_dilation(opened, element)


def signal_spans(
    mask: np.ndarray, *, frame_seconds: float, dilation_frames: int = DILATION_FRAMES
) -> list[tuple[float, float]]:
    """Time spans in which any cell is signal.

    Parameters
    ----------
    mask : shape (num_bins, num_frames), bool
    frame_seconds : seconds from one frame to the next
    dilation_frames : width of the dilation along time; 15 adds seven frames to each side and joins what comes to touch

    Returns
    -------
    sorted (onset, offset) in seconds; frame ``i`` covers ``[i, i + 1) * frame_seconds``

    Raises
    ------
    ShapeError
        If the mask is not two-dimensional.
    ConfigError
        If dilation_frames is below 1.
    """
    if mask.ndim != 2:
        raise ShapeError(f"mask: shape {mask.shape}, expected (num_bins, num_frames)")
    if dilation_frames < 1:
        raise ConfigError(f"dilation_frames {dilation_frames}: must be at least 1, which changes nothing")
    columns = ndimage.binary_dilation(mask.any(axis=0), np.ones(dilation_frames, dtype=bool))
    edges = np.flatnonzero(np.diff(columns.astype(np.int8), prepend=0, append=0))
    return [
        (frames_to_seconds(start, frame_seconds), frames_to_seconds(stop, frame_seconds))
        for start, stop in zip(edges[::2], edges[1::2], strict=True)
    ]


def extract_signal(samples: np.ndarray, sample_rate: int, *, morphology: Morphology = "opening+dilation") -> Extraction:
    """Tell signal from noise in a recording.

    Spectrogram: Hann window of 2048 samples, hop 512. Signal spans come from the mask at threshold 3, noise spans are
    what lies outside the spans of a second mask at threshold 2.5.

    Parameters
    ----------
    samples : shape (num_samples,), float. The whole spectrogram is held in memory, about 15 MB per minute at 32 kHz
    sample_rate : Hz; the published numbers were chosen at 22 050 Hz and suit 16 to 48 kHz
    morphology : see ``Morphology``

    Raises
    ------
    ShapeError, AudioError
        If the samples are not one finite, non-empty row.
    """
    from scipy.signal import stft  # slow to import

    waveform = as_waveform(samples)
    padded = np.pad(waveform, (0, max(0, N_FFT - len(waveform))))  # one window at least
    # Mirrored at the ends: zeros there would make a step, and a step is signal.
    _, _, spectrum = stft(padded, window="hann", nperseg=N_FFT, noverlap=N_FFT - HOP_LENGTH, boundary="even")
    # Frames centred beyond the end, which only the padding made, are left out.
    magnitude = np.abs(spectrum[:, : 1 + (len(waveform) - 1) // HOP_LENGTH])

    frame_seconds = samples_to_seconds(HOP_LENGTH, sample_rate)
    duration = samples_to_seconds(len(waveform), sample_rate)
    mask = signal_mask(magnitude, morphology=morphology)
    nearly_signal = signal_mask(magnitude, threshold=NOISE_THRESHOLD, morphology=morphology) | mask
    return Extraction(
        samples=waveform,
        sample_rate=sample_rate,
        mask=mask,
        times=np.arange(mask.shape[1]) * frame_seconds,
        frequencies=np.fft.rfftfreq(N_FFT, 1 / sample_rate),
        signal_spans=_end_at(signal_spans(mask, frame_seconds=frame_seconds), duration),
        noise_spans=complement_spans(
            _end_at(signal_spans(nearly_signal, frame_seconds=frame_seconds), duration), duration=duration
        ),
    )


def _end_at(spans: list[tuple[float, float]], duration: float) -> list[tuple[float, float]]:
    """Spans that do not reach beyond the recording, although its last frame may."""
    return [(onset, min(offset, duration)) for onset, offset in spans if onset < duration]

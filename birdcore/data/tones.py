"""What synthesised sounds are made of: glides and notes, pulses through resonances, noise in a band, and their envelopes.

Conventions: samples are float64; times are seconds, frequencies Hz; what has chance in it draws it from the generator it
is given, so the same generator state gives the same bits (with the same versions of numpy and scipy on the same kind of
machine).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from scipy.fft import next_fast_len
from scipy.interpolate import CubicSpline, PchipInterpolator
from scipy.signal import oaconvolve

from birdcore.errors import ConfigError
from birdcore.frames import seconds_to_samples

__all__ = [
    "PEAK",
    "arrange",
    "check_sample_rate",
    "checked_length",
    "glide",
    "harmonics",
    "hump",
    "noise",
    "note",
    "outdoors",
    "rasp",
    "settle",
    "swell",
    "voice",
    "wander",
]

_LOWEST_SAMPLE_RATE = 16_000  # below it, most songs would lose part of their own band
PEAK = 0.9  # of a finished sound

# A harmonic series is cut off softly before half the sample rate: these are the fractions of the sample rate at which
# the cut begins and ends.
_CUT_BEGINS, _CUT_ENDS = 0.44, 0.49

_CONTROL_SAMPLES = 16
"""Samples between two values of what shapes a voice, interpolated in between: 0.3 to 1 ms."""


def check_sample_rate(sample_rate: int) -> None:
    """Raise a ConfigError where a sample rate is too low for bird song."""
    if sample_rate < _LOWEST_SAMPLE_RATE:
        raise ConfigError(f"sample_rate {sample_rate} Hz: synthesis needs at least {_LOWEST_SAMPLE_RATE} Hz")


def checked_length(duration: float, sample_rate: int) -> int:
    """Number of samples in a duration, once both have been found usable."""
    check_sample_rate(sample_rate)
    num_samples = seconds_to_samples(duration, sample_rate)
    if num_samples < 1:
        raise ConfigError(f"duration {duration} s: must be above 0")
    return num_samples


def arrange(parts: Iterable[tuple[float, np.ndarray]], sample_rate: int) -> np.ndarray:
    """Sum of sounds, each from its own onset in seconds."""
    placed = [(seconds_to_samples(onset, sample_rate), sound) for onset, sound in parts]
    total = np.zeros(max(start + sound.size for start, sound in placed))
    for start, sound in placed:
        total[start : start + sound.size] += sound
    return total


def swell(num_samples: int, attack: float, release: float, sample_rate: int) -> np.ndarray:
    """Envelope that rises and falls as a raised cosine; attack and release in seconds."""
    position = np.arange(num_samples) / sample_rate
    ends = np.minimum(position / attack, (position[-1] - position) / release)
    return np.sin(0.5 * np.pi * np.clip(ends, 0, 1)) ** 2


def glide(points: Sequence[tuple[float, float]], num_samples: int) -> np.ndarray:
    """Frequency in Hz for each sample, smoothly through (position in [0, 1], Hz) without overshoot, on a log scale."""
    positions, frequencies = zip(*points, strict=True)
    curve = PchipInterpolator(positions, np.log(frequencies))
    return np.exp(curve(np.linspace(0, 1, num_samples)))


def wander(num_samples: int, rate: float, sample_rate: int, generator: np.random.Generator) -> np.ndarray:
    """Smooth random curve of about unit variance with ``rate`` independent values a second."""
    num_knots = int(num_samples / sample_rate * rate) + 4
    knots = CubicSpline(np.arange(num_knots), generator.normal(size=num_knots))
    return knots(1 + np.arange(num_samples) * (rate / sample_rate))


def harmonics(frequency: np.ndarray, amplitudes: Iterable[np.ndarray | float], sample_rate: int) -> np.ndarray:
    """Harmonic series over a gliding fundamental; the k-th amplitude belongs to ``k * frequency``."""
    phase = 2 * np.pi * np.cumsum(frequency) / sample_rate
    lowest, highest = frequency.min() / sample_rate, frequency.max() / sample_rate
    total = np.zeros(frequency.size)
    # sin((k + 1) x) = 2 cos(x) sin(k x) - sin((k - 1) x): far cheaper than so many sines.
    before, wave, twice_cosine = np.zeros(frequency.size), np.sin(phase), 2 * np.cos(phase)
    for order, amplitude in enumerate(amplitudes, start=1):
        if order * lowest >= _CUT_ENDS:
            break
        if order * highest > _CUT_BEGINS:
            below = (_CUT_ENDS - order * frequency / sample_rate) / (_CUT_ENDS - _CUT_BEGINS)
            amplitude = amplitude * np.clip(below, 0, 1)
        total += amplitude * wave
        before, wave = wave, twice_cosine * wave - before
    return total


def voice(
    frequency: np.ndarray,
    formants: Sequence[tuple[np.ndarray | float, float, float]],
    sample_rate: int,
    *,
    tilt: float = 0.0,
    ceiling: float = 10_000.0,
) -> np.ndarray:
    """Pulses through parallel resonances, each a (Hz, bandwidth in Hz, gain).

    Harmonics fall as ``order ** -tilt``; those that start above ceiling Hz are left out: there are many.
    """

    # Formants and pitch move slowly beside the samples: one value in so many is enough.
    control = np.minimum(np.arange(-(-frequency.size // _CONTROL_SAMPLES) + 1) * _CONTROL_SAMPLES, frequency.size - 1)
    between = np.arange(_CONTROL_SAMPLES) / _CONTROL_SAMPLES
    slow = frequency[control]
    moving = [(c[control] if isinstance(c, np.ndarray) else c, bandwidth, gain) for c, bandwidth, gain in formants]

    def amplitude(order: int) -> np.ndarray:
        resonances = (
            gain / (1 + ((order * slow - centre) / (bandwidth / 2)) ** 2) for centre, bandwidth, gain in moving
        )
        values = sum(resonances) * order**-tilt
        return (values[:-1, None] + np.diff(values)[:, None] * between).reshape(-1)[: frequency.size]

    num_harmonics = max(1, int(ceiling / frequency.min()))
    return harmonics(frequency, (amplitude(order) for order in range(1, num_harmonics + 1)), sample_rate)


def noise(
    num_samples: int, sample_rate: int, gain: Callable[[np.ndarray], np.ndarray], generator: np.random.Generator
) -> np.ndarray:
    """Gaussian noise of unit RMS whose amplitude spectrum follows ``gain(frequency in Hz)``."""
    length = next_fast_len(num_samples, real=True)
    spectrum = np.fft.rfft(generator.normal(size=length)) * gain(np.fft.rfftfreq(length, 1 / sample_rate))
    noise = np.fft.irfft(spectrum, length)[:num_samples]
    return noise / np.sqrt(np.mean(np.square(noise)))


def hump(frequency: np.ndarray, low: float, high: float, order: int = 2) -> np.ndarray:
    """Amplitude response of a band from low to high Hz whose skirts fall 6 * order dB per octave."""
    rise = (frequency / low) ** order
    return rise / (1 + rise) / (1 + (frequency / high) ** order)


def outdoors(samples: np.ndarray, sample_rate: int, generator: np.random.Generator) -> np.ndarray:
    """Add the faint tail that trees and ground give a sound: dull noise, decaying over a few tenths of a second."""
    decay = generator.uniform(0.2, 0.5)  # seconds for 60 dB
    tail_level = 10 ** (generator.uniform(-26, -19) / 20)  # RMS of the whole tail relative to the direct sound
    num_tail = seconds_to_samples(decay, sample_rate)
    time = np.arange(num_tail) / sample_rate
    tail = noise(num_tail, sample_rate, lambda f: 1 / (1 + (f / 4000) ** 2), generator) * 10 ** (-3 * time / decay)
    tail *= np.clip(time / 0.01, 0, 1)  # the first reflections arrive late
    impulse = tail * (tail_level / np.sqrt(np.sum(np.square(tail))))
    impulse[0] += 1
    wet = oaconvolve(samples, impulse)
    fade = min(wet.size, seconds_to_samples(0.02, sample_rate))
    wet[-fade:] *= np.linspace(1, 0, fade)
    return wet


def note(
    points: Sequence[tuple[float, float]],
    duration: float,
    amplitudes: Sequence[float],
    sample_rate: int,
    generator: np.random.Generator,
    *,
    attack: float = 0.012,
    release: float = 0.03,
) -> np.ndarray:
    """A whistled note: a glide with harmonics, the slight unsteadiness of a living voice, and soft ends."""
    num_samples = seconds_to_samples(duration, sample_rate)
    frequency = glide(points, num_samples) * np.exp(0.004 * wander(num_samples, 40, sample_rate, generator))
    loudness = np.exp(0.12 * wander(num_samples, 15, sample_rate, generator))
    envelope = swell(num_samples, min(attack, duration / 3), min(release, duration / 2), sample_rate)
    return harmonics(frequency, amplitudes, sample_rate) * loudness * envelope


def settle(peak: float, rest: float, final: float) -> list[tuple[float, float]]:
    """A note struck from above: it falls fast from peak towards rest, then bends slowly to final."""
    return [
        (0, peak),
        (0.08, rest + (peak - rest) * 0.35),
        (0.22, rest + (peak - rest) * 0.08),
        (0.4, rest),
        (1, final),
    ]


def rasp(
    rate: float,
    duration: float,
    formants: Sequence[tuple[float, float, float]],
    sample_rate: int,
    generator: np.random.Generator,
    *,
    noisiness: float = 0.4,
) -> np.ndarray:
    """A harsh note: pulses at ``rate`` Hz through resonances, their heights roughened by noise."""
    num_samples = seconds_to_samples(duration, sample_rate)
    arch = 1 + 0.1 * np.sin(np.pi * np.linspace(0, 1, num_samples))
    frequency = rate * arch * np.exp(0.02 * wander(num_samples, 60, sample_rate, generator))
    rough = 1 + noisiness * wander(num_samples, 400, sample_rate, generator)
    envelope = swell(num_samples, duration * 0.2, duration * 0.35, sample_rate)
    return voice(frequency, formants, sample_rate) * rough * envelope

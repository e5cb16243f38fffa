"""Sounds made by formula: bird calls with exact boxes, weather, water, insects, and babble that sounds like speech.

Nothing here contains a recording. A call imitates the *type* of a species' song (its band, note shapes and rhythm, as
field guides describe them and spectrograms show them), well enough to look at, to demonstrate the screens and to test
code against a truth that is known exactly; it is no substitute for recordings in training or in measured figures.

Conventions: samples are float32; times are seconds from the first sample; frequencies are Hz; every function draws all
its chance from the generator it is given, so the same generator state gives the same bits (with the same versions of
numpy and scipy on the same kind of machine).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from scipy.fft import next_fast_len
from scipy.interpolate import CubicSpline, PchipInterpolator
from scipy.signal import lfilter, oaconvolve

from birdcore.errors import AudioError, ConfigError
from birdcore.frames import samples_to_seconds, seconds_to_samples

__all__ = [
    "BACKGROUND_LAYERS",
    "SONGS",
    "Song",
    "SyntheticCall",
    "energy_box",
    "synthesize_background",
    "synthesize_call",
    "synthesize_speech",
]

_LOWEST_SAMPLE_RATE = 16_000  # below it, most songs would lose part of their own band
_PEAK = 0.9

# A harmonic series is cut off softly before half the sample rate: these are the fractions of the sample rate at which
# the cut begins and ends.
_CUT_BEGINS, _CUT_ENDS = 0.44, 0.49

_CONTROL_SAMPLES = 16
"""Samples between two values of what shapes a voice, interpolated in between: 0.3 to 1 ms."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SyntheticCall:
    """One synthesised call or phrase of song, and the box that its energy fills.

    Parameters
    ----------
    label : species code whose song type is imitated
    samples : shape (num_samples,), float32, peak 0.9
    sample_rate : Hz
    source : where the sound comes from, for tables of what was mixed from what
    onset, offset : seconds; between them lie 99 % of the energy
    fmin, fmax : Hz; between them lie 99 % of the energy
    """

    label: str
    samples: np.ndarray
    sample_rate: int
    source: str
    onset: float
    offset: float
    fmin: float
    fmax: float


@dataclass(frozen=True, kw_only=True)
class Song:
    """A type of song that can be synthesised.

    Parameters
    ----------
    common_name : English name of the species whose song type is imitated
    description : what is imitated, in a few words
    render : takes the sample rate in Hz and a generator, gives the dry waveform of one call, shape (num_samples,)
    """

    common_name: str
    description: str
    render: Callable[[int, np.random.Generator], np.ndarray]


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


def synthesize_call(label: str, *, sample_rate: int, generator: np.random.Generator) -> SyntheticCall:
    """Synthesise one call of a species' song type; every draw gives another variation of it.

    Parameters
    ----------
    label : a key of ``SONGS``
    sample_rate : Hz, at least 16 000
    generator : the source of all variation

    Raises
    ------
    ConfigError
        If there is no song of that species, or the sample rate is too low for bird song.
    """
    if label not in SONGS:
        raise ConfigError(f"{label!r}: no such song can be synthesised; there are {', '.join(sorted(SONGS))}")
    _check_sample_rate(sample_rate)
    song = SONGS[label]
    wet = _outdoors(song.render(sample_rate, generator), sample_rate, generator)
    samples = (wet * (_PEAK / np.abs(wet).max())).astype(np.float32)
    onset, offset, fmin, fmax = energy_box(samples, sample_rate)
    return SyntheticCall(
        label=label,
        samples=samples,
        sample_rate=sample_rate,
        source=f"synthesised: {song.description}",
        onset=onset,
        offset=offset,
        fmin=fmin,
        fmax=fmax,
    )


def synthesize_background(
    levels: Mapping[str, float], duration: float, *, sample_rate: int, generator: np.random.Generator
) -> np.ndarray:
    """Synthesise a background without birds as a sum of layers.

    Parameters
    ----------
    levels : layer (one of ``BACKGROUND_LAYERS``) → its RMS level in dB relative to full scale, e.g. ``{"wind": -35.0}``
    duration : seconds
    sample_rate : Hz, at least 16 000
    generator : the source of all variation

    Returns
    -------
    shape (num_samples,), float32
        Not limited: the drops of loud rain may exceed 1.

    Raises
    ------
    ConfigError
        If a layer is unknown, there is none, the duration is not above 0, or the sample rate is too low.
    """
    unknown = sorted(set(levels) - set(BACKGROUND_LAYERS))
    if unknown or not levels:
        named = f"{unknown[0]!r}: no such layer" if unknown else "no layer is named"
        raise ConfigError(f"background: {named}; there are {', '.join(BACKGROUND_LAYERS)}")
    num_samples = _checked_length(duration, sample_rate)
    total = np.zeros(num_samples)
    for name in sorted(levels):  # sorted, so that the order in which layers are named changes nothing
        layer = _LAYERS[name](num_samples, sample_rate, generator)
        total += layer * (10 ** (levels[name] / 20) / np.sqrt(np.mean(np.square(layer))))
    return total.astype(np.float32)


def synthesize_speech(duration: float, *, sample_rate: int, generator: np.random.Generator) -> np.ndarray:
    """Synthesise babble with the sound and rhythm of one person talking; it has no words and no language.

    Glottal pulses (all harmonics of a voice of 90 to 240 Hz, with jitter, stress and declination) pass through three
    moving formants; syllables come about four a second, some led in by a fricative, in phrases with pauses between.

    Parameters
    ----------
    duration : seconds
    sample_rate : Hz, at least 16 000
    generator : the source of all variation

    Returns
    -------
    shape (num_samples,), float32, peak at most 0.9

    Source
    ------
    Peterson and Barney (1952), "Control methods used in a study of the vowels", JASA 24: the vowels' formants.
    """
    num_samples = _checked_length(duration, sample_rate)
    pitch = generator.uniform(90, 240)
    phrases, onset = [], 0.0
    while onset < duration:
        phrase = _phrase(pitch, sample_rate, generator)
        phrases.append((onset, phrase))
        onset += samples_to_seconds(phrase.size, sample_rate) + generator.uniform(0.2, 0.6)
    speech = _arrange(phrases, sample_rate)
    speech *= _PEAK / np.abs(speech).max()
    return np.pad(speech, (0, max(0, num_samples - speech.size)))[:num_samples].astype(np.float32)


def _check_sample_rate(sample_rate: int) -> None:
    if sample_rate < _LOWEST_SAMPLE_RATE:
        raise ConfigError(f"sample_rate {sample_rate} Hz: synthesis needs at least {_LOWEST_SAMPLE_RATE} Hz")


def _checked_length(duration: float, sample_rate: int) -> int:
    """Number of samples in a duration, once both have been found usable."""
    _check_sample_rate(sample_rate)
    num_samples = seconds_to_samples(duration, sample_rate)
    if num_samples < 1:
        raise ConfigError(f"duration {duration} s: must be above 0")
    return num_samples


def _arrange(parts: Iterable[tuple[float, np.ndarray]], sample_rate: int) -> np.ndarray:
    """Sum of sounds, each from its own onset in seconds."""
    placed = [(seconds_to_samples(onset, sample_rate), sound) for onset, sound in parts]
    total = np.zeros(max(start + sound.size for start, sound in placed))
    for start, sound in placed:
        total[start : start + sound.size] += sound
    return total


def _swell(num_samples: int, attack: float, release: float, sample_rate: int) -> np.ndarray:
    """Envelope that rises and falls as a raised cosine; attack and release in seconds."""
    position = np.arange(num_samples) / sample_rate
    ends = np.minimum(position / attack, (position[-1] - position) / release)
    return np.sin(0.5 * np.pi * np.clip(ends, 0, 1)) ** 2


def _glide(points: Sequence[tuple[float, float]], num_samples: int) -> np.ndarray:
    """Frequency in Hz for each sample, smoothly through (position in [0, 1], Hz) without overshoot, on a log scale."""
    positions, frequencies = zip(*points, strict=True)
    curve = PchipInterpolator(positions, np.log(frequencies))
    return np.exp(curve(np.linspace(0, 1, num_samples)))


def _wander(num_samples: int, rate: float, sample_rate: int, generator: np.random.Generator) -> np.ndarray:
    """Smooth random curve of about unit variance with ``rate`` independent values a second."""
    num_knots = int(num_samples / sample_rate * rate) + 4
    knots = CubicSpline(np.arange(num_knots), generator.normal(size=num_knots))
    return knots(1 + np.arange(num_samples) * (rate / sample_rate))


def _harmonics(frequency: np.ndarray, amplitudes: Iterable[np.ndarray | float], sample_rate: int) -> np.ndarray:
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


def _voice(
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
    return _harmonics(frequency, (amplitude(order) for order in range(1, num_harmonics + 1)), sample_rate)


def _noise(
    num_samples: int, sample_rate: int, gain: Callable[[np.ndarray], np.ndarray], generator: np.random.Generator
) -> np.ndarray:
    """Gaussian noise of unit RMS whose amplitude spectrum follows ``gain(frequency in Hz)``."""
    length = next_fast_len(num_samples, real=True)
    spectrum = np.fft.rfft(generator.normal(size=length)) * gain(np.fft.rfftfreq(length, 1 / sample_rate))
    noise = np.fft.irfft(spectrum, length)[:num_samples]
    return noise / np.sqrt(np.mean(np.square(noise)))


def _hump(frequency: np.ndarray, low: float, high: float, order: int = 2) -> np.ndarray:
    """Amplitude response of a band from low to high Hz whose skirts fall 6 * order dB per octave."""
    rise = (frequency / low) ** order
    return rise / (1 + rise) / (1 + (frequency / high) ** order)


def _outdoors(samples: np.ndarray, sample_rate: int, generator: np.random.Generator) -> np.ndarray:
    """Add the faint tail that trees and ground give a sound: dull noise, decaying over a few tenths of a second."""
    decay = generator.uniform(0.2, 0.5)  # seconds for 60 dB
    tail_level = 10 ** (generator.uniform(-26, -19) / 20)  # RMS of the whole tail relative to the direct sound
    num_tail = seconds_to_samples(decay, sample_rate)
    time = np.arange(num_tail) / sample_rate
    tail = _noise(num_tail, sample_rate, lambda f: 1 / (1 + (f / 4000) ** 2), generator) * 10 ** (-3 * time / decay)
    tail *= np.clip(time / 0.01, 0, 1)  # the first reflections arrive late
    impulse = tail * (tail_level / np.sqrt(np.sum(np.square(tail))))
    impulse[0] += 1
    wet = oaconvolve(samples, impulse)
    fade = min(wet.size, seconds_to_samples(0.02, sample_rate))
    wet[-fade:] *= np.linspace(1, 0, fade)
    return wet


def _note(
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
    frequency = _glide(points, num_samples) * np.exp(0.004 * _wander(num_samples, 40, sample_rate, generator))
    loudness = np.exp(0.12 * _wander(num_samples, 15, sample_rate, generator))
    envelope = _swell(num_samples, min(attack, duration / 3), min(release, duration / 2), sample_rate)
    return _harmonics(frequency, amplitudes, sample_rate) * loudness * envelope


def _settle(peak: float, rest: float, final: float) -> list[tuple[float, float]]:
    """A note struck from above: it falls fast from peak towards rest, then bends slowly to final."""
    return [
        (0, peak),
        (0.08, rest + (peak - rest) * 0.35),
        (0.22, rest + (peak - rest) * 0.08),
        (0.4, rest),
        (1, final),
    ]


def _rasp(
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
    frequency = rate * arch * np.exp(0.02 * _wander(num_samples, 60, sample_rate, generator))
    rough = 1 + noisiness * _wander(num_samples, 400, sample_rate, generator)
    envelope = _swell(num_samples, duration * 0.2, duration * 0.35, sample_rate)
    return _voice(frequency, formants, sample_rate) * rough * envelope


def _great_tit(sample_rate: int, generator: np.random.Generator) -> np.ndarray:
    high = generator.uniform(4300, 5800)
    low = high * generator.uniform(0.66, 0.82)
    notes = [(high, generator.uniform(0.07, 0.12)), (low, generator.uniform(0.1, 0.16))]
    if generator.random() < 0.4:  # some males sing it the other way round
        notes.reverse()
    period = generator.uniform(0.36, 0.48)
    repeats = generator.integers(4, 8)
    parts = []
    for repeat in range(repeats):
        loudness = 0.6 + 0.4 * min(1.0, repeat / 2)
        for index, (frequency, duration) in enumerate(notes):
            points = _settle(frequency * 1.28, frequency, frequency * 0.97)
            note = _note(points, duration, (1, 0.02, 0.01), sample_rate, generator, attack=0.006, release=0.04)
            parts.append((period * (repeat + 0.45 * index), loudness * note))
    return _arrange(parts, sample_rate)


def _little_owl(sample_rate: int, generator: np.random.Generator) -> np.ndarray:
    base = generator.uniform(950, 1150)
    if generator.random() < 0.5:  # the hoot, drawn out and rising
        points = [(0, base * 0.88), (0.25, base), (0.8, base * 1.12), (1, base * 1.2)]
        duration = generator.uniform(0.4, 0.6)
        return _note(points, duration, (0.7, 1, 0.16, 0.1, 0.04), sample_rate, generator, attack=0.05, release=0.08)
    points = [(0, base * 1.05), (0.35, base * 1.4), (0.6, base * 1.38), (1, base * 1.08)]  # the sharper "kiew"
    duration = generator.uniform(0.2, 0.32)
    return _note(points, duration, (0.4, 1, 0.12, 0.06, 0.02), sample_rate, generator, attack=0.03, release=0.08)


def _mallard(sample_rate: int, generator: np.random.Generator) -> np.ndarray:
    rate = generator.uniform(210, 280)
    formants = [
        (generator.uniform(900, 1200), 700, 0.5),
        (generator.uniform(1800, 2300), 700, 1.0),
        (generator.uniform(4500, 5500), 2000, 0.25),
    ]
    count = generator.integers(4, 10)
    gap = generator.uniform(0.07, 0.2)
    parts, onset = [], 0.0
    for index in range(count):
        duration = generator.uniform(0.16, 0.21) * (1.4 if index == 0 else 1.0)
        fading = 0.9 ** max(0, index - 1)  # the second quack is the loudest, then the laugh runs down
        quack = _rasp(rate * generator.uniform(0.96, 1.04), duration, formants, sample_rate, generator)
        parts.append((onset, fading * quack))
        onset += duration + gap * generator.uniform(0.9, 1.1)
    return _arrange(parts, sample_rate)


def _thick_knee(sample_rate: int, generator: np.random.Generator) -> np.ndarray:
    low = generator.uniform(1950, 2200)
    high = low * generator.uniform(1.22, 1.32)
    harmonics = (1, 0.06, 0.02)
    parts, onset = [], 0.0
    for repeat in range(generator.integers(1, 4)):
        first = generator.uniform(0.1, 0.18)
        note = _note([(0, low * 0.96), (0.3, low), (1, low * 1.02)], first, harmonics, sample_rate, generator)
        loudness = 0.7 + 0.15 * repeat
        parts.append((onset, loudness * 0.7 * note))
        onset += first
        if generator.random() < 0.5:  # a dry rattle may join the two
            length = generator.uniform(0.25, 0.5)
            rattle = _rasp(50, length, [(low * 1.15, 700, 1.0)], sample_rate, generator, noisiness=0.9)
            parts.append((onset, 0.025 * loudness * rattle))
            onset += length
        else:
            onset += generator.uniform(0.08, 0.2)
        second = generator.uniform(0.45, 0.7)
        points = [(0, low * 1.02), (0.18, low * 1.1), (0.26, high * 0.98), (0.35, high), (0.95, high * 1.01), (1, low)]
        note = _note(points, second, harmonics, sample_rate, generator, attack=0.04, release=0.025)
        parts.append((onset, loudness * note))
        onset += second + generator.uniform(0.3, 0.6)
    return _arrange(parts, sample_rate)


def _warble_note(
    low: float, high: float, duration: float, sample_rate: int, generator: np.random.Generator
) -> np.ndarray:
    """One note of a warble: a slur down or up, an arch or a dip somewhere in the band."""
    first, second, third = np.exp(generator.uniform(np.log(low), np.log(high), size=3))
    shapes = [
        [(0, max(first, second)), (0.3, np.sqrt(first * second)), (1, min(first, second))],
        [(0, min(first, second)), (1, max(first, second))],
        [(0, first), (0.5, max(first, second, third)), (1, third)],
        [(0, first), (0.5, min(first, second, third)), (1, third)],
    ]
    shape = shapes[generator.integers(len(shapes))]
    return _note(shape, duration, (1, 0.03, 0.01), sample_rate, generator)


def _blackcap(sample_rate: int, generator: np.random.Generator) -> np.ndarray:
    parts, onset = [], 0.0
    for _ in range(generator.integers(6, 12)):  # a hasty, soft beginning …
        duration = generator.uniform(0.04, 0.09)
        note = _warble_note(2500, 6500, duration, sample_rate, generator)
        parts.append((onset, generator.uniform(0.2, 0.5) * note))
        onset += duration + generator.uniform(0.0, 0.03)
    for _ in range(generator.integers(8, 15)):  # … and then the loud flutes, lower and slower
        duration = generator.uniform(0.08, 0.22)
        note = _warble_note(1900, 4600, duration, sample_rate, generator)
        parts.append((onset, generator.uniform(0.7, 1.0) * note))
        onset += duration + generator.uniform(0.01, 0.05)
    return _arrange(parts, sample_rate)


def _greenfinch(sample_rate: int, generator: np.random.Generator) -> np.ndarray:
    if generator.random() < 0.5:  # the wheeze: a falling tone whose pitch is shaken some eighty times a second
        duration = generator.uniform(0.7, 1.0)
        num_samples = seconds_to_samples(duration, sample_rate)
        centre = _glide([(0, 4000), (0.35, 4500), (1, generator.uniform(3000, 3300))], num_samples)
        shake = np.sin(2 * np.pi * generator.uniform(65, 95) * np.arange(num_samples) / sample_rate)
        depth = 0.17 * np.exp(0.2 * _wander(num_samples, 30, sample_rate, generator))
        wheeze = _harmonics(centre * (1 + depth * shake), (1, 0.05), sample_rate)
        return wheeze * _swell(num_samples, 0.08, 0.15, sample_rate)
    top = generator.uniform(4200, 5200)  # the trill
    rate = generator.uniform(13, 20)
    count = generator.integers(10, 20)
    points = [(0, top * 0.85), (0.3, top), (1, top * 0.68)]
    notes = (_note(points, 0.65 / rate, (1, 0.05), sample_rate, generator, release=0.015) for _ in range(count))
    return _arrange(
        (
            (index / rate, note * (0.5 + 0.5 * np.sin(np.pi * (index + 1) / (count + 1))))
            for index, note in enumerate(notes)
        ),
        sample_rate,
    )


def _sedge_warbler(sample_rate: int, generator: np.random.Generator) -> np.ndarray:
    parts, onset = [], 0.0
    for _ in range(generator.integers(3, 6)):
        kind = generator.choice(["churr", "churr", "arcs", "whistle"])
        if kind == "whistle":
            frequency = generator.uniform(3400, 4200)
            points = [(0, frequency * 1.15), (0.3, frequency * 0.95), (1, frequency)]
            parts.append((onset, 0.6 * _note(points, 0.2, (1, 0.03), sample_rate, generator)))
            onset += 0.28
            continue
        rate = generator.uniform(9, 14)
        centre = generator.uniform(3200, 5500)
        pulses = generator.uniform(180, 320)
        for index in range(generator.integers(4, 10)):
            if kind == "churr":
                formants = [(centre, 1800, 1.0), (centre * 1.7, 1500, 0.35)]
                note = 0.35 * _rasp(pulses, 0.055, formants, sample_rate, generator, noisiness=0.7)
            else:
                points = [(0, centre * 0.6), (0.6, centre), (1, centre * 1.15)]
                note = 0.8 * _note(points, 0.06, (1, 0.25, 0.1), sample_rate, generator, release=0.02)
            parts.append((onset + index / rate, note))
        onset += (index + 1) / rate + generator.uniform(0.0, 0.12)
    return _arrange(parts, sample_rate)


def _house_sparrow(sample_rate: int, generator: np.random.Generator) -> np.ndarray:
    top = generator.uniform(4200, 5400)
    parts, onset = [], 0.0
    for _ in range(generator.integers(1, 4)):
        duration = generator.uniform(0.1, 0.16)
        points = [(0, top * 0.7), (0.18, top), (0.4, top * 0.82), (0.6, top * 0.8), (1, top * 0.52)]
        chirp = _note(points, duration, (1, 0.18, 0.06), sample_rate, generator, attack=0.015, release=0.05)
        parts.append((onset, generator.uniform(0.8, 1.0) * chirp))
        onset += generator.uniform(0.45, 0.8)
    return _arrange(parts, sample_rate)


def _blackbird(sample_rate: int, generator: np.random.Generator) -> np.ndarray:
    parts, onset = [], 0.0
    for _ in range(generator.integers(3, 7)):  # slow and flutey …
        duration = generator.uniform(0.15, 0.38)
        note = _warble_note(1600, 2900, duration, sample_rate, generator)
        parts.append((onset, generator.uniform(0.7, 1.0) * note))
        onset += duration + generator.uniform(0.03, 0.12)
    for _ in range(generator.integers(2, 6)):  # … with a thin, high twitter to end it
        duration = generator.uniform(0.05, 0.1)
        note = _warble_note(3500, 7000, duration, sample_rate, generator)
        parts.append((onset, generator.uniform(0.12, 0.25) * note))
        onset += duration + generator.uniform(0.01, 0.04)
    return _arrange(parts, sample_rate)


def _pheasant(sample_rate: int, generator: np.random.Generator) -> np.ndarray:
    base = generator.uniform(880, 1020)
    parts = []
    for onset, duration in ((0.0, generator.uniform(0.18, 0.24)), (generator.uniform(0.36, 0.44), 0.15)):
        points = [(0, base * 0.9), (0.2, base), (0.8, base), (1, base * 0.93)]
        bark = _note(points, duration, (1, 0.5, 0.2, 0.3, 0.1), sample_rate, generator, attack=0.015, release=0.06)
        rough = 1 + 0.6 * _wander(bark.size, 500, sample_rate, generator)  # "korr": the bark is hoarse
        parts.append((onset, bark * rough))
    return _arrange(parts, sample_rate)


def _great_reed_warbler(sample_rate: int, generator: np.random.Generator) -> np.ndarray:
    centre = generator.uniform(2300, 2900)
    pulses = generator.uniform(90, 130)
    high = generator.uniform(3300, 4200)
    parts, onset = [], 0.0
    for _ in range(generator.integers(2, 4)):
        for _ in range(generator.integers(2, 4)):  # "karre-karre"
            for _ in range(2):
                formants = [(centre, 900, 1.0), (centre * 1.5, 900, 0.3)]
                parts.append((onset, 0.3 * _rasp(pulses, 0.1, formants, sample_rate, generator, noisiness=0.5)))
                onset += 0.13
            onset += 0.1
        for _ in range(generator.integers(2, 4)):  # "keet-keet"
            points = [(0, high * 0.8), (0.4, high), (1, high * 0.86)]
            note = _note(points, 0.13, (1, 0.2, 0.08), sample_rate, generator, attack=0.02, release=0.04)
            parts.append((onset, note))
            onset += 0.22
    return _arrange(parts, sample_rate)


SONGS: Mapping[str, Song] = MappingProxyType(
    {
        "blackc1": Song(common_name="Eurasian Blackcap", description="fluty warble", render=_blackcap),
        "eurbla": Song(common_name="Eurasian Blackbird", description="slow flutey phrase", render=_blackbird),
        "eurgre1": Song(common_name="European Greenfinch", description="trill or wheeze", render=_greenfinch),
        "eutkne1": Song(common_name="Eurasian Thick-knee", description='"curlee" glides', render=_thick_knee),
        "gretit1": Song(common_name="Great Tit", description='two-note "teacher-teacher"', render=_great_tit),
        "grrwar1": Song(common_name="Great Reed Warbler", description='"karre-karre keet"', render=_great_reed_warbler),
        "houspa": Song(common_name="House Sparrow", description="chirps", render=_house_sparrow),
        "litowl1": Song(common_name="Little Owl", description='rising hoot or "kiew"', render=_little_owl),
        "mallar3": Song(common_name="Mallard", description="series of quacks", render=_mallard),
        "rinphe1": Song(common_name="Ring-necked Pheasant", description='two-part "korr-kok"', render=_pheasant),
        "sedwar1": Song(common_name="Sedge Warbler", description="chatter with whistles", render=_sedge_warbler),
    }
)
"""Species code → the song type that can be synthesised."""


def _air(num_samples: int, sample_rate: int, generator: np.random.Generator) -> np.ndarray:
    """The even hiss of a quiet place and of the recorder: pink noise above 60 Hz."""
    return _noise(num_samples, sample_rate, lambda f: _hump(f, 60, 20_000, 1) / np.sqrt(np.maximum(f, 60)), generator)


def _wind(num_samples: int, sample_rate: int, generator: np.random.Generator) -> np.ndarray:
    """Low-passed pink noise that swells in gusts, with the rustle of leaves in the strongest of them."""
    gust = np.exp(0.6 * _wander(num_samples, 0.4, sample_rate, generator))
    rumble = _noise(
        num_samples, sample_rate, lambda f: 1 / np.sqrt(np.maximum(f, 20)) / (1 + (f / 350) ** 2), generator
    )
    rustle = _noise(num_samples, sample_rate, lambda f: _hump(f, 1200, 6000), generator)
    return gust * rumble + 0.02 * gust**2 * rustle


def _drops(
    num_samples: int,
    rate: float,
    frequencies: Sequence[float],
    decay: float,
    sample_rate: int,
    generator: np.random.Generator,
) -> np.ndarray:
    """Damped rings at random times, ``rate`` a second at each frequency; decay is in cycles to 1/e of the amplitude."""
    total = np.zeros(num_samples)
    for frequency in frequencies:
        count = generator.poisson(rate * num_samples / sample_rate)
        impulses = np.zeros(num_samples)
        # A few strikes are far louder than the rest, as drops near the microphone are.
        np.add.at(impulses, generator.integers(num_samples, size=count), generator.lognormal(0, 0.9, size=count))
        angle = 2 * np.pi * frequency / sample_rate
        radius = np.exp(-frequency / sample_rate / decay)
        total += lfilter([np.sin(angle)], [1, -2 * radius * np.cos(angle), radius**2], impulses)
    return total


def _rain(num_samples: int, sample_rate: int, generator: np.random.Generator) -> np.ndarray:
    """Drops: broadband clicks at random times over the hiss of those too far away to be heard singly."""
    hiss = _noise(num_samples, sample_rate, lambda f: _hump(f, 800, 7000, 1), generator)
    drops = _drops(num_samples, 120, (1100, 1900, 2900, 4300, 6100), 1.0, sample_rate, generator)
    swell = np.exp(0.2 * _wander(num_samples, 0.3, sample_rate, generator))
    return swell * (hiss + 1.5 * drops)


def _stream(num_samples: int, sample_rate: int, generator: np.random.Generator) -> np.ndarray:
    """Running water: ringing bubbles of many sizes over a steady rush."""
    rush = _noise(num_samples, sample_rate, lambda f: _hump(f, 250, 1800), generator)
    sizes = np.geomspace(380, 2600, 9) * generator.uniform(0.9, 1.1, size=9)
    bubbles = _drops(num_samples, 12, sizes, 9.0, sample_rate, generator)
    return rush * np.exp(0.15 * _wander(num_samples, 2, sample_rate, generator)) + 0.35 * bubbles


def _insects(num_samples: int, sample_rate: int, generator: np.random.Generator) -> np.ndarray:
    """A light hum: two narrow bands of noise, each beaten by wings or legs some tens of times a second."""
    time = np.arange(num_samples) / sample_rate
    total = np.zeros(num_samples)
    for low, high in ((5200, 5700), (6400, 7100)):
        centre = generator.uniform(low, high)
        band = _noise(
            num_samples, sample_rate, lambda f, centre=centre: np.exp(-(((f - centre) / 120) ** 2)), generator
        )
        beat = 0.5 + 0.5 * np.sin(2 * np.pi * generator.uniform(25, 50) * time)
        total += band * beat**2 * np.exp(0.4 * _wander(num_samples, 0.5, sample_rate, generator))
    return total


_LAYERS: Mapping[str, Callable[[int, int, np.random.Generator], np.ndarray]] = MappingProxyType(
    {"air": _air, "insects": _insects, "rain": _rain, "stream": _stream, "wind": _wind}
)

BACKGROUND_LAYERS: tuple[str, ...] = tuple(_LAYERS)
"""Names of the layers that :func:`synthesize_background` can lay over each other."""


# First three formants in Hz of men's vowels (Peterson and Barney 1952):
# heed, hid, head, had, hod, hawed, hood, who'd, hud, heard.
_VOWELS = (
    (270, 2290, 3010),
    (390, 1990, 2550),
    (530, 1840, 2480),
    (660, 1720, 2410),
    (730, 1090, 2440),
    (570, 840, 2410),
    (440, 1020, 2240),
    (300, 870, 2240),
    (640, 1190, 2390),
    (490, 1350, 1690),
)


def _phrase(pitch: float, sample_rate: int, generator: np.random.Generator) -> np.ndarray:
    """A breath group: 3 to 9 syllables over a falling pitch."""
    num_syllables = int(generator.integers(3, 10))
    lengths = [seconds_to_samples(length, sample_rate) for length in generator.uniform(0.14, 0.3, size=num_syllables)]
    num_samples = sum(lengths)
    higher = 1 + 0.15 * (pitch > 165)  # a shorter vocal tract, as of most high voices, has higher formants
    vowels = higher * np.array([_VOWELS[index] for index in generator.integers(len(_VOWELS), size=num_syllables)])
    centres = np.cumsum(lengths) - np.array(lengths) / 2
    # Formants glide from vowel to vowel; before the first and after the last they rest.
    position = np.arange(num_samples)
    moving = [np.interp(position, centres, formant) for formant in vowels.T]

    stress = np.exp(0.08 * _wander(num_samples, 3, sample_rate, generator))
    jitter = np.exp(0.012 * _wander(num_samples, 60, sample_rate, generator))
    frequency = pitch * np.linspace(1.1, 0.82, num_samples) * stress * jitter
    loudness, hiss = np.zeros(num_samples), np.zeros(num_samples)
    start = 0
    for length in lengths:
        consonant = int(length * generator.uniform(0.15, 0.35))
        voiced = slice(start + consonant, start + length)
        loudness[voiced] = generator.uniform(0.6, 1.0) * _swell(length - consonant, 0.025, 0.05, sample_rate)
        if generator.random() < 0.4:
            hiss[start : start + consonant] = generator.uniform(0.02, 0.06) * _swell(
                consonant, 0.015, 0.015, sample_rate
            )
        start += length
    formants = [(moving[0], 90, 1.0), (moving[1], 120, 0.6), (moving[2], 180, 0.35), (3500 * higher, 300, 0.15)]
    voice = _voice(frequency, formants, sample_rate, tilt=0.4, ceiling=5000.0) * loudness
    fricative = _noise(num_samples, sample_rate, lambda f: _hump(f, 3500, 6500), generator) * hiss
    return voice / np.abs(voice).max() + fricative

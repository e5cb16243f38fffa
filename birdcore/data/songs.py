"""Bird calls made by formula, with exact boxes.

Nothing here contains a recording. A call imitates the *type* of a species' song (its band, note shapes and rhythm, as
field guides describe them and spectrograms show them), well enough to look at, to demonstrate the screens and to test
code against a truth that is known exactly; it is no substitute for recordings in training or in measured figures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from birdcore.data import tones
from birdcore.data.energy_box import energy_box
from birdcore.errors import ConfigError
from birdcore.frames import seconds_to_samples

__all__ = ["SONGS", "Song", "SyntheticCall", "synthesize_call"]


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
    tones.check_sample_rate(sample_rate)
    song = SONGS[label]
    wet = tones.outdoors(song.render(sample_rate, generator), sample_rate, generator)
    samples = (wet * (tones.PEAK / np.abs(wet).max())).astype(np.float32)
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
            points = tones.settle(frequency * 1.28, frequency, frequency * 0.97)
            note = tones.note(points, duration, (1, 0.02, 0.01), sample_rate, generator, attack=0.006, release=0.04)
            parts.append((period * (repeat + 0.45 * index), loudness * note))
    return tones.arrange(parts, sample_rate)


def _little_owl(sample_rate: int, generator: np.random.Generator) -> np.ndarray:
    base = generator.uniform(950, 1150)
    if generator.random() < 0.5:  # the hoot, drawn out and rising
        points = [(0, base * 0.88), (0.25, base), (0.8, base * 1.12), (1, base * 1.2)]
        duration = generator.uniform(0.4, 0.6)
        return tones.note(
            points, duration, (0.7, 1, 0.16, 0.1, 0.04), sample_rate, generator, attack=0.05, release=0.08
        )
    points = [(0, base * 1.05), (0.35, base * 1.4), (0.6, base * 1.38), (1, base * 1.08)]  # the sharper "kiew"
    duration = generator.uniform(0.2, 0.32)
    return tones.note(points, duration, (0.4, 1, 0.12, 0.06, 0.02), sample_rate, generator, attack=0.03, release=0.08)


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
        quack = tones.rasp(rate * generator.uniform(0.96, 1.04), duration, formants, sample_rate, generator)
        parts.append((onset, fading * quack))
        onset += duration + gap * generator.uniform(0.9, 1.1)
    return tones.arrange(parts, sample_rate)


def _thick_knee(sample_rate: int, generator: np.random.Generator) -> np.ndarray:
    low = generator.uniform(1950, 2200)
    high = low * generator.uniform(1.22, 1.32)
    harmonics = (1, 0.06, 0.02)
    parts, onset = [], 0.0
    for repeat in range(generator.integers(1, 4)):
        first = generator.uniform(0.1, 0.18)
        note = tones.note([(0, low * 0.96), (0.3, low), (1, low * 1.02)], first, harmonics, sample_rate, generator)
        loudness = 0.7 + 0.15 * repeat
        parts.append((onset, loudness * 0.7 * note))
        onset += first
        if generator.random() < 0.5:  # a dry rattle may join the two
            length = generator.uniform(0.25, 0.5)
            rattle = tones.rasp(50, length, [(low * 1.15, 700, 1.0)], sample_rate, generator, noisiness=0.9)
            parts.append((onset, 0.025 * loudness * rattle))
            onset += length
        else:
            onset += generator.uniform(0.08, 0.2)
        second = generator.uniform(0.45, 0.7)
        points = [(0, low * 1.02), (0.18, low * 1.1), (0.26, high * 0.98), (0.35, high), (0.95, high * 1.01), (1, low)]
        note = tones.note(points, second, harmonics, sample_rate, generator, attack=0.04, release=0.025)
        parts.append((onset, loudness * note))
        onset += second + generator.uniform(0.3, 0.6)
    return tones.arrange(parts, sample_rate)


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
    return tones.note(shape, duration, (1, 0.03, 0.01), sample_rate, generator)


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
    return tones.arrange(parts, sample_rate)


def _greenfinch(sample_rate: int, generator: np.random.Generator) -> np.ndarray:
    if generator.random() < 0.5:  # the wheeze: a falling tone whose pitch is shaken some eighty times a second
        duration = generator.uniform(0.7, 1.0)
        num_samples = seconds_to_samples(duration, sample_rate)
        centre = tones.glide([(0, 4000), (0.35, 4500), (1, generator.uniform(3000, 3300))], num_samples)
        shake = np.sin(2 * np.pi * generator.uniform(65, 95) * np.arange(num_samples) / sample_rate)
        depth = 0.17 * np.exp(0.2 * tones.wander(num_samples, 30, sample_rate, generator))
        wheeze = tones.harmonics(centre * (1 + depth * shake), (1, 0.05), sample_rate)
        return wheeze * tones.swell(num_samples, 0.08, 0.15, sample_rate)
    top = generator.uniform(4200, 5200)  # the trill
    rate = generator.uniform(13, 20)
    count = generator.integers(10, 20)
    points = [(0, top * 0.85), (0.3, top), (1, top * 0.68)]
    notes = (tones.note(points, 0.65 / rate, (1, 0.05), sample_rate, generator, release=0.015) for _ in range(count))
    return tones.arrange(
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
            parts.append((onset, 0.6 * tones.note(points, 0.2, (1, 0.03), sample_rate, generator)))
            onset += 0.28
            continue
        rate = generator.uniform(9, 14)
        centre = generator.uniform(3200, 5500)
        pulses = generator.uniform(180, 320)
        for index in range(generator.integers(4, 10)):
            if kind == "churr":
                formants = [(centre, 1800, 1.0), (centre * 1.7, 1500, 0.35)]
                note = 0.35 * tones.rasp(pulses, 0.055, formants, sample_rate, generator, noisiness=0.7)
            else:
                points = [(0, centre * 0.6), (0.6, centre), (1, centre * 1.15)]
                note = 0.8 * tones.note(points, 0.06, (1, 0.25, 0.1), sample_rate, generator, release=0.02)
            parts.append((onset + index / rate, note))
        onset += (index + 1) / rate + generator.uniform(0.0, 0.12)
    return tones.arrange(parts, sample_rate)


def _house_sparrow(sample_rate: int, generator: np.random.Generator) -> np.ndarray:
    top = generator.uniform(4200, 5400)
    parts, onset = [], 0.0
    for _ in range(generator.integers(1, 4)):
        duration = generator.uniform(0.1, 0.16)
        points = [(0, top * 0.7), (0.18, top), (0.4, top * 0.82), (0.6, top * 0.8), (1, top * 0.52)]
        chirp = tones.note(points, duration, (1, 0.18, 0.06), sample_rate, generator, attack=0.015, release=0.05)
        parts.append((onset, generator.uniform(0.8, 1.0) * chirp))
        onset += generator.uniform(0.45, 0.8)
    return tones.arrange(parts, sample_rate)


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
    return tones.arrange(parts, sample_rate)


def _pheasant(sample_rate: int, generator: np.random.Generator) -> np.ndarray:
    base = generator.uniform(880, 1020)
    parts = []
    for onset, duration in ((0.0, generator.uniform(0.18, 0.24)), (generator.uniform(0.36, 0.44), 0.15)):
        points = [(0, base * 0.9), (0.2, base), (0.8, base), (1, base * 0.93)]
        bark = tones.note(points, duration, (1, 0.5, 0.2, 0.3, 0.1), sample_rate, generator, attack=0.015, release=0.06)
        rough = 1 + 0.6 * tones.wander(bark.size, 500, sample_rate, generator)  # "korr": the bark is hoarse
        parts.append((onset, bark * rough))
    return tones.arrange(parts, sample_rate)


def _great_reed_warbler(sample_rate: int, generator: np.random.Generator) -> np.ndarray:
    centre = generator.uniform(2300, 2900)
    pulses = generator.uniform(90, 130)
    high = generator.uniform(3300, 4200)
    parts, onset = [], 0.0
    for _ in range(generator.integers(2, 4)):
        for _ in range(generator.integers(2, 4)):  # "karre-karre"
            for _ in range(2):
                formants = [(centre, 900, 1.0), (centre * 1.5, 900, 0.3)]
                parts.append((onset, 0.3 * tones.rasp(pulses, 0.1, formants, sample_rate, generator, noisiness=0.5)))
                onset += 0.13
            onset += 0.1
        for _ in range(generator.integers(2, 4)):  # "keet-keet"
            points = [(0, high * 0.8), (0.4, high), (1, high * 0.86)]
            note = tones.note(points, 0.13, (1, 0.2, 0.08), sample_rate, generator, attack=0.02, release=0.04)
            parts.append((onset, note))
            onset += 0.22
    return tones.arrange(parts, sample_rate)


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

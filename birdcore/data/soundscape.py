"""Soundscapes mixed from single calls over backgrounds, so that every box is known exactly.

Conventions: an event's box holds 99 % of its call's energy in time and 99 % in frequency, measured on the call itself
before it is mixed. SNR is the call's mean power over the mean power of everything that is no call (background, speech,
rain), both within the call's own band and during the call's own box, in dB. Every call keeps an event of its own: calls
of one species that overlap are not merged. Calls, background and generator state being equal, the mix is equal to the
bit (with the same versions of numpy and scipy on the same kind of machine).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.fft import next_fast_len

from birdcore.data.ambience import synthesize_background
from birdcore.data.babble import synthesize_speech
from birdcore.data.energy_box import energy_box
from birdcore.data.songs import SyntheticCall
from birdcore.errors import ConfigError, DataError
from birdcore.events import Event
from birdcore.frames import samples_to_seconds, seconds_to_samples

__all__ = [
    "Call",
    "Distractor",
    "Placement",
    "RecordedCall",
    "Soundscape",
    "SoundscapeConfig",
    "band_power",
    "mix_soundscape",
]

log = logging.getLogger(__name__)

_FADE_SECONDS = 0.01
_PEAK = 0.95
_PLACING_ATTEMPTS = 40
_LOOP_FADE_SECONDS = 0.5
_BAND_MARGIN_SECONDS = 0.1

# A background that ends below a call's band (an old codec) or is silent would make any SNR there meaningless. So each
# gets a floor of white noise this far below its own level, and never below the second figure (dB of full scale).
_FLOOR_BELOW_BACKGROUND_DB = 60.0
_LOWEST_FLOOR_DB = -90.0


@dataclass(frozen=True, kw_only=True)
class SoundscapeConfig:
    """How a soundscape is mixed.

    Parameters
    ----------
    duration : seconds, at least 1
    sample_rate : Hz
    num_events : fewest and most calls tried in one soundscape; a call that finds no free place is left out
    snr_db : lowest and highest SNR, drawn evenly
    overlap : largest share of any call's duration during which others may sound; 0 keeps all apart, 1 allows anything
    speech_probability, rain_probability : how often a soundscape gets a stretch of synthetic speech, or rain
    distractor_level_db : lowest and highest level of speech and rain above the background's RMS
    """

    duration: float = 30.0
    sample_rate: int = 32_000
    num_events: tuple[int, int] = (3, 10)
    snr_db: tuple[float, float] = (0.0, 20.0)
    overlap: float = 0.25
    speech_probability: float = 0.1
    rain_probability: float = 0.1
    distractor_level_db: tuple[float, float] = (0.0, 12.0)

    def __post_init__(self) -> None:
        if not 1 <= self.duration < math.inf:
            raise ConfigError(f"duration = {self.duration}: must be at least 1 s")
        if self.sample_rate < 1:
            raise ConfigError(f"sample_rate = {self.sample_rate}: must be above 0 Hz")
        for name in ("num_events", "snr_db", "distractor_level_db"):
            pair = getattr(self, name)
            if len(pair) != 2 or not -math.inf < pair[0] <= pair[1] < math.inf:
                raise ConfigError(f"{name} = {pair}: must be two numbers, the lowest and the highest")
        if self.num_events[0] < 0:
            raise ConfigError(f"num_events = {self.num_events}: must not be below 0")
        for name in ("overlap", "speech_probability", "rain_probability"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} = {getattr(self, name)}: must be from 0 to 1")


@dataclass(frozen=True, kw_only=True, eq=False)
class RecordedCall:
    """A call cut from a recording.

    Parameters
    ----------
    label : species code
    samples : shape (num_samples,), float32
    sample_rate : Hz
    source : file and stretch it was cut from
    """

    label: str
    samples: np.ndarray
    sample_rate: int
    source: str


Call = SyntheticCall | RecordedCall
"""What can be placed in a soundscape."""


@dataclass(frozen=True, kw_only=True)
class Placement:
    """One call in a soundscape.

    Parameters
    ----------
    event : its box
    source : where the call comes from
    start : seconds; where the call's first sample lies (its box begins where its energy does, a little later)
    snr_db : SNR against everything that is no call, in its own band and box
    gain : factor on the call's samples, before the gain of the whole soundscape
    """

    event: Event
    source: str
    start: float
    snr_db: float
    gain: float


@dataclass(frozen=True, kw_only=True)
class Distractor:
    """A sound that is no bird and gets no event.

    Parameters
    ----------
    kind : "speech" or "rain", both synthesised
    onset, offset : seconds
    level_db : RMS above the background's
    """

    kind: str
    onset: float
    offset: float
    level_db: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Soundscape:
    """A mix and everything that is true of it.

    Parameters
    ----------
    samples : shape (num_samples,), float32, in [-1, 1]
    sample_rate : Hz
    placements : the calls, by onset
    distractors : the sounds that are no birds
    gain : factor on the whole mix, below 1 where its peak would otherwise have exceeded 0.95
    """

    samples: np.ndarray
    sample_rate: int
    placements: tuple[Placement, ...]
    distractors: tuple[Distractor, ...]
    gain: float

    @property
    def events(self) -> list[Event]:
        """The boxes of all calls, by onset."""
        return [placement.event for placement in self.placements]


def band_power(
    samples: np.ndarray, sample_rate: int, *, onset: float, offset: float, fmin: float, fmax: float
) -> float:
    """Mean power of a sound within a box.

    The stretch and a margin on both sides (mirrored where the sound ends) are filtered by cutting their spectrum; the
    margins taper to zero so that loud sound outside the band does not leak in, and are then left out of the mean.

    Parameters
    ----------
    samples : shape (num_samples,)
    sample_rate : Hz
    onset, offset : seconds
    fmin, fmax : Hz

    Returns
    -------
    mean square amplitude
    """
    first = seconds_to_samples(onset, sample_rate)
    last = max(first + 1, seconds_to_samples(offset, sample_rate))
    margin = seconds_to_samples(_BAND_MARGIN_SECONDS, sample_rate)
    stretch = np.asarray(samples[max(0, first - margin) : last + margin], dtype=np.float64)
    missing = (max(0, margin - first), max(0, last + margin - len(samples)))
    stretch = np.pad(stretch, missing, mode="symmetric")
    ramp = np.sin(0.5 * np.pi * (np.arange(margin) + 0.5) / margin) ** 2
    stretch[:margin] *= ramp
    stretch[-margin:] *= ramp[::-1]
    length = next_fast_len(stretch.size, real=True)
    spectrum = np.fft.rfft(stretch, length)
    frequencies = np.fft.rfftfreq(length, 1 / sample_rate)
    half_bin = 0.5 * sample_rate / length  # so that even a band narrower than a bin keeps one
    spectrum[(frequencies < fmin - half_bin) | (frequencies > fmax + half_bin)] = 0
    filtered = np.fft.irfft(spectrum, length)
    return float(np.mean(np.square(filtered[margin : stretch.size - margin])))


def mix_soundscape(
    calls: Sequence[Call], background: np.ndarray, *, config: SoundscapeConfig, generator: np.random.Generator
) -> Soundscape:
    """Place calls at random times over a background.

    For each event a species is drawn evenly from those among the calls, then one of its calls. A call is cut to the
    soundscape's length where it is longer, and fades in and out over 10 ms.

    Parameters
    ----------
    calls : the calls to draw from, at the config's sample rate; each may be drawn several times
    background : shape (any number of samples,), at the config's sample rate; a random stretch is used where it is
        longer than the soundscape; where it is shorter it is looped with cross-fades
    config : ``duration``, ``sample_rate``, ``num_events``, ``snr_db``, ``overlap`` and the distractors
    generator : the source of all chance

    Raises
    ------
    DataError
        If there are no calls but events are wanted, a call has another sample rate, or the background is empty.
    AudioError
        If a call that is drawn is silent.
    """
    for call in calls:
        if call.sample_rate != config.sample_rate:
            raise DataError(
                f"{call.source}: is at {call.sample_rate} Hz, the soundscape at {config.sample_rate} Hz; "
                "load it at the soundscape's rate"
            )
    if not calls and config.num_events[1] > 0:
        raise DataError("there are no calls to place; give some, or set num_events to (0, 0)")
    num_samples = seconds_to_samples(config.duration, config.sample_rate)
    floor, distractors = _lay_background(background, num_samples, config, generator)

    by_label: dict[str, list[Call]] = {}
    for call in calls:
        by_label.setdefault(call.label, []).append(call)
    labels = sorted(by_label)
    mix = floor.copy()
    placements: list[Placement] = []
    for _ in range(generator.integers(config.num_events[0], config.num_events[1], endpoint=True)):
        candidates = by_label[labels[generator.integers(len(labels))]]
        call = candidates[generator.integers(len(candidates))]
        sound = _faded(call.samples[:num_samples], config.sample_rate)
        onset, offset, fmin, fmax = energy_box(sound, config.sample_rate)
        taken = [(placement.event.onset, placement.event.offset) for placement in placements]
        snr_db = float(generator.uniform(*config.snr_db))
        start = _free_start(onset, offset, num_samples - sound.size, taken, config, generator)
        if start is None:
            log.debug("%s: no free place for another call", call.source)
            continue
        shift = samples_to_seconds(start, config.sample_rate)
        end = min(shift + offset, samples_to_seconds(num_samples, config.sample_rate))  # the sum may round up past it
        event = Event(label=call.label, onset=shift + onset, offset=end, fmin=fmin, fmax=fmax)
        signal = band_power(sound, config.sample_rate, onset=onset, offset=offset, fmin=fmin, fmax=fmax)
        noise = band_power(floor, config.sample_rate, onset=event.onset, offset=event.offset, fmin=fmin, fmax=fmax)
        gain = float(np.sqrt(10 ** (snr_db / 10) * noise / signal))
        mix[start : start + sound.size] += gain * sound
        placements.append(Placement(event=event, source=call.source, start=shift, snr_db=snr_db, gain=gain))

    gain = min(1.0, _PEAK / float(np.abs(mix).max()))
    return Soundscape(
        samples=(mix * gain).astype(np.float32),
        sample_rate=config.sample_rate,
        placements=tuple(sorted(placements, key=lambda placement: placement.event.onset)),
        distractors=distractors,
        gain=gain,
    )


def _lay_background(
    background: np.ndarray, num_samples: int, config: SoundscapeConfig, generator: np.random.Generator
) -> tuple[np.ndarray, tuple[Distractor, ...]]:
    """Everything that is no call: the background at full length, its noise floor, and the distractors."""
    laid = _fitted(np.asarray(background, dtype=np.float64), num_samples, config.sample_rate, generator)
    level = float(np.sqrt(np.mean(np.square(laid))))
    lowest = 10 ** (_LOWEST_FLOOR_DB / 20)
    laid += generator.normal(scale=max(lowest, level * 10 ** (-_FLOOR_BELOW_BACKGROUND_DB / 20)), size=num_samples)
    level = max(level, lowest)

    distractors = []
    for kind, probability in (("speech", config.speech_probability), ("rain", config.rain_probability)):
        if generator.random() >= probability:
            continue
        level_db = float(generator.uniform(*config.distractor_level_db))
        if kind == "speech":
            length = config.duration * float(generator.uniform(0.2, 0.5))
            onset = float(generator.uniform(0, config.duration - length))
            sound = synthesize_speech(length, sample_rate=config.sample_rate, generator=generator).astype(np.float64)
        else:
            length, onset = config.duration, 0.0
            sound = synthesize_background(
                {"rain": 0.0}, length, sample_rate=config.sample_rate, generator=generator
            ).astype(np.float64)
        start = seconds_to_samples(onset, config.sample_rate)
        sound = _faded(sound[: num_samples - start], config.sample_rate)
        sound *= level * 10 ** (level_db / 20) / np.sqrt(np.mean(np.square(sound)))
        laid[start : start + sound.size] += sound
        offset = samples_to_seconds(start + sound.size, config.sample_rate)
        distractors.append(Distractor(kind=kind, onset=onset, offset=offset, level_db=level_db))
    return laid, tuple(distractors)


def _fitted(background: np.ndarray, num_samples: int, sample_rate: int, generator: np.random.Generator) -> np.ndarray:
    """A random stretch of the background, or the background looped with cross-fades of equal power."""
    if background.size == 0:
        raise DataError("the background is empty; give at least one sample")
    if background.size >= num_samples:
        start = generator.integers(background.size - num_samples, endpoint=True)
        return background[start : start + num_samples].copy()
    fade = min(seconds_to_samples(_LOOP_FADE_SECONDS, sample_rate), background.size // 3)
    ramp = np.sin(0.5 * np.pi * (np.arange(fade) + 0.5) / max(1, fade))
    looped = background
    while looped.size < num_samples:  # twice as long each time
        seam = looped[looped.size - fade :] * ramp[::-1] + looped[:fade] * ramp
        looped = np.concatenate([looped[: looped.size - fade], seam, looped[fade:]])
    return looped[:num_samples].copy()


def _faded(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """The sound in float64 with short fades at both ends."""
    sound = np.array(samples, dtype=np.float64)
    fade = min(seconds_to_samples(_FADE_SECONDS, sample_rate), sound.size // 2)
    ramp = np.sin(0.5 * np.pi * (np.arange(fade) + 0.5) / max(1, fade)) ** 2
    sound[:fade] *= ramp
    sound[sound.size - fade :] *= ramp[::-1]
    return sound


def _free_start(
    onset: float,
    offset: float,
    last_start: int,
    taken: list[tuple[float, float]],
    config: SoundscapeConfig,
    generator: np.random.Generator,
) -> int | None:
    """First sample of a random place where no call's overlapped share becomes too large; None if none was found."""
    for _ in range(_PLACING_ATTEMPTS):
        start = int(generator.integers(last_start, endpoint=True))
        shift = samples_to_seconds(start, config.sample_rate)
        boxes = [*taken, (shift + onset, shift + offset)]
        shares = (_covered_share(box, boxes[:i] + boxes[i + 1 :]) for i, box in enumerate(boxes))
        if all(share <= config.overlap for share in shares):
            return start
    return None


def _covered_share(span: tuple[float, float], others: list[tuple[float, float]]) -> float:
    """Share of a span during which at least one of the others lasts."""
    covered, reached = 0.0, span[0]
    for onset, offset in sorted(others):
        onset, offset = max(onset, reached), min(offset, span[1])
        if offset > onset:
            covered += offset - onset
            reached = offset
    return covered / (span[1] - span[0])

"""Places without birds, made by formula: air, wind, rain, running water, insects."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
from scipy.signal import lfilter

from birdcore.data import tones
from birdcore.errors import ConfigError

__all__ = ["BACKGROUND_LAYERS", "synthesize_background"]


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
    num_samples = tones.checked_length(duration, sample_rate)
    total = np.zeros(num_samples)
    for name in sorted(levels):  # sorted, so that the order in which layers are named changes nothing
        layer = _LAYERS[name](num_samples, sample_rate, generator)
        total += layer * (10 ** (levels[name] / 20) / np.sqrt(np.mean(np.square(layer))))
    return total.astype(np.float32)


def _air(num_samples: int, sample_rate: int, generator: np.random.Generator) -> np.ndarray:
    """The even hiss of a quiet place and of the recorder: pink noise above 60 Hz."""
    return tones.noise(
        num_samples, sample_rate, lambda f: tones.hump(f, 60, 20_000, 1) / np.sqrt(np.maximum(f, 60)), generator
    )


def _wind(num_samples: int, sample_rate: int, generator: np.random.Generator) -> np.ndarray:
    """Low-passed pink noise that swells in gusts, with the rustle of leaves in the strongest of them."""
    gust = np.exp(0.6 * tones.wander(num_samples, 0.4, sample_rate, generator))
    rumble = tones.noise(
        num_samples, sample_rate, lambda f: 1 / np.sqrt(np.maximum(f, 20)) / (1 + (f / 350) ** 2), generator
    )
    rustle = tones.noise(num_samples, sample_rate, lambda f: tones.hump(f, 1200, 6000), generator)
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
    hiss = tones.noise(num_samples, sample_rate, lambda f: tones.hump(f, 800, 7000, 1), generator)
    drops = _drops(num_samples, 120, (1100, 1900, 2900, 4300, 6100), 1.0, sample_rate, generator)
    swell = np.exp(0.2 * tones.wander(num_samples, 0.3, sample_rate, generator))
    return swell * (hiss + 1.5 * drops)


def _stream(num_samples: int, sample_rate: int, generator: np.random.Generator) -> np.ndarray:
    """Running water: ringing bubbles of many sizes over a steady rush."""
    rush = tones.noise(num_samples, sample_rate, lambda f: tones.hump(f, 250, 1800), generator)
    sizes = np.geomspace(380, 2600, 9) * generator.uniform(0.9, 1.1, size=9)
    bubbles = _drops(num_samples, 12, sizes, 9.0, sample_rate, generator)
    return rush * np.exp(0.15 * tones.wander(num_samples, 2, sample_rate, generator)) + 0.35 * bubbles


def _insects(num_samples: int, sample_rate: int, generator: np.random.Generator) -> np.ndarray:
    """A light hum: two narrow bands of noise, each beaten by wings or legs some tens of times a second."""
    time = np.arange(num_samples) / sample_rate
    total = np.zeros(num_samples)
    for low, high in ((5200, 5700), (6400, 7100)):
        centre = generator.uniform(low, high)
        band = tones.noise(
            num_samples, sample_rate, lambda f, centre=centre: np.exp(-(((f - centre) / 120) ** 2)), generator
        )
        beat = 0.5 + 0.5 * np.sin(2 * np.pi * generator.uniform(25, 50) * time)
        total += band * beat**2 * np.exp(0.4 * tones.wander(num_samples, 0.5, sample_rate, generator))
    return total


_LAYERS: Mapping[str, Callable[[int, int, np.random.Generator], np.ndarray]] = MappingProxyType(
    {"air": _air, "insects": _insects, "rain": _rain, "stream": _stream, "wind": _wind}
)

BACKGROUND_LAYERS: tuple[str, ...] = tuple(_LAYERS)
"""Names of the layers that :func:`synthesize_background` can lay over each other."""

"""Babble made by formula: the sound and rhythm of one person talking, without words."""

from __future__ import annotations

import numpy as np

from birdcore.data import tones
from birdcore.frames import samples_to_seconds, seconds_to_samples

__all__ = ["synthesize_speech"]

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
    num_samples = tones.checked_length(duration, sample_rate)
    pitch = generator.uniform(90, 240)
    phrases, onset = [], 0.0
    while onset < duration:
        phrase = _phrase(pitch, sample_rate, generator)
        phrases.append((onset, phrase))
        onset += samples_to_seconds(phrase.size, sample_rate) + generator.uniform(0.2, 0.6)
    speech = tones.arrange(phrases, sample_rate)
    speech *= tones.PEAK / np.abs(speech).max()
    return np.pad(speech, (0, max(0, num_samples - speech.size)))[:num_samples].astype(np.float32)


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

    stress = np.exp(0.08 * tones.wander(num_samples, 3, sample_rate, generator))
    jitter = np.exp(0.012 * tones.wander(num_samples, 60, sample_rate, generator))
    frequency = pitch * np.linspace(1.1, 0.82, num_samples) * stress * jitter
    loudness, hiss = np.zeros(num_samples), np.zeros(num_samples)
    start = 0
    for length in lengths:
        consonant = int(length * generator.uniform(0.15, 0.35))
        voiced = slice(start + consonant, start + length)
        loudness[voiced] = generator.uniform(0.6, 1.0) * tones.swell(length - consonant, 0.025, 0.05, sample_rate)
        if generator.random() < 0.4:
            hiss[start : start + consonant] = generator.uniform(0.02, 0.06) * tones.swell(
                consonant, 0.015, 0.015, sample_rate
            )
        start += length
    formants = [(moving[0], 90, 1.0), (moving[1], 120, 0.6), (moving[2], 180, 0.35), (3500 * higher, 300, 0.15)]
    voice = tones.voice(frequency, formants, sample_rate, tilt=0.4, ceiling=5000.0) * loudness
    fricative = tones.noise(num_samples, sample_rate, lambda f: tones.hump(f, 3500, 6500), generator) * hiss
    return voice / np.abs(voice).max() + fricative

"""Ticks and colours of pictures."""

import numpy as np
import pytest

from birdcore.features.spectrogram import DisplayConfig, display_spectrogram
from birdcore.picture_axes import color_limits, frequency_ticks

RATE = 32_000


@pytest.fixture(scope="module")
def sound():
    noise = np.random.default_rng(0).normal(0, 0.01, RATE)
    return (noise + 0.3 * np.sin(2 * np.pi * 4000 * np.arange(RATE) / RATE)).astype(np.float32)


@pytest.fixture(scope="module")
def pictures(sound):
    return {
        scale: display_spectrogram(sound, RATE, config=DisplayConfig(frequency_scale=scale))
        for scale in ("linear", "mel", "log")
    }


@pytest.mark.parametrize("scale", ["linear", "mel", "log"])
def test_ticks_stand_at_the_rows_of_their_frequencies(pictures, scale):
    picture = pictures[scale]
    positions, labels = frequency_ticks(picture)
    assert len(positions) == len(labels) >= 4
    for position, label in zip(positions, labels, strict=True):
        hertz = 1000 * float(label)
        nearest = picture.rows[round(position)]
        step = np.diff(picture.edges)[round(position)]
        assert abs(nearest - hertz) <= step


def test_the_colour_range_ends_at_the_loudest_point(pictures):
    low, high = color_limits(pictures["mel"], range_db=60)
    assert high == pytest.approx(pictures["mel"].values.max()) and high - low == 60


def test_silence_and_constant_pictures_have_a_colour_range():
    silence = np.zeros(RATE, np.float32)
    for scaling in ("db", "pcen"):
        picture = display_spectrogram(silence, RATE, config=DisplayConfig(scaling=scaling))
        low, high = color_limits(picture, range_db=60)
        assert low < high

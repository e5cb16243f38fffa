"""Synthesised places have the levels asked for."""

import numpy as np
import pytest

from birdcore.data.ambience import BACKGROUND_LAYERS, synthesize_background
from birdcore.data.energy_box import energy_box
from birdcore.errors import ConfigError

SAMPLE_RATE = 32_000
assert len(BACKGROUND_LAYERS) > 0


@pytest.mark.parametrize("layer", BACKGROUND_LAYERS)
def test_a_background_layer_has_the_level_and_length_asked_for(layer):
    sound = synthesize_background({layer: -30.0}, 2.5, sample_rate=SAMPLE_RATE, generator=np.random.default_rng(1))
    assert sound.shape == (80_000,)
    assert sound.dtype == np.float32
    assert 20 * np.log10(np.sqrt(np.mean(np.square(sound, dtype=np.float64)))) == pytest.approx(-30, abs=0.01)


def test_layers_add_up_in_power_and_their_order_changes_nothing():
    levels = {"wind": -30.0, "rain": -30.0}
    sound = synthesize_background(levels, 2.0, sample_rate=SAMPLE_RATE, generator=np.random.default_rng(4))
    turned = synthesize_background(
        dict(reversed(levels.items())), 2.0, sample_rate=SAMPLE_RATE, generator=np.random.default_rng(4)
    )
    np.testing.assert_array_equal(sound, turned)
    assert 20 * np.log10(sound.std()) == pytest.approx(-27, abs=0.5)


def test_wind_is_low_and_rain_is_broadband_and_impulsive():
    wind, rain, stream = (
        synthesize_background({name: -30.0}, 4.0, sample_rate=SAMPLE_RATE, generator=np.random.default_rng(7))
        for name in ("wind", "rain", "stream")
    )
    assert energy_box(wind, SAMPLE_RATE, share=0.9)[3] < 700
    assert energy_box(rain, SAMPLE_RATE, share=0.9)[3] > 5000

    def crest(sound):
        return np.abs(sound).max() / sound.std()

    assert crest(rain) > 1.5 * crest(stream)


@pytest.mark.parametrize(
    ("levels", "duration", "message"),
    [
        ({"snow": -30.0}, 1.0, "'snow': no such layer"),
        ({}, 1.0, "no layer is named"),
        ({"wind": -30.0}, 0.0, "must be above 0"),
    ],
)
def test_impossible_backgrounds_are_refused(levels, duration, message):
    with pytest.raises(ConfigError, match=message):
        synthesize_background(levels, duration, sample_rate=SAMPLE_RATE, generator=np.random.default_rng(0))

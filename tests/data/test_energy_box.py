"""The box of a sound is where its energy is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from birdcore.data.energy_box import energy_box
from birdcore.data.songs import synthesize_call
from birdcore.errors import AudioError

SAMPLE_RATE = 32_000


def test_the_box_of_a_tone_burst_is_where_the_burst_is():
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    burst = np.where((time >= 0.25) & (time < 0.75), np.sin(2 * np.pi * 3000 * time), 0)
    onset, offset, fmin, fmax = energy_box(burst, SAMPLE_RATE)
    assert (onset, offset) == pytest.approx((0.2525, 0.7475), abs=0.001)
    assert 2900 < fmin < 3000 < fmax < 3100


def test_the_box_of_a_single_click_is_not_empty():
    click = np.zeros(1000, dtype=np.float32)
    click[400] = 1
    onset, offset, fmin, fmax = energy_box(click, SAMPLE_RATE)
    assert onset < offset and fmin < fmax
    assert onset == 400 / SAMPLE_RATE


@given(shift=st.integers(0, 5000))
@settings(max_examples=20, deadline=None)
def test_a_shift_of_the_sound_shifts_the_box(shift):
    sound = synthesize_call("houspa", sample_rate=SAMPLE_RATE, generator=np.random.default_rng(2)).samples
    onset, offset, fmin, fmax = energy_box(np.pad(sound, (0, 5000)), SAMPLE_RATE)
    moved = energy_box(np.pad(sound, (shift, 5000 - shift)), SAMPLE_RATE)
    assert moved == pytest.approx((onset + shift / SAMPLE_RATE, offset + shift / SAMPLE_RATE, fmin, fmax), abs=1e-6)


@pytest.mark.parametrize("samples", [np.zeros(100), np.zeros(0)])
def test_silence_has_no_box(samples):
    with pytest.raises(AudioError, match="empty or silent"):
        energy_box(samples, SAMPLE_RATE)

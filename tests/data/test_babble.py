"""Babble sounds like speech in what can be measured."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from birdcore.data.babble import synthesize_speech
from birdcore.data.energy_box import energy_box

SAMPLE_RATE = 32_000


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_babble_has_the_pitch_the_band_and_the_syllables_of_speech(seed):
    speech = synthesize_speech(6.0, sample_rate=16_000, generator=np.random.default_rng(seed)).astype(np.float64)
    assert speech.shape == (96_000,)
    assert 0.4 < np.abs(speech).max() <= 0.9 + 1e-6
    _, _, fmin, fmax = energy_box(speech, 16_000, share=0.9)
    assert 60 < fmin < 700
    assert fmax < 4000
    # The loudness must beat at the rate of syllables, 2 to 8 a second, as in every language.
    loudness = np.sqrt(np.mean(np.square(speech.reshape(-1, 160)), axis=1))  # 100 a second
    spectrum = np.abs(np.fft.rfft(loudness - loudness.mean())) ** 2
    rates = np.fft.rfftfreq(loudness.size, 0.01)
    assert spectrum[(rates >= 2) & (rates <= 8)].sum() > spectrum[(rates > 8) & (rates <= 30)].sum()


def test_babble_is_cut_to_any_length():
    for num_samples in (1, 100, 3200, 40_000):
        speech = synthesize_speech(num_samples / 16_000, sample_rate=16_000, generator=np.random.default_rng(1))
        assert speech.shape == (num_samples,)
        assert np.isfinite(speech).all()

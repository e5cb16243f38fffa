import numpy as np
import pytest

from birdcore.data.augmentation import add_in_power, equalize, reduce_noise_in_mel, shift_frequency, stretch_time


def picture(seed=0):
    return np.random.default_rng(seed).uniform(0, 1, size=(50, 80)).astype(np.float32)


def test_sounds_add_in_power():
    first, second = picture(0), picture(1)
    assert np.allclose(add_in_power(first, second, power=1) ** 2, first**2 + second**2, rtol=1e-5)
    assert np.array_equal(add_in_power(first, second, power=2), first + second)


def test_silence_added_changes_nothing():
    first = picture()
    assert np.allclose(add_in_power(first, np.zeros_like(first), power=1), first)


def test_equalizer_of_no_strength_changes_nothing_and_its_gain_is_the_same_in_every_frame():
    mel = picture() + 0.1
    assert (
        equalize(mel, positions=np.linspace(0, 1, 80), strength_db=0.0, power=1, generator=np.random.default_rng(0))
        is mel
    )
    gain = (
        equalize(mel, positions=np.linspace(0, 1, 80), strength_db=6.0, power=1, generator=np.random.default_rng(0))
        / mel
    )
    assert np.allclose(gain, gain[0], rtol=1e-4)
    assert gain.std() > 0


def test_whole_band_shift_moves_rows():
    mel = picture()
    assert np.allclose(shift_frequency(mel, bands=1.0)[:, 1:], mel[:, :-1])


def test_stretch_keeps_a_ramp_a_ramp():
    ramp = np.linspace(0, 1, 100, dtype=np.float32)[:, None]
    stretched = stretch_time(ramp, num_frames=50)
    assert stretched.shape == (50, 1)
    assert np.all(np.diff(stretched[:, 0]) > 0)
    assert abs(stretched.mean() - 0.5) < 1e-3


@pytest.mark.parametrize("power", [1, 2])
def test_noise_reduction_keeps_what_stands_out_and_turns_down_the_rest(power):
    mel = np.random.default_rng(0).uniform(0.5, 1.0, size=(1000, 80)).astype(np.float32) ** power
    mel[500:520, 30:40] = 20.0**power
    reduced = reduce_noise_in_mel(mel, frame_seconds=0.01, power=power)
    assert reduced.dtype == np.float32 and (reduced <= mel * 1.0001).all()
    assert (reduced[503:517, 32:38] > 0.9 * mel[503:517, 32:38]).all()
    rest = 20 * np.log10((reduced[:300] / mel[:300]).mean()) / power
    assert -20.5 < rest < -15


@pytest.mark.parametrize("num_frames", [1, 2, 30])
def test_noise_reduction_of_next_to_nothing_is_finite(num_frames):
    assert not reduce_noise_in_mel(np.zeros((num_frames, 80)), frame_seconds=0.01, power=1).any()
    assert np.isfinite(reduce_noise_in_mel(np.ones((num_frames, 80)), frame_seconds=0.01, power=2)).all()

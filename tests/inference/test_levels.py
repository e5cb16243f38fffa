import numpy as np
import pytest

from birdcore.config import MEL_PRESETS
from birdcore.features.mel import MelSpectrogram, MelStream
from birdcore.inference.levels import LevelMeter

NAMES = ("birdnet", "yamnet_wide", "s0")
STRIDE = 4


def metered(name, samples, block_seconds=1.0, num_frames=None):
    """The meter after a sound that came in blocks, and what it says."""
    features = MEL_PRESETS[name]
    meter, stream = LevelMeter(features, STRIDE), MelStream(MelSpectrogram(features).eval())
    block = round(block_seconds * features.sample_rate)
    for begin in range(0, len(samples), block):
        meter.push(stream.push(samples[begin : begin + block]))
    meter.push(stream.finish())
    frame_seconds = features.frame_seconds * STRIDE
    return meter, meter.finish(num_frames or int(np.ceil(len(samples) / features.sample_rate / frame_seconds)))


def noise(name, seconds, level=0.01):
    generator = np.random.default_rng(0)
    return (level * generator.standard_normal(round(seconds * MEL_PRESETS[name].sample_rate))).astype(np.float32)


@pytest.mark.parametrize("name", NAMES)
def test_a_call_stands_above_the_noise_in_its_band_and_time_only(name):
    rate, sound = MEL_PRESETS[name].sample_rate, noise(name, 12.0)
    begin, end = round(6.0 * rate), round(6.5 * rate)
    sound[begin:end] += 0.1 * np.sin(2 * np.pi * 3000.0 * np.arange(end - begin) / rate).astype(np.float32)
    meter, above = metered(name, sound)
    frame_seconds = MEL_PRESETS[name].frame_seconds * STRIDE
    during = slice(int(6.1 / frame_seconds), int(6.4 / frame_seconds))
    band = int(np.searchsorted(meter.band_edges, 3000.0)) - 1
    assert above[during, band].min() > 10
    elsewhere = np.delete(above[during].astype(np.float32), range(max(0, band - 2), band + 3), axis=1)
    assert np.median(elsewhere) < 3
    assert np.median(above[: int(5.5 / frame_seconds), band]) < 3


@pytest.mark.parametrize("name", NAMES)
def test_blocks_do_not_matter(name):
    sound = noise(name, 47.0) * np.linspace(0.1, 1.0, 47 * MEL_PRESETS[name].sample_rate, dtype=np.float32)
    _, whole = metered(name, sound, block_seconds=60.0)
    _, parts = metered(name, sound, block_seconds=0.7)
    assert np.allclose(whole, parts, atol=0.1)


def test_the_background_is_that_of_its_time():
    """Rain that sets in stands out at first, and is the background later on."""
    sound = noise("birdnet", 100.0)
    sound[len(sound) // 2 :] *= 30
    _, above = metered("birdnet", sound)
    seconds = np.arange(len(above)) * MEL_PRESETS["birdnet"].frame_seconds * STRIDE
    loudness = np.median(above.astype(np.float32), axis=1)
    assert np.abs(loudness[seconds < 30]).max() < 5
    assert loudness[(seconds > 50.5) & (seconds < 52)].min() > 15
    assert np.abs(loudness[seconds > 75]).max() < 5


@pytest.mark.parametrize("name", NAMES)
def test_silence_and_the_shortest_sound_are_finite(name):
    for sound in (np.zeros(3 * MEL_PRESETS[name].sample_rate, np.float32), np.zeros(1, np.float32)):
        meter, above = metered(name, sound)
        assert above.shape[1] == len(meter.band_edges) - 1
        assert np.isfinite(above).all()


def test_as_many_frames_as_asked_for():
    sound = noise("birdnet", 5.0)
    _, few = metered("birdnet", sound, num_frames=10)
    _, many = metered("birdnet", sound, num_frames=2000)
    assert len(few) == 10 and len(many) == 2000 and (many[-1] == many[-1000]).all()
    assert (few == many[:10]).all()


def test_levels_are_those_of_power_whatever_the_filters_sum():
    """Twice the amplitude is 6 dB, from magnitudes as from powers."""
    for name in NAMES:
        generator = np.random.default_rng(1)
        mel = generator.uniform(0.5, 1.0, (MEL_PRESETS[name].num_rows, 4000)).astype(np.float32)
        mel[:, 2000:2004] *= 2 ** MEL_PRESETS[name].power
        meter = LevelMeter(MEL_PRESETS[name], STRIDE)
        meter.push(mel)
        above = meter.finish(1000)
        assert np.median(above[500] - np.median(above[400:490].astype(np.float32), axis=0)) == pytest.approx(6, abs=1)

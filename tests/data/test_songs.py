"""Synthesised calls fill their boxes, keep to their bands, and come from the generator alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from birdcore.data.babble import synthesize_speech
from birdcore.data.recordings import read_manifest
from birdcore.data.songs import SONGS, synthesize_call
from birdcore.errors import ConfigError

SAMPLE_RATE = 32_000
assert len(SONGS) > 0

# Hz in which the louder part of each species' song lies, from spectrograms of recordings.
BANDS = {
    "blackc1": (1500, 7500),
    "eurbla": (1400, 7500),
    "eurgre1": (2500, 7000),
    "eutkne1": (1700, 6500),
    "gretit1": (2500, 8500),
    "grrwar1": (900, 9000),
    "houspa": (2000, 11_000),
    "litowl1": (700, 6800),
    "mallar3": (200, 8000),
    "rinphe1": (600, 6000),
    "sedwar1": (900, 12_500),
}


def call(label, seed, sample_rate=SAMPLE_RATE):
    return synthesize_call(label, sample_rate=sample_rate, generator=np.random.default_rng(seed))


@pytest.mark.parametrize("label", sorted(SONGS))
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_call_fills_its_box_and_keeps_to_the_band_of_its_species(label, seed):
    sound = call(label, seed)
    num_samples = sound.samples.size
    assert sound.label == label
    assert sound.samples.dtype == np.float32
    assert np.abs(sound.samples).max() == pytest.approx(0.9)
    assert 0 <= sound.onset < sound.offset <= num_samples / SAMPLE_RATE
    assert BANDS[label][0] <= sound.fmin < sound.fmax <= BANDS[label][1]
    assert 0.05 < sound.offset - sound.onset < 8

    power = np.square(sound.samples.astype(np.float64))
    inside = power[round(sound.onset * SAMPLE_RATE) : round(sound.offset * SAMPLE_RATE)]
    assert inside.sum() >= 0.99 * power.sum()
    spectrum = np.square(np.abs(np.fft.rfft(sound.samples)))
    frequencies = np.fft.rfftfreq(num_samples, 1 / SAMPLE_RATE)
    assert spectrum[(frequencies >= sound.fmin) & (frequencies <= sound.fmax)].sum() >= 0.989 * spectrum.sum()


@pytest.mark.parametrize("label", sorted(SONGS))
def test_the_same_seed_gives_the_same_bits_and_another_seed_another_call(label):
    first, again, other = call(label, 5), call(label, 5), call(label, 6)
    np.testing.assert_array_equal(first.samples, again.samples)
    assert (first.onset, first.offset, first.fmin, first.fmax) == (again.onset, again.offset, again.fmin, again.fmax)
    assert first.samples.shape != other.samples.shape or not np.array_equal(first.samples, other.samples)


@pytest.mark.parametrize("sample_rate", [16_000, 22_050, 48_000, 96_000])
@pytest.mark.parametrize("label", sorted(SONGS))
def test_calls_can_be_made_at_any_usual_sample_rate(label, sample_rate):
    sound = call(label, 1, sample_rate)
    assert np.isfinite(sound.samples).all()
    assert sound.fmax <= sample_rate / 2


def test_the_sample_rate_changes_the_sampling_and_not_the_call():
    low, high = call("eurbla", 3, 32_000), call("eurbla", 3, 64_000)
    assert high.samples.size == pytest.approx(2 * low.samples.size, abs=400)
    assert high.offset - high.onset == pytest.approx(low.offset - low.onset, abs=0.1)
    assert high.fmin == pytest.approx(low.fmin, rel=0.1)


def test_songs_are_those_of_species_in_the_manifest(shared_data):
    names = {recording.label: recording.common_name for recording in read_manifest(shared_data / "manifest.csv")}
    assert {label: song.common_name for label, song in SONGS.items()} == {label: names[label] for label in SONGS}


def test_an_unknown_song_is_named_with_those_that_exist():
    with pytest.raises(ConfigError, match=r"'dodo': no such song .* gretit1"):
        call("dodo", 0)


def test_a_sample_rate_too_low_for_birds_is_refused():
    with pytest.raises(ConfigError, match="at least 16000 Hz"):
        call("gretit1", 0, 8000)
    with pytest.raises(ConfigError, match="at least 16000 Hz"):
        synthesize_speech(1.0, sample_rate=8000, generator=np.random.default_rng(0))

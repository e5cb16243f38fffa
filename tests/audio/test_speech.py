"""The speech is synthetic babble (formants, syllables, phrases), which the detector takes for a person talking."""

import itertools
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from birdcore.audio import speech
from birdcore.audio.decode import load_audio
from birdcore.audio.speech import find_speech, remove_speech, speech_probabilities
from birdcore.data.babble import synthesize_speech
from birdcore.errors import AudioError, ConfigError
from birdcore.places import project_root

SAMPLE_RATE = 32_000


@pytest.fixture(scope="module")
def talk_over_birds(make_song):
    """Nine seconds of a bird; a person talks from 3 s to 6 s."""
    samples = 0.1 * make_song(9, SAMPLE_RATE)
    samples[3 * SAMPLE_RATE : 6 * SAMPLE_RATE] += 0.5 * synthesize_speech(
        3.0, sample_rate=SAMPLE_RATE, generator=np.random.default_rng(0)
    )
    return samples


def total(spans):
    return sum(offset - onset for onset, offset in spans)


def test_speech_is_found_where_it_is(talk_over_birds):
    spans = find_speech(talk_over_birds, SAMPLE_RATE)
    assert spans[0][0] == pytest.approx(3, abs=0.3)
    assert spans[-1][1] == pytest.approx(6, abs=0.3)
    assert total(spans) > 2
    assert all(a[1] < b[0] for a, b in itertools.pairwise(spans))


@pytest.mark.parametrize("sample_rate", [8000, 16_000, 44_100])
def test_speech_is_found_at_any_sample_rate(sample_rate):
    talk = synthesize_speech(3.0, sample_rate=16_000, generator=np.random.default_rng(1))
    if sample_rate == 8000:
        talk = talk[::2]
    elif sample_rate != 16_000:
        talk = np.interp(np.arange(0, len(talk), 16_000 / sample_rate), np.arange(len(talk)), talk)
    assert total(find_speech(talk, sample_rate)) > 2


def test_removed_speech_leaves_silence_and_the_rest_as_it_was(talk_over_birds):
    spans = find_speech(talk_over_birds, SAMPLE_RATE)
    removed = remove_speech(talk_over_birds, SAMPLE_RATE)
    assert removed.shape == talk_over_birds.shape
    for onset, offset in spans:
        assert not removed[round(onset * SAMPLE_RATE) : round(offset * SAMPLE_RATE)].any()
    early, late = round(2.5 * SAMPLE_RATE), round(6.5 * SAMPLE_RATE)
    assert np.array_equal(removed[:early], talk_over_birds[:early])
    assert np.array_equal(removed[late:], talk_over_birds[late:])


def test_a_bird_is_no_person(make_song):
    assert find_speech(make_song(5, SAMPLE_RATE), SAMPLE_RATE) == []


@pytest.mark.parametrize(
    "samples",
    [np.zeros(20_000), np.full(20_000, 0.5), np.ones(1), np.sign(np.sin(np.arange(20_000)))],
    ids=["silence", "constant", "one sample", "clipped"],
)
def test_nothing_is_found_in_what_is_no_sound(samples):
    probabilities = speech_probabilities(samples, 16_000)
    assert np.isfinite(probabilities).all()
    assert find_speech(samples, 16_000) == []
    assert np.array_equal(remove_speech(samples, 16_000), samples.astype(np.float32))


def test_there_is_one_probability_for_each_frame_begun():
    assert speech_probabilities(np.zeros(512), 16_000).shape == (1,)
    assert speech_probabilities(np.zeros(513), 16_000).shape == (2,)


def spans_of(probabilities, monkeypatch, **settings):
    """The spans that a course of probabilities leads to."""
    monkeypatch.setattr(speech, "speech_probabilities", lambda *_: np.array(probabilities))
    return find_speech(np.zeros(len(probabilities) * 512), 16_000, **settings)


def test_short_pauses_are_bridged_and_long_ones_are_not(monkeypatch):
    talk = [0.9] * 20
    assert len(spans_of([0.0] * 20 + talk + [0.0] * 8 + talk + [0.0] * 20, monkeypatch)) == 1
    assert len(spans_of([0.0] * 20 + talk + [0.0] * 20 + talk + [0.0] * 20, monkeypatch)) == 2


def test_speech_goes_on_while_the_probability_is_a_little_lower(monkeypatch):
    (span,) = spans_of([0.0] * 20 + [0.6] + [0.4] * 30 + [0.2] * 20, monkeypatch)
    assert span == pytest.approx((20 * 0.032 - 0.1, 51 * 0.032 + 0.1))
    assert spans_of([0.4] * 60, monkeypatch) == []


def test_a_blip_is_no_speech(monkeypatch):
    assert spans_of([0.0] * 20 + [0.9] * 7 + [0.0] * 20, monkeypatch) == []


def test_spans_stay_within_the_recording_and_apart(monkeypatch):
    assert spans_of([0.9] * 30, monkeypatch) == [(0.0, 30 * 0.032)]
    # 0.32 s apart, and 0.1 s wider on both sides: still two, with silence between.
    first, second = spans_of([0.9] * 20 + [0.0] * 10 + [0.9] * 20, monkeypatch)
    assert first[1] < second[0]


def test_a_higher_threshold_finds_less(talk_over_birds):
    assert total(find_speech(talk_over_birds, SAMPLE_RATE, threshold=0.95)) <= total(
        find_speech(talk_over_birds, SAMPLE_RATE, threshold=0.3)
    )


def test_what_makes_no_sense_is_refused(monkeypatch):
    with pytest.raises(ConfigError, match="threshold 1: must be above 0 and below 1"):
        find_speech(np.zeros(100), 16_000, threshold=1)
    with pytest.raises(AudioError, match="empty"):
        find_speech(np.zeros(0), 16_000)


def test_a_missing_package_is_named(monkeypatch):
    speech._network.cache_clear()
    monkeypatch.setattr(speech.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(AudioError, match=r"the package silero-vad is missing; pip install -r requirements\.txt"):
        find_speech(np.zeros(1000), 16_000)


def test_finding_speech_loads_no_torch():
    code = (
        "import sys, numpy; from birdcore.audio.speech import find_speech; "
        "find_speech(numpy.zeros(1000), 16000); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=project_root()).returncode == 0


def test_real_birds_are_not_taken_for_people(shared_data):
    table = pd.read_csv(shared_data / "manifest.csv")
    chosen = table[table.kind == "field"].groupby("species_code").head(1)
    assert len(chosen) > 15
    shares = []
    for path in chosen.path:
        sound = load_audio(shared_data / path, sample_rate=16_000, duration=10.0)
        shares.append(total(find_speech(sound.samples, 16_000)) / (len(sound.samples) / 16_000))
    assert max(shares) < 0.5
    assert np.mean(shares) < 0.05

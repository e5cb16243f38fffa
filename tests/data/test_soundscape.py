"""Mixed soundscapes: the boxes are true, the SNR is the one asked for, and equal seeds give equal bits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from birdcore.data.ambience import synthesize_background
from birdcore.data.songs import SONGS, synthesize_call
from birdcore.data.soundscape import (
    RecordedCall,
    SoundscapeConfig,
    band_power,
    mix_soundscape,
)
from birdcore.errors import AudioError, ConfigError, DataError

SAMPLE_RATE = 16_000
LABELS = ("gretit1", "eurbla", "litowl1", "mallar3", "houspa")


def make_calls(seed=0, labels=LABELS):
    generator = np.random.default_rng(seed)
    return [synthesize_call(label, sample_rate=SAMPLE_RATE, generator=generator) for label in labels]


def make_background(seed=0, duration=12.0):
    levels = {"air": -40.0, "wind": -35.0}
    return synthesize_background(levels, duration, sample_rate=SAMPLE_RATE, generator=np.random.default_rng([seed, 1]))


def make_config(**changes):
    settings_ = dict(
        duration=10.0, sample_rate=SAMPLE_RATE, num_events=(1, 6), speech_probability=0.0, rain_probability=0.0
    )
    return SoundscapeConfig(**{**settings_, **changes})


CALLS = make_calls()
BACKGROUND = make_background()
SILENCE = np.zeros(1000, dtype=np.float32)


def mix(seed, calls=CALLS, background=BACKGROUND, **changes):
    return mix_soundscape(calls, background, config=make_config(**changes), generator=np.random.default_rng(seed))


def decibels(ratio):
    return 10 * np.log10(ratio)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_boxes_lie_inside_the_soundscape(seed):
    soundscape = mix(seed)
    assert soundscape.samples.shape == (160_000,)
    assert soundscape.samples.dtype == np.float32
    assert 1 <= len(soundscape.events) <= 6
    for placement in soundscape.placements:
        event = placement.event
        assert 0 <= placement.start <= event.onset < event.offset <= 10.0
        assert 0 <= event.fmin < event.fmax <= SAMPLE_RATE / 2
    assert soundscape.events == sorted(soundscape.events, key=lambda event: event.onset)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_a_box_holds_the_energy_of_its_call_in_time_and_band(seed):
    # Over silence, what is heard is the call: nothing but the floor of white noise lies 60 dB below it.
    soundscape = mix(seed, background=SILENCE, num_events=(1, 1), snr_db=(60.0, 60.0))
    event = soundscape.events[0]
    samples = soundscape.samples.astype(np.float64)
    inside = samples[round(event.onset * SAMPLE_RATE) : round(event.offset * SAMPLE_RATE)]
    assert np.square(inside).sum() >= 0.95 * np.square(samples).sum()
    spectrum = np.square(np.abs(np.fft.rfft(inside)))
    frequencies = np.fft.rfftfreq(inside.size, 1 / SAMPLE_RATE)
    in_band = (frequencies >= event.fmin) & (frequencies <= event.fmax)
    assert spectrum[in_band].sum() >= 0.95 * np.square(np.abs(np.fft.rfft(samples))).sum() * inside.size / samples.size


def test_a_call_longer_than_the_soundscape_is_cut_and_its_box_is_that_of_what_is_left():
    time = np.arange(20 * SAMPLE_RATE) / SAMPLE_RATE
    drone = RecordedCall(label="drone", samples=np.sin(2 * np.pi * 2000 * time), sample_rate=SAMPLE_RATE, source="test")
    soundscape = mix(0, calls=[drone], num_events=(1, 1), snr_db=(40.0, 40.0))
    event = soundscape.events[0]
    assert event.onset == pytest.approx(0.05, abs=0.03)
    assert event.offset == pytest.approx(9.95, abs=0.03)
    assert event.fmin < 2000 < event.fmax
    assert abs(soundscape.samples[0]) < 0.02 and abs(soundscape.samples[-1]) < 0.02


def test_overlapping_calls_of_one_species_keep_an_event_each():
    soundscape = mix(0, calls=make_calls(labels=("eurbla",)), num_events=(12, 12), overlap=1.0)
    assert len(soundscape.events) == 12
    assert {event.label for event in soundscape.events} == {"eurbla"}
    assert any(
        first.offset > second.onset for first, second in zip(soundscape.events, soundscape.events[1:], strict=False)
    )


@given(seed=st.integers(0, 2**32 - 1), snr_db=st.floats(-10, 40))
@settings(max_examples=20, deadline=None)
def test_the_snr_asked_for_is_met_in_the_band_of_the_call(seed, snr_db):
    # The same chance over the same background, once with the call and once so faint that it vanishes, tells them apart.
    loud = mix(seed, num_events=(1, 1), snr_db=(snr_db, snr_db))
    faint = mix(seed, num_events=(1, 1), snr_db=(-120.0, -120.0))
    event = loud.events[0]
    assert faint.events == loud.events
    noise = faint.samples.astype(np.float64) / faint.gain
    call = loud.samples.astype(np.float64) / loud.gain - noise
    box = dict(onset=event.onset, offset=event.offset, fmin=event.fmin, fmax=event.fmax)
    measured = decibels(band_power(call, SAMPLE_RATE, **box) / band_power(noise, SAMPLE_RATE, **box))
    assert loud.placements[0].snr_db == pytest.approx(snr_db)
    assert measured == pytest.approx(snr_db, abs=1)


def test_the_snr_of_a_tone_burst_in_white_noise_is_the_one_computed_by_hand():
    time = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    chirp = np.sin(2 * np.pi * (1000 * time + 500 * time**2))  # from 1 to 3 kHz in 2 s
    call = RecordedCall(label="chirp", samples=chirp, sample_rate=SAMPLE_RATE, source="test")
    deviation = 0.01
    noise = np.random.default_rng(0).normal(scale=deviation, size=10 * SAMPLE_RATE)
    soundscape = mix(3, calls=[call], background=noise, num_events=(1, 1), snr_db=(6.0, 6.0))
    event, gain = soundscape.events[0], soundscape.placements[0].gain
    signal_power = gain**2 / 2
    noise_power = deviation**2 * (event.fmax - event.fmin) / (SAMPLE_RATE / 2)
    assert decibels(signal_power / noise_power) == pytest.approx(6.0, abs=0.3)


def test_loud_noise_outside_the_band_does_not_count():
    time = np.arange(10 * SAMPLE_RATE) / SAMPLE_RATE
    hum = 0.3 * np.sin(2 * np.pi * 50 * time)
    whisper = np.random.default_rng(0).normal(scale=1e-3, size=time.size)
    without, with_hum = (
        mix(4, background=background, num_events=(1, 1), snr_db=(10.0, 10.0)) for background in (whisper, whisper + hum)
    )
    assert decibels(with_hum.placements[0].gain ** 2 / without.placements[0].gain ** 2) == pytest.approx(0, abs=1.5)


def test_band_power_of_a_tone_is_half_its_squared_amplitude_inside_the_band_and_nothing_outside():
    tone = 0.5 * np.sin(2 * np.pi * 3000 * np.arange(SAMPLE_RATE) / SAMPLE_RATE)
    inside = band_power(tone, SAMPLE_RATE, onset=0.2, offset=0.8, fmin=2900, fmax=3100)
    outside = band_power(tone, SAMPLE_RATE, onset=0.2, offset=0.8, fmin=4000, fmax=6000)
    assert inside == pytest.approx(0.125, rel=0.01)
    assert outside < 1e-7


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_a_soundscape_never_clips_and_its_gain_is_told(seed):
    loud = mix(seed, background=30 * BACKGROUND, snr_db=(30.0, 30.0), overlap=1.0)
    assert np.abs(loud.samples).max() == pytest.approx(0.95, abs=1e-5)
    assert 0 < loud.gain < 1
    quiet = mix(seed, background=0.01 * BACKGROUND, snr_db=(0.0, 0.0))
    assert quiet.gain == 1.0


@given(seed=st.integers(0, 2**32 - 1), overlap=st.sampled_from([0.0, 0.2, 0.5]))
@settings(max_examples=20, deadline=None)
def test_no_call_is_covered_by_others_for_more_than_the_share_allowed(seed, overlap):
    soundscape = mix(seed, num_events=(8, 8), overlap=overlap)
    grid = np.arange(0, 10, 0.001)
    sounding = [(grid >= event.onset) & (grid < event.offset) for event in soundscape.events]
    assert len(sounding) >= 1
    for index, own in enumerate(sounding):
        others = np.any([other for j, other in enumerate(sounding) if j != index], axis=0)
        assert (own & others).sum() / own.sum() <= overlap + 0.02


def test_calls_that_find_no_place_are_left_out():
    soundscape = mix(1, calls=make_calls(labels=("mallar3",)), num_events=(30, 30), overlap=0.0)
    assert 1 <= len(soundscape.events) < 30


def test_an_empty_soundscape_is_just_background():
    soundscape = mix(0, calls=[], num_events=(0, 0))
    assert soundscape.events == []
    assert soundscape.samples.std() == pytest.approx(BACKGROUND.std(), rel=0.2)


@given(num_samples=st.sampled_from([1, 2, 7, 1000, 40_000, 159_999, 160_000, 160_001, 400_000]))
@settings(max_examples=9, deadline=None)
def test_a_background_of_any_length_covers_the_whole_soundscape_evenly(num_samples):
    noise = np.random.default_rng(2).uniform(-0.1, 0.1, size=num_samples)
    samples = mix(0, calls=[], background=noise, num_events=(0, 0)).samples
    assert samples.shape == (160_000,)
    if num_samples >= 1000:
        level = np.sqrt(np.mean(np.square(samples.reshape(20, -1)), axis=1))
        assert level.max() < 1.2 * level.min()


def test_speech_and_rain_are_mixed_in_as_often_as_asked_and_get_no_event():
    both = mix(0, calls=[], num_events=(0, 0), speech_probability=1.0, rain_probability=1.0)
    assert [distractor.kind for distractor in both.distractors] == ["speech", "rain"]
    assert both.events == []
    for distractor in both.distractors:
        assert 0 <= distractor.onset < distractor.offset <= 10.0
        assert 0 <= distractor.level_db <= 12
    counts = sum(len(mix(seed, calls=[], num_events=(0, 0), rain_probability=0.5).distractors) for seed in range(40))
    assert 10 <= counts <= 30


def test_speech_lies_at_its_level_above_the_background():
    changes = dict(calls=[], num_events=(0, 0))
    plain = mix(0, **changes)
    talked = mix(0, **changes, speech_probability=1.0, distractor_level_db=(9.0, 9.0))
    speech = talked.samples / talked.gain - plain.samples / plain.gain
    distractor = talked.distractors[0]
    stretch = speech[round(distractor.onset * SAMPLE_RATE) : round(distractor.offset * SAMPLE_RATE)]
    assert decibels(np.mean(np.square(stretch)) / np.mean(np.square(plain.samples))) == pytest.approx(9, abs=0.2)
    assert np.abs(speech[: round(distractor.onset * SAMPLE_RATE) - 1]).max(initial=0) < 1e-6


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=8, deadline=None)
def test_the_same_seed_gives_the_same_bits_and_another_seed_another_mix(seed):
    changes = dict(speech_probability=0.5, rain_probability=0.5)
    first, again, other = mix(seed, **changes), mix(seed, **changes), mix(seed + 1, **changes)
    np.testing.assert_array_equal(first.samples, again.samples)
    assert first.placements == again.placements
    assert first.distractors == again.distractors
    assert not np.array_equal(first.samples, other.samples)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"duration": 0.5}, "duration = 0.5: must be at least 1 s"),
        ({"sample_rate": 0}, "sample_rate = 0"),
        ({"duration": float("nan")}, "duration = nan"),
        ({"num_events": (5, 2)}, "num_events"),
        ({"snr_db": (0.0, float("inf"))}, "snr_db"),
        ({"num_events": (-1, 2)}, "must not be below 0"),
        ({"snr_db": (1.0,)}, "the lowest and the highest"),
        ({"overlap": 1.5}, "overlap = 1.5: must be from 0 to 1"),
        ({"speech_probability": -0.1}, "speech_probability"),
    ],
)
def test_impossible_settings_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        make_config(**changes)


def test_calls_at_another_sample_rate_are_refused():
    with pytest.raises(DataError, match="is at 16000 Hz, the soundscape at 32000 Hz"):
        mix(0, sample_rate=32_000)


def test_events_without_calls_are_refused():
    with pytest.raises(DataError, match="no calls to place"):
        mix(0, calls=[])


def test_an_empty_background_is_refused():
    with pytest.raises(DataError, match="background is empty"):
        mix(0, background=np.zeros(0))


def test_a_silent_call_is_refused():
    silent = RecordedCall(label="x", samples=np.zeros(SAMPLE_RATE), sample_rate=SAMPLE_RATE, source="x.wav")
    with pytest.raises(AudioError, match="silent"):
        mix(0, calls=[silent])


def test_every_song_can_be_mixed():
    calls = make_calls(labels=sorted(SONGS))
    soundscape = mix(0, calls=calls, duration=60.0, num_events=(60, 60), overlap=0.5)
    assert {event.label for event in soundscape.events} == set(SONGS)

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birdcore.config import ClassName
from birdcore.errors import ConfigError
from birdcore.inference.events import decode_events
from birdcore.scores import Scores

NAMES = (
    ClassName(code="alpha", common="Alpha", scientific="A a"),
    ClassName(code="beta", common="Beta", scientific="B b"),
)


def scores_of(alpha, beta=None, frame_seconds=0.04):
    frames = np.stack([alpha, np.zeros(len(alpha)) if beta is None else beta], axis=1).astype(np.float16)
    duration = len(frames) * frame_seconds
    return Scores(
        class_names=NAMES,
        duration=duration,
        windows=np.zeros((1, 2)),
        window_onsets=np.zeros(1),
        window_offsets=np.array([duration]),
        recording=np.zeros(2),
        frames=frames,
        frame_seconds=frame_seconds,
        band_low=np.full(frames.shape, 2000.0, np.float32),
        band_high=np.full(frames.shape, 3000.0, np.float32),
    )


def test_a_block_of_high_frames_is_one_event_with_its_band():
    frames = np.zeros(100)
    frames[20:30] = 0.9
    (event,) = decode_events(scores_of(frames))
    assert event.label == "alpha"
    assert event.onset == pytest.approx(0.8, abs=0.02) and event.offset == pytest.approx(1.2, abs=0.02)
    assert (event.fmin, event.fmax) == (2000.0, 3000.0)
    assert event.confidence == pytest.approx(0.9, abs=0.01)


def test_events_closer_than_maximum_gap_are_joined():
    frames = np.zeros(100)
    frames[20:30] = frames[33:40] = 0.9
    assert len(decode_events(scores_of(frames), maximum_gap=0.02)) == 2
    assert len(decode_events(scores_of(frames), maximum_gap=0.2)) == 1


def test_events_shorter_than_the_minimum_are_dropped():
    frames = np.zeros(100)
    frames[20] = 0.9
    assert decode_events(scores_of(frames), minimum_duration=0.2) == []


def test_a_lower_threshold_adds_events_and_reshapes_none():
    generator = np.random.default_rng(0)
    frames = np.convolve(generator.uniform(0, 1, 400) ** 4, np.ones(5) / 5, mode="same")
    strict = decode_events(scores_of(frames), threshold=0.5)
    lenient = decode_events(scores_of(frames), threshold=0.1)
    assert len(lenient) > len(strict)
    assert set(strict) <= set(lenient)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.floats(0.05, 1.0))
def test_every_event_lies_inside_and_reaches_the_threshold(values, threshold):
    scores = scores_of(np.array(values))
    for event in decode_events(scores, threshold=threshold):
        assert 0 <= event.onset < event.offset <= scores.duration + 1e-9
        assert event.confidence >= threshold


@given(st.integers(5, 40))
def test_a_shift_of_the_sound_shifts_the_onset(shift):
    frames = np.zeros(100)
    frames[20:30] = np.linspace(0.6, 0.9, 10)
    (first,), (second,) = decode_events(scores_of(frames)), decode_events(scores_of(np.roll(frames, shift)))
    assert second.onset - first.onset == pytest.approx(shift * 0.04, abs=1e-6)
    assert second.duration == pytest.approx(first.duration, abs=1e-6)


def test_two_birds_in_different_bands_sing_at_once():
    both = np.zeros(100)
    both[20:40] = 0.9
    scores = scores_of(both, beta=both)
    scores.band_low[:, 1], scores.band_high[:, 1] = 5000.0, 7000.0
    assert [event.label for event in decode_events(scores)] == ["alpha", "beta"]


def test_times_are_double_precision_to_the_end_of_a_day():
    frames = np.zeros(24 * 3600 * 25, dtype=np.float16)
    frames[-100:-90] = 0.9
    (event,) = decode_events(scores_of(frames))
    assert type(event.onset) is float
    assert event.onset == pytest.approx(24 * 3600 - 4.0, abs=0.02)


def test_thresholds_may_differ_by_class():
    frames = np.zeros(100)
    frames[20:30] = 0.6
    events = decode_events(scores_of(frames, beta=frames), threshold={"alpha": 0.8})
    assert [event.label for event in events] == ["beta"]


def test_no_frames_at_all_is_no_event():
    assert decode_events(scores_of(np.zeros(50))) == []


def test_windows_are_the_events_of_a_model_without_frames():
    windows = np.array([[0.9, 0.1], [0.8, 0.1], [0.1, 0.1], [0.7, 0.1]])
    onsets = np.arange(4) * 2.5
    scores = Scores(
        class_names=NAMES,
        duration=12.5,
        windows=windows,
        window_onsets=onsets,
        window_offsets=onsets + 5,
        recording=windows.max(axis=0),
    )
    events = decode_events(scores)
    assert [(event.onset, event.offset, event.fmin) for event in events] == [(0.0, 7.5, None), (7.5, 12.5, None)]


def test_threshold_out_of_range_is_refused():
    with pytest.raises(ConfigError, match="above 0"):
        decode_events(scores_of(np.zeros(5)), threshold=0.0)


EDGES = np.geomspace(250.0, 16000.0, 25)  # four bands an octave


def measured(levels_by_band, low=1000.0, high=8000.0):
    """Scores of one call at 0.9, for which the network drew a band, with levels above the background beside it."""
    frames = np.zeros(60)
    frames[20:40] = 0.9
    scores = scores_of(frames)
    scores.band_low[:], scores.band_high[:] = low, high
    above = np.zeros((60, len(EDGES) - 1), np.float16)
    above[20:40] = levels_by_band
    return dataclasses.replace(scores, above_background=above, level_edges=EDGES)


def band_of(scores):
    (event,) = decode_events(scores)
    return event.fmin, event.fmax


def levels(**decibels):
    """Levels of 24 bands; ``b12=20`` sets one, ``b12_15=20`` bands 12 to 14."""
    values = np.zeros(len(EDGES) - 1)
    for name, value in decibels.items():
        first, _, last = name[1:].partition("_")
        values[int(first) : int(last or int(first) + 1)] = value
    return values


def test_a_faint_call_is_boxed_where_it_is_heard():
    low, high = band_of(measured(levels(b12_15=12.0)))
    assert EDGES[11] < low <= EDGES[12]
    assert EDGES[15] <= high < EDGES[16]


def test_a_call_that_is_heard_all_over_its_band_keeps_it():
    assert band_of(measured(levels(b6_22=12.0))) == (1000.0, 8000.0)


def test_where_nothing_is_heard_the_network_is_believed():
    assert band_of(measured(levels())) == (1000.0, 8000.0)


def test_a_loud_call_goes_on_above_its_band_but_not_for_ever():
    edge = EDGES[18]
    assert band_of(measured(levels(b6_18=30.0), high=edge)) == (1000.0, pytest.approx(edge))
    assert band_of(measured(levels(b6_19=30.0), high=edge)) == (1000.0, pytest.approx(EDGES[19]))
    assert band_of(measured(levels(b6_24=30.0), high=edge)) == (1000.0, pytest.approx(EDGES[20]))
    assert band_of(measured(levels(b6_18=30.0, b18_24=10.0), high=edge)) == (1000.0, pytest.approx(edge))


def test_leakage_in_digital_silence_is_not_heard():
    low, high = band_of(measured(levels(b0_24=30.0, b12_15=100.0)))
    assert EDGES[11] < low < EDGES[13] and EDGES[14] < high < EDGES[16]


def test_a_sweep_is_heard_in_all_the_bands_it_passes():
    """Each band sounds for a quarter of the call only."""
    scores = measured(levels())
    for quarter in range(4):
        scores.above_background[20 + 5 * quarter : 25 + 5 * quarter, 8 + 3 * quarter : 11 + 3 * quarter] = 12.0
    low, high = band_of(scores)
    assert low == 1000.0 and high == pytest.approx(8000.0, rel=0.01)


@given(st.lists(st.floats(-20, 120), min_size=24, max_size=24), st.floats(0, 23000), st.floats(1, 24000))
def test_any_levels_leave_a_band(values, low, width):
    fmin, fmax = band_of(measured(np.array(values), low=low, high=low + width))
    assert np.isfinite([fmin, fmax]).all() and fmax > fmin >= low - 1e-3

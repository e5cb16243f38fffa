"""From frame scores to events: boxes with a label, an onset and offset, a band, and a confidence."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from birdcore.errors import ConfigError
from birdcore.events import Event
from birdcore.scores import Scores

__all__ = ["LOWEST_CONFIDENCE", "decode_events"]

EDGE_LEVEL = 0.8
"""An event lasts as long as its frame score stays above this.

Frame scores are calibrated so that one half is a good answer to "does it sing in this frame"; at that level, though,
neighbouring syllables run into one. On a validation fold of 12 recordings boxes fit best at 0.8, for three runs on two
trunks: average precision at an overlap of 0.3 was 0.52 to 0.55 and at one half 0.25 to 0.32, against 0.45 to 0.50 and
0.23 to 0.29 at 0.7.
"""

HEARD_DECIBELS = 5.0
"""A band belongs to a call if it stands this far above the background in at least ``HEARD_SHARE`` of the call's frames.

Where a call is faint, a network still draws the band that the species usually has; an annotator draws what is there.
On a validation fold of 12 recordings, for four runs of one trunk, average precision at an overlap of 0.3 rose from 0.48
to 0.58 and at one half from 0.26 to 0.36; 4 or 6 dB, and a tenth or a quarter of the frames, do as well.
"""

HEARD_SHARE = 0.15

LOUD_DECIBELS = 15.0
"""A call goes on beyond the network's band, by up to ``MOST_BANDS_ADDED``, as long as it stands this far above the
background: loud calls show overtones that most calls of the species do not."""

MOST_BANDS_ADDED = 2

DYNAMIC_DECIBELS = 40.0
"""What is this far below a call's loudest band is leakage of the analysis window, even where there is no background."""

LOWEST_CONFIDENCE = 0.04
"""Events whose score never exceeds this are not made, whatever the threshold."""


def decode_events(
    scores: Scores,
    *,
    threshold: float | Mapping[str, float] = 0.5,
    minimum_duration: float = 0.06,
    maximum_gap: float = 0.06,
) -> list[Event]:
    """Events of a recording whose confidence reaches a threshold.

    Hysteresis with the roles kept apart: the threshold decides which events are reported, a level of its own where they
    begin and end. That level is ``EDGE_LEVEL``, and for events that stay below it a half of that, a quarter and so on. A
    stronger event is therefore never reshaped by a lower threshold: moving it only adds or removes events. Without frame
    scores, windows that score are the events, and they have no band.

    Parameters
    ----------
    scores : all scores of a recording
    threshold : of confidence, in (0, 1]; one for all classes, or by class code (others take 0.5)
    minimum_duration : seconds; shorter events are dropped
    maximum_gap : seconds; events of a class that are closer are joined

    Returns
    -------
    events by onset; confidence is the highest frame score, the band the score-weighted median of the frames' bands, as far
    as it can be heard above the background (see ``HEARD_DECIBELS``)

    Raises
    ------
    ConfigError
        If a threshold is out of range.
    """
    events = []
    # Of thousands of classes few score anywhere: the others are passed over by their highest score.
    highest = (scores.windows if scores.frames is None else scores.frames).max(axis=0, initial=0)
    for index, name in enumerate(scores.class_names):
        limit = threshold.get(name.code, 0.5) if isinstance(threshold, Mapping) else threshold
        if not 0 < limit <= 1:
            raise ConfigError(f"threshold {limit} for {name.code}: must be above 0 and at most 1")
        if highest[index] < limit:
            continue
        if scores.frames is None:
            events += _window_events(scores, index, limit)
        else:
            events += _class_events(scores, index, limit, minimum_duration, maximum_gap)
    return sorted(events, key=lambda event: (event.onset, event.label))


def _runs(inside: np.ndarray) -> list[tuple[int, int]]:
    """First and one-past-last index of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], inside, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _class_events(scores: Scores, index: int, limit: float, minimum_duration: float, maximum_gap: float) -> list[Event]:
    values = scores.frames[:, index].astype(np.float64)  # times are computed from these
    gap = maximum_gap / scores.frame_seconds
    found: list[tuple[float, float]] = []  # in frames, with fractions
    taken = np.zeros(len(values), dtype=bool)
    level = EDGE_LEVEL
    while level >= LOWEST_CONFIDENCE:
        fresh = []
        for first, last in _runs(values >= level):
            if not taken[first:last].any():
                fresh.append((_crossing(values, first, first - 1, level), _crossing(values, last - 1, last, level)))
                taken[first:last] = True
        found += _join(fresh, gap)
        if level <= limit:
            break
        level = level / 2
    events = []
    duration = scores.duration
    for begin, end in found:
        first, last = int(begin), max(int(begin) + 1, int(np.ceil(end)))
        confidence = float(values[first:last].max())
        onset, offset = begin * scores.frame_seconds, min(end * scores.frame_seconds, duration)
        if confidence < limit or offset - onset < minimum_duration:
            continue
        band = {}
        if scores.band_low is not None:
            weight = values[first:last]
            low = _weighted_median(scores.band_low[first:last, index], weight)
            high = _weighted_median(scores.band_high[first:last, index], weight)
            if scores.above_background is not None:
                low, high = _heard(scores.above_background[first:last], scores.level_edges, low, high)
            band = {"fmin": low, "fmax": max(high, low + 1.0)}
        events.append(
            Event(
                label=scores.class_names[index].code,
                onset=onset,
                offset=offset,
                confidence=min(1.0, confidence),
                **band,
            )
        )
    return events


def _crossing(values: np.ndarray, inner: int, outer: int, level: float) -> float:
    """Where the score crosses the level between the centres of two neighbouring frames, in frames."""
    if not 0 <= outer < len(values):
        return float(inner if outer < inner else outer)
    share = (values[inner] - level) / max(values[inner] - values[outer], 1e-6)
    return float(inner + 0.5 + (share if outer > inner else -share))


def _join(spans: list[tuple[float, float]], gap: float) -> list[tuple[float, float]]:
    joined: list[tuple[float, float]] = []
    for begin, end in spans:
        if joined and begin - joined[-1][1] <= gap:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((begin, end))
    return joined


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    order = np.argsort(values)
    cumulative = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(cumulative, 0.5 * cumulative[-1])])


def _heard(above: np.ndarray, edges: np.ndarray, low: float, high: float) -> tuple[float, float]:
    """The part of a band that can be heard in some frames; the same band where none can.

    Parameters
    ----------
    above : shape (num_frames, num_bands), dB above the background
    edges : shape (num_bands + 1,), Hz
    low, high : Hz
    """
    level = np.sort(above.astype(np.float32), axis=0)[-math.ceil(HEARD_SHARE * len(above))]  # reached by so many frames
    # A limit that is an edge, but for rounding, is that edge.
    first = int(np.clip(np.searchsorted(edges, low * (1 + 1e-6), side="right") - 1, 0, len(level) - 1))
    last = int(np.clip(np.searchsorted(edges, high * (1 - 1e-6), side="left") - 1, first, len(level) - 1))
    needed = max(HEARD_DECIBELS, level[first : last + 1].max() - DYNAMIC_DECIBELS)
    heard = first + np.flatnonzero(level[first : last + 1] >= needed)
    if len(heard) == 0:
        return low, high
    positions = np.arange(len(edges))

    def crossing(inner: int, outer: int) -> float:
        """Where the level falls to what is needed, between the centres of two neighbouring bands, in Hz."""
        share = (level[inner] - needed) / max(level[inner] - level[outer], 1e-6)
        return float(np.interp(inner + 0.5 + (outer - inner) * share, positions, edges))

    if heard[0] > first:
        low = max(low, crossing(heard[0], heard[0] - 1))
    if heard[-1] < last:
        return low, min(high, crossing(heard[-1], heard[-1] + 1))
    loud = max(LOUD_DECIBELS, needed)
    most = min(last + MOST_BANDS_ADDED, len(level) - 1)
    while last < most and level[last + 1] >= loud:
        last += 1
        high = float(edges[last + 1])
    return low, high


def _window_events(scores: Scores, index: int, limit: float) -> list[Event]:
    """Runs of windows that score, for models without a frame head."""
    values = scores.windows[:, index]
    return [
        Event(
            label=scores.class_names[index].code,
            onset=float(scores.window_onsets[first]),
            offset=float(scores.window_offsets[last - 1]),
            confidence=float(min(1.0, values[first:last].max())),
        )
        for first, last in _runs(values >= limit)
    ]

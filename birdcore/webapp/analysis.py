"""Listening to recordings, and remembering what was heard: the model runs once per recording, model and overlap."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

import numpy as np
import streamlit as st

from birdcore.errors import BirdcoreError
from birdcore.events import Event
from birdcore.inference.events import decode_events
from birdcore.scores import Scores
from birdcore.webapp.models import Listening, fingerprint, load_predictor
from birdcore.webapp.recordings import ChosenRecording
from birdcore.webapp.wording import plain

__all__ = ["Analysis", "ScoreStore", "analyze", "analyze_visibly", "page_scores", "remembered"]

STORE_BYTES = 1 << 30


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """What a model says about a recording at the chosen threshold.

    Parameters
    ----------
    scores : everything the model said
    events : what passes the threshold, sorted by onset
    threshold : score from which on a species counts as present
    """

    scores: Scores
    events: tuple[Event, ...]
    threshold: float


class ScoreStore:
    """What came of listening, by key: scores, or the error. Safe to share between threads.

    The least lately used are dropped when all together outgrow a size.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._entries: OrderedDict[Hashable, Scores | BirdcoreError] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Scores | BirdcoreError | None:
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
            return self._entries.get(key)

    def put(self, key: Hashable, outcome: Scores | BirdcoreError) -> None:
        """Remember an outcome; the newest is kept even where it alone is too large."""
        with self._lock:
            self._entries[key] = outcome
            self._entries.move_to_end(key)
            while len(self._entries) > 1 and sum(map(_num_bytes, self._entries.values())) > self.max_bytes:
                self._entries.popitem(last=False)


def _num_bytes(outcome: Scores | BirdcoreError) -> int:
    values = vars(outcome).values()
    return sum(value.nbytes for value in values if isinstance(value, np.ndarray))


@st.cache_resource(show_spinner=False)
def _store() -> ScoreStore:
    return ScoreStore(STORE_BYTES)


def _key(recording: ChosenRecording, listening: Listening) -> tuple[Hashable, ...]:
    return recording.key, fingerprint(listening.weights), listening.overlap


def remembered(recording: ChosenRecording, listening: Listening) -> Analysis | BirdcoreError | None:
    """What came of listening to this recording: the analysis or the error; None if it was not tried yet."""
    key = _key(recording, listening)
    outcome = _store().get(key)
    return _decode(key, listening.threshold, outcome) if isinstance(outcome, Scores) else outcome


def analyze(
    recording: ChosenRecording, listening: Listening, *, progress: Callable[[float], None] | None = None
) -> Analysis:
    """Listen to a recording, unless that was done before.

    Raises
    ------
    BirdcoreError
        If the recording cannot be read or the model cannot be loaded.
    """
    outcome = remembered(recording, listening)
    if isinstance(outcome, BirdcoreError):
        raise type(outcome)(*outcome.args)
    if outcome is not None:
        return outcome
    predictor, key = load_predictor(listening.weights), _key(recording, listening)
    try:
        scores = predictor.analyze(recording.path, overlap=listening.overlap, progress=progress)
    except BirdcoreError as error:
        # A copy: the error itself keeps the frames it passed alive, and with them the decoded sound.
        _store().put(key, type(error)(*error.args))
        raise
    _store().put(key, scores)
    return _decode(key, listening.threshold, scores)


def page_scores(recording: ChosenRecording, listening: Listening, *, onset: float, offset: float) -> Scores:
    """Scores of one page of a recording, with the time-frequency map that long recordings do not keep as a whole.

    Parameters
    ----------
    onset, offset : of the page, in seconds from the start of the recording; times in the result count from onset

    Raises
    ------
    BirdcoreError
        If the recording cannot be read or the model cannot be loaded.
    """
    key = (*_key(recording, listening), onset, offset)
    outcome = _store().get(key)
    if not isinstance(outcome, Scores):
        outcome = load_predictor(listening.weights).analyze(
            recording.path, overlap=listening.overlap, onset=onset, duration=offset - onset
        )
        _store().put(key, outcome)
    return outcome


def analyze_visibly(recording: ChosenRecording, listening: Listening) -> Analysis | None:
    """Listen to a recording with a progress bar; where that fails, show why and return None."""
    bar = st.empty()

    def show(fraction: float) -> None:
        bar.progress(min(max(fraction, 0.0), 1.0), text=f"Listening to {plain(recording.name)} …")

    try:
        return analyze(recording, listening, progress=show)
    except BirdcoreError as error:
        st.error(plain(recording.describe(error)), icon=":material/error:")
        return None
    finally:
        bar.empty()


def _decode(key: Hashable, threshold: float, scores: Scores) -> Analysis:
    return Analysis(scores=scores, events=_events(key, threshold, scores), threshold=threshold)


# The key stands for the scores, which are too large to be hashed.
@st.cache_resource(max_entries=64, show_spinner=False)
def _events(key: Hashable, threshold: float, _scores: Scores) -> tuple[Event, ...]:
    return tuple(decode_events(_scores, threshold=threshold))

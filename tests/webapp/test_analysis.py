from types import SimpleNamespace

import numpy as np
import pytest

from birdcore.errors import AudioError
from birdcore.webapp import analysis
from birdcore.webapp.analysis import ScoreStore


def test_what_was_put_is_found_and_nothing_else(make_scores):
    store, scores = ScoreStore(1_000_000), make_scores(0.9)
    store.put("a", scores)
    assert store.get("a") is scores
    assert store.get("b") is None


def test_an_error_is_remembered_like_scores():
    store, error = ScoreStore(1_000_000), AudioError("owl.wav: is empty")
    store.put("a", error)
    assert store.get("a") is error


def test_a_remembered_error_holds_on_to_nothing(monkeypatch):
    def fail(path, **_):
        raise AudioError("owl.wav: is empty")

    store, num_listened = ScoreStore(1_000_000), []
    monkeypatch.setattr(analysis, "_store", lambda: store)
    monkeypatch.setattr(analysis, "_key", lambda recording, listening: "key")
    predictor = SimpleNamespace(analyze=lambda path, **_: num_listened.append(path) or fail(path))
    monkeypatch.setattr(analysis, "load_predictor", lambda weights: predictor)
    recording, listening = SimpleNamespace(path="owl.wav"), SimpleNamespace(weights=None, overlap=2.5)
    raised = []
    for _ in range(3):
        with pytest.raises(AudioError, match="is empty") as caught:
            analysis.analyze(recording, listening)
        raised.append(caught.value)
    assert len(num_listened) == 1 and store.get("key").__traceback__ is None
    assert len({id(error) for error in raised}) == 3


def test_the_least_lately_used_goes_when_the_store_is_full(make_scores):
    large = {name: make_scores(0.9, frames=np.zeros((1000, 5), np.float16)) for name in "abc"}
    store = ScoreStore(25_000)  # two of them fit
    store.put("a", large["a"])
    store.put("b", large["b"])
    store.get("a")
    store.put("c", large["c"])
    assert store.get("b") is None
    assert store.get("a") is large["a"] and store.get("c") is large["c"]


def test_the_newest_is_kept_even_where_it_alone_is_too_large(make_scores):
    store = ScoreStore(10)
    store.put("a", make_scores(0.9))
    store.put("b", make_scores(0.8))
    assert store.get("a") is None and store.get("b") is not None

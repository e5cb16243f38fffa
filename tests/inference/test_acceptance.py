import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from birdcore.inference import acceptance
from birdcore.inference.acceptance import examine


@pytest.fixture
def ask(monkeypatch, tmp_path):
    """``ask(value, low, high)`` → name → check, of a model with such a macro ROC-AUC that is silent otherwise."""

    def examined(value, low, high):
        scores = SimpleNamespace(windows=np.zeros((4, 2)), frames=None)
        predictor = SimpleNamespace(
            analyze=lambda path, overlap: scores, config=SimpleNamespace(threshold=0.5, class_names=())
        )
        section = {"all": {"macro_roc_auc": {"value": value, "low": low, "high": high}}}
        monkeypatch.setattr(acceptance, "evaluate_clips", lambda predictor, manifest: section)
        monkeypatch.setattr(acceptance, "NUM_VOICES", 1)  # to make them takes longer than to listen to them
        checks = examine(predictor, manifest=tmp_path / "manifest.csv", replaced=predictor)
        return {check.name: check for check in checks}

    return examined


@pytest.mark.parametrize(
    ("value", "low", "high", "passed"),
    [
        (0.54, 0.467, 0.591, False),  # keeps silent about noise, as it does about birds
        (0.54, 0.40, 0.70, True),  # too few recordings to tell
        (0.90, 0.85, 0.95, True),
        (0.55, None, None, False),  # one group of recordings has no interval
    ],
)
def test_a_model_that_surely_tells_no_species_apart_does_not_pass(ask, value, low, high, passed):
    check = ask(value, low, high)["skill"]
    assert check.passed is passed and check.measured == value
    assert f"{value:.3f}" in check.sentence and "chance has 0.5" in check.sentence


def test_a_figure_that_is_undefined_is_not_asked_for(ask):
    checks = ask(None, None, None)
    assert checks["skill"].passed is None and "single species" in checks["skill"].sentence
    assert checks["regression"].passed is None


def test_every_check_is_a_sentence(ask):
    for check in ask(0.9, 0.8, 1.0).values():
        assert check.sentence.endswith(".") and dataclasses.asdict(check)["name"] == check.name

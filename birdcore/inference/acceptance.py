"""The gate that a model passes before people are offered it: what it says to noise, to speech, to silence, whether it
tells species apart at all, and whether it is worse than the one it replaces.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from scipy.stats import binomtest

from birdcore.data.recordings import read_backgrounds
from birdcore.data.speech_samples import can_speak, speech_sample
from birdcore.inference.clip_report import evaluate_clips
from birdcore.inference.predictor import Predictor
from birdcore.inference.rejection_report import window_claims

__all__ = ["Check", "examine"]

MOST_FALSE_ALARMS = 0.05
"""Share of windows without birds that may report a species: 1 in 20.

A model fails where it is beyond doubt that it reports more: where the lower end of the 95 % interval of its share is
above this. Data sets hold a hundred such windows, seldom more, and 6 of them are no proof.
"""

MOST_LOST = 0.01
"""Macro ROC-AUC that a model may have less than the one it replaces: below this, the two cannot be told apart."""

LEAST_SKILL = 0.6
"""Macro ROC-AUC that a model needs, of which chance has 0.5: one that has learnt nothing keeps silent about noise, too.

It fails where it is beyond doubt that it has less: where the upper end of the 95 % interval is below this.
"""

NUM_VOICES = 16
SILENCE_SECONDS = 20.0
NO_TEST_SPLIT = "no recordings were set aside for testing"
SAMPLE_RATE = 32_000


@dataclass(frozen=True, kw_only=True)
class Check:
    """One question of the gate.

    Parameters
    ----------
    name : "noise", "speech", "silence", "skill" or "regression"
    passed : None where it could not be asked
    measured, required : the figure and its limit; None where it could not be asked
    sentence : what came of it, for people
    """

    name: str
    passed: bool | None
    measured: float | None
    required: float | None
    sentence: str


def examine(
    predictor: Predictor,
    *,
    manifest: Path | None = None,
    background: Path | None = None,
    replaced: Predictor | None = None,
    progress: Callable[[float], None] | None = None,
) -> list[Check]:
    """Ask every question.

    Parameters
    ----------
    predictor : the model, calibrated as it is to be published
    manifest : table of recordings; its test split compares two models. None where there is no test split
    background : table of backgrounds; its bird-free test recordings are the noise
    replaced : the model that would be replaced
    progress : called with the share done, 0 to 1

    Raises
    ------
    BirdcoreError
        If a table cannot be used.
    """
    checks = []
    clips: list[dict[str, float]] = []  # heard once, for two questions

    def figure() -> dict[str, float] | None:
        if manifest is not None and not clips:
            clips.append(evaluate_clips(predictor, manifest)["all"]["macro_roc_auc"])
        return clips[0] if clips else None

    questions = (
        lambda: _noise(predictor, background),
        lambda: _speech(predictor),
        lambda: _silence(predictor),
        lambda: _skill(figure()),
        lambda: _regression(predictor, figure(), replaced, manifest),
    )
    for number, ask in enumerate(questions, start=1):
        checks.append(ask())
        if progress:
            progress(number / len(questions))
    return checks


def _noise(predictor: Predictor, background: Path | None) -> Check:
    quiet = (
        [r.path for r in read_backgrounds(background) if r.has_bird is False and r.split == "test"]
        if background
        else []
    )
    if not quiet:
        return Check(
            name="noise",
            passed=None,
            measured=None,
            required=MOST_FALSE_ALARMS,
            sentence="Not asked: the data set has no bird-free backgrounds to listen to.",
        )
    return _alarms("noise", predictor, quiet, "bird-free recordings")


def _speech(predictor: Predictor) -> Check:
    voices = [speech_sample(number, sample_rate=SAMPLE_RATE, split="test") for number in range(NUM_VOICES)]
    with _written(voices) as files:
        return _alarms("speech", predictor, files, "synthesised voices" if can_speak() else "babble made by formula")


def _alarms(name: str, predictor: Predictor, files: Iterable[Path], what: str) -> Check:
    claims = np.concatenate([window_claims(predictor.analyze(file, overlap=0.0)) for file in files])
    alarms = int((claims >= predictor.config.threshold).any(axis=1).sum())
    low, high = binomtest(alarms, len(claims)).proportion_ci(method="wilson")
    return Check(
        name=name,
        passed=bool(low <= MOST_FALSE_ALARMS),
        measured=alarms / len(claims),
        required=MOST_FALSE_ALARMS,
        sentence=f"{alarms} of {len(claims)} windows of {what} report a species: {100 * alarms / len(claims):.1f} % "
        f"(95 % interval {100 * low:.1f} to {100 * high:.1f} %); {100 * MOST_FALSE_ALARMS:.0f} % may.",
    )


def _silence(predictor: Predictor) -> Check:
    length = round(SILENCE_SECONDS * SAMPLE_RATE)
    hiss = 1e-4 * np.random.default_rng(0).standard_normal(length)
    with _written([np.zeros(length), np.full(length, 0.2), hiss]) as files:
        claims = np.concatenate([window_claims(predictor.analyze(file, overlap=0.0)) for file in files])
    best = float(claims.max())
    return Check(
        name="silence",
        passed=bool(np.isfinite(claims).all() and best < predictor.config.threshold),
        measured=best,
        required=predictor.config.threshold,
        sentence=f"Silence, a constant and faint hiss score {best:.2f} at most; the threshold is "
        f"{predictor.config.threshold:g}.",
    )


def _unasked(name: str, reason: str) -> Check:
    return Check(name=name, passed=None, measured=None, required=None, sentence=f"Not asked: {reason}.")


def _skill(figure: dict[str, float] | None) -> Check:
    if figure is None:
        return _unasked("skill", NO_TEST_SPLIT)
    value, low, high = figure["value"], figure["low"], figure["high"]
    if value is None:
        return _unasked("skill", "the test split holds a single species")
    interval = "" if high is None else f" (95 % interval {low:.3f} to {high:.3f})"
    return Check(
        name="skill",
        passed=bool((value if high is None else high) >= LEAST_SKILL),
        measured=value,
        required=LEAST_SKILL,
        sentence=f"Macro ROC-AUC on the test split is {value:.3f}{interval}; chance has 0.5, and {LEAST_SKILL:g} is needed.",
    )


def _regression(
    predictor: Predictor, figure: dict[str, float] | None, replaced: Predictor | None, manifest: Path | None
) -> Check:
    def unasked(reason: str) -> Check:
        return _unasked("regression", reason)

    if replaced is None:
        return unasked("there is no model of this name yet")
    if manifest is None or figure is None:
        return unasked(NO_TEST_SPLIT)
    ours, theirs = ({name.code for name in model.config.class_names} for model in (predictor, replaced))
    if ours != theirs:
        return unasked("the model it replaces knows other species")
    new, old = figure["value"], evaluate_clips(replaced, manifest)["all"]["macro_roc_auc"]["value"]
    if new is None or old is None:
        return unasked("the test split holds a single species")
    return Check(
        name="regression",
        passed=new >= old - MOST_LOST,
        measured=new,
        required=old - MOST_LOST,
        sentence=f"Macro ROC-AUC on the test split is {new:.3f}; the model it replaces has {old:.3f}.",
    )


@contextmanager
def _written(sounds: Iterable[np.ndarray]) -> Iterator[list[Path]]:
    """The sounds as files, since files are what a model listens to."""
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for number, samples in enumerate(sounds):
            files.append(Path(folder) / f"{number}.wav")
            soundfile.write(files[-1], samples, SAMPLE_RATE, subtype="FLOAT")
        yield files

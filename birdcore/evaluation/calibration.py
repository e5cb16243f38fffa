"""Whether a score of 0.7 means "right seven times in ten", and how to make it so.

Conventions
-----------
- ``reference`` holds 0 or 1, ``probabilities`` lie in [0, 1], ``logits`` are log-odds; arrays of one shape, any number of
  axes, each cell one yes-or-no question.
- Everything is fitted on validation data and measured on data that took no part.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import isotonic_regression, minimize_scalar

from birdcore.errors import DataError, ShapeError

__all__ = [
    "IsotonicCalibration",
    "ReliabilityBin",
    "expected_calibration_error",
    "fit_isotonic",
    "fit_temperature",
    "reliability_diagram",
    "select_thresholds",
]

MOST_EXTREME = 60.0
"""Log-odds beyond this are certainty in double precision."""


@dataclass(frozen=True, kw_only=True)
class ReliabilityBin:
    """Questions whose probability lies in ``[low, high)`` (the last one holds 1, too).

    Parameters
    ----------
    low, high : edges of the bin
    count : how many questions
    confidence : their mean probability; nan where there are none
    frequency : the share answered yes; nan where there are none
    """

    low: float
    high: float
    count: int
    confidence: float
    frequency: float


def reliability_diagram(
    reference: np.ndarray, probabilities: np.ndarray, *, num_bins: int = 10
) -> list[ReliabilityBin]:
    """How often "yes" was right, per level of probability.

    Parameters
    ----------
    reference, probabilities : see the module's conventions
    num_bins : bins of equal width, 1 or more

    Raises
    ------
    ShapeError, DataError
        If the arrays do not fit each other, or hold something else.
    """
    reference, probabilities = _questions(reference, probabilities)
    edges = np.linspace(0.0, 1.0, num_bins + 1)
    index = np.minimum((probabilities * num_bins).astype(int), num_bins - 1)
    bins = []
    for number in range(num_bins):
        inside = index == number
        bins.append(
            ReliabilityBin(
                low=float(edges[number]),
                high=float(edges[number + 1]),
                count=int(inside.sum()),
                confidence=float(probabilities[inside].mean()) if inside.any() else math.nan,
                frequency=float(reference[inside].mean()) if inside.any() else math.nan,
            )
        )
    return bins


def expected_calibration_error(reference: np.ndarray, probabilities: np.ndarray, *, num_bins: int = 10) -> float:
    """Mean distance between probability and frequency over the bins, weighted by their counts; nan without questions.

    Source
    ------
    Naeini, Cooper and Hauskrecht (2015), "Obtaining well calibrated probabilities using Bayesian binning".
    """
    bins = [b for b in reliability_diagram(reference, probabilities, num_bins=num_bins) if b.count]
    total = sum(b.count for b in bins)
    return sum(b.count * abs(b.confidence - b.frequency) for b in bins) / total if total else math.nan


def fit_temperature(reference: np.ndarray, logits: np.ndarray) -> float:
    """The temperature under which ``sigmoid(logit / temperature)`` has the least cross-entropy, 0.05 to 20.

    Ranking and the decision at one half stay as they are.

    Raises
    ------
    ShapeError, DataError
        If the arrays do not fit each other, or there is nothing to fit.

    Source
    ------
    Guo et al. (2017), "On calibration of modern neural networks".
    """
    reference, logits = _questions(reference, logits, is_probability=False)
    if not len(reference) or reference.min() == reference.max():
        raise DataError("temperature: needs questions answered yes and others answered no")

    def cross_entropy(log_temperature: float) -> float:
        scaled = logits / math.exp(log_temperature)
        return float(np.mean(np.logaddexp(0.0, scaled) - reference * scaled))

    found = minimize_scalar(cross_entropy, bounds=(math.log(0.05), math.log(20.0)), method="bounded")
    return float(math.exp(found.x))


@dataclass(frozen=True, kw_only=True)
class IsotonicCalibration:
    """A rising staircase from score to probability, interpolated between its corners.

    Parameters
    ----------
    scores, probabilities : shape (num_corners,), both ascending
    """

    scores: tuple[float, ...]
    probabilities: tuple[float, ...]

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """Calibrated probabilities, of the shape of the scores."""
        return np.interp(scores, self.scores, self.probabilities)


def fit_isotonic(reference: np.ndarray, scores: np.ndarray) -> IsotonicCalibration:
    """The rising function of the score that is nearest to the answers.

    It follows any shape of miscalibration, and so needs more data than one temperature: a few hundred questions.

    Raises
    ------
    ShapeError, DataError
        If the arrays do not fit each other, or are empty.

    Source
    ------
    Zadrozny and Elkan (2002), "Transforming classifier scores into accurate multiclass probability estimates".
    """
    reference, scores = _questions(reference, scores, is_probability=False)
    if not len(reference):
        raise DataError("isotonic calibration: there is nothing to fit")
    levels, group = np.unique(scores, return_inverse=True)
    counts = np.bincount(group)
    fitted = isotonic_regression(np.bincount(group, weights=reference) / counts, weights=counts).x
    corner = np.ones(len(levels), dtype=bool)
    corner[1:-1] = (np.diff(fitted)[:-1] != 0) | (np.diff(fitted)[1:] != 0)
    return IsotonicCalibration(scores=tuple(levels[corner].tolist()), probabilities=tuple(fitted[corner].tolist()))


def select_thresholds(reference: np.ndarray, probabilities: np.ndarray, *, least_positives: int = 3) -> np.ndarray:
    """Per class, the threshold with the best F1 on validation data.

    Between neighbouring scores any threshold does the same; the middle is taken, in log-odds. Classes with few
    positives keep 0.5: their best threshold is chance.

    Parameters
    ----------
    reference, probabilities : shape (num_recordings, num_classes)
    least_positives : a class with fewer keeps 0.5

    Returns
    -------
    shape (num_classes,), in (0, 1)

    Raises
    ------
    ShapeError, DataError
        If the arrays do not fit each other.
    """
    if np.ndim(reference) != 2:
        raise ShapeError(f"reference: shape {np.shape(reference)}, expected (num_recordings, num_classes)")
    _questions(reference, probabilities)
    reference, probabilities = np.asarray(reference, dtype=float), np.asarray(probabilities, dtype=float)
    thresholds = np.full(reference.shape[1], 0.5)
    for index, (answers, scores) in enumerate(zip(reference.T, probabilities.T, strict=True)):
        if answers.sum() < least_positives:
            continue
        order = np.argsort(-scores, kind="stable")
        hits = np.cumsum(answers[order])
        f1 = 2 * hits / (np.arange(1, len(order) + 1) + answers.sum())
        # A threshold cannot part equal scores.
        possible = np.append(np.diff(scores[order]) != 0, True)
        best = int(np.argmax(np.where(possible, f1, -1.0)))
        upper = _logit(scores[order[best]])
        lower = _logit(scores[order[best + 1]]) if best + 1 < len(order) else upper - 1.0
        thresholds[index] = 1.0 / (1.0 + math.exp(-0.5 * (upper + lower)))
    return thresholds


def _logit(probability: float) -> float:
    probability = min(max(probability, 1e-6), 1 - 1e-6)
    return math.log(probability / (1 - probability))


def _questions(
    reference: np.ndarray, values: np.ndarray, *, is_probability: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Both flat, as floats."""
    reference, values = np.asarray(reference, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if reference.shape != values.shape:
        raise ShapeError(f"reference of shape {reference.shape} and scores of shape {values.shape}: must be the same")
    if not np.isin(reference, (0.0, 1.0)).all():
        raise DataError("reference: must hold 0 and 1 only")
    if not np.isfinite(values).all():
        raise DataError("scores: some are NaN or infinite")
    if is_probability and values.size and (values.min() < 0 or values.max() > 1):
        raise DataError(
            f"probabilities: {values.min():g} to {values.max():g}; must lie in [0, 1] (are these log-odds?)"
        )
    return reference.ravel(), np.clip(values.ravel(), -MOST_EXTREME, MOST_EXTREME)

"""How well the species in whole recordings are named.

Conventions
-----------
- ``reference``: shape (num_recordings, num_classes), 1 (or True) where the species is in the recording, else 0.
- ``estimated``: same shape, a score for each; higher means surer. Only the order of the scores within a class counts,
  except in :func:`top1_accuracy`, which compares classes within a recording, and in the columns of
  :func:`per_class_table` that depend on a threshold.
- A macro average is taken over the classes for which the metric is defined. Where it is defined for no class, the
  result is ``nan`` (never 0 or 1, which would read as a measurement).
- A perfect estimate (``estimated = reference``) scores 1. Equal scores are ties, and no order among them is made up.

Source
------
Fawcett (2006), "An introduction to ROC analysis", Pattern Recognition Letters 27.
Kahl et al., "Overview of BirdCLEF" (2021 to 2024): class-wise mean average precision (cmAP) and macro ROC-AUC, both
over the classes that have a positive.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from birdcore.errors import DataError, ShapeError

__all__ = [
    "bootstrap_interval",
    "class_average_precision",
    "macro_roc_auc",
    "per_class_table",
    "roc_auc",
    "top1_accuracy",
    "validate",
]


def validate(reference: np.ndarray, estimated: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Check a pair of clip arrays.

    Returns
    -------
    reference : shape (num_recordings, num_classes), bool
    estimated : shape (num_recordings, num_classes), float64

    Raises
    ------
    ShapeError
        If the arrays are not two-dimensional or differ in shape.
    DataError
        If the reference holds anything but 0 and 1, or a score is not finite.
    """
    reference = np.asarray(reference)
    estimated = np.asarray(estimated, dtype=np.float64)
    if reference.ndim != 2 or reference.shape != estimated.shape:
        raise ShapeError(
            f"reference has shape {reference.shape} and estimated {estimated.shape}; "
            "both must be (num_recordings, num_classes)"
        )
    if not np.isin(reference, (0, 1)).all():
        raise DataError("reference: holds values other than 0 and 1 (were reference and estimated swapped?)")
    _require_finite(estimated)
    return reference.astype(bool), estimated


def roc_auc(positive: np.ndarray, scores: np.ndarray) -> float:
    """Chance that a positive scores above a negative, a tie counting one half (Mann and Whitney's U).

    Parameters
    ----------
    positive : shape (num_items,), bool
    scores : shape (num_items,)

    Returns
    -------
    In [0, 1]; nan where there is no positive, or no negative.
    """
    return float(_roc_aucs(np.asarray(positive, dtype=bool)[:, None], np.asarray(scores)[:, None])[0])


def macro_roc_auc(reference: np.ndarray, estimated: np.ndarray) -> float:
    """Area under the ROC curve, averaged over the classes that have both a positive and a negative recording.

    Parameters
    ----------
    reference : shape (num_recordings, num_classes), 0 or 1
    estimated : same shape, scores

    Returns
    -------
    In [0, 1], 0.5 by chance; nan where no class has both.

    Raises
    ------
    ShapeError, DataError
        See :func:`validate`.
    """
    reference, estimated = validate(reference, estimated)
    return _mean_of_defined(_roc_aucs(reference, estimated))


def class_average_precision(reference: np.ndarray, estimated: np.ndarray) -> float:
    """Average precision, averaged over the classes that have a positive recording (BirdCLEF's cmAP, without padding).

    Parameters
    ----------
    reference : shape (num_recordings, num_classes), 0 or 1
    estimated : same shape, scores

    Returns
    -------
    In [0, 1]; nan where no class has a positive.

    Raises
    ------
    ShapeError, DataError
        See :func:`validate`.
    """
    reference, estimated = validate(reference, estimated)
    return _mean_of_defined(_average_precisions(reference, estimated))


def top1_accuracy(reference: np.ndarray, estimated: np.ndarray) -> float:
    """Share of recordings whose best-scored class is (one of) the right ones.

    A recording without any of the classes, such as a segment in which nothing sings, has no right one and is left out.

    Parameters
    ----------
    reference : shape (num_recordings, num_classes), 0 or 1; or shape (num_recordings,), the column of the right class
    estimated : shape (num_recordings, num_classes), scores; of equal best scores the first column counts

    Returns
    -------
    In [0, 1]; nan where no recording holds a class.

    Raises
    ------
    ShapeError, DataError
        See :func:`validate`; also where a label is not a column of ``estimated``.
    """
    reference = np.asarray(reference)
    if reference.ndim == 1:
        reference = _one_hot(reference, np.asarray(estimated))
    reference, estimated = validate(reference, estimated)
    labelled = reference.any(axis=1)
    if not labelled.any():
        return math.nan
    reference, estimated = reference[labelled], estimated[labelled]
    return float(reference[np.arange(len(reference)), estimated.argmax(axis=1)].mean())


def per_class_table(
    reference: np.ndarray, estimated: np.ndarray, *, codes: Sequence[str], threshold: float = 0.5
) -> list[dict[str, str | int | float]]:
    """One row of figures per class, in column order.

    Parameters
    ----------
    reference : shape (num_recordings, num_classes), 0 or 1
    estimated : same shape, scores
    codes : length num_classes
    threshold : score from which on a class counts as reported, for precision, recall and f1

    Returns
    -------
    Rows with ``code``, ``support`` (recordings that have the class), ``roc_auc``, ``average_precision``, ``precision``,
    ``recall``, ``f1``; nan where undefined (precision where nothing is reported, recall where there is no support, f1
    where both hold).

    Raises
    ------
    ShapeError, DataError
        See :func:`validate`; also where there are not as many codes as classes.
    """
    reference, estimated = validate(reference, estimated)
    if len(codes) != reference.shape[1]:
        raise ShapeError(f"codes: {len(codes)} given for {reference.shape[1]} classes")
    roc_aucs, average_precisions = _roc_aucs(reference, estimated), _average_precisions(reference, estimated)
    rows = []
    for column, code in enumerate(codes):
        positive, scores = reference[:, column], estimated[:, column]
        reported = scores >= threshold
        hits = int(np.count_nonzero(positive & reported))
        support, num_reported = int(positive.sum()), int(reported.sum())
        rows.append(
            {
                "code": code,
                "support": support,
                "roc_auc": float(roc_aucs[column]),
                "average_precision": float(average_precisions[column]),
                "precision": hits / num_reported if num_reported else math.nan,
                "recall": hits / support if support else math.nan,
                "f1": 2 * hits / (support + num_reported) if support + num_reported else math.nan,
            }
        )
    return rows


def bootstrap_interval(
    metric: Callable[[np.ndarray, np.ndarray], float],
    reference: np.ndarray,
    estimated: np.ndarray,
    *,
    groups: Sequence[str] | np.ndarray,
    generator: np.random.Generator,
    num_resamples: int = 1000,
    level: float = 0.95,
) -> tuple[float, float]:
    """Percentile interval of a metric when whole groups of recordings are drawn again with replacement.

    Recordings of one site or one recordist resemble each other; drawing them one by one would count them as independent
    and give an interval that is too narrow.

    Parameters
    ----------
    metric : called as ``metric(reference, estimated)``
    reference, estimated : first axis num_recordings; otherwise whatever the metric takes
    groups : length num_recordings; recordings with the same value stay together
    generator : source of randomness
    num_resamples : resamples; those for which the metric is nan (no class left that it is defined for) are left out
    level : share of resamples inside the interval, in (0, 1)

    Returns
    -------
    low, high
        ``(nan, nan)`` where no resample has a value.

    Raises
    ------
    ShapeError
        If reference, estimated and groups do not have the same length.
    DataError
        If there are no recordings, or level or num_resamples is out of range.

    Source
    ------
    Efron and Tibshirani (1993), "An Introduction to the Bootstrap", chapters 8 (clusters) and 13 (percentiles).
    """
    reference, estimated, groups = np.asarray(reference), np.asarray(estimated), np.asarray(groups)
    if not len(reference) == len(estimated) == len(groups):
        raise ShapeError(
            f"reference has {len(reference)} recordings, estimated {len(estimated)}, groups {len(groups)}; "
            "all must be the same number"
        )
    if not len(reference):
        raise DataError("bootstrap_interval: no recordings to draw from")
    if not 0 < level < 1:
        raise DataError(f"level = {level}: must be between 0 and 1, e.g. 0.95")
    if num_resamples < 1:
        raise DataError(f"num_resamples = {num_resamples}: must be at least 1")
    _, group_of = np.unique(groups, return_inverse=True)
    members = [np.flatnonzero(group_of == group) for group in range(group_of.max() + 1)]
    values = []
    for _ in range(num_resamples):
        drawn = np.concatenate([members[i] for i in generator.integers(len(members), size=len(members))])
        values.append(metric(reference[drawn], estimated[drawn]))
    defined = np.asarray(values, dtype=np.float64)
    defined = defined[~np.isnan(defined)]
    if not len(defined):
        return math.nan, math.nan
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _roc_aucs(positive: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Shape (num_classes,): area under the ROC curve of each column, nan where undefined."""
    order = np.argsort(scores, axis=0)
    first, last = _ties(np.take_along_axis(scores, order, axis=0))
    # Tied items share the mean of the ranks that they take up, which makes each tie count one half.
    ranks = (first + last) / 2 + 1
    rank_sum = (ranks * np.take_along_axis(positive, order, axis=0)).sum(axis=0)
    num_positive = positive.sum(axis=0)
    return _ratio(rank_sum - num_positive * (num_positive + 1) / 2, num_positive * (len(positive) - num_positive))


def _average_precisions(positive: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Shape (num_classes,): precision averaged over recall, one step per distinct score; nan where undefined."""
    order = np.argsort(-scores, axis=0)
    _, last = _ties(np.take_along_axis(scores, order, axis=0))
    hits = np.take_along_axis(positive, order, axis=0)
    precision = np.take_along_axis(hits.cumsum(axis=0), last, axis=0) / (last + 1)
    return _ratio((precision * hits).sum(axis=0), positive.sum(axis=0))


def _ties(ordered: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last row of the run of equal values that each value of a sorted column belongs to."""
    rows = np.arange(len(ordered))[:, None]
    changes = ordered[1:] != ordered[:-1]
    edge = np.ones((min(1, len(ordered)), ordered.shape[1]), dtype=bool)
    first = np.maximum.accumulate(np.where(np.concatenate([edge, changes]), rows, 0), axis=0)
    last = np.where(np.concatenate([changes, edge]), rows, len(ordered))
    return first, np.minimum.accumulate(last[::-1], axis=0)[::-1]


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Quotient, nan where the denominator is 0."""
    undefined = np.full(denominator.shape, math.nan)
    return np.divide(numerator, denominator, out=undefined, where=denominator > 0)


def _mean_of_defined(values: np.ndarray) -> float:
    """Mean of the values that are not nan; nan where there are none."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else math.nan


def _one_hot(labels: np.ndarray, estimated: np.ndarray) -> np.ndarray:
    """Column numbers as a reference array."""
    if estimated.ndim != 2 or len(labels) != len(estimated):
        raise ShapeError(
            f"labels has shape {labels.shape} and estimated {estimated.shape}; "
            "expected (num_recordings,) and (num_recordings, num_classes)"
        )
    if labels.size and (not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0):
        raise DataError("labels: must be column numbers from 0 on")
    if labels.size and labels.max() >= estimated.shape[1]:
        raise DataError(f"labels: {labels.max()} is not one of the {estimated.shape[1]} columns of estimated")
    return labels[:, None] == np.arange(estimated.shape[1])


def _require_finite(estimated: np.ndarray) -> None:
    """Refuse scores that have no order."""
    if not np.isfinite(estimated).all():
        raise DataError(f"estimated: {np.count_nonzero(~np.isfinite(estimated))} scores are NaN or infinite")

"""Clip metrics, against values worked out by hand and against scikit-learn."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import average_precision_score, roc_auc_score

from birdcore.errors import DataError, ShapeError
from birdcore.evaluation.clips import (
    bootstrap_interval,
    class_average_precision,
    macro_roc_auc,
    per_class_table,
    roc_auc,
    top1_accuracy,
)

# One class, worked out by hand: positives score 3 and 1, negatives 2 and 0; 3 of the 4 pairs are in order.
REFERENCE = np.array([[1], [0], [1], [0]])
ESTIMATED = np.array([[3.0], [2.0], [1.0], [0.0]])


@st.composite
def clip_arrays(draw):
    """A reference and scores with many ties (integers 0 to 4)."""
    shape = draw(st.tuples(st.integers(1, 12), st.integers(1, 4)))
    reference = draw(arrays(np.int64, shape, elements=st.integers(0, 1)))
    estimated = draw(arrays(np.int64, shape, elements=st.integers(0, 4)))
    return reference, estimated.astype(float)


def test_auc_by_hand():
    assert macro_roc_auc(REFERENCE, ESTIMATED) == 0.75


def test_average_precision_by_hand():
    assert class_average_precision(REFERENCE, ESTIMATED) == pytest.approx((1 + 2 / 3) / 2)


def test_identity_scores_one():
    reference = np.eye(4)
    assert macro_roc_auc(reference, reference) == 1
    assert class_average_precision(reference, reference) == 1
    assert top1_accuracy(reference, reference) == 1


def test_constant_scores_are_worth_a_coin_toss():
    reference = np.array([[1], [0], [0], [0]])
    assert macro_roc_auc(reference, np.zeros((4, 1))) == 0.5
    assert class_average_precision(reference, np.zeros((4, 1))) == 0.25


@given(clip_arrays())
def test_macro_auc_equals_scikit_learn_over_the_classes_with_both_outcomes(pair):
    reference, estimated = pair
    both = [k for k in range(reference.shape[1]) if 0 < reference[:, k].sum() < len(reference)]
    if both:
        expected = np.mean([roc_auc_score(reference[:, k], estimated[:, k]) for k in both])
        assert macro_roc_auc(reference, estimated) == pytest.approx(expected)
    else:
        assert math.isnan(macro_roc_auc(reference, estimated))


@given(clip_arrays())
def test_class_average_precision_equals_scikit_learn_over_the_classes_with_a_positive(pair):
    reference, estimated = pair
    present = [k for k in range(reference.shape[1]) if reference[:, k].any()]
    if present:
        expected = np.mean([average_precision_score(reference[:, k], estimated[:, k]) for k in present])
        assert class_average_precision(reference, estimated) == pytest.approx(expected)
    else:
        assert math.isnan(class_average_precision(reference, estimated))


@given(clip_arrays())
def test_only_the_order_of_scores_counts(pair):
    reference, estimated = pair
    assert macro_roc_auc(reference, estimated) == pytest.approx(macro_roc_auc(reference, estimated**3 - 7), nan_ok=True)


def test_auc_is_undefined_without_both_outcomes():
    assert math.isnan(roc_auc(np.ones(3, dtype=bool), np.arange(3.0)))
    assert math.isnan(macro_roc_auc(np.zeros((0, 2)), np.zeros((0, 2))))


def test_top1_takes_column_numbers_or_a_reference_array():
    scores = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    assert top1_accuracy(np.array([0, 1, 1]), scores) == pytest.approx(2 / 3)
    assert top1_accuracy(np.eye(2)[[0, 1, 1]], scores) == pytest.approx(2 / 3)


def test_top1_leaves_out_recordings_without_a_class():
    reference = np.array([[1, 0], [0, 0], [0, 1]])
    assert top1_accuracy(reference, np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]])) == 1.0
    assert math.isnan(top1_accuracy(np.zeros((3, 2)), np.zeros((3, 2))))


def test_top1_of_no_recordings_is_undefined():
    assert math.isnan(top1_accuracy(np.zeros((0, 2)), np.zeros((0, 2))))


def test_a_column_number_beyond_the_scores_is_refused():
    with pytest.raises(DataError, match="5 is not one of the 2 columns"):
        top1_accuracy(np.array([0, 5]), np.zeros((2, 2)))


@pytest.mark.parametrize("labels", [np.array([0.5, 1.0]), np.array([-1, 0])])
def test_labels_that_are_no_column_numbers_are_refused(labels):
    with pytest.raises(DataError, match="column numbers from 0 on"):
        top1_accuracy(labels, np.zeros((2, 2)))


def test_per_class_table_by_hand():
    row, silent = per_class_table(
        np.hstack([REFERENCE, np.zeros((4, 1))]),
        np.hstack([ESTIMATED, np.zeros((4, 1))]),
        codes=["gretit1", "houspa"],
        threshold=2,
    )
    assert row["code"] == "gretit1"
    assert row["support"] == 2
    assert row["roc_auc"] == 0.75
    assert row["precision"] == row["recall"] == row["f1"] == 0.5
    assert silent["support"] == 0
    assert all(math.isnan(silent[key]) for key in ("roc_auc", "average_precision", "precision", "recall", "f1"))


def test_per_class_table_needs_a_code_per_class():
    with pytest.raises(ShapeError, match="2 given for 1 classes"):
        per_class_table(REFERENCE, ESTIMATED, codes=["a", "b"])


def test_arrays_of_different_shape_are_refused():
    with pytest.raises(ShapeError, match=r"\(4, 1\).*\(3, 1\)"):
        macro_roc_auc(REFERENCE, ESTIMATED[:3])


def test_swapped_arguments_are_recognised():
    with pytest.raises(DataError, match="swapped"):
        macro_roc_auc(ESTIMATED, REFERENCE)


def test_scores_that_are_not_finite_are_refused():
    with pytest.raises(DataError, match="1 scores are NaN"):
        class_average_precision(REFERENCE, np.array([[math.nan], [1], [1], [1]]))


def test_bootstrap_contains_the_estimate_and_repeats_with_the_seed():
    generator = np.random.default_rng(1)
    reference = (generator.random((60, 3)) < 0.4).astype(int)
    estimated = reference + generator.normal(0, 0.7, reference.shape)
    groups = np.arange(60) // 3
    first, second = (
        bootstrap_interval(
            macro_roc_auc,
            reference,
            estimated,
            groups=groups,
            generator=np.random.default_rng(5),
            num_resamples=200,
        )
        for _ in range(2)
    )
    assert first == second
    assert first[0] < macro_roc_auc(reference, estimated) < first[1]


def test_bootstrap_of_one_group_has_no_width():
    generator = np.random.default_rng(0)
    low, high = bootstrap_interval(
        macro_roc_auc, REFERENCE, ESTIMATED, groups=["site"] * 4, generator=generator, num_resamples=20
    )
    assert low == high == 0.75


def test_bootstrap_keeps_groups_whole():
    seen = []

    def remember(reference, estimated):
        seen.append(sorted(reference))
        return 0.0

    values = np.array([1, 2, 10, 20])
    bootstrap_interval(
        remember, values, values, groups=["a", "a", "b", "b"], generator=np.random.default_rng(0), num_resamples=20
    )
    assert {tuple(sample) for sample in seen} == {(1, 1, 2, 2), (1, 2, 10, 20), (10, 10, 20, 20)}


def test_bootstrap_leaves_out_resamples_without_a_value():
    # Of two single recordings, half the resamples hold one class outcome only.
    low, high = bootstrap_interval(
        macro_roc_auc,
        np.array([[1], [0]]),
        np.array([[1.0], [0.0]]),
        groups=["a", "b"],
        generator=np.random.default_rng(0),
        num_resamples=50,
    )
    assert (low, high) == (1, 1)


def test_bootstrap_of_an_undefined_metric_is_undefined():
    interval = bootstrap_interval(
        macro_roc_auc,
        np.ones((2, 1)),
        np.ones((2, 1)),
        groups=["a", "b"],
        generator=np.random.default_rng(0),
        num_resamples=5,
    )
    assert all(math.isnan(edge) for edge in interval)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"groups": ["a"]}, "groups 1"),
        ({"level": 95}, "e.g. 0.95"),
        ({"num_resamples": 0}, "at least 1"),
    ],
)
def test_bootstrap_refuses_impossible_settings(change, match):
    settings = {"groups": ["a", "b", "c", "d"], "generator": np.random.default_rng(0)} | change
    with pytest.raises((ShapeError, DataError), match=match):
        bootstrap_interval(macro_roc_auc, REFERENCE, ESTIMATED, **settings)


def test_bootstrap_of_nothing_is_refused():
    with pytest.raises(DataError, match="no recordings"):
        bootstrap_interval(
            macro_roc_auc, np.zeros((0, 1)), np.zeros((0, 1)), groups=[], generator=np.random.default_rng(0)
        )

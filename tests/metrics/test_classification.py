import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from earmark.metrics import classification as c

TRUE = np.array([0, 0, 0, 1, 1, 2])
PREDICTED = np.array([0, 0, 1, 1, 2, 2])


def test_literal_exclusive() -> None:
    tally = c.tally_exclusive(TRUE, PREDICTED, 3)
    assert tally.precision[0].tolist() == [1.0, 0.5, 0.5]
    assert tally.recall[0] == pytest.approx([2 / 3, 1 / 2, 1.0])
    assert tally.specificity[0] == pytest.approx([1.0, 3 / 4, 4 / 5])
    assert tally.f1[0] == pytest.approx([0.8, 0.5, 2 / 3])
    assert c.accuracy(TRUE, PREDICTED)[0] == pytest.approx(4 / 6)
    assert c.balanced_accuracy(tally, exclusive=True)[0] == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    assert c.confusion_matrix(TRUE, PREDICTED, 3).tolist() == [[2, 1, 0], [0, 1, 1], [0, 0, 1]]


def test_largest_confusions() -> None:
    confusion = np.array([[5, 0, 2], [7, 1, 0], [0, 0, 9]])
    assert c.largest_confusions(confusion) == [(1, 0, 7), (0, 2, 2)]


def test_unlabelled_pairs_count_nowhere() -> None:
    truth = np.array([[True, False], [False, True]])
    decision = np.array([[True, True], [True, True]])
    mask = np.array([[True, False], [True, True]])
    tally = c.tally_multilabel(truth, decision, mask)
    assert tally.false_positive[0].tolist() == [1, 0]
    assert tally.support[0].tolist() == [1, 1]
    assert c.subset_accuracy(truth, decision, mask)[0] == 0.5
    assert np.isnan(c.subset_accuracy(truth, decision, np.zeros((2, 2), dtype=bool))[0])


def test_no_clip_is_nan_not_zero() -> None:
    nobody = np.zeros(0, dtype=np.int64)
    assert np.isnan(c.accuracy(nobody, nobody)[0])
    assert np.isnan(c.macro_f1(c.tally_exclusive(nobody, nobody, 3))[0])


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(2, 7), st.integers(0, 10_000))
def test_equals_scikit_learn(n: int, classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    true, predicted = rng.integers(0, classes, n), rng.integers(0, classes, n)
    scores = rng.normal(size=(n, classes))
    labels = list(range(classes))
    tally = c.tally_exclusive(true, predicted, classes)
    p, r, f, s = sk.precision_recall_fscore_support(true, predicted, labels=labels, zero_division=0)
    np.testing.assert_allclose(tally.precision[0], p)
    np.testing.assert_allclose(tally.recall[0], r)
    np.testing.assert_allclose(tally.f1[0], f)
    np.testing.assert_array_equal(tally.support[0], s)
    confusion = sk.multilabel_confusion_matrix(true, predicted, labels=labels)
    negatives = confusion[:, 0].sum(axis=1)
    expected = np.where(negatives > 0, confusion[:, 0, 0] / np.maximum(negatives, 1), np.nan)
    np.testing.assert_allclose(tally.specificity[0], expected)
    assert c.accuracy(true, predicted)[0] == pytest.approx(sk.accuracy_score(true, predicted))
    assert c.macro_f1(tally)[0] == pytest.approx(sk.f1_score(true, predicted, average="macro", zero_division=0))
    assert c.micro_f1(tally)[0] == pytest.approx(sk.f1_score(true, predicted, average="micro", zero_division=0))
    present = np.unique(true)
    expected = sk.recall_score(true, predicted, labels=present, average="macro", zero_division=0)
    assert c.balanced_accuracy(tally, exclusive=True)[0] == pytest.approx(expected)
    np.testing.assert_array_equal(
        c.confusion_matrix(true, predicted, classes), sk.confusion_matrix(true, predicted, labels=labels)
    )
    if classes > 2:
        expected = sk.top_k_accuracy_score(true, scores, k=2, labels=labels)
        assert c.top_k_accuracy(true, scores, 2)[0] == pytest.approx(expected)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 6), st.integers(0, 10_000))
def test_multilabel_equals_scikit_learn(n: int, tags: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, decision = rng.random((n, tags)) < 0.3, rng.random((n, tags)) < 0.4
    tally = c.tally_multilabel(truth, decision)
    p, r, f, s = (
        sk.precision_recall_fscore_support(
            truth.astype(int), decision.astype(int), labels=range(tags), zero_division=0, average=None
        )
        if tags > 1
        else sk.precision_recall_fscore_support(truth[:, 0], decision[:, 0], labels=[True], zero_division=0)
    )
    np.testing.assert_allclose(tally.precision[0], p)
    np.testing.assert_allclose(tally.recall[0], r)
    np.testing.assert_allclose(tally.f1[0], f)
    np.testing.assert_array_equal(tally.support[0], s)
    if tags > 1:
        assert c.subset_accuracy(truth, decision)[0] == pytest.approx(sk.accuracy_score(truth, decision))
        assert (
            c.micro_f1(tally)[0]
            == pytest.approx(sk.f1_score(truth, decision, average="micro", zero_division=0), nan_ok=True)
            or not (truth | decision).any()
        )


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_counts_are_repetition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    true, predicted = rng.integers(0, 3, 20), rng.integers(0, 3, 20)
    counts = rng.integers(0, 4, (2, 20)).astype(float)
    for row in range(2):
        again = np.repeat(np.arange(20), counts[row].astype(int))
        expected = c.macro_f1(c.tally_exclusive(true[again], predicted[again], 3))[0]
        assert c.macro_f1(c.tally_exclusive(true, predicted, 3, counts))[row] == pytest.approx(expected)
        assert c.accuracy(true, predicted, counts)[row] == pytest.approx((true == predicted)[again].mean())


def test_a_resample_that_lost_a_tag_leaves_it_out() -> None:
    true, predicted = np.array([0, 0, 1]), np.array([0, 1, 1])
    tally = c.tally_exclusive(true, predicted, 2, np.array([[1.0, 1.0, 0.0]]))
    assert c.macro_f1(tally)[0] == pytest.approx((2 / 3 + 0) / 2)
    assert c.macro_f1(tally, np.array([True, True]))[0] == pytest.approx(2 / 3)

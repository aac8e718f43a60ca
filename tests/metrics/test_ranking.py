import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from earmark.metrics import ranking


def test_literal() -> None:
    truth = np.array([True, False, True, False])
    scores = np.array([0.9, 0.8, 0.4, 0.1])
    assert ranking.roc_auc(truth, scores)[0, 0] == 0.75
    assert ranking.average_precision(truth, scores)[0, 0] == pytest.approx((1 + 2 / 3) / 2)


def test_ties_count_half() -> None:
    assert ranking.roc_auc(np.array([True, False]), np.array([0.5, 0.5]))[0, 0] == 0.5


def test_a_tag_without_positives_has_no_figure_and_stays_out_of_the_mean() -> None:
    truth = np.array([[True, False, True], [False, False, True]])
    scores = np.array([[0.9, 0.1, 0.2], [0.1, 0.2, 0.3]])
    auc = ranking.roc_auc(truth, scores)
    assert auc[0, 0] == 1.0
    assert np.isnan(auc[0, 1])
    assert np.isnan(auc[0, 2])
    assert ranking.macro(auc)[0] == 1.0
    precision = ranking.average_precision(truth, scores)
    assert np.isnan(precision[0, 1])
    assert precision[0, 2] == 1.0  # positives only: a precision exists, a ROC curve does not


@settings(max_examples=80, deadline=None)
@given(st.integers(2, 60), st.integers(1, 8), st.booleans(), st.integers(0, 100_000))
def test_equals_scikit_learn(n: int, levels: int, ties: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.random(n) < 0.4
    truth[:2] = [True, False]
    scores = rng.integers(0, levels, n).astype(float) if ties else rng.normal(size=n)
    times = rng.integers(0, 4, n)
    times[:2] += 1
    assert ranking.roc_auc(truth, scores)[0, 0] == pytest.approx(sk.roc_auc_score(truth, scores))
    assert ranking.average_precision(truth, scores)[0, 0] == pytest.approx(sk.average_precision_score(truth, scores))
    counts = np.stack([np.ones(n), times]).astype(np.float32)
    auc, precision = ranking.roc_auc_and_average_precision(truth, scores, None, counts)
    assert auc[1, 0] == pytest.approx(sk.roc_auc_score(truth, scores, sample_weight=times))
    assert precision[1, 0] == pytest.approx(sk.average_precision_score(truth, scores, sample_weight=times))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 30), st.integers(2, 9), st.booleans(), st.integers(0, 100_000))
def test_lwlrap_equals_scikit_learn(n: int, tags: int, ties: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.random((n, tags)) < 0.3
    scores = rng.integers(0, 3, (n, tags)).astype(float) if ties else rng.normal(size=(n, tags))
    labels = truth.sum(axis=1)
    if not labels.sum():
        assert np.isnan(ranking.lwlrap(truth, scores)[0])
        return
    kept = labels > 0
    expected = sk.label_ranking_average_precision_score(truth[kept], scores[kept], sample_weight=labels[kept])
    assert ranking.lwlrap(truth, scores)[0] == pytest.approx(expected)


def test_lwlrap_ranks_only_labelled_tags() -> None:
    truth = np.array([[True, False, False]])
    scores = np.array([[0.5, 0.9, 0.1]])
    assert ranking.lwlrap(truth, scores)[0] == 0.5
    assert ranking.lwlrap(truth, scores, np.array([[True, False, True]]))[0] == 1.0


def test_masks_and_micro() -> None:
    rng = np.random.default_rng(3)
    truth, scores, mask = rng.random((50, 4)) < 0.4, rng.normal(size=(50, 4)), rng.random((50, 4)) < 0.7
    for tag in range(4):
        rows = mask[:, tag]
        expected = sk.roc_auc_score(truth[rows, tag], scores[rows, tag])
        assert ranking.roc_auc(truth, scores, mask)[0, tag] == pytest.approx(expected)
    assert ranking.micro_roc_auc(truth, scores, mask) == pytest.approx(sk.roc_auc_score(truth[mask], scores[mask]))
    expected = sk.average_precision_score(truth[mask], scores[mask])
    assert ranking.micro_average_precision(truth, scores, mask) == pytest.approx(expected)

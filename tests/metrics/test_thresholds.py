import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from earmark.metrics.thresholds import best_f1_threshold, per_tag_thresholds


def test_literal() -> None:
    truth = np.array([True, True, False, False])
    assert best_f1_threshold(truth, np.array([0.9, 0.7, 0.5, 0.1])) == pytest.approx(0.6)
    assert best_f1_threshold(np.zeros(4, dtype=bool), np.array([0.9, 0.7, 0.5, 0.1])) == 0.5


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 10), st.integers(0, 1000))
def test_no_other_threshold_is_better(n: int, levels: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, p = rng.random(n) < 0.5, rng.integers(0, levels + 1, n) / levels
    truth[0] = True
    best = f1_score(truth, p >= best_f1_threshold(truth, p), zero_division=0)
    assert best == pytest.approx(max(f1_score(truth, p >= t, zero_division=0) for t in p))


def test_few_positives_lean_on_the_others() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random((400, 2)) < 0.5
    p = np.where(truth, rng.uniform(0.5, 0.9, (400, 2)), rng.uniform(0.1, 0.5, (400, 2)))
    truth[:, 1], p[:, 1] = False, rng.uniform(0, 0.05, 400)
    truth[0, 1], p[0, 1] = True, 0.06  # one positive, split off at 0.05
    plenty, one = per_tag_thresholds(truth, p)
    assert plenty == pytest.approx(0.5, abs=0.02)
    assert one == pytest.approx(
        (best_f1_threshold(truth[:, 1], p[:, 1]) + 10 * best_f1_threshold(truth.ravel(), p.ravel())) / 11
    )
    assert one > 0.4


def test_unlabelled_pairs_do_not_count() -> None:
    truth = np.array([[True], [False], [False]])
    p = np.array([[0.8], [0.2], [0.95]])
    mask = np.array([[True], [True], [False]])
    assert per_tag_thresholds(truth, p, mask) == (pytest.approx(0.5),)

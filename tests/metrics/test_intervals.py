import time

import numpy as np
import pytest

from earmark.metrics import classification, intervals, ranking


def test_groups_come_and_go_whole() -> None:
    counts = intervals.group_counts(["a", "a", "b", "c", "a"], 200, seed=1)
    assert (counts[:, 0] == counts[:, 1]).all()
    assert (counts[:, 0] == counts[:, 4]).all()
    assert (counts[:, [0, 2, 3]].sum(axis=1) == 3).all()
    assert (intervals.group_counts(["a", "b"], 50, seed=2) == intervals.group_counts(["a", "b"], 50, seed=2)).all()


def test_covers_the_binomial() -> None:
    """With groups of one clip the interval of an accuracy is close to the normal approximation."""
    right = np.arange(400) < 320
    true = np.zeros(400, dtype=np.int64)
    counts = intervals.group_counts([str(i) for i in range(400)])
    low, high = intervals.interval(classification.accuracy(true, np.where(right, 0, 1), counts)) or (0, 0)
    assert low == pytest.approx(0.8 - 1.96 * 0.02, abs=0.006)
    assert high == pytest.approx(0.8 + 1.96 * 0.02, abs=0.006)


def test_clips_of_one_recording_widen_it() -> None:
    right = np.arange(400) < 320
    true = np.zeros(400, dtype=np.int64)
    wide = intervals.group_counts([str(i // 20) for i in range(400)])
    low, high = intervals.interval(classification.accuracy(true, np.where(right, 0, 1), wide)) or (0, 0)
    assert high - low > 0.3


def test_missing_values() -> None:
    values = np.array([np.nan, np.nan, np.nan, 0.5])
    assert intervals.interval(values) is None
    assert intervals.interval(np.array([np.nan, 0.5, 0.5, 0.5])) == (0.5, 0.5)


def test_rule_of_three() -> None:
    assert intervals.largest_error_rate(100) == pytest.approx(0.03, abs=0.001)


def test_it_is_cheap() -> None:
    """2,000 clips, 10 tags, 1,000 resamples of the five main figures: seconds, on one busy core."""
    rng = np.random.default_rng(0)
    n, tags = 2000, 10
    true = rng.integers(0, tags, n)
    scores = rng.normal(size=(n, tags))
    predicted = scores.argmax(axis=1)
    started = time.process_time()
    counts = intervals.group_counts([str(i // 4) for i in range(n)])
    tally = classification.tally_exclusive(true, predicted, tags, counts)
    auc, precision = ranking.roc_auc_and_average_precision(np.eye(tags, dtype=bool)[true], scores, None, counts)
    values = [
        classification.accuracy(true, predicted, counts),
        classification.balanced_accuracy(tally, exclusive=True),
        classification.macro_f1(tally),
        ranking.macro(auc),
        ranking.macro(precision),
    ]
    assert all(intervals.interval(v) is not None for v in values)
    assert time.process_time() - started < 10

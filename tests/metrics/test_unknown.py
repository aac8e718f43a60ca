import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.covariance import ledoit_wolf
from sklearn.metrics import roc_auc_score

from earmark.errors import InputError
from earmark.metrics import unknown


@settings(max_examples=20, deadline=None)
@given(st.integers(3, 60), st.integers(2, 30), st.integers(0, 1000))
def test_covariance_is_ledoit_wolf(n: int, d: int, seed: int) -> None:
    x = np.random.default_rng(seed).normal(size=(n, d)) * np.arange(1, d + 1)
    expected, shrinkage = ledoit_wolf(x, assume_centered=True)
    if 1e-6 < shrinkage < 1:
        np.testing.assert_allclose(unknown.shrunk_covariance(x), expected, rtol=1e-6)


def test_a_dead_dimension_and_fewer_clips_than_dimensions_are_no_trouble() -> None:
    x = np.random.default_rng(0).normal(size=(5, 512))
    x[:, 7] = 0
    inverse = np.linalg.inv(unknown.shrunk_covariance(x))
    assert np.isfinite(inverse).all()
    assert np.isfinite(np.linalg.inv(unknown.shrunk_covariance(np.zeros((4, 3))))).all()


def learnt(kind: str) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray], np.random.Generator]:
    rng = np.random.default_rng(0)
    centres = rng.normal(0, 3, (4, 32))
    classes = rng.integers(0, 4, 400)
    x = centres[classes] + rng.normal(size=(400, 32))
    z = x @ centres.T / 10
    truth = np.eye(4, dtype=bool)[classes]
    arrays = unknown.fit(x[:200], truth[:200], z[200:], x[200:], kind)
    return centres, x, arrays, rng


@pytest.mark.parametrize("kind", ["exclusive", "multilabel"])
def test_far_sounds_score_higher_and_one_in_twenty_known_is_refused(kind: str) -> None:
    centres, x, arrays, rng = learnt(kind)
    strange = rng.normal(0, 3, (100, 32))
    known = unknown.score(x[200:] @ centres.T / 10, x[200:], arrays)
    far = unknown.score(strange @ centres.T / 10, strange, arrays)
    assert unknown.auroc(known, far) > 0.95
    assert unknown.is_unknown(known, arrays).mean() == pytest.approx(0.05, abs=0.01)
    assert all(array.dtype == np.float32 for array in arrays.values())
    assert arrays["score_quantiles"].shape == (101,)
    assert arrays["means"].shape == (4, 32)


def test_threshold_is_the_conformal_order_statistic() -> None:
    scores = np.random.default_rng(0).permutation(np.arange(1.0, 60.0))
    singles = [str(i) for i in range(59)]
    assert unknown.conformal_threshold(scores, singles) == 57  # ceil(60 * 0.95)
    assert unknown.conformal_threshold(scores, singles, 0.5) == 30
    # 18 groups are too few for one in twenty
    assert unknown.conformal_threshold(np.arange(18.0), [str(i) for i in range(18)]) == 17
    assert unknown.conformal_threshold(np.arange(19.0), [str(i) for i in range(19)]) == 18


def test_many_windows_of_one_group_count_as_one() -> None:
    alone = np.arange(40.0)
    groups = [str(i) for i in range(40)]
    one = unknown.conformal_threshold(np.append(alone, 100.0), [*groups, "long"])
    many = unknown.conformal_threshold(np.append(alone, np.full(500, 100.0)), [*groups, *["long"] * 500])
    assert one == many == 39  # of 540 equal windows, the 95 % quantile would be 100


def test_no_more_than_one_in_twenty_of_new_groups_is_refused() -> None:
    rng = np.random.default_rng(0)
    refused, plain = [], []
    for _ in range(400):
        levels = rng.normal(size=31)
        scores = levels[:, None] + rng.normal(0, 0.3, (31, 8))
        groups = np.repeat(np.arange(30), 8).astype(str).tolist()
        refused.append((scores[30] > unknown.conformal_threshold(scores[:30].ravel(), groups)).mean())
        plain.append((scores[30] > np.quantile(scores[:30], 0.95)).mean())
    assert 0.01 < np.mean(refused) < 0.05 + 0.02
    assert np.mean(refused) < np.mean(plain)


def test_a_clip_is_refused_where_more_than_half_of_its_windows_are() -> None:
    clip = np.array([0, 0, 0, 0, 1, 2, 2, 2])
    scores = np.array([9.0, 1.0, 9.0, 1.0, 5.0, 9.0, 1.0, 8.0])
    assert unknown.clip_scores(scores, clip).tolist() == [1.0, 5.0, 8.0]
    above = np.array([(scores[clip == i] > 4).mean() > 0.5 for i in range(3)])
    np.testing.assert_array_equal(unknown.clip_scores(scores, clip) > 4, above)


def test_auroc_is_scikit_learns() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=30), rng.normal(1, 1, size=20)
    assert unknown.auroc(a, b) == pytest.approx(roc_auc_score([0] * 30 + [1] * 20, np.append(a, b)))
    assert np.isnan(unknown.auroc(a, np.zeros(0)))


def test_refuses_what_it_cannot_use() -> None:
    x, truth = np.zeros((3, 2)), np.ones((3, 1), dtype=bool)
    with pytest.raises(InputError, match="0 validation clips"):
        unknown.fit(x, truth, np.zeros((0, 1)), np.zeros((0, 2)), "exclusive")
    with pytest.raises(InputError, match="gut feeling"):
        unknown.fit(x, truth, np.zeros((3, 1)), x, "exclusive", components=["gut feeling"])

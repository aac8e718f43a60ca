import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

from earmark.metrics import calibration as c


def make(n: int, tags: int, seed: int, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are `temperature` times too confident about classes drawn from their own softmax."""
    rng = np.random.default_rng(seed)
    fair = rng.normal(0, 1.5, (n, tags))
    true = np.array([rng.choice(tags, p=row) for row in np.exp(c.log_softmax(fair))])
    return fair * temperature, true


def test_finds_the_temperature() -> None:
    logits, true = make(5000, 5, 0, 3.0)
    fitted = c.fit_temperature(logits, true).temperature[0]
    assert fitted == pytest.approx(3.0, rel=0.1)
    exact = minimize_scalar(
        lambda t: sk.log_loss(true, c.probabilities(logits, "exclusive", t), labels=range(5)),
        bounds=(0.1, 20),
        method="bounded",
    ).x
    assert fitted == pytest.approx(exact, rel=0.01)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 60), st.integers(2, 5), st.floats(0.05, 8), st.integers(0, 1000))
def test_never_worse_on_its_own_clips(n: int, tags: int, hot: float, seed: int) -> None:
    logits, true = make(n, tags, seed, hot)
    fitted = c.fit_temperature(logits, true)
    before = c.negative_log_likelihood(c.probabilities(logits, "exclusive"), true).mean()
    after = c.negative_log_likelihood(c.probabilities(logits, "exclusive", fitted.temperature), true).mean()
    assert after <= before + 1e-9
    truth = np.eye(tags, dtype=bool)[true]
    many = c.fit_per_tag(logits, truth)
    before = c.binary_log_loss(c.probabilities(logits, "multilabel"), truth).mean(axis=0)
    after = c.binary_log_loss(c.probabilities(logits, "multilabel", many.temperature, many.bias), truth).mean(axis=0)
    assert (after <= before + 1e-6).all()


def test_a_set_without_error_stays_in_range() -> None:
    logits = np.eye(3)[np.arange(30) % 3]
    scaling = c.fit_temperature(logits, np.arange(30) % 3)
    low, high = c.TEMPERATURE_RANGE
    assert low < scaling.temperature[0] < high
    p = c.probabilities(logits, "exclusive", scaling.temperature).max()
    assert 0.9 < p < 0.98  # Platt's smoothing for 30 clips: 31/32


def test_platt_per_tag() -> None:
    rng = np.random.default_rng(1)
    z = rng.normal(0, 1.5, (4000, 2))
    truth = rng.random((4000, 2)) < c.sigmoid(z)
    shifted = (z - np.array([1.0, -2.0])) * np.array([2.0, 0.5])
    scaling = c.fit_per_tag(shifted, truth)
    assert scaling.temperature == pytest.approx([2.0, 0.5], rel=0.15)
    assert scaling.bias == pytest.approx([1.0, -2.0], abs=0.2)


def test_few_positives_share_a_temperature_and_no_bias() -> None:
    rng = np.random.default_rng(2)
    z = rng.normal(0, 4, (300, 2))
    truth = rng.random((300, 2)) < c.sigmoid(z / 2)
    truth[:, 1] = False
    truth[np.argsort(-z[:, 1])[:3], 1] = True
    scaling = c.fit_per_tag(z, truth)
    assert scaling.bias[1] == 0.0
    assert "1 of 2 tags" in scaling.note


def test_a_tag_that_runs_the_wrong_way_is_not_turned_round() -> None:
    rng = np.random.default_rng(3)
    z = rng.normal(0, 1, (200, 1))
    truth = rng.random((200, 1)) < c.sigmoid(-3 * z)
    scaling = c.fit_per_tag(z, truth)
    assert scaling.temperature[0] > 0
    assert scaling.bias == (0.0,)


def test_unlabelled_pairs_do_not_count() -> None:
    rng = np.random.default_rng(4)
    z = rng.normal(0, 2, (500, 1))
    truth = rng.random((500, 1)) < c.sigmoid(z)
    alone = c.fit_per_tag(z, truth)
    mask = np.ones((1000, 1), dtype=bool)
    mask[500:] = False
    nonsense = c.fit_per_tag(np.concatenate([z, z]), np.concatenate([truth, ~truth]), mask)
    assert nonsense.temperature == pytest.approx(alone.temperature)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 80), st.integers(0, 1000))
def test_losses_equal_scikit_learn(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits, true = rng.normal(0, 2, (n, 4)), rng.integers(0, 4, n)
    p = c.probabilities(logits, "exclusive")
    assert c.negative_log_likelihood(p, true).mean() == pytest.approx(sk.log_loss(true, p, labels=range(4)))
    assert c.brier(p, true).mean() == pytest.approx(((p - np.eye(4)[true]) ** 2).sum(axis=1).mean())
    one = p[:, 0]
    happened = true == 0
    curve = c.reliability(one, happened, 10)
    frequency, confidence = calibration_curve(happened, one, n_bins=10)
    np.testing.assert_allclose(curve.frequency, frequency)
    np.testing.assert_allclose(curve.confidence, confidence)
    assert curve.count.sum() == n
    if 0 < happened.sum() < n:
        expected = sk.log_loss(happened, one)
        assert c.binary_log_loss(one, happened).mean() == pytest.approx(expected)


def test_ece_literal() -> None:
    confidence = np.array([0.9, 0.9, 0.1, 0.1])
    happened = np.array([True, False, False, False])
    assert c.reliability(confidence, happened, 10).ece == pytest.approx((0.4 * 2 + 0.1 * 2) / 4)
    assert np.isnan(c.reliability(np.zeros(0), np.zeros(0, dtype=bool)).ece)


def test_adaptive_bins_hold_equal_counts() -> None:
    confidence = np.linspace(0.9, 1.0, 150)
    assert set(c.reliability(confidence, confidence > 0.5, adaptive=True).count.tolist()) == {10}


def test_softmax_without_overflow() -> None:
    p = c.probabilities(np.array([[1000.0, 0.0, -1000.0]], dtype=np.float32), "exclusive")
    assert p.tolist() == [[1.0, 0.0, 0.0]]
    assert c.sigmoid(np.array([-1000.0, 1000.0])).tolist() == [0.0, 1.0]

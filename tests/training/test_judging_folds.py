"""What is learnt from held-out answers: calibration across folds, and the refusal of an ensemble."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from earmark.bundle.schema import Calibration
from earmark.evaluation.calibrate import probabilities_of
from earmark.metrics import unknown
from earmark.metrics.results import ClipPredictions, WindowAnswers
from earmark.training.judging_folds import Refused, calibrated_by, concatenate, pooled_reference, refusal_of_folds
from earmark.types import Vocabulary

TAGS = Vocabulary(("a", "b", "c"), "exclusive")


def predictions(n: int, seed: int, sharpness: float) -> ClipPredictions:
    """Logits that are right three times in four, and say so `sharpness` times too loudly."""
    rng = np.random.default_rng(seed)
    true = rng.integers(0, 3, n)
    said = np.where(rng.random(n) < 0.75, true, (true + rng.integers(1, 3, n)) % 3)
    logits = np.eye(3)[said] * np.log(6) * sharpness
    return ClipPredictions(
        uris=[f"{seed}-{i}" for i in range(n)],
        start_s=np.full(n, np.nan),
        stop_s=np.full(n, np.nan),
        groups=[f"{seed}-{i}" for i in range(n)],
        logits=logits.astype(np.float32),
        embeddings=rng.normal(size=(n, 4)).astype(np.float32),
        targets=np.eye(3, dtype=np.float32)[true],
        weights=np.ones((n, 3), np.float32),
        vocabulary=TAGS,
    )


def test_a_fold_is_calibrated_by_the_others_alone() -> None:
    others = concatenate([predictions(4000, 1, 5.0), predictions(4000, 2, 5.0)])
    mine = predictions(300, 3, 5.0)
    calibrated = calibrated_by(others, mine)
    said = probabilities_of(calibrated, Calibration()).max(axis=1)
    assert said.mean() == pytest.approx(0.75, abs=0.02)  # five times too loud before
    # what is true of the fold's own clips changes nothing of it
    mislabelled = replace(mine, targets=np.roll(mine.targets, 1, axis=1))
    np.testing.assert_array_equal(calibrated_by(others, mislabelled).logits, calibrated.logits)


def arrays(seed: int, d: int, classes: int = 3) -> tuple[unknown.Arrays, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = np.eye(3, dtype=bool)[rng.integers(0, classes, 300)]
    embeddings = truth @ rng.normal(size=(3, d)) * 4 + rng.normal(size=(300, d))
    logits = np.where(truth, 3.0, 0.0)
    found = unknown.fit(embeddings, truth, logits, embeddings, "exclusive")
    found["logit_quantiles"] = np.quantile(logits, unknown.QUANTILES, axis=0).astype(np.float32)
    return found, embeddings


def test_the_distance_of_an_ensemble_is_the_mean_of_its_members_squared() -> None:
    (first, x), (second, y) = arrays(0, 6), arrays(1, 6)
    pooled = pooled_reference([first, second])
    both = np.concatenate([x, y], axis=1)
    logits = np.zeros((300, 3))
    one = [reference | {"centre": np.zeros(3), "spread": np.ones(3)} for reference in (first, second, pooled)]
    squared = [unknown.score(logits, e, r) ** 2 for e, r in zip((x, y, both), one, strict=True)]
    # each member's nearest class is the ensemble's wherever both agree on it, and never farther
    assert (squared[2] >= (squared[0] + squared[1]) / 2 - 1e-3).all()
    assert np.isclose(squared[2], (squared[0] + squared[1]) / 2, rtol=1e-3).mean() > 0.1
    assert pooled["threshold"][0] == pytest.approx((first["threshold"][0] + second["threshold"][0]) / 2)
    assert pooled["covariance"].shape == pooled["precision"].shape == (2, 6, 6)
    whole = np.zeros((12, 12))
    whole[:6, :6], whole[6:, 6:] = pooled["precision"]
    np.testing.assert_allclose(unknown.score(logits, both, one[2] | {"precision": whole}) ** 2, squared[2], rtol=1e-9)


def test_members_that_know_other_classes_have_no_common_refusal() -> None:
    (first, _), (second, _) = arrays(0, 6), arrays(1, 6, classes=2)
    pooled = pooled_reference([first, second])
    assert "threshold" not in pooled
    assert pooled["mean"].shape == (12,)
    assert pooled["logit_quantiles"].shape == (101, 3)


def test_clips_of_several_windows_stay_together_when_folds_are_joined() -> None:
    first, second = predictions(2, 1, 1.0), predictions(3, 2, 1.0)
    windows = WindowAnswers(
        np.array([0, 0, 1]), np.zeros((3, 3), np.float32), np.arange(12, dtype=np.float32).reshape(3, 4)
    )
    joined = concatenate([replace(first, windows=windows), second])
    assert joined.heard.clip.tolist() == [0, 0, 1, 2, 3, 4]
    np.testing.assert_array_equal(joined.heard.embeddings[:3], windows.embeddings)
    np.testing.assert_array_equal(joined.heard.embeddings[3:], second.embeddings)


def test_a_fold_is_refused_by_the_threshold_of_the_others() -> None:
    quiet, loud = np.arange(40.0), np.arange(100.0, 140.0)
    strange = np.full(10, 120.5)
    parts = [
        Refused(scores, [f"{name}{i}" for i in range(40)], scores, strange)
        for name, scores in (("a", quiet), ("b", loud))
    ]
    found = refusal_of_folds(parts)
    # by the other fold's 39th score all of the loud fold is refused, and none of the quiet one
    assert found["known_refused"] == 0.5
    assert found["clips"] == 10
    assert found["refused"] == 0.5
    assert found["auroc"] == pytest.approx((1.0 + 21 / 40) / 2)

import io
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from earmark.errors import InputError
from earmark.evaluation import calibrate as c
from earmark.metrics import calibration, unknown


def test_temperature_makes_real_probabilities_better_on_other_clips(split: Any) -> None:
    fitted, thresholds = c.calibrate(split.val)
    assert thresholds == {}
    assert fitted.kind == "temperature"
    losses = [
        calibration.negative_log_likelihood(c.probabilities_of(split.test, how), split.test.classes).mean()
        for how in (type(fitted)(), fitted)
    ]
    assert losses[1] < losses[0]


def test_probabilities_are_those_of_the_bundle(split: Any, multilabel: Any) -> None:
    for clips in (split.val, multilabel):
        fitted, _ = c.calibrate(clips)
        theirs = fitted.apply(clips.logits, clips.vocabulary.kind)
        np.testing.assert_allclose(c.probabilities_of(clips, fitted), theirs, atol=1e-6)


def test_multilabel_gets_a_scale_a_bias_and_a_threshold_per_tag(multilabel: Any) -> None:
    fitted, thresholds = c.calibrate(multilabel)
    assert fitted.kind == "platt"
    for tag in range(3):
        rows = multilabel.mask[:, tag]
        other = LogisticRegression(C=np.inf).fit(multilabel.logits[rows, tag, None], multilabel.truth[rows, tag])
        assert fitted.scale[tag] == pytest.approx(other.coef_[0, 0], abs=0.02)
        assert fitted.bias[tag] == pytest.approx(other.intercept_[0], abs=0.02)
    assert set(thresholds) == {"a", "b", "c"}
    assert all(0 < value < 1 for value in thresholds.values())


def test_refusal_on_real_left_out_classes(split: Any) -> None:
    figures = c.left_out_auroc(split.train, split.val, split.test, split.left_out)
    assert set(figures) == {*unknown.COMPONENTS, "combined", "refused", "false_refusals"}
    assert figures["mahalanobis"] > 0.6
    assert figures["combined"] > 0.6
    refusal, arrays = c.fit_refusal(split.train, split.val)
    groups = len(set(split.val.groups))
    assert refusal.details["validation_groups"] == groups
    assert 0 < refusal.false_refusals <= 0.05
    assert figures["false_refusals"] < 0.1
    assert refusal.threshold == arrays["threshold"][0]
    with np.load(io.BytesIO(c.reference_bytes(arrays)), allow_pickle=False) as stored:
        again = unknown.score(split.test.logits, split.test.embeddings, stored)
    np.testing.assert_array_equal(again, unknown.score(split.test.logits, split.test.embeddings, arrays))


def test_nothing_left_out_is_an_error(split: Any) -> None:
    with pytest.raises(InputError, match="0 of left-out"):
        c.left_out_auroc(split.train, split.val, split.test, split.left_out.take(np.zeros(0, dtype=int)))


def test_nothing_to_calibrate_on(split: Any) -> None:
    fitted, thresholds = c.calibrate(split.val.take(np.zeros(0, dtype=int)))
    assert fitted.kind == "none"
    assert thresholds == {}

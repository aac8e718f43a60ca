import json
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk

from earmark.errors import InputError
from earmark.evaluation.calibrate import calibrate, fit_refusal, probabilities_of
from earmark.evaluation.evaluate import evaluate


def test_real_figures_are_scikit_learns(split: Any) -> None:
    calibration, _ = calibrate(split.val)
    found = evaluate(split.test, calibration, resamples=200)
    p, true = probabilities_of(split.test, calibration), split.test.classes
    said = p.argmax(axis=1)
    m = found.metrics
    assert m["accuracy"] == pytest.approx(sk.accuracy_score(true, said))
    assert m["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(true, said))
    assert m["macro_f1"] == pytest.approx(sk.f1_score(true, said, average="macro"))
    assert m["roc_auc_macro"] == pytest.approx(sk.roc_auc_score(true, p, multi_class="ovr"))
    assert m["pr_auc_macro"] == pytest.approx(sk.average_precision_score(np.eye(7)[true], p))
    assert m["log_loss"] == pytest.approx(sk.log_loss(true, p))
    assert m["top_3_accuracy"] == pytest.approx(sk.top_k_accuracy_score(true, p, k=3))
    np.testing.assert_array_equal(found.confusion, sk.confusion_matrix(true, said))
    assert found.per_tag[0]["tag"] == split.test.vocabulary.tags[0]
    assert found.per_tag[0]["recall"] == pytest.approx(sk.recall_score(true == 0, said == 0))
    for column, row in enumerate(found.per_tag):
        (tn, fp), _ = sk.confusion_matrix(true == column, said == column)
        assert row["specificity"] == pytest.approx(tn / (tn + fp))
    for name, (low, high) in ((k, v) for k, v in found.intervals.items() if v):
        assert low <= m[name] + 1e-9, name
        # resampling can only smear the reliability curve, so the ECE of a resample is mostly larger
        assert m[name] <= high + 1e-9 or name == "ece"
    assert found.groups == len(set(split.test.groups))


def test_multilabel_figures_count_labelled_pairs_only(multilabel: Any) -> None:
    calibration, thresholds = calibrate(multilabel)
    found = evaluate(multilabel, calibration, thresholds, resamples=50)
    p = probabilities_of(multilabel, calibration)
    rows = multilabel.mask[:, 2]
    expected = sk.roc_auc_score(multilabel.targets[rows, 2], p[rows, 2])
    assert found.per_tag[2]["roc_auc"] == pytest.approx(expected)
    assert found.per_tag[2]["support"] == int(multilabel.targets[rows, 2].sum())
    assert found.per_tag[2]["threshold"] == thresholds["c"]
    (tn, fp), _ = sk.confusion_matrix(multilabel.targets[rows, 2] > 0.5, p[rows, 2] >= thresholds["c"])
    assert found.per_tag[2]["specificity"] == pytest.approx(tn / (tn + fp))
    assert found.metrics["log_loss"] == pytest.approx(
        sk.log_loss(multilabel.truth[multilabel.mask], p[multilabel.mask])
    )
    assert 0 < found.metrics["lwlrap"] < 1
    assert found.intervals["lwlrap"] is not None
    assert found.confusion is None


def test_no_nan_reaches_json(split: Any) -> None:
    only_two = split.test.take(np.flatnonzero(split.test.classes < 2))
    found = evaluate(only_two, resamples=20)
    text = json.dumps(found.to_json(), allow_nan=False)
    assert json.loads(text)["per_tag"][5]["roc_auc"] is None
    assert any("lack positives" in note for note in found.notes)
    assert found.metrics["roc_auc_macro"] == pytest.approx(
        np.nanmean([row["roc_auc"] for row in found.per_tag if row["support"]])
    )


def test_one_group_has_no_interval_and_few_are_called_unreliable(split: Any) -> None:
    import dataclasses

    one = dataclasses.replace(split.test, groups=["a"] * len(split.test))
    found = evaluate(one, resamples=20)
    assert set(found.intervals.values()) == {None}
    few = dataclasses.replace(split.test, groups=[str(i % 3) for i in range(len(split.test))])
    assert any("Only 3 groups" in note for note in evaluate(few, resamples=20).notes)


def test_all_right_says_how_wrong_it_may_still_be(split: Any) -> None:
    import dataclasses

    perfect = dataclasses.replace(split.test, logits=10 * split.test.targets)
    found = evaluate(perfect, resamples=20)
    assert found.intervals["accuracy"] == (1.0, 1.0)
    assert any("No mistake in" in note for note in found.notes)


def test_refusal_of_left_out_classes(split: Any) -> None:
    _, arrays = fit_refusal(split.train, split.val)
    found = evaluate(split.test, reference=arrays, unknown_clips=split.left_out, resamples=0)
    assert found.unknown["clips"] == len(split.left_out)
    assert found.unknown["auroc"] > 0.6
    assert found.unknown["refused"] > found.unknown["known_refused"]


def test_nothing_labelled(multilabel: Any) -> None:
    import dataclasses

    with pytest.raises(InputError, match="no clip has a label"):
        evaluate(dataclasses.replace(multilabel, weights=np.zeros_like(multilabel.weights)))


def test_the_same_seed_gives_the_same_intervals(split: Any) -> None:
    assert evaluate(split.test, resamples=50).intervals == evaluate(split.test, resamples=50).intervals

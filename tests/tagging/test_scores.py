from __future__ import annotations

import numpy as np
import pytest

from earmark.bundle.schema import Calibration
from earmark.errors import InputError
from earmark.tagging.scores import Scores, TagScore
from earmark.types import Vocabulary


def make_scores(logits, *, kind="multilabel", thresholds=None, unknown=None) -> Scores:
    """Windows of a second, every second."""
    logits = np.asarray(logits, np.float32)
    start = np.arange(float(len(logits)))
    mean = logits.mean(axis=0)
    return Scores(
        recording="x.wav",
        duration_s=float(len(logits)),
        start_s=start,
        stop_s=start + 1,
        logits=logits,
        probabilities=Calibration().apply(logits, kind),
        mean_logits=mean,
        mean_probabilities=Calibration().apply(mean, kind),
        vocabulary=Vocabulary(("dog", "cat", "owl"), kind),
        thresholds=None if thresholds is None else np.asarray(thresholds, np.float32),
        bundle_hash="ab" * 32,
        unknown=None if unknown is None else np.asarray(unknown, np.float32),
        unknown_threshold=None if unknown is None else 1.0,
    )


def test_top_is_by_the_mean_logit():
    scores = make_scores([[4, 0, -2], [-2, 2, -2]], thresholds=[0.5, 0.5, 0.5])
    assert [(score.tag, score.logit) for score in scores.top(2)] == [("dog", 1.0), ("cat", 1.0)]
    assert scores.top(1)[0] == TagScore("dog", float(np.float32(1 / (1 + np.exp(-1)))), 1.0)


def test_tags_are_those_at_or_above_their_threshold():
    # sigmoid(0) = 0.5 exactly
    scores = make_scores([[0, 3, -1]], thresholds=[0.5, 0.99, 0.2])
    assert scores.tags() == ["dog", "owl"]
    assert make_scores([[-9, -9, -9]], thresholds=[0.5, 0.5, 0.5]).tags() == []


def test_an_exclusive_model_gives_exactly_one_tag_or_none_below_its_threshold():
    assert make_scores([[0, 3, -1]], kind="exclusive").tags() == ["cat"]
    assert make_scores([[0, 3, -1]], kind="exclusive", thresholds=[0, 0, 0]).tags() == ["cat"]
    assert make_scores([[0, 0.1, 0]], kind="exclusive", thresholds=[0.5, 0.5, 0.5]).tags() == []


def test_a_recording_is_unknown_when_most_of_its_windows_are():
    logits = np.zeros((4, 3))
    assert make_scores(logits, unknown=[2, 2, 2, 0]).is_unknown
    assert not make_scores(logits, unknown=[2, 2, 0, 0]).is_unknown
    assert make_scores(logits, unknown=[1, 1.01, 0, 0]).unknown_windows.tolist() == [False, True, False, False]
    assert not make_scores(logits).is_unknown


def test_events_use_thresholds_and_eight_tenths_of_them():
    # sigmoid: 2 -> 0.88, 0 -> 0.5, -0.2 -> 0.45, -3 -> 0.05; the threshold is 0.6, so an event holds down to 0.48
    dog = [-3, 2, 0, 2, -0.2, 0, -3]
    scores = make_scores([[value, -9, -9] for value in dog], thresholds=[0.6, 0.5, 0.5])
    assert [(event.tag, event.start_s, event.stop_s) for event in scores.events()] == [("dog", 1.0, 4.0)]
    assert [(event.start_s, event.stop_s) for event in scores.events(off=0.4)] == [(1.0, 6.0)]
    assert [(event.start_s, event.stop_s) for event in scores.events(off=0.6)] == [(1.0, 2.0), (3.0, 4.0)]
    assert scores.events(on=0.9) == []


def test_events_come_in_order_of_time_and_refused_windows_hold_none():
    scores = make_scores([[-9, 5, -9], [5, -9, -9], [5, -9, -9]], thresholds=[0.5] * 3, unknown=[0, 0, 5])
    assert [(event.tag, event.start_s, event.stop_s) for event in scores.events()] == [
        ("cat", 0.0, 1.0),
        ("dog", 1.0, 3.0),
    ]
    assert [event.stop_s for event in scores.events(refuse=True)] == [1.0, 2.0]


@pytest.mark.parametrize("options", [{"on": 1.5}, {"off": -0.1}, {"on": 0.4, "off": 0.5}])
def test_impossible_hysteresis_is_refused(options):
    with pytest.raises(InputError, match="events:"):
        make_scores([[0, 0, 0]]).events(**options)


def test_the_frame_has_a_row_a_window_and_tag():
    scores = make_scores([[4, 0, -2], [-2, 2, -2]], thresholds=[0.5] * 3)
    frame = scores.to_frame()
    assert list(frame.columns) == ["path", "start_s", "end_s", "tag", "probability", "logit"]
    assert frame["tag"].tolist() == ["dog", "cat", "owl"] * 2
    assert frame["start_s"].tolist() == [0, 0, 0, 1, 1, 1]
    assert frame["logit"].tolist() == [4, 0, -2, -2, 2, -2]
    np.testing.assert_array_equal(frame["probability"].to_numpy(), scores.probabilities.ravel())


def test_predictions_name_the_model():
    predictions = make_scores([[4, 0, -2], [-2, 2, -2]]).predictions()
    assert len(predictions) == 2
    assert (predictions[1].start_s, predictions[1].stop_s, predictions[1].bundle_hash) == (1.0, 2.0, "ab" * 32)
    assert predictions[1].logits.tolist() == [-2, 2, -2]


def test_refused_windows_count_in_no_mean():
    scores = make_scores([[2, -9, -9], [9, -9, -9], [2, -9, -9]], thresholds=[0.5, 0.5, 0.5], unknown=[0, 2, 0])
    (event,) = scores.events(min_gap_s=1.5, refuse=True)
    sure = 1 / (1 + np.exp(-2))
    assert (event.start_s, event.stop_s) == (0.0, 3.0)
    assert event.probability == pytest.approx(sure)
    assert event.mean_probability == pytest.approx(sure)

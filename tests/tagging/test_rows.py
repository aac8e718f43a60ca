from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from earmark.bundle.schema import Calibration
from earmark.errors import InputError
from earmark.tagging.rows import Choice, decide_per, record, rows
from earmark.tagging.scores import Row, Scores
from earmark.types import Vocabulary


@pytest.fixture
def scores() -> Scores:
    """Two windows; in the first dog and cat are heard, in the second nothing, and it is unknown."""
    logits = np.float32([[3, 1, -4], [-1, -2, -3]])
    mean = logits.mean(axis=0)
    return Scores(
        recording="x.wav",
        duration_s=1.5,
        start_s=np.array([0.0, 0.5]),
        stop_s=np.array([1.0, 1.5]),
        logits=logits,
        probabilities=Calibration().apply(logits, "multilabel"),
        mean_logits=mean,
        mean_probabilities=Calibration().apply(mean, "multilabel"),
        vocabulary=Vocabulary(("dog", "cat", "owl"), "multilabel"),
        thresholds=np.float32([0.5, 0.5, 0.5]),
        bundle_hash="ab" * 32,
        unknown=np.float32([0, 2]),
        unknown_threshold=1.0,
    )


def shown(scores: Scores, **choice) -> list[tuple[float, str]]:
    return [(row.start_s, row.tag) for row in rows(scores, Choice(**choice))]


def test_a_window_shows_what_is_heard_or_else_its_likeliest_tag(scores):
    assert shown(scores) == [(0.0, "dog"), (0.0, "cat"), (0.5, "dog")]


def test_a_threshold_shows_nothing_below_it(scores):
    assert shown(scores, threshold=0.8) == [(0.0, "dog")]
    assert shown(scores, threshold=0.0, top=2) == [(0.0, "dog"), (0.0, "cat"), (0.5, "dog"), (0.5, "cat")]


def test_a_threshold_copied_from_a_table_finds_its_row(scores):
    printed = float(str(scores.probabilities[0, 1]))
    assert (0.0, "cat") in shown(scores, threshold=printed)


def test_top_and_all(scores):
    assert shown(scores, top=1) == [(0.0, "dog"), (0.5, "dog")]
    assert len(shown(scores, all_tags=True)) == 6


def test_a_recording_as_a_whole(scores):
    # mean logits are 1, -0.5, -3.5
    assert list(rows(scores, Choice(per="recording"))) == [
        Row("x.wav", 0.0, 1.5, "dog", float(scores.mean_probabilities[0]), 1.0)
    ]


def test_events_and_refusal(scores):
    assert shown(scores, per="event") == [(0.0, "cat"), (0.0, "dog")]
    assert shown(scores, per="event", threshold=0.8) == [(0.0, "dog")]
    assert list(rows(scores, Choice(refuse=True)))[-1] == Row("x.wav", 0.5, 1.5, "unknown", None, None)


def test_the_record_holds_the_same_as_the_rows(scores):
    found = record(scores, Choice())
    assert (found["path"], found["duration_s"], found["unknown"], found["warning"]) == ("x.wav", 1.5, False, None)
    assert [tag["tag"] for tag in found["tags"]] == ["dog"]
    assert [[tag["tag"] for tag in window["tags"]] for window in found["windows"]] == [["dog", "cat"], ["dog"]]
    assert [window["unknown"] for window in found["windows"]] == [False, True]
    assert [event["tag"] for event in record(scores, Choice(per="event"))["events"]] == ["cat", "dog"]
    assert "windows" not in record(scores, Choice(per="recording"))


@pytest.mark.parametrize(
    "choice",
    [
        {"threshold": 1.1},
        {"threshold": float("nan")},
        {"top": 0},
        {"min_gap_s": -1.0},
        {"on": 0.2, "off": 0.3},
        {"all_tags": True, "top": 2},
        {"per": "event", "top": 2},
    ],
)
def test_choices_that_make_no_sense_are_refused(choice):
    with pytest.raises(InputError):
        Choice(**choice)


def test_what_rows_are_per():
    assert decide_per(None, events=False, format="csv") == "window"
    assert decide_per(None, events=False, format=None) == "recording"
    assert decide_per(None, events=False, format="raven") == "event"
    assert decide_per(None, events=True, format="csv") == "event"
    assert decide_per("recording", events=False, format="csv") == "recording"
    with pytest.raises(InputError, match="exclude each other"):
        decide_per("window", events=True, format="csv")
    with pytest.raises(InputError, match="expected window, recording or event"):
        decide_per("song", events=False, format="csv")


def test_refusing_says_unknown_in_json_too(scores):
    unknown = {"tag": "unknown", "probability": None, "logit": None}
    content = record(scores, Choice(refuse=True))
    assert [window["tags"] == [unknown] for window in content["windows"]] == [False, True]
    assert [tag["tag"] for tag in content["tags"]] == ["dog"]  # half of its windows are known
    scores = replace(scores, unknown=np.float32([2, 2]))
    assert record(scores, Choice(refuse=True, per="recording"))["tags"] == [unknown]
    assert record(scores, Choice(refuse=True, per="event")) == {
        **record(scores, Choice(refuse=True, per="recording")),
        "events": [],
    }
    assert record(scores, Choice(per="recording"))["tags"][0]["tag"] == "dog"

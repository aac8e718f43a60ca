"""From everybody's words to one answer, and how well people agree."""

from __future__ import annotations

import math

import pytest

from earmark.catalog.agreeing import Consensus, Hands, consensus_of
from earmark.catalog.current import Said
from earmark.types import LabelValue

F, B, A, U = (LabelValue(word) for word in ("foreground", "background", "absent", "unsure"))


def word(number: int, clip: int, who: int, sax: LabelValue | None, kind: str = "label", origin: str = "person") -> Said:
    return Said(number, clip, who, kind, {} if sax is None else {"sax": sax}, number, None, origin)


def of(*words: tuple[int, int, LabelValue | None], gold: dict[int, LabelValue] | None = None) -> Consensus:
    said = [word(i, clip, who, value, "label" if value else "unusable") for i, (clip, who, value) in enumerate(words)]
    return consensus_of(said, ["sax", "vocals"], {clip: {"sax": value} for clip, value in (gold or {}).items()})


def test_one_persons_answers_are_taken_as_they_are() -> None:
    found = of((1, 1, F), (2, 1, A), (3, 1, U))
    assert found.method == "majority"
    assert {clip: (tags["sax"].value, tags["sax"].confidence) for clip, tags in found.clips.items()} == {
        1: (F, 1.0),
        2: (A, 1.0),
        3: (U, 0.0),
    }
    assert found.disputed == []
    assert "vocals" not in found.clips[1]
    assert math.isnan(found.tags["sax"].alpha)


def test_unsure_is_no_vote() -> None:
    found = of((1, 1, U), (1, 2, F), (2, 1, A), (2, 2, A)).clips
    assert (found[1]["sax"].value, found[1]["sax"].people, found[1]["sax"].disputed) == (F, 1, False)


def test_what_people_disagree_on_is_in_dispute_the_least_sure_first() -> None:
    many = [(clip, who, F if clip % 2 else A) for clip in range(10, 30) for who in (1, 2, 3)]
    found = of(*many, (1, 1, F), (1, 2, A), (2, 1, F), (2, 2, F), (2, 3, A), (2, 4, F), (2, 5, F), (2, 6, F))
    assert 1 in found.disputed
    assert all(clip in (1, 2) for clip in found.disputed)
    assert found.clips[2]["sax"].value is F


def test_gold_and_adjudication_beat_what_people_say() -> None:
    said = [word(1, 1, 1, F), word(2, 1, 2, F), word(3, 1, 9, A, origin="adjudication"), word(4, 2, 1, F)]
    found = consensus_of(said, ["sax"], {1: {"sax": "background"}, 2: {"sax": "background"}})
    assert {clip: (tags["sax"].value, tags["sax"].known) for clip, tags in found.clips.items()} == {
        1: (A, True),
        2: (B, True),
    }
    assert found.disputed == []


def test_a_clip_that_most_call_unusable_is_left_out() -> None:
    found = of((1, 1, None), (2, 1, None), (2, 2, F), (3, 1, None), (3, 2, F), (3, 3, F))
    assert found.unusable == {1, 2}
    assert list(found.clips) == [3]


def test_the_later_word_of_a_person_counts() -> None:
    said = [word(1, 1, 1, F), Said(2, 1, 1, "label", {"vocals": A}, 2, None, "import"), word(3, 1, 1, A)]
    found = consensus_of(said, ["sax", "vocals"], {})
    assert {tag: one.value for tag, one in found.clips[1].items()} == {"sax": A, "vocals": A}


def test_how_well_people_agree() -> None:
    words = [(clip, who, F if clip % 3 == 0 else A) for clip in range(60) for who in (1, 2, 3)]
    words += [(clip, 4, F if clip % 7 < 3 else A) for clip in range(60)]  # who does not listen
    whole = of(*words)
    found = whole.tags["sax"]
    assert found.alpha == 1.0  # of those whose answers count
    assert [found.kappa[who] for who in (1, 2, 3)] == pytest.approx([1, 1, 1])
    assert abs(found.kappa[4]) < 0.2
    assert found.unskilled == whole.aside == {4}
    assert whole.skills[4].high < 0.5
    assert (whole.skills[1].low, whole.skills[1].answers) == (pytest.approx(0.9, abs=0.09), 60)
    assert {clip: tags["sax"].people for clip, tags in whole.clips.items()} == dict.fromkeys(range(60), 3)
    assert whole.disputed == []


def test_an_admin_may_say_whose_answers_count() -> None:
    words = [(clip, who, F if clip % 3 == 0 else A) for clip in range(60) for who in (1, 2, 3)]
    words += [(clip, 4, F if clip % 7 < 3 else A) for clip in range(60)]
    said = [word(number, *one) for number, one in enumerate(words)]
    kept = consensus_of(said, ["sax"], {}, hands=Hands(trusted=frozenset({4})))
    assert kept.aside == frozenset()
    assert kept.clips[0]["sax"].people == 4
    assert 0.3 < kept.tags["sax"].alpha < 0.9
    out = consensus_of(said, ["sax"], {}, hands=Hands(aside=frozenset({1})))
    assert out.aside == {1, 4}
    alone = consensus_of([word(1, 1, 1, F), word(2, 2, 2, A)], ["sax"], {}, hands=Hands(aside=frozenset({1})))
    assert list(alone.clips) == [2]  # of the other clip nobody who counts has said anything


def test_where_one_answer_only_was_given_nobody_is_judged() -> None:
    found = of(*[(clip, who, A) for clip in range(40) for who in (1, 2)]).tags["sax"]
    assert math.isnan(found.alpha)
    assert all(math.isnan(skill) for skill in found.skill.values())
    assert found.unskilled == frozenset()


def test_nothing_said_is_no_consensus() -> None:
    found = consensus_of([], ["sax"], {})
    assert (found.clips, found.disputed, found.unusable) == ({}, [], frozenset())

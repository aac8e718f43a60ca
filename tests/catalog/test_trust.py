"""Who is found to be no better than chance, and who is not, among people that are known."""

from __future__ import annotations

import numpy as np
import pytest

from earmark.catalog.consensus import Answers, Ints
from earmark.catalog.trust import ENOUGH_GOLD, LEAST_SKILL, Judged, Mask, Tag, judge

N_CLIPS = 120


def _tag(*people: Ints, known: Ints | None = None, n_values: int = 2) -> Tag:
    """(clips,) of each person's answers, -1 where they gave none."""
    said = np.stack(people, axis=1)
    clips, who = np.nonzero(said >= 0)
    answers = Answers(clips, who, said[clips, who], len(said), len(people), n_values)
    return Tag(answers, np.full(len(said), -1) if known is None else known)


def _right(truth: Ints, share: float, seed: int, n_values: int = 2) -> Ints:
    rng = np.random.default_rng(seed)
    other = (truth + rng.integers(1, n_values, len(truth))) % n_values
    return np.where(rng.random(len(truth)) < share, truth, other)


def _truth(seed: int = 0, share: float = 0.5, n: int = N_CLIPS) -> Ints:
    return (np.random.default_rng(seed).random(n) < share).astype(np.int64)


def _aside(found: Judged) -> list[int]:
    return np.flatnonzero(found.aside).tolist()


@pytest.mark.parametrize("share", [0.5, 0.1])
@pytest.mark.parametrize("seed", range(5))
def test_who_does_not_listen_is_found_whatever_their_habit(seed: int, share: float) -> None:
    truth = _truth(seed, share)
    dice = np.random.default_rng(seed + 50).integers(0, 2, N_CLIPS)
    always = np.zeros(N_CLIPS, dtype=np.int64)
    good = [_right(truth, right, seed + i) for i, right in enumerate((0.95, 0.9, 0.85, 0.9), start=1)]
    found = judge([_tag(*good, dice, 1 - truth, always)], 7)
    assert set(_aside(found)) >= {4, 5}
    assert set(_aside(found)) <= {4, 5, 6}
    if share == 0.5:  # where a tag is rare, always saying no shows only after many clips
        assert 6 in _aside(found)
    assert (found.low[:4] > 0).all()  # the four who listen are told from chance, by much less than they have said
    assert (found.high[[4, 5]] < LEAST_SKILL).all()
    assert (found.low[[4, 5]] == 0).all()


@pytest.mark.parametrize("seed", range(10))
def test_nobody_honest_is_set_aside(seed: int) -> None:
    truth = _truth(seed, 0.3)
    rng = np.random.default_rng(seed)
    people = [np.where(rng.random(N_CLIPS) < 0.5, _right(truth, 0.75 + 0.03 * i, seed + i), -1) for i in range(8)]
    assert _aside(judge([_tag(*people)], 8)) == []


def test_few_answers_prove_nothing() -> None:
    truth = _truth()
    few = np.where(np.arange(N_CLIPS) < 20, 1 - truth, -1)
    found = judge([_tag(truth, _right(truth, 0.9, 1), few)], 3)
    assert _aside(found) == []
    assert found.answers.tolist() == [N_CLIPS, N_CLIPS, 20]


def test_of_two_who_never_agree_neither_is_set_aside_but_gold_tells_which_one() -> None:
    truth = _truth()
    dice = np.random.default_rng(9).integers(0, 2, N_CLIPS)
    people = _right(truth, 0.95, 1), dice
    assert _aside(judge([_tag(*people)], 2)) == []
    gold = np.where(np.arange(N_CLIPS) < 3 * ENOUGH_GOLD, truth, -1)
    assert _aside(judge([_tag(*people, known=gold)], 2)) == [1]


def test_all_tags_of_a_task_are_looked_at_together() -> None:
    first, second = _truth(1), _truth(2)
    good = [[_right(truth, 0.9, seed + i) for i in range(4)] for seed, truth in ((10, first), (20, second))]
    dice = np.random.default_rng(3).integers(0, 2, N_CLIPS)
    half = [*good[0], _right(first, 0.95, 30)], [*good[1], dice]  # who knows one of the tags well
    assert _aside(judge([_tag(*half[0]), _tag(*half[1])], 5)) == []
    assert _aside(judge([_tag(*half[1])], 5)) == [4]
    none = [*good[0], dice], [*good[1], dice[::-1]]
    assert _aside(judge([_tag(*none[0]), _tag(*none[1])], 5)) == [4]


def test_what_an_admin_says_goes_before_the_rule() -> None:
    truth = _truth()
    people = [*(_right(truth, 0.9, i) for i in range(4)), 1 - truth]
    tag = _tag(*people)

    def mask(*who: int) -> Mask:
        return np.isin(np.arange(5), who)

    assert _aside(judge([tag], 5)) == [4]
    assert _aside(judge([tag], 5, kept=mask(4))) == []
    assert _aside(judge([tag], 5, out=mask(0))) == [0, 4]
    assert judge([tag], 5, out=mask(0)).skill[0] > 0.7  # and what they can do is told all the same


def test_one_value_alone_or_no_answer_at_all_tells_nothing() -> None:
    same = np.zeros(N_CLIPS, dtype=np.int64)
    found = judge([_tag(same, same, n_values=1)], 2)
    assert np.isnan(found.skill).all()
    assert (found.low.tolist(), found.high.tolist(), _aside(found)) == ([0.0, 0.0], [1.0, 1.0], [])
    assert judge([], 0).aside.tolist() == []

"""Who answers no better than chance, told from gold clips and from what the others say; pure functions on arrays.

Somebody is taken to know the answer to a share `skill` of clips, and to guess the others after a habit of their own
(how often they give each answer). 0 is a die, or always the same answer; 1 is always right. How likely their answers
are under each skill is reckoned against what is known of the clips without them: gold clips, and what Dawid-Skene
believes of the rest from everybody else's answers. So a person is not judged by a consensus of their own making, and a
clip of which little is known says little about them.

**The rule.** Somebody is set aside whose answers are not better than chance (the likelihood-ratio test of skill 0), and
are worse than those of somebody who knows every other clip (of skill `LEAST_SKILL`), each at 1 %, one-sided. Both have
to hold: with few answers nobody is, and whoever is always wrong is soon. By gold clips alone it takes
`ENOUGH_GOLD` answers. By what others say it takes `ENOUGH_ANSWERS`, and those who stay have to have given more than
half of all answers: of two who never agree it cannot be told which one guesses.

The model of knowing or guessing is that of D. Hovy et al., Learning Whom to Trust with MACE, NAACL 2013.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earmark.catalog.consensus import Answers, Beliefs, Floats, Ints, dawid_skene, without_each

LEAST_SKILL = 0.5
ENOUGH_ANSWERS = 25
ENOUGH_GOLD = 10

_ONE_SIDED = 5.412  # twice the log-likelihood's fall; chi-square with one degree of freedom: 1 % on one side
_GRID = np.linspace(0.0, 0.99, 100)
_LEAST = 50  # where LEAST_SKILL stands in it
_MOST_ROUNDS = 10

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Tag:
    """The answers for one tag, and (clips,) the values that are known, -1 elsewhere; people are those of all tags."""

    answers: Answers
    known: Ints


@dataclass(frozen=True, slots=True)
class Judged:
    """What is known of people.

    Attributes:
        skill, low, high: (people,), the likeliest, and its limits of 99 %, each on its side; NaN, 0 and 1 where
            there is nothing to tell them from.
        answers: (people,): how many answers were looked at, over all tags.
        aside: (people,): by the rule, or because it was said so.
    """

    skill: Floats
    low: Floats
    high: Floats
    answers: Ints
    aside: Mask


def judge(tags: Sequence[Tag], n_people: int, *, kept: Mask | None = None, out: Mask | None = None) -> Judged:
    """Who is to be set aside, by all their answers to the tags of a task.

    Those who are found first no longer speak about the others, who are then looked at again.

    Args:
        kept: (people,): who stays, whatever the rule says. out: who is set aside, whatever it says.
    """
    never = np.zeros(n_people, dtype=bool) if kept is None else kept
    always = np.zeros(n_people, dtype=bool) if out is None else out & ~never
    aside = always.copy()
    evidence = np.zeros((n_people, len(_GRID)))
    for _ in range(_MOST_ROUNDS):
        evidence = np.zeros((n_people, len(_GRID)))
        gold = np.zeros((n_people, len(_GRID)))
        given, given_gold = np.zeros(n_people, dtype=np.int64), np.zeros(n_people, dtype=np.int64)
        for tag in tags:
            trusted = of_people(tag.answers, ~aside)
            rows, of_gold, counted = _evidence(tag, dawid_skene(trusted, tag.known), ~aside)
            on_gold = tag.known[tag.answers.clips] >= 0
            evidence, gold = evidence + rows, gold + of_gold
            given += counted
            given_gold += np.bincount(tag.answers.annotators[on_gold], minlength=n_people)
        found = always | (~never & _by_rule(gold) & (given_gold >= ENOUGH_GOLD * max(1, len(tags))))
        found = _with_the_others(
            found, ~never & _by_rule(evidence), evidence, given, ENOUGH_ANSWERS * max(1, len(tags))
        )
        if (found == aside).all():
            break
        aside = found | aside if (found & ~aside).any() else found
    best = evidence.argmax(axis=1)
    told = np.ptp(evidence, axis=1) > 0
    low, high = _limits(evidence)
    return Judged(
        skill=np.where(told, _GRID[best], np.nan),
        low=np.where(told, low, 0.0),
        high=np.where(told, high, 1.0),
        answers=sum((np.bincount(tag.answers.annotators, minlength=n_people) for tag in tags), np.zeros(n_people, int)),
        aside=aside,
    )


def of_people(answers: Answers, people: Mask) -> Answers:
    """The answers of some."""
    mine = people[answers.annotators]
    return Answers(
        answers.clips[mine],
        answers.annotators[mine],
        answers.values[mine],
        answers.n_clips,
        answers.n_annotators,
        answers.n_values,
    )


def _with_the_others(found: Mask, poor: Mask, evidence: Floats, given: Ints, enough: int) -> Mask:
    """`found` and who else is poor by what the others say, the worst first, as long as most answers stay."""
    found = found.copy()
    total = left = given[~found].sum()
    worst = np.argsort(evidence[:, _LEAST] - evidence[:, 0], kind="stable")
    for person in worst:
        if poor[person] and not found[person] and given[person] >= enough and 2 * (left - given[person]) > total:
            found[person] = True
            left -= given[person]
    return found


def _by_rule(evidence: Floats) -> Mask:
    low, high = _limits(evidence)
    return np.asarray((low == 0.0) & (high < LEAST_SKILL))


def _limits(evidence: Floats) -> tuple[Floats, Floats]:
    """(people,) each: the least and the greatest skill that the answers do not speak against."""
    fall = 2 * (evidence.max(axis=1, keepdims=True) - evidence)
    low = _GRID[(fall <= _ONE_SIDED).argmax(axis=1)]
    high = _GRID[len(_GRID) - 1 - (fall <= _ONE_SIDED)[:, ::-1].argmax(axis=1)]
    return low, np.where(high == _GRID[-1], 1.0, high)


def _evidence(tag: Tag, beliefs: Beliefs, trusted: Mask) -> tuple[Floats, Floats, Ints]:
    """(people, skills): log-likelihood of everybody's answers, of those to gold clips alone; (people,) how many."""
    answers, known = tag.answers, tag.known
    truth, said_by_others = without_each(answers, beliefs, known, trusted)
    habit = np.zeros((answers.n_annotators, answers.n_values))
    np.add.at(habit, (answers.annotators, answers.values), 1.0)
    habit = (habit + 0.5) / (habit + 0.5).sum(axis=1, keepdims=True)
    right = truth[np.arange(len(answers.values)), answers.values]
    guessed = habit[answers.annotators, answers.values]
    gold = known[answers.clips] >= 0
    found = np.zeros((2, answers.n_annotators, len(_GRID)))
    for place, skill in enumerate(_GRID):  # one at a time: all at once would be a hundred times the answers' memory
        logs = np.log(skill * right + (1 - skill) * guessed)
        for kind, used in enumerate((said_by_others, gold)):
            found[kind, :, place] = np.bincount(answers.annotators, logs * used, answers.n_annotators)
    return found[0], found[1], np.bincount(answers.annotators[said_by_others], minlength=answers.n_annotators)

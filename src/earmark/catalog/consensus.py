"""What people say of a clip, made one answer: by majority, or weighing each by how reliable they prove (Dawid-Skene).

Pure functions on arrays, one tag at a time; `earmark.catalog.agreeing` fetches the answers and names the clips again.

Dawid-Skene is our own: crowd-kit has it under the Apache licence, but brings transformers, tokenizers and nltk along,
which is more than the whole of the rest. A. P. Dawid and A. M. Skene, Maximum Likelihood Estimation of Observer
Error-Rates Using the EM Algorithm, Applied Statistics 28(1), 1979, pages 20-28.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Ints: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]
Method: TypeAlias = Literal["majority", "dawid-skene"]

METHODS: tuple[Method, ...] = ("majority", "dawid-skene")

PRIOR_ANSWERS = 4.0
PRIOR_RIGHT = 0.7
"""What is believed of somebody before their first answer: as if they had given `PRIOR_ANSWERS` to each true value, and
`PRIOR_RIGHT` of them right. It keeps one answer from making a person infallible, and names the values: without it the
likelihood is the same when all are renamed."""


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers to one tag, each one (clip, annotator, value), as indices: three arrays (m,).

    `unsure`, and whatever else is no statement about the clip, is left out by the caller.
    """

    clips: Ints
    annotators: Ints
    values: Ints
    n_clips: int
    n_annotators: int
    n_values: int

    def counts(self) -> Ints:
        """(clips, values): how many people gave each clip each value."""
        flat = np.bincount(self.clips * self.n_values + self.values, minlength=self.n_clips * self.n_values)
        return flat.reshape(self.n_clips, self.n_values).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Beliefs:
    """What the answers say.

    Attributes:
        values: (clips, values) float64, the probability of each value; a clip without answer has all zeros.
        confusion: (annotators, values, values) float64: how often an annotator gives [.., said] where [true, ..] holds;
            None from `majority`, which takes all people alike.
        shares: (values,): how common each value is.
        steps: of the estimation; 0 for `majority`.
    """

    values: Floats
    confusion: Floats | None
    shares: Floats
    steps: int

    @property
    def best(self) -> Ints:
        """(clips,): the most probable value, the first of equals; -1 for a clip without answer."""
        best = self.values.argmax(axis=1)
        return np.where(self.values.any(axis=1), best, -1).astype(np.int64)

    @property
    def confidence(self) -> Floats:
        """(clips,): the probability of that value; 0 for a clip without answer."""
        return np.asarray(self.values.max(axis=1, initial=0.0), dtype=np.float64)


def majority(answers: Answers, known: Ints | None = None) -> Beliefs:
    """Each value's share of the votes.

    Args:
        known: (clips,): the right value of clips whose answer is known (gold), -1 elsewhere.
    """
    counts = answers.counts().astype(np.float64)
    votes = _normalised(counts)
    _fix(votes, known)
    return Beliefs(votes, None, _normalised(votes.sum(axis=0)[None])[0], 0)


def dawid_skene(
    answers: Answers,
    known: Ints | None = None,
    *,
    prior_answers: float = PRIOR_ANSWERS,
    prior_right: float = PRIOR_RIGHT,
    tolerance: float = 1e-5,
    most_steps: int = 200,
) -> Beliefs:
    """Expectation-maximisation over who errs how: people who agree with the others weigh more.

    Somebody who answers at random weighs nothing; somebody who is always wrong is read the other way round.

    Args:
        known: (clips,): the right value of clips whose answer is known (gold), -1 elsewhere; these teach how reliable
            people are, and do not move.
        prior_answers: 0 is the paper's maximum likelihood; see `PRIOR_ANSWERS`.
        tolerance: it has settled when no probability moves by more.
    """
    votes = majority(answers, known).values
    answered = votes.any(axis=1)
    n = answers.n_values
    prior = prior_answers * _untried(n, prior_right)
    said = answers.annotators * n + answers.values
    confusion, shares, steps = np.zeros((answers.n_annotators, n, n)), np.zeros(n), 0
    while steps < most_steps:
        steps += 1
        shares = votes.sum(axis=0) + (1.0 if prior_answers else 0.0)
        shares /= max(shares.sum(), 1e-300)
        seen = np.stack(
            [np.bincount(said, votes[answers.clips, true], answers.n_annotators * n) for true in range(n)], axis=1
        )
        confusion = _normalised(seen.reshape(answers.n_annotators, n, n).transpose(0, 2, 1) + prior)
        with np.errstate(divide="ignore"):  # without a prior, what somebody never did is impossible: log 0
            logs = np.log(confusion)
            after = np.tile(np.log(shares), (answers.n_clips, 1))
        for true in range(n):
            after[:, true] += np.bincount(
                answers.clips, logs[answers.annotators, true, answers.values], answers.n_clips
            )
        after -= after.max(axis=1, keepdims=True)
        after = _normalised(np.exp(after))
        after[~answered] = 0.0
        _fix(after, known)
        moved = float(np.abs(after - votes).max(initial=0.0))
        votes = after
        if moved <= tolerance:
            break
    return Beliefs(votes, confusion, shares, steps)


def weigh(confusion: Floats, shares: Floats, people: Sequence[int], values: Sequence[int]) -> Floats:
    """(values,): the probability of each value of one clip, of which `people[i]` says `values[i]`.

    Args:
        confusion, shares: as of `Beliefs`, of `dawid_skene`.
        people: rows of `confusion`; -1: somebody of whom nothing is known but the prior.
    """
    untried = _untried(len(shares), PRIOR_RIGHT)
    with np.errstate(divide="ignore"):
        logs = np.log(shares)
        for person, value in zip(people, values, strict=True):
            logs = logs + np.log((untried if person < 0 else confusion[person])[:, value])
    return _normalised(np.exp(logs - logs.max()))


def _untried(n: int, right: float) -> Floats:
    """(values, values): somebody who is right with this probability, whatever the true value, and errs evenly."""
    wrong = (1 - right) / max(1, n - 1)
    return np.full((n, n), wrong) + np.eye(n) * (right - wrong)


def believe(answers: Answers, method: Method, known: Ints | None = None) -> Beliefs:
    """By the method's name."""
    return majority(answers, known) if method == "majority" else dawid_skene(answers, known)


def by_the_others(
    answers: Answers, beliefs: Beliefs, known: Ints | None = None, speaks: npt.NDArray[np.bool_] | None = None
) -> Ints:
    """(m,): for each answer, what its clip is taken for when that answer is left out; -1 where nobody else gave one.

    Args:
        speaks: (annotators,): who has a say in what others' clips are taken for; None: everybody.
    """
    believed, told = without_each(answers, beliefs, known, speaks)
    return np.where(told, believed.argmax(axis=1), -1).astype(np.int64)


def without_each(
    answers: Answers, beliefs: Beliefs, known: Ints | None = None, speaks: npt.NDArray[np.bool_] | None = None
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """(m, values): for each answer, what is believed of its clip when that answer is left out; (m,) whether anything
    is: the clip's answer is known, or somebody else gave one.

    The rest is not estimated anew: how reliable people are stays what it is with this one answer counted.

    Args:
        known, speaks: as in `by_the_others`.
    """
    has_say = np.ones(len(answers.values)) if speaks is None else speaks[answers.annotators].astype(np.float64)
    votes = np.zeros((answers.n_clips, answers.n_values))
    if beliefs.confusion is None:
        mine = np.eye(answers.n_values)[answers.values]
        start = np.zeros(answers.n_values)
    else:
        with np.errstate(divide="ignore"):
            weights = np.maximum(np.log(beliefs.confusion), -700.0)  # -inf could not be taken away again
            start = np.maximum(np.log(beliefs.shares), -700.0)
        mine = weights[answers.annotators, :, answers.values]
    mine = mine * has_say[:, None]
    for true in range(answers.n_values):
        votes[:, true] = np.bincount(answers.clips, mine[:, true], answers.n_clips)
    left = votes[answers.clips] - mine + start
    if beliefs.confusion is not None:
        left = np.exp(left - left.max(axis=1, keepdims=True))
    left = _normalised(left)
    others = np.bincount(answers.clips, has_say, answers.n_clips)[answers.clips] - has_say
    told = others > 0.5
    if known is not None:
        gold = np.flatnonzero(known[answers.clips] >= 0)
        left[gold] = np.eye(answers.n_values)[known[answers.clips[gold]]]
        told[gold] = True
    return left, told


def _fix(votes: Floats, known: Ints | None) -> None:
    if known is not None:
        clips = np.flatnonzero(known >= 0)
        votes[clips] = 0.0
        votes[clips, known[clips]] = 1.0


def _normalised(counts: Floats) -> Floats:
    """Along the last axis to 1; what is all zero stays so."""
    total = counts.sum(axis=-1, keepdims=True)
    return np.asarray(np.divide(counts, total, out=np.zeros_like(counts), where=total > 0), dtype=np.float64)

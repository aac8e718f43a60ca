"""What people agree on: a task's answers in, for every clip one answer a tag, how sure it is, and how well people do.

What is known beats what people say: an adjudication first, then the answer of a gold clip. `unsure` is no statement
about a clip; where nobody is sure, neither is the consensus. Answers of people who prove no better than chance carry no
weight (`earmark.catalog.trust`), unless an admin says otherwise.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from earmark.catalog.consensus import (
    Answers,
    Beliefs,
    Floats,
    Ints,
    Method,
    by_the_others,
    dawid_skene,
    majority,
    weigh,
)
from earmark.catalog.current import Said, labels_of
from earmark.catalog.tables import TaskClip, Trust
from earmark.catalog.tasks import TaskInfo
from earmark.catalog.trust import Judged, Mask, Tag, judge, of_people
from earmark.metrics.agreement import cohen_kappa, krippendorff_alpha
from earmark.types import LabelValue

SURE = 0.9
"""Where people disagree and the consensus is less sure than this, the clip is in dispute."""


@dataclass(frozen=True, slots=True)
class Agreed:
    """One tag of one clip.

    Attributes:
        value: `unsure` where nobody is sure.
        confidence: 0 to 1: of `value`; 1 for what is known.
        people: how many gave an answer, `unsure` left out.
        disputed: they disagree, and nobody has settled it.
        known: it was adjudicated, or the clip is gold.
    """

    value: LabelValue
    confidence: float
    people: int
    disputed: bool
    known: bool


@dataclass(frozen=True, slots=True)
class TagAgreement:
    """How well people agree on one tag.

    Attributes:
        alpha: Krippendorff's, nominal, of those who are not set aside; NaN where no clip has two answers.
        kappa: annotator -> Cohen's kappa against the consensus of the others; NaN where nobody else labelled the same.
        skill: annotator -> from 0 for a die to 1 (`earmark.catalog.trust`); NaN where nothing can be told.
        unskilled: annotators who prove no better than chance at this tag.
    """

    alpha: float
    kappa: Mapping[int, float]
    skill: Mapping[int, float]
    unskilled: frozenset[int]


@dataclass(frozen=True, slots=True)
class Reliance:
    """How reliable people proved at one tag, to judge clips by that were not among those they proved it on.

    values: that were given. people: annotator -> their place in confusion. confusion, shares: as of `Beliefs`.
    """

    values: tuple[LabelValue, ...]
    people: Mapping[int, int]
    confusion: Floats
    shares: Floats

    def judge(self, said: Mapping[int, LabelValue]) -> Agreed:
        """What answers of people come to, as the consensus has it; `unsure` and who is set aside are left out before.

        Of people who are not known, what is believed before their first answer; where a value was never given, votes.
        """
        if not said:
            return Agreed(LabelValue.UNSURE, 0.0, 0, False, False)
        given = list(dict.fromkeys(said.values()))
        if all(value in self.values for value in given):
            values = self.values
            codes = [values.index(value) for value in said.values()]
            weights = weigh(self.confusion, self.shares, [self.people.get(person, -1) for person in said], codes)
        else:
            values = tuple(given)
            weights = np.array([sum(one is value for one in said.values()) for value in values]) / len(said)
        best = int(weights.argmax())
        sure = float(weights[best])
        return Agreed(values[best], sure, len(said), len(given) > 1 and sure < SURE, False)


@dataclass(frozen=True, slots=True)
class Skill:
    """How well somebody answers a task: skill (NaN where nothing can be told) and its limits; answers: looked at."""

    skill: float
    low: float
    high: float
    answers: int


@dataclass(frozen=True, slots=True)
class Hands:
    """What admins said of people: whose answers count whatever the rule says, and whose do not."""

    trusted: frozenset[int] = frozenset()
    aside: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Consensus:
    """A whole task.

    Attributes:
        method: by which answers were made one.
        clips: clip -> tag -> answer, in the order of clips and of the task's tags.
        tags: tag -> how well people agree on it.
        unusable: clips that at least as many people called unusable as labelled; they are not in `clips`.
        aside: people whose answers carry no weight, by the rule or by hand. skills: of everybody.
        reliance: tag -> how reliable people proved.
    """

    method: Method
    clips: dict[int, dict[str, Agreed]] = field(default_factory=dict)
    tags: dict[str, TagAgreement] = field(default_factory=dict)
    unusable: frozenset[int] = frozenset()
    aside: frozenset[int] = frozenset()
    skills: Mapping[int, Skill] = field(default_factory=dict)
    reliance: Mapping[str, Reliance] = field(default_factory=dict)

    @property
    def disputed(self) -> list[int]:
        """Clips with a tag in dispute, the least sure first."""
        found = [
            (min(agreed.confidence for agreed in tags.values() if agreed.disputed), clip)
            for clip, tags in self.clips.items()
            if any(agreed.disputed for agreed in tags.values())
        ]
        return [clip for _, clip in sorted(found)]


def consensus(
    connection: Connection,
    task: TaskInfo,
    method: Method | Literal["auto"] = "auto",
    *,
    clips: Collection[int] | None = None,
) -> Consensus:
    """The consensus on a task.

    Args:
        method: `auto` is Dawid-Skene where any clip has answers of two people, else each answer as it is.
        clips: only of these, a few thousand at most; None: of all.
    """
    said = list(labels_of(connection, task.id, kinds=("label", "unusable"), clips=clips))
    gold = sa.select(TaskClip.clip_id, TaskClip.gold).where(TaskClip.task_id == task.id, TaskClip.gold.is_not(None))
    known = {row.clip_id: dict(row.gold) for row in connection.execute(gold) if clips is None or row.clip_id in clips}
    return consensus_of(said, task.tags, known, method, hands_of(connection, task.id))


def hands_of(connection: Connection, task_id: int) -> Hands:
    """What admins said of the people of a task."""
    query = sa.select(Trust.annotator_id, Trust.state).where(Trust.task_id == task_id, Trust.by_hand)
    rows = connection.execute(query).all()
    trusted, aside = (frozenset(row.annotator_id for row in rows if row.state == s) for s in ("trusted", "aside"))
    return Hands(trusted, aside)


def consensus_of(
    said: Iterable[Said],
    tags: Iterable[str],
    gold: Mapping[int, Mapping[str, str]],
    method: Method | Literal["auto"] = "auto",
    hands: Hands | None = None,
) -> Consensus:
    """As `consensus`, of words that are given."""
    settled: dict[int, dict[str, LabelValue]] = {
        clip: {tag: LabelValue(value) for tag, value in values.items()} for clip, values in gold.items()
    }
    kinds: dict[tuple[int, int], str] = {}  # (clip, annotator) -> label or unusable
    answers: dict[str, dict[tuple[int, int], LabelValue]] = {tag: {} for tag in tags}
    for word in said:
        if word.origin == "adjudication":
            settled.setdefault(word.clip_id, {}).update(word.values)
            continue
        kinds[word.clip_id, word.annotator_id] = word.kind
        for tag, value in word.values.items():
            if tag in answers:  # a later word of the same person wins: some label a few tags first
                answers[tag][word.clip_id, word.annotator_id] = value
    people = sorted({person for given in answers.values() for _, person in given})
    everything = sorted({clip for given in answers.values() for clip, _ in given} | set(settled))
    judged = _judged([_Tag(tag, given, everything, people, settled) for tag, given in answers.items()], people, hands)
    aside = frozenset(person for i, person in enumerate(people) if judged.aside[i])
    votes: dict[int, list[int]] = {}  # clip -> labels, unusable
    for (clip, person), kind in kinds.items():
        if person not in aside:
            votes.setdefault(clip, [0, 0])[kind == "unusable"] += 1
    unusable = frozenset(clip for clip, (good, bad) in votes.items() if bad >= max(1, good) and clip not in settled)
    ids = [clip for clip in everything if clip not in unusable]
    if method == "auto":
        twice = any(good > 1 for good, _ in votes.values())
        method = "dawid-skene" if twice else "majority"
    found: dict[int, dict[str, Agreed]] = {clip: {} for clip in ids}
    agreements, reliance = {}, {}
    for tag, given in answers.items():
        one = _Tag(tag, given, ids, people, settled, aside)
        beliefs = dawid_skene(one.trusted, one.known)
        agreements[tag], reliance[tag] = one.agreement(beliefs), one.reliance(beliefs)
        one.fill(found, beliefs if method == "dawid-skene" else majority(one.trusted, one.known))
    skills = {
        person: Skill(float(judged.skill[i]), float(judged.low[i]), float(judged.high[i]), int(judged.answers[i]))
        for i, person in enumerate(people)
    }
    heard = {clip: values for clip, values in found.items() if values}
    return Consensus(method, heard, agreements, unusable, aside, skills, reliance)


def _judged(tags: Sequence[_Tag], people: Sequence[int], hands: Hands | None) -> Judged:
    hands = hands or Hands()
    kept, out = (np.array([one in who for one in people], dtype=bool) for who in (hands.trusted, hands.aside))
    return judge([Tag(tag.answers, tag.known) for tag in tags], len(people), kept=kept, out=out)


class _Tag:
    """The answers for one tag as arrays, and back.

    Attributes:
        answers: everybody's. trusted: of those who are not set aside.
    """

    def __init__(
        self,
        tag: str,
        given: Mapping[tuple[int, int], LabelValue],
        clips: Sequence[int],
        people: Sequence[int],
        settled: Mapping[int, Mapping[str, LabelValue]],
        aside: Collection[int] = (),
    ) -> None:
        self.tag, self.clips, self.people, self.settled = tag, clips, people, settled
        places, persons = ({one: i for i, one in enumerate(all_)} for all_ in (clips, people))
        sure = [(key, value) for key, value in given.items() if value is not LabelValue.UNSURE and key[0] in places]
        said = {value for _, value in sure} | {values[tag] for values in settled.values() if tag in values}
        self.values = [value for value in LabelValue if value in said and value is not LabelValue.UNSURE]
        codes = {value: i for i, value in enumerate(self.values)}
        self.answers = Answers(
            np.array([places[clip] for (clip, _), _ in sure], dtype=np.int64),
            np.array([persons[person] for (_, person), _ in sure], dtype=np.int64),
            np.array([codes[value] for _, value in sure], dtype=np.int64),
            len(clips),
            len(people),
            max(1, len(self.values)),
        )
        self.known: Ints = np.full(len(clips), -1, dtype=np.int64)
        for clip, values in settled.items():
            if clip in places and (value := values.get(tag)) in codes:
                self.known[places[clip]] = codes[value]
        self.speaks: Mask = np.array([person not in aside for person in people], dtype=bool)
        self.trusted = of_people(self.answers, self.speaks)
        self.heard = {clip for clip, person in given if person not in aside}
        self.heard |= {clip for clip, values in settled.items() if tag in values}

    def agreement(self, beliefs: Beliefs) -> TagAgreement:
        """How well people agree; `beliefs` are by Dawid-Skene, whatever the consensus is made by."""
        others = by_the_others(self.answers, beliefs, self.known, self.speaks)
        kappa = {}
        for index, person in enumerate(self.people):
            mine = (self.answers.annotators == index) & (others >= 0)
            kappa[person] = cohen_kappa(self.answers.values[mine], others[mine], self.answers.n_values)
        judged = judge([Tag(self.answers, self.known)], len(self.people))
        return TagAgreement(
            alpha=krippendorff_alpha(self.trusted.counts()),
            kappa=kappa,
            skill={person: float(judged.skill[i]) for i, person in enumerate(self.people)},
            unskilled=frozenset(person for i, person in enumerate(self.people) if judged.aside[i]),
        )

    def reliance(self, beliefs: Beliefs) -> Reliance:
        """What is believed of people; `beliefs` as of `agreement`."""
        assert beliefs.confusion is not None
        places = {person: i for i, person in enumerate(self.people)}
        return Reliance(tuple(self.values), places, beliefs.confusion, beliefs.shares)

    def fill(self, clips: dict[int, dict[str, Agreed]], beliefs: Beliefs) -> None:
        """This tag's part of the consensus."""
        counts = self.trusted.counts()
        people, sides = counts.sum(axis=1), (counts > 0).sum(axis=1)
        best, confidence = beliefs.best, beliefs.confidence
        for i, clip in enumerate(self.clips):
            if clip not in self.heard:
                continue
            known = self.tag in self.settled.get(clip, {})
            value = self.settled[clip][self.tag] if known else LabelValue.UNSURE
            if not known and best[i] >= 0:
                value = self.values[best[i]]
            sure = 0.0 if value is LabelValue.UNSURE else 1.0 if known else float(confidence[i])
            disputed = not known and sides[i] > 1 and sure < SURE
            clips[clip][self.tag] = Agreed(value, sure, int(people[i]), bool(disputed), known)

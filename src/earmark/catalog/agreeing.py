"""What people agree on: a task's answers in, for every clip one answer a tag, how sure it is, and how well people do.

What is known beats what people say: an adjudication first, then the answer of a gold clip. `unsure` is no statement
about a clip; where nobody is sure, neither is the consensus.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from earmark.catalog.consensus import Answers, Beliefs, Ints, Method, believe, by_the_others, dawid_skene, skills
from earmark.catalog.consensus import unskilled as find_unskilled
from earmark.catalog.current import Said, labels_of
from earmark.catalog.tables import TaskClip
from earmark.catalog.tasks import TaskInfo
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
        alpha: Krippendorff's, nominal; NaN where no clip has two answers.
        kappa: annotator -> Cohen's kappa against the consensus of the others; NaN where nobody else labelled the same.
        skill: annotator -> by Dawid-Skene (see `earmark.catalog.consensus.skills`).
        unskilled: annotators with answers enough to tell, and next to no skill.
    """

    alpha: float
    kappa: Mapping[int, float]
    skill: Mapping[int, float]
    unskilled: frozenset[int]


@dataclass(frozen=True, slots=True)
class Consensus:
    """A whole task.

    Attributes:
        method: by which answers were made one.
        clips: clip -> tag -> answer, in the order of clips and of the task's tags.
        tags: tag -> how well people agree on it.
        unusable: clips that at least as many people called unusable as labelled; they are not in `clips`.
    """

    method: Method
    clips: dict[int, dict[str, Agreed]] = field(default_factory=dict)
    tags: dict[str, TagAgreement] = field(default_factory=dict)
    unusable: frozenset[int] = frozenset()

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
    return consensus_of(said, task.tags, known, method)


def consensus_of(
    said: Iterable[Said],
    tags: Iterable[str],
    gold: Mapping[int, Mapping[str, str]],
    method: Method | Literal["auto"] = "auto",
) -> Consensus:
    """As `consensus`, of words that are given."""
    settled: dict[int, dict[str, LabelValue]] = {
        clip: {tag: LabelValue(value) for tag, value in values.items()} for clip, values in gold.items()
    }
    votes: dict[int, list[int]] = {}  # clip -> labels, unusable
    answers: dict[str, dict[tuple[int, int], LabelValue]] = {tag: {} for tag in tags}
    for word in said:
        if word.origin == "adjudication":
            settled.setdefault(word.clip_id, {}).update(word.values)
            continue
        votes.setdefault(word.clip_id, [0, 0])[word.kind == "unusable"] += 1
        for tag, value in word.values.items():
            if tag in answers:  # a later word of the same person wins: some label a few tags first
                answers[tag][word.clip_id, word.annotator_id] = value
    unusable = frozenset(clip for clip, (good, bad) in votes.items() if bad >= max(1, good) and clip not in settled)
    people = sorted({person for given in answers.values() for _, person in given})
    ids = sorted(({clip for given in answers.values() for clip, _ in given} | set(settled)) - unusable)
    if method == "auto":
        twice = any(good > 1 for good, _ in votes.values())
        method = "dawid-skene" if twice else "majority"
    found = Consensus(method=method, clips={clip: {} for clip in ids}, unusable=unusable)
    for tag, given in answers.items():
        one = _Tag(tag, given, ids, people, settled)
        found.tags[tag] = one.agreement()
        one.fill(found.clips, believe(one.answers, method, one.known))
    return found


class _Tag:
    """The answers for one tag as arrays, and back."""

    def __init__(
        self,
        tag: str,
        given: Mapping[tuple[int, int], LabelValue],
        clips: list[int],
        people: list[int],
        settled: Mapping[int, Mapping[str, LabelValue]],
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
        self.heard = {clip for clip, _ in given} | {clip for clip, values in settled.items() if tag in values}

    def agreement(self) -> TagAgreement:
        """How well people agree; by Dawid-Skene, whatever the consensus is made by."""
        beliefs = dawid_skene(self.answers, self.known)
        others = by_the_others(self.answers, beliefs, self.known)
        skill = skills(beliefs)
        kappa = {}
        for index, person in enumerate(self.people):
            mine = (self.answers.annotators == index) & (others >= 0)
            kappa[person] = cohen_kappa(self.answers.values[mine], others[mine], self.answers.n_values)
        few = find_unskilled(self.answers, beliefs)
        alone = len(self.values) < 2  # where one value only was ever said, nobody could show that they can tell
        return TagAgreement(
            alpha=krippendorff_alpha(self.answers.counts()),
            kappa=kappa,
            skill={person: math.nan if alone else float(skill[i]) for i, person in enumerate(self.people)},
            unskilled=frozenset() if alone else frozenset(person for i, person in enumerate(self.people) if few[i]),
        )

    def fill(self, clips: dict[int, dict[str, Agreed]], beliefs: Beliefs) -> None:
        """This tag's part of the consensus."""
        counts = self.answers.counts()
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

"""Clips in dispute, of the whole of a task, without a consensus of the whole task.

Which clips have two different answers to a tag is one query. How sure the consensus is of each follows from how
reliable people proved: over all clips where they are few, else over some that are drawn from the whole task, so that a
million clips take seconds. Training takes all clips together: in a large task the two may part on a clip at the very
edge of `earmark.catalog.agreeing.SURE`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from earmark.catalog.agreeing import Agreed, consensus, hands_of
from earmark.catalog.current import in_force, labels_of
from earmark.catalog.tables import Annotation, AnnotationValue, TaskClip
from earmark.catalog.tasks import TaskInfo
from earmark.catalog.trusting import set_aside_before
from earmark.types import LabelValue

LOOKED_AT = 3000
"""Clips, about, over which it is reckoned how reliable people are, where there are more."""

_FEW = 2000  # clips that are named in one query
_PRIME = 65_537  # so that clips are drawn from everywhere, and twice the same


@dataclass(frozen=True, slots=True)
class Disputed:
    """A clip in dispute; tags: those that are -> how sure the consensus is of each, 0 to 1."""

    clip_id: int
    tags: Mapping[str, float]


class Judge:
    """What the consensus makes of any clip of a task, within one view of the database."""

    def __init__(self, connection: Connection, task: TaskInfo) -> None:
        self.connection, self.task = connection, task
        found = consensus(connection, task, clips=_drawn(connection, task.id))
        # of people who labelled none of the clips that were drawn: as was found when places were reopened
        before = set_aside_before(connection, task.id) - hands_of(connection, task.id).trusted - set(found.skills)
        self.aside = found.aside | before
        self._reliance = found.reliance
        self._judged: dict[tuple[str, str], Agreed] = {}

    def disputes(self) -> list[Disputed]:
        """All clips in dispute, the least sure first."""
        found: dict[int, dict[str, float]] = {}
        again: list[int] = []  # with two answers of one person: the later counts, which only the rows tell
        for clip, tag, said in self._differing():
            pairs = [pair.partition(":") for pair in sorted(said.split(","))]
            if len({person for person, _, _ in pairs}) < len(pairs):
                again.append(clip)
                continue
            key = tag, ",".join(map("".join, pairs))
            if key not in self._judged:
                words = {int(person): LabelValue(value) for person, _, value in pairs}
                self._judged[key] = self._reliance[tag].judge(words)
            if self._judged[key].disputed:
                found.setdefault(clip, {})[tag] = self._judged[key].confidence
        for page in _pages(sorted(set(again))):
            for clip, tags in self.agreed(page).items():
                doubted = {tag: one.confidence for tag, one in tags.items() if one.disputed}
                found |= {clip: doubted} if doubted else {}
        for page in _pages(sorted(found)):
            for clip in self._unusable(page):
                del found[clip]
        order = sorted(found, key=lambda clip: (min(found[clip].values()), clip))
        return [Disputed(clip, found[clip]) for clip in order]

    def agreed(self, clips: Sequence[int]) -> dict[int, dict[str, Agreed]]:
        """Clip -> tag -> what people's answers come to, where anybody gave one; a few thousand clips at most."""
        query = sa.select(TaskClip.clip_id, TaskClip.gold).where(
            TaskClip.task_id == self.task.id, TaskClip.clip_id.in_(list(clips)), TaskClip.gold.is_not(None)
        )
        settled = {
            row.clip_id: {tag: LabelValue(value) for tag, value in row.gold.items()}
            for row in self.connection.execute(query)
        }
        said: dict[int, dict[str, dict[int, LabelValue]]] = {clip: {} for clip in clips}
        for word in labels_of(self.connection, self.task.id, clips=clips):
            if word.origin == "adjudication":
                settled.setdefault(word.clip_id, {}).update(word.values)
            elif word.annotator_id not in self.aside:
                for tag, value in word.values.items():
                    said[word.clip_id].setdefault(tag, {})[word.annotator_id] = value
        found: dict[int, dict[str, Agreed]] = {clip: {} for clip in clips}
        for clip, tag in ((clip, tag) for clip in clips for tag in self.task.tags):
            words = said[clip].get(tag, {})
            sure = {person: value for person, value in words.items() if value is not LabelValue.UNSURE}
            if tag in settled.get(clip, {}):
                value = settled[clip][tag]
                found[clip][tag] = Agreed(value, float(value is not LabelValue.UNSURE), len(sure), False, True)
            elif words:
                found[clip][tag] = self._reliance[tag].judge(sure)
        return found

    def _differing(self) -> Iterator[tuple[int, str, str]]:
        """(clip, tag, who says what) where two answers differ and nothing is known; people are told apart by number."""
        later = sa.orm.aliased(Annotation)
        who = sa.cast(Annotation.annotator_id, sa.String) + ":" + AnnotationValue.value
        settled = sa.func.max(sa.case((Annotation.origin == "adjudication", 1), else_=0))
        differing = (
            sa.select(Annotation.clip_id, AnnotationValue.tag_id, sa.func.aggregate_strings(who, ",").label("said"))
            .join_from(Annotation, AnnotationValue, AnnotationValue.annotation_id == Annotation.id)
            .where(Annotation.task_id == self.task.id, Annotation.kind == "label", in_force(later))
            .where(AnnotationValue.value != LabelValue.UNSURE.value)
            .where(sa.or_(Annotation.origin == "adjudication", Annotation.annotator_id.not_in(sorted(self.aside))))
            .group_by(Annotation.clip_id, AnnotationValue.tag_id)
            .having(sa.func.min(AnnotationValue.value) != sa.func.max(AnnotationValue.value), settled == 0)
            .subquery()
        )
        here = sa.and_(TaskClip.task_id == self.task.id, TaskClip.clip_id == differing.c.clip_id)
        names = {row: tag for tag, row in self.task.tag_ids.items()}
        for row in self.connection.execute(sa.select(differing, TaskClip.gold).join(TaskClip, here)):
            if row.tag_id in names and names[row.tag_id] not in (row.gold or {}):
                yield row.clip_id, names[row.tag_id], row.said

    def _unusable(self, clips: Sequence[int]) -> Iterator[int]:
        """Of these clips in dispute, those that as many people call unusable as label them: in no consensus."""
        doubted = {word.clip_id for word in labels_of(self.connection, self.task.id, kinds=("unusable",), clips=clips)}
        if not doubted:
            return
        kinds: dict[tuple[int, int], str] = {}
        for word in labels_of(self.connection, self.task.id, kinds=("label", "unusable"), clips=sorted(doubted)):
            if word.annotator_id not in self.aside:
                kinds[word.clip_id, word.annotator_id] = word.kind
        votes = Counter((clip, kind) for (clip, _), kind in kinds.items())
        yield from (clip for clip in doubted if votes[clip, "unusable"] >= max(1, votes[clip, "label"]))


def clips_in_dispute(connection: Connection, task: TaskInfo) -> list[Disputed]:
    """All of a task's, the least sure first."""
    return Judge(connection, task).disputes()


def _drawn(connection: Connection, task_id: int) -> list[int] | None:
    """Clips to tell people's reliability from; None: all that there are."""
    clips = sa.select(Annotation.clip_id).where(Annotation.task_id == task_id).group_by(Annotation.clip_id)
    count = connection.execute(sa.select(sa.func.count()).select_from(clips.subquery())).scalar_one()
    if count <= LOOKED_AT:
        return None
    drawn = clips.where(Annotation.clip_id * 48_271 % _PRIME < round(_PRIME * LOOKED_AT / count))
    return list(connection.execute(drawn.order_by(Annotation.clip_id)).scalars())


def _pages(clips: Sequence[int]) -> Iterable[Sequence[int]]:
    return (clips[start : start + _FEW] for start in range(0, len(clips), _FEW))

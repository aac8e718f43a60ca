"""Writing imported answers into the catalog: rows, places, gold and sets, within the import's transaction."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from earmark.catalog import tasks
from earmark.catalog.current import ANSWERS, Said, labels_of
from earmark.catalog.database import now_us
from earmark.catalog.exchange.finding import Span, in_pages
from earmark.catalog.exchange.rows import Row
from earmark.catalog.labelling import disagreement_on
from earmark.catalog.places import move, reopen, settle_all
from earmark.catalog.sets import frozen
from earmark.catalog.tables import (
    Annotation,
    AnnotationValue,
    Answered,
    Discounted,
    FrozenClip,
    FrozenSet,
    Recording,
    TaskClip,
)
from earmark.catalog.tasks import TaskInfo
from earmark.catalog.trusting import forget_discount
from earmark.errors import ConflictError
from earmark.types import LabelValue

_PAGE = 2000  # rows written by one statement


@dataclass(slots=True)
class Imported:
    """What became of a file's rows.

    Attributes:
        labels, skipped, unusable: answers that are new. known: answers that were in the catalog already.
        unlabelled: rows that say nothing of their clip.
        gold: clips whose known answer is new, another one, or forgotten.
        replaced: new ones that took the place of an older one by the same person.
        clips: made for spans that were none yet. sets: frozen sets made.
        notes: what was not used.
    """

    labels: int = 0
    skipped: int = 0
    unusable: int = 0
    known: int = 0
    unlabelled: int = 0
    gold: int = 0
    replaced: int = 0
    clips: int = 0
    sets: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Key(NamedTuple):
    """What may be in force once: one person's word on one clip, and beside it their adjudication."""

    clip_id: int
    annotator_id: int
    adjudicated: bool


@dataclass(frozen=True, slots=True)
class _New:
    key: Key
    row: Row
    old: Said | None
    client_key: str


class Store:
    """Where the answers of one file go.

    Attributes:
        result: counts what was done.
    """

    def __init__(self, connection: Connection, task: TaskInfo, file: str) -> None:
        self.connection, self.task, self.file = connection, task, file
        self.result = Imported()
        self._tags: dict[str, int] = {}

    def join(self, clips: Sequence[Span]) -> None:
        """Clips that are not in the task yet come in, in the order that all clips are drawn in."""
        new = sorted({clip.id for clip in clips if not clip.in_task})
        self.result.clips = len(new)
        for page in in_pages(new):
            tasks.add_page(self.connection, task=self.task, last=-1, page=page, seen=Counter())

    def name_groups(self, groups: Mapping[int, str | None]) -> None:
        if groups:
            update = sa.update(Recording).where(Recording.id == sa.bindparam("sound"))
            values = [{"sound": sound, "group": name} for sound, name in groups.items()]
            self.connection.execute(update.values(group_name=sa.bindparam("group")), values)

    def annotate(self, rows: Mapping[Key, Row]) -> None:
        """Write what is new; answers by the same person that say otherwise are replaced."""
        before = self._in_force(rows)
        used = self._keys(rows)
        now = now_us()
        new: list[_New] = []
        for key, given in rows.items():
            old, row = before.get(key), given
            client_key = self._client_key(key, given)
            if old is not None and old.kind == given.kind == "label":  # tags that this file does not speak of stay
                row = replace(given, values={**old.values, **given.values})
            same = old is not None and (old.kind, old.values) == (row.kind, row.values) and row.at in (None, old.at)
            if same or (key.annotator_id, client_key) in used:
                self.result.known += 1
                continue
            new.append(_New(key, row, old, client_key))
            self.result.replaced += old is not None
            self.result.labels += row.kind == "label"
            self.result.skipped += row.kind == "skip"
            self.result.unusable += row.kind == "unusable"
        for start in range(0, len(new), _PAGE):
            self._write(new[start : start + _PAGE], now)
        self._move(new)

    def _write(self, new: Sequence[_New], now: int) -> None:
        """The rows with their values, and who has answered."""
        values = [
            {
                "task_id": self.task.id,
                "clip_id": one.key.clip_id,
                "annotator_id": one.key.annotator_id,
                "kind": one.row.kind,
                "at": now if one.row.at is None else one.row.at,
                "took_ms": one.row.took_ms,
                "origin": one.row.origin or "import",
                "client_key": one.client_key,
                "replaces": one.old.annotation_id if one.old else None,
            }
            for one in new
        ]
        insert = sa.insert(Annotation).returning(Annotation.id, sort_by_parameter_order=True)
        ids = list(self.connection.execute(insert, values).scalars())
        answers = [
            {"annotation_id": annotation_id, "tag_id": self._tag(tag), "value": value.value}
            for annotation_id, one in zip(ids, new, strict=True)
            for tag, value in one.row.values.items()
        ]
        if answers:
            self.connection.execute(sa.insert(AnnotationValue), answers)
        stood = [
            one for one in new if one.old and not one.key.adjudicated and self._stands(one.old.kind, one.old.values)
        ]
        delete = sa.delete(Answered).where(
            Answered.task_id == self.task.id,
            Answered.clip_id == sa.bindparam("clip"),
            Answered.annotator_id == sa.bindparam("person"),
        )
        if stood:
            self.connection.execute(
                delete, [{"clip": one.key.clip_id, "person": one.key.annotator_id} for one in stood]
            )
        stands = [
            {
                "task_id": self.task.id,
                "clip_id": one.key.clip_id,
                "annotator_id": one.key.annotator_id,
                "annotation_id": annotation_id,
            }
            for annotation_id, one in zip(ids, new, strict=True)
            if not one.key.adjudicated and self._stands(one.row.kind, one.row.values)
        ]
        if stands:
            self.connection.execute(sa.insert(Answered), stands)

    def _move(self, new: Sequence[_New]) -> None:
        """The places that answers take, or give back."""
        change: Counter[int] = Counter()
        discounted = self._discounted(new)
        for one in new:
            takes = self._takes(one.row.kind, one.row.values)
            if one.key in discounted:  # it takes no place, whatever it says
                if not takes:
                    forget_discount(self.connection, self.task.id, one.key.annotator_id, one.key.clip_id)
            elif not one.key.adjudicated:
                change[one.key.clip_id] += takes
                change[one.key.clip_id] -= self._takes(one.old.kind, one.old.values) if one.old else 0
        moved = sorted((clip, answers) for clip, answers in change.items() if answers)
        number = reopen(self.connection, self.task.id, len(moved)) if moved else 0
        for step, (clip, answers) in enumerate(moved):
            move(self.connection, self.task.id, clip, answers=answers, number=number + step)
        self._settle(sorted({one.key.clip_id for one in new if one.key.adjudicated}), adjudicated=True)
        if self.task.policy == "disagreement":
            for page in in_pages(sorted({one.key.clip_id for one in new})):
                self._put_disputed_first(page)

    def _put_disputed_first(self, clips: Sequence[int]) -> None:
        """Priorities of clips whose answers have changed, numbered as if they came free: see `labelling`."""
        found = disagreement_on(self.connection, self.task, clips)
        number = reopen(self.connection, self.task.id, len(clips))
        values = [
            {"clip": clip, "value": found.get(clip, 0.0), "number": number + step} for step, clip in enumerate(clips)
        ]
        value = sa.bindparam("value", type_=sa.Double)
        again = sa.case(
            (TaskClip.open_places > 0, sa.bindparam("number", type_=sa.BigInteger)), else_=TaskClip.reopened
        )
        here = (TaskClip.task_id == self.task.id, TaskClip.clip_id == sa.bindparam("clip"), TaskClip.priority != value)
        self.connection.execute(sa.update(TaskClip).where(*here).values(priority=value, reopened=again), values)

    def _discounted(self, new: Sequence[_New]) -> set[Key]:
        """Of these, the answers whose place was given to others."""
        keys = {one.key for one in new if one.old and not one.key.adjudicated}
        found: set[Key] = set()
        for page in in_pages(sorted({key.clip_id for key in keys})):
            query = sa.select(Discounted.clip_id, Discounted.annotator_id).where(
                Discounted.task_id == self.task.id, Discounted.clip_id.in_(page)
            )
            found |= {Key(row.clip_id, row.annotator_id, False) for row in self.connection.execute(query)}
        return found & keys

    def _settle(self, clips: Sequence[int], **values: object) -> None:
        for page in in_pages(clips):
            mine = sa.and_(TaskClip.task_id == self.task.id, TaskClip.clip_id.in_(page))
            self.connection.execute(sa.update(TaskClip).where(mine).values(**values))
            settle_all(self.connection, self.task.id, page)

    def set_gold(self, known: Mapping[int, Mapping[str, LabelValue] | None]) -> None:
        """Clips with their known answers, or None for a clip that has none any more."""
        before: dict[int, dict[str, str] | None] = {}
        for page in in_pages(sorted(known)):
            query = sa.select(TaskClip.clip_id, TaskClip.gold).where(TaskClip.task_id == self.task.id)
            rows = self.connection.execute(query.where(TaskClip.clip_id.in_(page)))
            before |= {row.clip_id: row.gold for row in rows}
        new = {
            clip: values
            for clip, values in sorted(known.items())
            if before[clip] != (None if values is None else {tag: value.value for tag, value in values.items()})
        }
        self.result.gold += len(new)
        if new:
            tasks.put_gold(self.connection, self.task, new)

    def freeze(self, name: str, members: Sequence[tuple[Row, Span]]) -> None:
        """A frozen set of these clips, with the answers that the file gives for them."""
        clips = {clip.id: frozen({tag: (value, 1.0) for tag, value in row.values.items()}) for row, clip in members}
        mine = sa.and_(FrozenSet.task_id == self.task.id, FrozenSet.name == name)
        there = self.connection.execute(sa.select(FrozenSet.id).where(mine)).scalar_one_or_none()
        if there is not None:
            query = sa.select(FrozenClip.clip_id).where(FrozenClip.set_id == there)
            if set(self.connection.execute(query).scalars()) != set(clips):
                raise ConflictError(
                    f"{self.file}: the set {name!r} of task {self.task.name!r} holds other clips than the file "
                    "says, and a frozen set never changes; rename it in the file."
                )
            return
        insert = sa.insert(FrozenSet).values(
            task_id=self.task.id, name=name, detail={"from": self.file}, created_at=now_us()
        )
        set_id = self.connection.execute(insert.returning(FrozenSet.id)).scalar_one()
        values = [
            {"set_id": set_id, "clip_id": clip, "position": position, "detail": detail}
            for position, (clip, detail) in enumerate(clips.items())
        ]
        if values:
            self.connection.execute(sa.insert(FrozenClip), values)
        self.result.sets.append(name)

    def _in_force(self, rows: Mapping[Key, Row]) -> dict[Key, Said]:
        """What was said before by the same people of the same clips; the last word where there are two."""
        found: dict[Key, Said] = {}
        for page in in_pages(sorted({key.clip_id for key in rows})):
            for said in labels_of(self.connection, self.task.id, kinds=ANSWERS, clips=page):
                key = Key(said.clip_id, said.annotator_id, said.origin == "adjudication")
                if key in rows:
                    found[key] = said
        return found

    def _keys(self, rows: Mapping[Key, Row]) -> set[tuple[int, str]]:
        """(annotator, client key) of these rows that are used already: also by answers that were taken back since."""
        keys = {(key.annotator_id, self._client_key(key, row)) for key, row in rows.items()}
        used: set[tuple[int, str]] = set()
        ordered = sorted(keys)
        for start in range(0, len(ordered), 500):
            page = ordered[start : start + 500]
            query = sa.select(Annotation.annotator_id, Annotation.client_key).where(
                Annotation.annotator_id.in_({person for person, _ in page}),
                Annotation.client_key.in_([key for _, key in page]),
            )
            used |= {(row.annotator_id, row.client_key or "") for row in self.connection.execute(query)}
        return used & keys

    def _client_key(self, key: Key, row: Row) -> str:
        """The same for the same answer, whichever file it comes from."""
        said = json.dumps([self.task.id, key.clip_id, row.kind, sorted(row.values.items()), row.at, row.origin])
        return f"import:{hashlib.sha256(said.encode()).hexdigest()[:57]}"

    def _stands(self, kind: str, values: Mapping[str, LabelValue]) -> bool:
        """Whether it answers the clip: a label for some of the tags does not."""
        return kind != "label" or all(tag in values for tag in self.task.tags)

    def _takes(self, kind: str, values: Mapping[str, LabelValue]) -> int:
        return int(kind != "skip" and self._stands(kind, values))

    def _tag(self, name: str) -> int:
        if name not in self._tags:
            self._tags[name] = tasks.tag_id(self.connection, name)
        return self._tags[name]

"""How far labelling is: counts, what changed since the last report, who labels how well, and how long it will take.

Counts are of answers in force, disputes among them, in the whole task. How well people agree is reckoned over the clips
that were labelled last, so that a report takes hardly longer with a million clips than with a thousand.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from earmark.catalog.agreeing import consensus, hands_of
from earmark.catalog.current import in_force
from earmark.catalog.database import Catalog, now_us
from earmark.catalog.disputing import clips_in_dispute
from earmark.catalog.exchange.rows import time_text
from earmark.catalog.tables import (
    Annotation,
    AnnotationValue,
    Annotator,
    Clip,
    Duplicate,
    Quarantined,
    Recording,
    StatusReport,
    Tag,
    Task,
    TaskClip,
)
from earmark.catalog.tasks import TaskInfo, find_task
from earmark.catalog.trusting import places_to_reopen, set_aside_before

LOOKED_AT = 3000
"""Clips, labelled last, over which agreement is reckoned."""

COUNTS = ("recordings", "quarantined", "copies", "duplicates", "clips", "labelled", "skipped", "done")
"""Fields of a `Status` that a report remembers."""

_DAY_US = 86_400_000_000
_PACE_DAYS = 7.0
_TIMED = 2000  # answers, the last ones, whose median time is given


@dataclass(frozen=True, slots=True)
class PersonStatus:
    """One annotator.

    Attributes:
        labels, skips, unusable: answers in force.
        kappa: tag -> Cohen's kappa against the consensus of the others; None where nobody else labelled the same.
        unskilled: tags in which they prove no better than chance.
        skill: over all tags, from 0 for a die to 1; None where nothing can be told yet.
        aside: "rule" or "hand" where their answers carry no weight, and why; else "".
        last_at: of their last answer, ISO 8601.
    """

    labels: int = 0
    skips: int = 0
    unusable: int = 0
    kappa: Mapping[str, float | None] = field(default_factory=dict)
    unskilled: tuple[str, ...] = ()
    skill: float | None = None
    aside: str = ""
    last_at: str = ""


@dataclass(frozen=True, slots=True)
class TagStatus:
    """alpha: Krippendorff's, over `clips` clips; None where nothing can be said. disputed: clips in dispute, of all."""

    alpha: float | None
    disputed: int
    clips: int


@dataclass(frozen=True, slots=True)
class Status:
    """A report.

    Attributes:
        task: None: of the whole catalog.
        at: ISO 8601.
        recordings, quarantined: files in the catalog, and files that were refused.
        copies: recordings that hold the sound of another. duplicates: files with the very bytes of a recording.
        clips: of the task (of the catalog, where there is none).
        labelled: clips with a label. skipped: clips that were skipped and not labelled. done: clips with all answers
            that they are to have.
        per_tag: tag -> answer -> how often it was given.
        per_annotator: name -> how they do.
        agreement: tag -> how well people agree.
        since_last: what was added since the last report that was remembered: when that was (`at`), each count,
            `per_tag` and `per_annotator` (labels); None for the first.
        places_to_reopen: places that answers of people who are set aside still take.
        speed: labels a day over the last week with labels in it, and median seconds a label.
        days_to_finish: at this speed; None where there is none, 0 where all is done.
    """

    task: str | None
    at: str
    recordings: int
    quarantined: int
    copies: int
    duplicates: int
    clips: int
    labelled: int
    skipped: int
    done: int
    per_tag: Mapping[str, Mapping[str, int]]
    per_annotator: Mapping[str, PersonStatus]
    agreement: Mapping[str, TagStatus]
    since_last: Mapping[str, Any] | None
    places_to_reopen: int
    speed: Mapping[str, float | None]
    days_to_finish: float | None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def status(catalog: Catalog, task: str | None = None, *, remember: bool = False, now: int | None = None) -> Status:
    """How a task stands, or all of the catalog.

    Args:
        task: None: the counts of every task together.
        remember: the next report tells what changed since this one.
        now: microseconds since 1970, UTC.

    Raises:
        NotFoundError: no such task.
    """
    at = now_us() if now is None else now
    with catalog.read() as connection:
        info = find_task(connection, task) if task is not None else None
        found = _Reckoning(connection, info, at).status()
    if remember:
        detail: dict[str, Any] = {name: getattr(found, name) for name in COUNTS}
        detail |= {"per_tag": {tag: dict(values) for tag, values in found.per_tag.items()}}
        detail["per_annotator"] = {name: one.labels for name, one in found.per_annotator.items()}
        values = {"task_id": info.id if info else None, "at": at, "body": detail}
        catalog.run(lambda writing: writing.execute(sa.insert(StatusReport).values(**values)))
    return found


class _Reckoning:
    """One report, within one view of the database."""

    def __init__(self, connection: Connection, task: TaskInfo | None, now: int) -> None:
        self.connection, self.task, self.now = connection, task, now
        later = sa.orm.aliased(Annotation)
        mine = [Annotation.task_id == task.id] if task else []
        self.queue = self._queue()
        self.stands = sa.and_(*mine, Annotation.origin != "adjudication", in_force(later))

    def status(self) -> Status:
        counts = {
            "recordings": self._count(sa.select(sa.func.count()).select_from(Recording)),
            "quarantined": self._count(sa.select(sa.func.count()).select_from(Quarantined)),
            "copies": self._count(sa.select(sa.func.count(Recording.copy_of))),
            "duplicates": self._count(sa.select(sa.func.count()).select_from(Duplicate)),
            **self._clips(),
        }
        per_tag = self._per_tag()
        people = self._people()
        agreement: dict[str, TagStatus] = {}
        places = 0
        if self.task is not None:
            people, agreement, places = self._agreement(self.task, people)
        a_day = self._labels_a_day()
        left = int(self.queue.left or 0)
        days = None if a_day is None and left else left / a_day if a_day else 0.0
        return Status(
            task=self.task.name if self.task else None,
            at=time_text(self.now),
            **counts,
            per_tag=per_tag,
            per_annotator=people,
            agreement=agreement,
            since_last=self._since(counts, per_tag, {name: one.labels for name, one in people.items()}),
            places_to_reopen=places,
            speed={"labels_a_day": a_day, "median_s": self._median_s()},
            days_to_finish=days,
        )

    def _count(self, query: sa.Select[Any]) -> int:
        return int(self.connection.execute(query).scalar_one() or 0)

    def _clips(self) -> dict[str, int]:
        """Clips in all, labelled, skipped only, done."""
        of_clip = (
            sa.select(
                sa.func.max(sa.case((Annotation.kind == "label", 1), else_=0)).label("label"),
                sa.func.max(sa.case((Annotation.kind == "skip", 1), else_=0)).label("skip"),
            )
            .where(self.stands)
            .group_by(Annotation.task_id, Annotation.clip_id)
            .subquery()
        )
        skipped_only = sa.case((sa.and_(of_clip.c.skip == 1, of_clip.c.label == 0), 1), else_=0)
        labelled, skipped = self.connection.execute(
            sa.select(sa.func.sum(of_clip.c.label), sa.func.sum(skipped_only))
        ).one()
        return {
            "clips": self.queue.clips if self.task else self._count(sa.select(sa.func.count()).select_from(Clip)),
            "labelled": int(labelled or 0),
            "skipped": int(skipped or 0),
            "done": int(self.queue.done or 0),
        }

    def _per_tag(self) -> dict[str, dict[str, int]]:
        query = (
            sa.select(Tag.name, AnnotationValue.value, sa.func.count().label("n"))
            .join_from(AnnotationValue, Annotation, AnnotationValue.annotation_id == Annotation.id)
            .join(Tag, Tag.id == AnnotationValue.tag_id)
            .where(self.stands)
            .group_by(Tag.name, AnnotationValue.value)
        )
        found: dict[str, dict[str, int]] = {tag: {} for tag in (self.task.tags if self.task else ())}
        for row in self.connection.execute(query.order_by(Tag.name, AnnotationValue.value)):
            found.setdefault(row.name, {})[row.value] = row.n
        return found

    def _people(self) -> dict[str, PersonStatus]:
        query = (
            sa.select(
                Annotator.name, Annotation.kind, sa.func.count().label("n"), sa.func.max(Annotation.at).label("at")
            )
            .join(Annotator, Annotator.id == Annotation.annotator_id)
            .where(self.stands)
            .group_by(Annotator.name, Annotation.kind)
        )
        kinds: dict[str, dict[str, int]] = {}
        last: dict[str, int] = {}
        for row in self.connection.execute(query.order_by(Annotator.name)):
            kinds.setdefault(row.name, {})[row.kind] = row.n
            last[row.name] = max(last.get(row.name, row.at), row.at)
        return {
            name: PersonStatus(
                labels=found.get("label", 0),
                skips=found.get("skip", 0),
                unusable=found.get("unusable", 0),
                last_at=time_text(last[name]),
            )
            for name, found in kinds.items()
        }

    def _agreement(
        self, task: TaskInfo, people: dict[str, PersonStatus]
    ) -> tuple[dict[str, PersonStatus], dict[str, TagStatus], int]:
        latest = sa.select(Annotation.clip_id).where(Annotation.task_id == task.id, Annotation.kind == "label")
        latest = latest.order_by(Annotation.task_id.desc(), Annotation.at.desc()).limit(2 * LOOKED_AT)
        clips = list(dict.fromkeys(self.connection.execute(latest).scalars()))[:LOOKED_AT]
        found = consensus(self.connection, task, clips=clips)
        names = {row.id: row.name for row in self.connection.execute(sa.select(Annotator.id, Annotator.name))}
        doubted = Counter(tag for one in clips_in_dispute(self.connection, task) for tag in one.tags)
        tags = {
            tag: TagStatus(alpha=_number(one.alpha), disputed=doubted[tag], clips=len(found.clips))
            for tag, one in found.tags.items()
        }
        by_hand = hands_of(self.connection, task.id).aside
        aside = found.aside | by_hand | set_aside_before(self.connection, task.id)
        for person, name in names.items():
            if name not in people:
                continue
            skill = found.skills.get(person)
            people[name] = replace(
                people[name],
                kappa={tag: _number(one.kappa[person]) for tag, one in found.tags.items() if person in one.kappa},
                unskilled=tuple(tag for tag, one in found.tags.items() if person in one.unskilled),
                skill=None if skill is None else _number(skill.skill),
                aside="" if person not in aside else "hand" if person in by_hand else "rule",
            )
        return people, tags, places_to_reopen(self.connection, task.id, aside) if aside else 0

    def _labels_a_day(self) -> float | None:
        """Over the week that ends now, or since the first label where that is less long ago."""
        mine = [Annotation.task_id == self.task.id] if self.task else []
        since = self.now - round(_PACE_DAYS * _DAY_US)
        kind = sa.and_(*mine, Annotation.kind == "label", Annotation.origin == "person")
        query = sa.select(sa.func.count(), sa.func.min(Annotation.at)).where(kind, Annotation.at > since)
        count, first = self.connection.execute(query.where(Annotation.at <= self.now)).one()
        if not count:
            return None
        days = max((self.now - first) / _DAY_US, 1 / 24)  # of the first minutes no pace can be told
        return float(count / days)

    def _median_s(self) -> float | None:
        mine = [Annotation.task_id == self.task.id] if self.task else []
        query = sa.select(Annotation.took_ms).where(*mine, Annotation.took_ms.is_not(None), Annotation.kind == "label")
        rows = self.connection.execute(query.order_by(Annotation.at.desc()).limit(_TIMED)).scalars()
        took = [ms for ms in rows if ms is not None]
        return statistics.median(took) / 1000 if took else None

    def _queue(self) -> sa.Row[Any]:
        """Clips in the queue, those that are done, and answers that are still to come; one look at each row."""
        mine = [TaskClip.task_id == self.task.id] if self.task else []
        left = sa.case((TaskClip.gold.is_(None), TaskClip.open_places + TaskClip.leases), else_=0)
        query = sa.select(
            sa.func.count().label("clips"),
            sa.func.sum(sa.case((TaskClip.done, 1), else_=0)).label("done"),
            sa.func.sum(left).label("left"),
        )
        return self.connection.execute(query.select_from(TaskClip).where(*mine)).one()

    def _since(
        self, counts: Mapping[str, int], per_tag: Mapping[str, Mapping[str, int]], labels: Mapping[str, int]
    ) -> dict[str, Any] | None:
        mine = StatusReport.task_id.is_(None) if self.task is None else StatusReport.task_id == self.task.id
        query = sa.select(StatusReport.at, StatusReport.body).where(mine).order_by(StatusReport.id.desc()).limit(1)
        last = self.connection.execute(query).one_or_none()
        if last is None:
            return None
        before = last.body.get("per_tag", {})
        tags = {tag: _more(before.get(tag, {}), values) for tag, values in per_tag.items()}
        return {
            "at": time_text(last.at),
            **{name: n - last.body.get(name, n) for name, n in counts.items()},  # older reports know fewer
            "per_tag": tags,
            "per_annotator": _more(last.body.get("per_annotator"), labels),
        }


def task_names(catalog: Catalog) -> list[str]:
    """Names of all tasks, the oldest first."""
    with catalog.read() as connection:
        return list(connection.execute(sa.select(Task.name).order_by(Task.id)).scalars())


def _more(before: Mapping[str, int] | None, now: Mapping[str, int]) -> dict[str, int]:
    """What came to each count; what is no longer there has its minus. `before` is None in reports of older versions."""
    if before is None:
        return {}
    return {name: now.get(name, 0) - before.get(name, 0) for name in sorted({*before, *now})}


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)

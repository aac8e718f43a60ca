"""What the pages of `earmark.web` show beside the queue: one clip, examples, one's own numbers, sessions, disputes.

Each is a few rows through an index, but for disputes: see `earmark.catalog.disputing`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from earmark.catalog.agreeing import Agreed
from earmark.catalog.current import in_force, labels_of
from earmark.catalog.database import Catalog, now_us
from earmark.catalog.disputing import Judge
from earmark.catalog.gold import examples_of
from earmark.catalog.hashing import digest
from earmark.catalog.people import OF_SESSION, Person, find_session, person_of
from earmark.catalog.tables import Annotation, Annotator, Answered, Clip, Recording, Session, Task, TaskClip
from earmark.catalog.tasks import WITH_TAGS, TaskInfo, find_task, info_of
from earmark.errors import NotFoundError
from earmark.types import LabelValue

DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class ClipInfo:
    """A clip and where its sound lies; fields as of `earmark.catalog.queueing.Held`."""

    clip_id: int
    recording_id: int
    name: str
    uri: str
    file: str | None
    start: int
    stop: int
    sample_rate_hz: int
    file_sha256: str

    @property
    def seconds(self) -> float:
        return (self.stop - self.start) / self.sample_rate_hz


@dataclass(frozen=True, slots=True)
class Example:
    """A clip whose answer for one tag is known."""

    clip_id: int
    tag: str
    value: LabelValue


@dataclass(frozen=True, slots=True)
class Numbers:
    """What one person has done for a task: answers in force, those of the last 24 hours, and labels of each day.

    days: (days since 1970, UTC, labels), of days with labels, the oldest first.
    """

    labels: int
    skips: int
    unusable: int
    today: int
    days: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """Somebody who is logged in."""

    id: int
    person_id: int
    person: str
    created_at: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class Dispute:
    """A clip that people disagree about.

    Attributes:
        agreed: tag -> what comes nearest to an answer.
        said: name -> their answers.
    """

    clip: ClipInfo
    agreed: Mapping[str, Agreed]
    said: Mapping[str, Mapping[str, LabelValue]]


_CLIP = (
    *(Clip.id.label("clip_id"), Clip.recording_id, Recording.name, Recording.uri, Clip.file, Clip.start, Clip.stop),
    *(Recording.sample_rate_hz, Recording.file_sha256),
)


def who_and_what(
    catalog: Catalog, secret: str | None, task: str | None, *, now: int | None = None
) -> tuple[Person | None, TaskInfo | None]:
    """Whose session a secret is, and a task by its name: what every request asks first, on one connection.

    Each is None where nothing was asked or none is found.
    """
    if secret is None and task is None:
        return None, None
    at = now_us() if now is None else now
    with catalog.look() as connection:
        if secret is not None and task is not None:
            values = {"of_task": task, "of_hash": digest(secret), "now": at}
            rows = connection.execute(_WHO_AND_WHAT, values).all()
            if rows:
                who = rows[0]._mapping
                person = person_of(who, "who_") if who["who_active"] else None
                return person, info_of(rows)
        person = None if secret is None else find_session(connection, secret, at)
        try:
            return person, None if task is None else find_task(connection, task)
        except NotFoundError:
            return person, None


_WHO = OF_SESSION.subquery("who")
_WHO_AND_WHAT = (
    WITH_TAGS.where(Task.name == sa.bindparam("of_task"))
    .outerjoin(_WHO, sa.true())
    .add_columns(*(column.label(f"who_{column.name}") for column in _WHO.c))
)
"""A row for each tag of the task, with the same person beside all of them, or nobody."""


def is_answered(catalog: Catalog, task_id: int) -> bool:
    """Whether anybody has said anything of a task, so that its questions stay."""
    with catalog.look() as connection:
        said = sa.select(Annotation.id).where(Annotation.task_id == task_id).limit(1)
        return connection.execute(said).first() is not None


def find_clip(catalog: Catalog, task_id: int, clip_id: int) -> ClipInfo:
    """A clip of a task; NotFoundError where it is not in it."""
    query = sa.select(*_CLIP).join_from(Clip, Recording).join(TaskClip, TaskClip.clip_id == Clip.id)
    with catalog.read() as connection:
        row = connection.execute(query.where(TaskClip.task_id == task_id, Clip.id == clip_id)).one_or_none()
    if row is None:
        raise NotFoundError(f"clip {clip_id} is not in this task.")
    return ClipInfo(**row._mapping)


def examples(catalog: Catalog, task: TaskInfo) -> list[Example]:
    """Gold clips to learn by, in the order of tags and answers; nobody is tested by them (`earmark.catalog.gold`)."""
    with catalog.read() as connection:
        found = examples_of(connection, task.id, task.gold_share)
    return [
        Example(found[tag, value], tag, value) for tag in task.tags for value in task.scale if (tag, value) in found
    ]


def numbers_of(catalog: Catalog, task_id: int, person_id: int, *, now: int | None = None) -> Numbers:
    """One's own numbers: as much work as one has answers."""
    at = now_us() if now is None else now
    mine = (Answered.annotator_id == person_id, Answered.task_id == task_id)
    query = sa.select(Annotation.kind, Annotation.at).join_from(Answered, Annotation).where(*mine)
    kinds = {"label": 0, "skip": 0, "unusable": 0}
    days: dict[int, int] = {}
    today = 0
    with catalog.read() as connection:
        for row in connection.execute(query):
            kinds[row.kind] += 1
            if row.kind == "label":
                days[row.at // DAY_US] = days.get(row.at // DAY_US, 0) + 1
                today += row.at > at - DAY_US
    return Numbers(kinds["label"], kinds["skip"], kinds["unusable"], today, tuple(sorted(days.items())))


def labels_by_day(catalog: Catalog, task_id: int, *, days: int = 30, now: int | None = None) -> list[tuple[int, int]]:
    """(days since 1970, UTC, labels of that day in force) of the last `days` days that have any, the oldest first."""
    at = now_us() if now is None else now
    later = sa.orm.aliased(Annotation)
    since = (at // DAY_US - days + 1) * DAY_US
    mine = (Annotation.task_id == task_id, Annotation.at >= since, Annotation.kind == "label")
    query = sa.select((Annotation.at - Annotation.at % DAY_US).label("start"), sa.func.count().label("n"))
    query = query.where(*mine, Annotation.origin == "person", in_force(later)).group_by("start").order_by("start")
    with catalog.read() as connection:
        return [(row.start // DAY_US, row.n) for row in connection.execute(query)]


def list_sessions(catalog: Catalog, *, now: int | None = None, limit: int = 200) -> list[SessionInfo]:
    """Everybody who is logged in, the newest session first."""
    at = now_us() if now is None else now
    query = (
        sa.select(Session.id, Annotator.id.label("person_id"), Annotator.name, Session.created_at, Session.expires_at)
        .join_from(Session, Annotator)
        .where(Session.revoked_at.is_(None), Session.expires_at > at, Annotator.active)
        .order_by(Session.id.desc())
        .limit(limit)
    )
    with catalog.read() as connection:
        return [SessionInfo(*row) for row in connection.execute(query)]


def disputes(catalog: Catalog, task: int | str, *, start: int = 0, limit: int = 50) -> list[Dispute]:
    """Clips in dispute, the least sure first, from place `start` on."""
    return page_of_disputes(catalog, task, start=start, limit=limit)[1]


def page_of_disputes(
    catalog: Catalog, task: int | str, *, start: int = 0, limit: int = 50
) -> tuple[int, list[Dispute]]:
    """How many clips of the whole task are in dispute, and some of them as `disputes`."""
    with catalog.read() as connection:
        info = find_task(connection, task)
        judge = Judge(connection, info)
        found = judge.disputes()
        wanted = [one.clip_id for one in found[start : start + limit]]
        names = {row.id: row.name for row in connection.execute(sa.select(Annotator.id, Annotator.name))}
        said: dict[int, dict[str, dict[str, LabelValue]]] = {clip: {} for clip in wanted}
        for word in labels_of(connection, info.id, clips=wanted):
            said[word.clip_id].setdefault(names[word.annotator_id], {}).update(word.values)
        agreed = judge.agreed(wanted)
        rows = connection.execute(sa.select(*_CLIP).join_from(Clip, Recording).where(Clip.id.in_(wanted)))
        infos = {row.clip_id: ClipInfo(**row._mapping) for row in rows}
    return len(found), [Dispute(infos[clip], agreed[clip], said[clip]) for clip in wanted]

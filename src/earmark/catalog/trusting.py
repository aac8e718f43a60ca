"""Who is set aside in a task, and the places of their answers, which others are asked to take.

Who it is follows from the labels, by the rule of `earmark.catalog.trust`, each time a consensus is made; what an admin
says goes before it. Places move when somebody asks for it (`reopen_places`): until then an answer of somebody who is
set aside takes its place in the overlap, though it carries no weight.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Literal, TypeAlias

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from earmark.catalog.agreeing import Skill, consensus
from earmark.catalog.auditing import audit, record
from earmark.catalog.database import Catalog, now_us
from earmark.catalog.places import move, reopen
from earmark.catalog.tables import Annotation, Annotator, Answered, Discounted, Trust
from earmark.catalog.tasks import find_task, get_task
from earmark.errors import CatalogError, NotFoundError

Verdict: TypeAlias = Literal["trusted", "aside", "rule"]
"""What an admin may say: count their answers whatever the rule says, do not, or leave it to the rule."""

VERDICTS: tuple[Verdict, ...] = ("trusted", "aside", "rule")

_PAGE = 500  # answers whose places move in one transaction, so that others can label meanwhile


@dataclass(frozen=True, slots=True)
class Reopened:
    """aside: names of those who are set aside now. back: of those who no longer are. places: that came free, and that
    were taken again."""

    aside: tuple[str, ...]
    back: tuple[str, ...]
    freed: int
    taken: int


def set_trust(catalog: Catalog, task: int | str, person_id: int, verdict: Verdict, *, by: int | None = None) -> None:
    """Say by hand whether somebody's answers to a task count; no rule changes it. `reopen_places` moves the places.

    Raises:
        NotFoundError: no such task or person. CatalogError: an unknown verdict.
    """
    if verdict not in VERDICTS:
        raise CatalogError(f"trust {verdict!r}: expected {', '.join(VERDICTS[:-1])} or {VERDICTS[-1]}.")

    def work(connection: Connection) -> None:
        info = find_task(connection, task)
        if connection.execute(sa.select(Annotator.id).where(Annotator.id == person_id)).first() is None:
            raise NotFoundError(f"person {person_id}: there is nobody of this number.")
        connection.execute(sa.delete(Trust).where(Trust.task_id == info.id, Trust.annotator_id == person_id))
        if verdict != "rule":
            row = {"task_id": info.id, "annotator_id": person_id, "state": verdict, "by_hand": True, "at": now_us()}
            connection.execute(sa.insert(Trust).values(**row))
        detail = {"person": person_id, "task": info.name, "trust": verdict}
        record(connection, by, "trust changed", detail)

    catalog.run(work)


def reopen_places(catalog: Catalog, task: int | str) -> Reopened:
    """Let the overlap count answers of those alone who are not set aside: their clips are asked again.

    It goes on in pieces, so labelling is never held up; one that was stopped is finished by the same again.

    Raises:
        NotFoundError: no such task.
    """
    info = get_task(catalog, task)
    with catalog.read() as connection:
        found = consensus(connection, info)
        before = set_aside_before(connection, info.id)
        discounted = sa.select(Discounted.annotator_id).where(Discounted.task_id == info.id).distinct()
        restored = sorted(set(connection.execute(discounted).scalars()) - found.aside)
        everybody = found.aside | before | set(restored)
        rows = connection.execute(sa.select(Annotator.id, Annotator.name).where(Annotator.id.in_(everybody)))
        names = {row.id: row.name for row in rows}
    by_rule = {person: found.skills[person] for person in found.aside if person in found.skills}
    catalog.run(lambda connection: _note(connection, info.id, by_rule))
    freed = sum(_discount(catalog, info.id, person) for person in sorted(found.aside))
    taken = sum(_restore(catalog, info.id, person) for person in restored)
    back = sorted(names[person] for person in (before | set(restored)) - found.aside)
    aside = sorted(names[person] for person in found.aside)
    detail = {"task": info.name, "aside": aside, "back": back, "freed": freed, "taken": taken}
    audit(catalog, None, "places reopened", detail)
    return Reopened(tuple(aside), tuple(back), freed, taken)


def set_aside_before(connection: Connection, task_id: int) -> set[int]:
    """Who was set aside by the rule when places were reopened last: by all answers, not only the latest."""
    query = sa.select(Trust.annotator_id).where(Trust.task_id == task_id, ~Trust.by_hand, Trust.state == "aside")
    return set(connection.execute(query).scalars())


def _note(connection: Connection, task_id: int, by_rule: dict[int, Skill]) -> None:
    """Who is set aside by the rule now; what was said by hand stays."""
    mine = Trust.task_id == task_id
    connection.execute(sa.delete(Trust).where(mine, ~Trust.by_hand))
    by_hand = set(connection.execute(sa.select(Trust.annotator_id).where(mine)).scalars())
    for person, one in sorted(by_rule.items()):
        if person not in by_hand:
            row = {"task_id": task_id, "annotator_id": person, "state": "aside", "by_hand": False, "at": now_us()}
            skill = None if math.isnan(one.skill) else one.skill
            connection.execute(sa.insert(Trust).values(**row, skill=skill))


def _uncounted() -> sa.ColumnElement[bool]:
    mine = (Discounted.task_id == Answered.task_id, Discounted.annotator_id == Answered.annotator_id)
    return sa.exists().where(*mine, Discounted.clip_id == Answered.clip_id)


def _taking(task_id: int, people: Collection[int]) -> sa.Select[int]:
    """Clips in which answers of these people take a place."""
    return (
        sa.select(Answered.clip_id)
        .join(Annotation, Annotation.id == Answered.annotation_id)
        .where(Answered.task_id == task_id, Answered.annotator_id.in_(people), Annotation.kind != "skip")
        .where(~_uncounted())
    )


def places_to_reopen(connection: Connection, task_id: int, people: Collection[int]) -> int:
    """How many places answers of these people take."""
    return connection.execute(sa.select(sa.func.count()).select_from(_taking(task_id, people).subquery())).scalar_one()


def _discount(catalog: Catalog, task_id: int, person: int) -> int:
    def work(connection: Connection) -> int:
        number = reopen(connection, task_id, _PAGE)  # locks the task first: see `places`
        query = _taking(task_id, [person]).order_by(Answered.clip_id).limit(_PAGE).with_for_update(of=Answered)
        clips = list(connection.execute(query).scalars())
        if clips:
            rows = [{"task_id": task_id, "annotator_id": person, "clip_id": clip} for clip in clips]
            connection.execute(sa.insert(Discounted), rows)
        for step, clip in enumerate(clips):
            move(connection, task_id, clip, answers=-1, number=number + step)
        return len(clips)

    return _in_pieces(catalog, work)


def _restore(catalog: Catalog, task_id: int, person: int) -> int:
    mine = sa.and_(Discounted.task_id == task_id, Discounted.annotator_id == person)

    def work(connection: Connection) -> int:
        reopen(connection, task_id)
        query = sa.select(Discounted.clip_id).where(mine).order_by(Discounted.clip_id).limit(_PAGE)
        clips = list(connection.execute(query.with_for_update()).scalars())
        connection.execute(sa.delete(Discounted).where(mine, Discounted.clip_id.in_(clips)))
        for clip in clips:
            move(connection, task_id, clip, answers=1)
        return len(clips)

    return _in_pieces(catalog, work)


def _in_pieces(catalog: Catalog, work: Callable[[Connection], int]) -> int:
    moved = 0
    while True:
        piece = catalog.run(work)
        moved += piece
        if piece < _PAGE:
            return moved


def is_discounted(connection: Connection, task_id: int, annotator_id: int, clip_id: int) -> bool:
    """Whether the place of somebody's answer was given to others."""
    query = sa.select(Discounted.clip_id).where(*_one(task_id, annotator_id, clip_id))
    return connection.execute(query).first() is not None


def forget_discount(connection: Connection, task_id: int, annotator_id: int, clip_id: int) -> None:
    """To be called where that answer is no longer in force."""
    connection.execute(sa.delete(Discounted).where(*_one(task_id, annotator_id, clip_id)))


def _one(task_id: int, annotator_id: int, clip_id: int) -> tuple[sa.ColumnElement[bool], ...]:
    return Discounted.task_id == task_id, Discounted.annotator_id == annotator_id, Discounted.clip_id == clip_id

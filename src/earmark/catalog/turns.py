"""One person's search for clips in a task's queue; what is promised of it is told in `earmark.catalog.queueing`."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from earmark.catalog.places import move
from earmark.catalog.tables import Answered, Lease, QueuePosition, Task, TaskClip
from earmark.catalog.tasks import find_task, insert_new
from earmark.catalog.trouble import MetAnotherError

LIVE = sa.text("lease.state = 'live'")
"""In the words of the index: with a parameter in it, SQLite would not use that."""

_OPEN = sa.text("task_clip.open_places > 0")
_OPENED_AGAIN = sa.text("task_clip.reopened IS NOT NULL")
_GOLD = sa.text("task_clip.gold IS NOT NULL")
_LOOK_AHEAD = 32  # clips looked at on PostgreSQL, where others may have the first ones locked


@dataclass(frozen=True, slots=True)
class Rules:
    """What the queue needs to know of a task; fields as of `earmark.catalog.tables.Task`.

    first_expiry: when the first of its live leases runs out; None where there is none.
    """

    task_id: int
    policy: str
    gold_share: float
    lease_s: float
    reopenings: int
    order_version: int
    first_expiry: int | None


def find_rules(connection: Connection, task: int | str) -> Rules:
    """Raises NotFoundError where there is no such task.

    All reopenings up to the number that is read are committed by then, so it is read before any clip is looked at.
    """
    row = connection.execute(_RULES_BY_ID if isinstance(task, int) else _RULES_BY_NAME, {"of_task": task}).one_or_none()
    if row is None:
        find_task(connection, task)  # which says which tasks there are
        raise MetAnotherError(f"task {task!r} appeared while it was looked for.")
    return Rules(*row)


_Candidate: TypeAlias = sa.Row[int, float, float, int | None]
_Candidates: TypeAlias = sa.Select[int, float, float, int | None]
"""Of clips: row, priority, place, number of the last reopening."""


class Turn:
    """One person's search for clips, within one transaction; they search one at a time."""

    def __init__(self, connection: Connection, rules: Rules, annotator_id: int, now: int) -> None:
        self._connection = connection
        self._rules = rules
        self._task_id, self._annotator_id = rules.task_id, annotator_id
        self._now, self._until = now, now + round(rules.lease_s * 1e6)
        self._who = {"of_task": rules.task_id, "of_person": annotator_id}
        row = connection.execute(_POSITION, self._who).one_or_none()
        if row is None:
            new = {"task_id": rules.task_id, "annotator_id": annotator_id}
            connection.execute(insert_new(connection, QueuePosition).values(**new).on_conflict_do_nothing())
            row = connection.execute(_POSITION, self._who).one()
        holds = row.order_version == rules.order_version
        self._at: tuple[float, float, int] | None = None
        if holds and row.clip_id is not None:
            self._at = (row.priority, row.place, row.clip_id)
        self._looked: int = row.reopened if holds else 0
        self._before = (self._at, self._looked) if holds else None

    def note_position(self) -> None:
        """To be called at the end of the search."""
        if self._before == (self._at, self._looked):
            return
        priority, place, clip_id = self._at or (None, None, None)
        values = {"priority": priority, "place": place, "clip_id": clip_id, "reopened": self._looked}
        self._connection.execute(_NOTE, {**self._who, **values, "order_version": self._rules.order_version})

    def renew(self, n: int) -> list[int]:
        """Leases of clips that they hold, in turn, each kept for its full time again."""
        rows = self._connection.execute(_RENEW, {**self._who, "most": n, "until": self._until})
        return [row.id for row in sorted(rows, key=lambda row: (row.turn, row.id))]

    def gold(self) -> list[int]:
        rows = self._connection.execute(_NEXT_GOLD, self._who).all()
        return [self._lease(row.clip_id) for row in rows if self._take(row.clip_id, False)]

    def reopened(self, n: int) -> list[int]:
        """Clips that were full when this person went by, or taken back, and are open now."""
        to = self._rules.reopenings
        if self._looked >= to:
            return []
        rows, taken = self._take_first(_NEXT_REOPENED, {"after": self._looked, "up_to": to}, n)
        missed = next((row for row in rows if row.clip_id not in taken), None)
        if missed is not None:
            self._looked = missed.reopened - 1
        elif len(rows) < self._ahead(n):
            self._looked = to
        else:
            self._looked = rows[-1].reopened
        return list(taken.values())

    def down_the_queue(self, n: int) -> list[int]:
        at = {} if self._at is None else dict(zip(("at_priority", "at_place", "at_clip"), self._at, strict=True))
        rows, taken = self._take_first(_NEXT_DOWN if at else _NEXT_FROM_THE_HEAD, at, n)
        for row in rows:  # no further than the first that somebody else was at: it may be open again
            if row.clip_id not in taken:
                break
            self._at = (row.priority, row.place, row.clip_id)
        return list(taken.values())

    def _ahead(self, n: int) -> int:
        return n if self._connection.dialect.name == "sqlite" else n + _LOOK_AHEAD

    def _take_first(
        self, query: _Candidates, values: Mapping[str, float | int], n: int
    ) -> tuple[Sequence[_Candidate], dict[int, int]]:
        """The rows looked at, in the queue's order, and clip -> lease of those that were taken, at most `n`."""
        rows = self._connection.execute(query, {**self._who, **values, "most": self._ahead(n)}).all()
        if not rows:
            return rows, {}
        free = self._free([row.clip_id for row in rows], n)
        return rows, {clip: self._lease(clip) for clip in free if self._take(clip, True)}

    def _free(self, clips: list[int], n: int) -> list[int]:
        """The first `n` of `clips` that are open, and locked for us: those that others have locked are left to them."""
        if self._connection.dialect.name == "sqlite":  # nobody else writes now
            return clips
        values = {"of_task": self._task_id, "clips": clips}
        found = self._connection.execute(_FREE_NOW, {**values, "most": n}).scalars().all()
        if not found:  # others have all of them: wait for the first that comes free
            found = self._connection.execute(_FREE_SOON, {**values, "most": 1}).scalars().all()
        if not found:
            raise MetAnotherError("others took all the clips that were next.")  # and there may be more after them
        return list(found)

    def _take(self, clip_id: int, needs_open: bool) -> bool:
        return move(self._connection, self._task_id, clip_id, leases=1, needs_open=needs_open)

    def _lease(self, clip_id: int, turn: int = 0) -> int:
        return insert_lease(
            self._connection, self._task_id, clip_id, self._annotator_id, now=self._now, until=self._until, turn=turn
        )


def insert_lease(
    connection: Connection, task_id: int, clip_id: int, annotator_id: int, *, now: int, until: int, turn: int
) -> int:
    """A live lease's row; its place has to be taken in the same transaction (`places.move`)."""
    values = {
        "task_id": task_id,
        "clip_id": clip_id,
        "annotator_id": annotator_id,
        "token": secrets.token_urlsafe(18),
        "created_at": now,
        "expires_at": until,
        "turn": turn,
        "state": "live",
    }
    return int(connection.execute(_INSERT_LEASE, values).scalar_one())


# The statements of a search, made once: putting them together anew takes longer than running them.

_TASK, _PERSON = sa.bindparam("of_task", type_=sa.BigInteger), sa.bindparam("of_person", type_=sa.BigInteger)
_MOST = sa.bindparam("most", type_=sa.Integer)
_FIRST_EXPIRY = (
    sa.select(Lease.expires_at).where(Lease.task_id == Task.id, LIVE).order_by(Lease.expires_at).limit(1)
).scalar_subquery()
_RULES = sa.select(
    *(Task.id, Task.policy, Task.gold_share, Task.lease_s, Task.reopenings, Task.order_version),
    _FIRST_EXPIRY.label("first_expiry"),
)
_RULES_BY_ID, _RULES_BY_NAME = _RULES.where(Task.id == _TASK), _RULES.where(Task.name == sa.bindparam("of_task"))
_MINE = sa.and_(QueuePosition.task_id == _TASK, QueuePosition.annotator_id == _PERSON)
_POSITION = sa.select(QueuePosition.__table__).where(_MINE).with_for_update()
_NOTE = (
    sa.update(QueuePosition)
    .where(_MINE)
    .values({name: sa.bindparam(name) for name in ("priority", "place", "clip_id", "reopened", "order_version")})
)
_HELD = sa.and_(Lease.annotator_id == _PERSON, Lease.task_id == _TASK, LIVE)
_RENEW = (
    sa.update(Lease)
    # a lease that ran out and was taken back meanwhile is no longer live, and so is left out
    .where(Lease.id.in_(sa.select(Lease.id).where(_HELD).order_by(Lease.turn, Lease.id).limit(_MOST)), LIVE)
    .values(expires_at=sa.bindparam("until", type_=sa.BigInteger))
    .returning(Lease.id, Lease.turn)
)
_INSERT_LEASE = sa.insert(Lease).returning(Lease.id)

_UNSEEN = sa.select(TaskClip.clip_id, TaskClip.priority, TaskClip.place, TaskClip.reopened).where(
    TaskClip.task_id == _TASK,
    ~sa.exists().where(
        Answered.task_id == _TASK, Answered.clip_id == TaskClip.clip_id, Answered.annotator_id == _PERSON
    ),
    ~sa.exists().where(_HELD, Lease.clip_id == TaskClip.clip_id),
)
"""Clips of the task that a person neither answered nor holds."""
_NEXT_GOLD = _UNSEEN.where(_GOLD).order_by(TaskClip.place).limit(1)
_NEXT_REOPENED = (
    _UNSEEN.where(
        _OPEN,
        _OPENED_AGAIN,
        TaskClip.reopened > sa.bindparam("after", type_=sa.BigInteger),
        TaskClip.reopened <= sa.bindparam("up_to", type_=sa.BigInteger),
    )
    .order_by(TaskClip.reopened)
    .limit(_MOST)
)
_NEXT_FROM_THE_HEAD = (
    _UNSEEN.where(_OPEN).order_by(TaskClip.priority.desc(), TaskClip.place.desc(), TaskClip.clip_id.desc()).limit(_MOST)
)
_AT = sa.tuple_(
    sa.bindparam("at_priority", type_=sa.Float),
    sa.bindparam("at_place", type_=sa.Float),
    sa.bindparam("at_clip", type_=sa.BigInteger),
)
_NEXT_DOWN = _NEXT_FROM_THE_HEAD.where(sa.tuple_(TaskClip.priority, TaskClip.place, TaskClip.clip_id) < _AT)
_CLIPS = sa.bindparam("clips", type_=sa.ARRAY(sa.BigInteger))
_FREE = (
    sa.select(TaskClip.clip_id)
    .where(TaskClip.task_id == _TASK, TaskClip.clip_id == sa.any_(_CLIPS), _OPEN)
    .order_by(sa.func.array_position(_CLIPS, TaskClip.clip_id))
    .limit(_MOST)
)
_FREE_NOW, _FREE_SOON = _FREE.with_for_update(skip_locked=True), _FREE.with_for_update()

"""One person's search for clips in a task's queue; what is promised of it is told in `earmark.catalog.queueing`."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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
    """What the queue needs to know of a task; fields as of `earmark.catalog.tables.Task`."""

    task_id: int
    overlap: int
    policy: str
    gold_share: float
    lease_s: float
    reopenings: int
    order_version: int


def find_rules(connection: Connection, task: int | str) -> Rules:
    """Raises NotFoundError where there is no such task.

    All reopenings up to the number that is read are committed by then, so it is read before any clip is looked at.
    """
    columns = (Task.id, Task.overlap, Task.policy, Task.gold_share, Task.lease_s, Task.reopenings, Task.order_version)
    row = connection.execute(
        sa.select(*columns).where(Task.id == task if isinstance(task, int) else Task.name == task)
    ).one_or_none()
    if row is None:
        find_task(connection, task)  # which says which tasks there are
        raise MetAnotherError(f"task {task!r} appeared while it was looked for.")
    return Rules(*row)


class Turn:
    """One person's search for clips, within one transaction; they search one at a time."""

    def __init__(self, connection: Connection, rules: Rules, annotator_id: int, now: int) -> None:
        self._connection = connection
        self._rules = rules
        self._task_id, self._overlap, self._annotator_id = rules.task_id, rules.overlap, annotator_id
        self._now, self._until = now, now + round(rules.lease_s * 1e6)
        self._here = sa.and_(QueuePosition.task_id == rules.task_id, QueuePosition.annotator_id == annotator_id)
        find = sa.select(QueuePosition.__table__).where(self._here).with_for_update()
        row = connection.execute(find).one_or_none()
        if row is None:
            who = {"task_id": rules.task_id, "annotator_id": annotator_id}
            connection.execute(insert_new(connection, QueuePosition).values(**who).on_conflict_do_nothing())
            row = connection.execute(find).one()
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
        update = sa.update(QueuePosition).where(self._here)
        self._connection.execute(update.values(**values, order_version=self._rules.order_version))

    def renew(self, n: int) -> list[int]:
        """Leases of clips that they hold, in turn, each kept for its full time again."""
        mine = sa.and_(Lease.annotator_id == self._annotator_id, Lease.task_id == self._task_id, LIVE)
        held = list(
            self._connection.execute(sa.select(Lease.id).where(mine).order_by(Lease.turn, Lease.id).limit(n)).scalars()
        )
        if held:
            renewed = sa.update(Lease).where(Lease.id.in_(held), LIVE).values(expires_at=self._until)
            if self._connection.execute(renewed).rowcount != len(held):
                raise MetAnotherError("a lease ran out while it was renewed.")
        return held

    def gold(self) -> list[int]:
        query = self._unseen().where(_GOLD).order_by(TaskClip.place).limit(1)
        return [self._lease(row.clip_id) for row in self._connection.execute(query) if self._take(row.clip_id, False)]

    def reopened(self, n: int) -> list[int]:
        """Clips that were full when this person went by, or taken back, and are open now."""
        to = self._rules.reopenings
        if self._looked >= to:
            return []
        query = (
            self._unseen()
            .where(_OPEN, _OPENED_AGAIN, TaskClip.reopened > self._looked, TaskClip.reopened <= to)
            .order_by(TaskClip.reopened)
        )
        rows, taken = self._take_first(query, n)
        missed = next((row for row in rows if row.clip_id not in taken), None)
        if missed is not None:
            self._looked = missed.reopened - 1
        elif len(rows) < self._ahead(n):
            self._looked = to
        else:
            self._looked = rows[-1].reopened
        return list(taken.values())

    def down_the_queue(self, n: int) -> list[int]:
        query = self._unseen().where(_OPEN)
        if self._at is not None:
            query = query.where(sa.tuple_(TaskClip.priority, TaskClip.place, TaskClip.clip_id) < self._at)
        query = query.order_by(TaskClip.priority.desc(), TaskClip.place.desc(), TaskClip.clip_id.desc())
        rows, taken = self._take_first(query, n)
        for row in rows:  # no further than the first that somebody else was at: it may be open again
            if row.clip_id not in taken:
                break
            self._at = (row.priority, row.place, row.clip_id)
        return list(taken.values())

    def _unseen(self) -> sa.Select[Any]:
        """Clips of the task that this person neither answered nor holds."""
        answered = sa.exists().where(
            Answered.task_id == self._task_id,
            Answered.clip_id == TaskClip.clip_id,
            Answered.annotator_id == self._annotator_id,
        )
        held = sa.exists().where(
            Lease.annotator_id == self._annotator_id,
            Lease.task_id == self._task_id,
            Lease.clip_id == TaskClip.clip_id,
            LIVE,
        )
        columns: list[Any] = [TaskClip.clip_id, TaskClip.priority, TaskClip.place, TaskClip.reopened]
        return sa.select(*columns).where(TaskClip.task_id == self._task_id, ~answered, ~held)

    def _ahead(self, n: int) -> int:
        return n if self._connection.dialect.name == "sqlite" else n + _LOOK_AHEAD

    def _take_first(self, query: sa.Select[Any], n: int) -> tuple[Sequence[sa.Row[Any]], dict[int, int]]:
        """The rows looked at, in the queue's order, and clip -> lease of those that were taken, at most `n`."""
        rows = self._connection.execute(query.limit(self._ahead(n))).all()
        if not rows:
            return rows, {}
        free = self._free([row.clip_id for row in rows], n)
        return rows, {clip: self._lease(clip) for clip in free if self._take(clip, True)}

    def _free(self, clips: list[int], n: int) -> list[int]:
        """The first `n` of `clips` that are open, and locked for us: those that others have locked are left to them."""
        if self._connection.dialect.name == "sqlite":  # nobody else writes now
            return clips
        mine = sa.and_(TaskClip.task_id == self._task_id, TaskClip.clip_id.in_(clips), _OPEN)
        order = sa.func.array_position(sa.literal(clips, sa.ARRAY(sa.BigInteger)), TaskClip.clip_id)
        ordered = sa.select(TaskClip.clip_id).where(mine).order_by(order)
        found = self._connection.execute(ordered.limit(n).with_for_update(skip_locked=True)).scalars().all()
        if not found:  # others have all of them: wait for the first that comes free
            found = self._connection.execute(ordered.limit(1).with_for_update()).scalars().all()
        if not found:
            raise MetAnotherError("others took all the clips that were next.")  # and there may be more after them
        return list(found)

    def _take(self, clip_id: int, needs_open: bool) -> bool:
        return move(self._connection, self._task_id, self._overlap, clip_id, leases=1, needs_open=needs_open)

    def _lease(self, clip_id: int, turn: int = 0) -> int:
        return insert_lease(
            self._connection, self._task_id, clip_id, self._annotator_id, now=self._now, until=self._until, turn=turn
        )


def insert_lease(
    connection: Connection, task_id: int, clip_id: int, annotator_id: int, *, now: int, until: int, turn: int
) -> int:
    """A live lease's row; its place has to be taken in the same transaction (`places.move`)."""
    insert = sa.insert(Lease).values(
        task_id=task_id,
        clip_id=clip_id,
        annotator_id=annotator_id,
        token=secrets.token_urlsafe(18),
        created_at=now,
        expires_at=until,
        turn=turn,
        state="live",
    )
    return int(connection.execute(insert.returning(Lease.id)).scalar_one())

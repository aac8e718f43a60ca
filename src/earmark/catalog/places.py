"""The places of a clip in a queue: how many more people may be shown it. The only writer of `task_clip`'s counts.

A clip of a task with overlap k has k places. An answer takes one for good, a live lease for a while; what is left are
its open places. Everything that moves them does so in one UPDATE of the clip's row, in the transaction of the answer or
lease itself, so the counts cannot drift from the rows that they count.

A place that comes free again gets a number from the task (`reopen`), in the order of commits, since the task's row is
locked until then. Who has looked at all reopenings up to a number, and has gone down the queue to a position, has
therefore seen every clip that was ever open to them: nobody searches twice (see `earmark.catalog.queueing`).

Rows are locked in this order, whoever writes: task, queue_position, lease, answered, task_clip.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from earmark.catalog.tables import Lease, Task, TaskClip

_OVERLAP = sa.select(Task.overlap).where(Task.id == sa.bindparam("of_task")).scalar_subquery()
"""Of the task as it is now, whatever whoever calls has read before: an admin may change it at any time."""
_REOPEN = (
    sa.update(Task)
    .where(Task.id == sa.bindparam("of_task"))
    .values(reopenings=Task.reopenings + sa.bindparam("count", type_=sa.BigInteger))
    .returning(Task.reopenings)
)


def reopen(connection: Connection, task_id: int, count: int = 1) -> int:
    """Take `count` numbers for places that may come free, before any of the rows is touched; gives the first."""
    return int(connection.execute(_REOPEN, {"of_task": task_id, "count": count}).scalar_one()) - count + 1


def move(
    connection: Connection,
    task_id: int,
    clip_id: int,
    *,
    answers: int = 0,
    leases: int = 0,
    number: int | None = None,
    needs_open: bool = False,
) -> bool:
    """Change how many answers and leases a clip has; its open places follow.

    Args:
        answers, leases: to add; below 0 to take away.
        number: of the reopening (`reopen`), where the change may free a place.
        needs_open: change only a clip that has an open place.

    Returns:
        Whether it was changed.
    """
    values = {
        "of_task": task_id,
        "of_clip": clip_id,
        "more_answers": answers,
        "more_leases": leases,
    }
    values |= {} if number is None else {"number": number}
    return connection.execute(moving(number is not None, needs_open), values).rowcount == 1


def settle_all(connection: Connection, task_id: int, clips: Sequence[int]) -> None:
    """Reckon the open places of clips anew, after they became gold or adjudicated, or no longer are."""
    number = reopen(connection, task_id, len(clips)) if clips else 0
    for step, clip_id in enumerate(clips):
        move(connection, task_id, clip_id, number=number + step)


def reckon_all(connection: Connection, task_id: int) -> None:
    """Reckon the open places of all clips of a task anew, after its overlap has changed; everybody begins at the
    queue's head again."""
    mine = TaskClip.task_id == sa.bindparam("of_task")
    values = _reckoned(TaskClip.answers, TaskClip.leases)
    connection.execute(sa.update(TaskClip).values(values).where(mine), {"of_task": task_id})
    again = sa.update(Task).where(Task.id == task_id).values(order_version=Task.order_version + 1)
    connection.execute(again)


END_LEASE = sa.update(Lease).where(Lease.id == sa.bindparam("of_lease")).values(state="answered")


def of_held(task_id: int, lease_id: int, clip_id: int, *, counts: bool, number: int | None) -> dict[str, int]:
    """The values of `END_LEASE` and `moving` where a live lease, which is locked, ends in an answer: its place becomes
    the answer's, or (`counts` False) is free."""
    values = {"of_task": task_id, "of_clip": clip_id, "more_answers": int(counts), "more_leases": -1}
    return {**values, "of_lease": lease_id} | ({} if number is None else {"number": number})


def leased(clips: sa.FromClause) -> sa.Update:
    """One more lease on each clip of the task `of_task` that `clips` names in a column `clip_id`."""
    leases = TaskClip.leases + 1
    values = {TaskClip.leases: leases, **_reckoned(TaskClip.answers, leases)}
    of_task = TaskClip.task_id == sa.bindparam("of_task", type_=sa.BigInteger)
    return sa.update(TaskClip).values(values).where(of_task, TaskClip.clip_id == clips.c.clip_id)


@cache
def moving(numbered: bool, needs_open: bool) -> sa.Update:
    """The statement of `move`. Made once: putting such a statement together takes longer than running it."""
    answers = TaskClip.answers + sa.bindparam("more_answers", type_=sa.BigInteger)
    leases = TaskClip.leases + sa.bindparam("more_leases", type_=sa.BigInteger)
    values = {TaskClip.answers: answers, TaskClip.leases: leases, **_reckoned(answers, leases)}
    if numbered:
        number = sa.bindparam("number", type_=sa.BigInteger)
        more = values[TaskClip.open_places] > TaskClip.open_places
        values[TaskClip.reopened] = sa.case((more, number), else_=TaskClip.reopened)
    here = (TaskClip.task_id == sa.bindparam("of_task"), TaskClip.clip_id == sa.bindparam("of_clip"))
    update = sa.update(TaskClip).values(values).where(*here)
    return update.where(TaskClip.open_places > 0) if needs_open else update


def _reckoned(answers: sa.ColumnElement[int] | Any, leases: sa.ColumnElement[int] | Any) -> dict[Any, Any]:
    """The open places of a clip that has so many answers and leases, and whether it is done."""
    left = _OVERLAP - answers - leases
    closed = sa.or_(TaskClip.adjudicated, TaskClip.gold.is_not(None), left <= 0)
    return {
        TaskClip.open_places: sa.case((closed, 0), else_=left),
        TaskClip.done: sa.or_(TaskClip.adjudicated, answers >= _OVERLAP),
    }

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
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from earmark.catalog.tables import Task, TaskClip


def reopen(connection: Connection, task_id: int, count: int = 1) -> int:
    """Take `count` numbers for places that may come free, before any of the rows is touched; gives the first."""
    update = sa.update(Task).where(Task.id == task_id).values(reopenings=Task.reopenings + count)
    return connection.execute(update.returning(Task.reopenings)).scalar_one() - count + 1


def move(
    connection: Connection,
    task_id: int,
    overlap: int,
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
    update = _moved(overlap, answers, leases, number).where(TaskClip.task_id == task_id, TaskClip.clip_id == clip_id)
    if needs_open:
        update = update.where(TaskClip.open_places > 0)
    return connection.execute(update).rowcount == 1


def settle_all(connection: Connection, task_id: int, overlap: int, clips: Sequence[int]) -> None:
    """Reckon the open places of clips anew, after they became gold or adjudicated, or no longer are."""
    number = reopen(connection, task_id, len(clips)) if clips else 0
    for step, clip_id in enumerate(clips):
        move(connection, task_id, overlap, clip_id, number=number + step)


def _moved(overlap: int, answers: int, leases: int, number: int | None) -> sa.Update:
    left = overlap - (TaskClip.answers + answers) - (TaskClip.leases + leases)
    closed = sa.or_(TaskClip.adjudicated, TaskClip.gold.is_not(None), left <= 0)
    opened = sa.case((closed, 0), else_=left)
    values: dict[Any, Any] = {
        TaskClip.answers: TaskClip.answers + answers,
        TaskClip.leases: TaskClip.leases + leases,
        TaskClip.open_places: opened,
        TaskClip.done: sa.or_(TaskClip.adjudicated, TaskClip.answers + answers >= overlap),
    }
    if number is not None:
        values[TaskClip.reopened] = sa.case((opened > TaskClip.open_places, number), else_=TaskClip.reopened)
    return sa.update(TaskClip).values(values)

"""Giving a task's queue another order: the policy changes, and every clip's priority with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from earmark.catalog.auditing import record
from earmark.catalog.database import Catalog
from earmark.catalog.labelling import disagreement_on
from earmark.catalog.tables import Clip, Recording, Score, Task, TaskClip
from earmark.catalog.tasks import GROUP, POLICIES, TaskInfo, get_task
from earmark.catalog.values import Policy
from earmark.errors import CatalogError

_PAGE = 10_000  # clips in one transaction, so that others can label meanwhile
_FEW = 500  # clips whose labels are read at once

Priorities = Callable[[Connection, Sequence[int]], dict[int, float]]


def set_policy(catalog: Catalog, task: int | str, policy: Policy, *, by: int | None = None) -> None:
    """Order a task's queue by another policy, from what is known by now: groups, scores, labels.

    It goes on in pieces, so labelling is never held up; one that was stopped is finished by the same again.

    Raises:
        CatalogError: a policy that is none. NotFoundError: no such task.
    """
    if policy not in POLICIES:
        raise CatalogError(f"policy {policy!r}: expected one of {', '.join(POLICIES)}.")
    info = get_task(catalog, task)

    def begin(connection: Connection) -> None:
        connection.execute(sa.update(Task).where(Task.id == info.id).values(policy=policy))
        record(connection, by, "queue ordered", {"task": info.name, "order": policy})

    catalog.run(begin)
    if policy == "balanced":
        priorities = _balanced()
    elif policy == "uncertainty":
        priorities = _scored(catalog, info)
    elif policy == "disagreement":
        priorities = _disputed(info)
    else:
        priorities = _zero
    after: tuple[float, int] | None = None
    while True:
        page = _page(catalog, info, after)
        _write(catalog, info, [clip for _, clip in page], priorities)
        if len(page) < _PAGE:
            return
        after = page[-1]


def _page(catalog: Catalog, task: TaskInfo, after: tuple[float, int] | None) -> list[tuple[float, int]]:
    """(place, clip) of the next clips in the order drawn."""
    query = sa.select(TaskClip.place, TaskClip.clip_id).where(TaskClip.task_id == task.id)
    if after is not None:
        query = query.where(sa.tuple_(TaskClip.place, TaskClip.clip_id) < after)
    query = query.order_by(TaskClip.place.desc(), TaskClip.clip_id.desc()).limit(_PAGE)
    with catalog.read() as connection:
        return [(row.place, row.clip_id) for row in connection.execute(query)]


def _write(catalog: Catalog, task: TaskInfo, clips: Sequence[int], priorities: Priorities) -> None:
    with catalog.read() as connection:
        found = priorities(connection, clips)
    rows = [{"clip": clip, "value": value} for clip, value in sorted(found.items())]

    def work(connection: Connection) -> None:
        one = sa.update(TaskClip).where(TaskClip.task_id == task.id, TaskClip.clip_id == sa.bindparam("clip"))
        connection.execute(sa.update(Task).where(Task.id == task.id).values(order_version=Task.order_version + 1))
        if rows:
            connection.execute(one.values(priority=sa.bindparam("value")), rows)

    catalog.run(work)


def _zero(_connection: Connection, clips: Sequence[int]) -> dict[int, float]:
    return dict.fromkeys(clips, 0.0)


def _balanced() -> Priorities:
    """Less by one with each clip of the same group that comes before in the order drawn."""
    seen: Counter[str] = Counter()

    def priorities(connection: Connection, clips: Sequence[int]) -> dict[int, float]:
        query = sa.select(Clip.id, GROUP.label("name")).join(Recording)
        groups: dict[int, str] = {}
        for start in range(0, len(clips), _FEW):
            rows = connection.execute(query.where(Clip.id.in_(clips[start : start + _FEW])))
            groups |= {row.id: row.name for row in rows}
        found = {}
        for clip in clips:
            found[clip] = -float(seen[groups[clip]])
            seen[groups[clip]] += 1
        return found

    return priorities


def _scored(catalog: Catalog, task: TaskInfo) -> Priorities:
    """The scores that were set last; clips without one after all others."""
    with catalog.read() as connection:
        lowest = connection.execute(sa.select(sa.func.min(Score.score)).where(Score.task_id == task.id)).scalar()

    def priorities(connection: Connection, clips: Sequence[int]) -> dict[int, float]:
        found = dict.fromkeys(clips, (lowest or 0.0) - 1.0)
        query = sa.select(Score.clip_id, Score.score).where(Score.task_id == task.id)
        for start in range(0, len(clips), _FEW):
            rows = connection.execute(query.where(Score.clip_id.in_(clips[start : start + _FEW])))
            found |= {row.clip_id: row.score for row in rows}
        return found

    return priorities


def _disputed(task: TaskInfo) -> Priorities:
    """How much the labels so far disagree."""

    def priorities(connection: Connection, clips: Sequence[int]) -> dict[int, float]:
        found = dict.fromkeys(clips, 0.0)
        for start in range(0, len(clips), _FEW):
            found |= disagreement_on(connection, task, clips[start : start + _FEW])
        return found

    return priorities

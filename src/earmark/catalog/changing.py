"""Changing a task while people label: what they are told and how it is shown at any time, what is asked until somebody
has answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from earmark.catalog.database import Catalog
from earmark.catalog.ordering import set_policy
from earmark.catalog.places import reckon_all
from earmark.catalog.tables import Annotation, Task, TaskClip, TaskTag
from earmark.catalog.tasks import TaskInfo, check_task, find_task, get_task, tag_id
from earmark.catalog.values import Policy
from earmark.errors import ConflictError


@dataclass(frozen=True, slots=True)
class Wanted:
    """A task as it is to be; attributes as of `TaskInfo`."""

    tags: Sequence[str]
    scale: Sequence[str]
    help: Mapping[str, str]
    instructions: str
    overlap: int
    policy: Policy
    gold_share: float
    lease_s: float
    open: bool


def change_task(catalog: Catalog, task: int | str, wanted: Wanted, *, by: int | None = None) -> TaskInfo:
    """Bring a task to what is wanted, and its queue with it.

    With another overlap, clips that were full are open again, or those that were open are full; answers that are more
    than it stay. A policy orders the queue anew.

    Raises:
        ConflictError: other tags or another scale, and somebody has answered.
        CatalogError: a value that makes no sense. NotFoundError: no such task.
    """
    info = get_task(catalog, task)
    words = check_task(
        info.name,
        wanted.tags,
        scale=wanted.scale,
        overlap=wanted.overlap,
        policy=wanted.policy,
        gold_share=wanted.gold_share,
        lease_s=wanted.lease_s,
        help=wanted.help,
    )

    def work(connection: Connection) -> TaskInfo:
        if connection.dialect.name == "postgresql":
            # nobody answers meanwhile: who began before is waited for, and who comes then sees the new task
            connection.execute(sa.text("LOCK TABLE task, annotation, task_clip IN EXCLUSIVE MODE"))
        before = find_task(connection, info.id)
        asks_other = tuple(wanted.tags) != before.tags or words != [value.value for value in before.scale]
        if asks_other:
            _ask_other(connection, before, wanted)
        changed = {"scale": words, "instructions": wanted.instructions, "overlap": wanted.overlap}
        changed |= {"gold_share": wanted.gold_share, "lease_s": wanted.lease_s, "open": wanted.open}
        connection.execute(sa.update(Task).where(Task.id == info.id).values(**changed))
        for tag, row in find_task(connection, info.id).tag_ids.items():
            here = (TaskTag.task_id == info.id, TaskTag.tag_id == row)
            connection.execute(sa.update(TaskTag).where(*here).values(help=wanted.help.get(tag, "")))
        if wanted.overlap != before.overlap:
            reckon_all(connection, info.id)
        return find_task(connection, info.id)

    changed = catalog.run(work)
    if wanted.policy != changed.policy:
        set_policy(catalog, info.id, wanted.policy, by=by)
        return replace(changed, policy=wanted.policy)
    return changed


def _ask_other(connection: Connection, before: TaskInfo, wanted: Wanted) -> None:
    """Other tags; ConflictError where somebody has answered, or where clips of known answers are."""
    said = connection.execute(sa.select(Annotation.id).where(Annotation.task_id == before.id).limit(1)).first()
    known = sa.select(TaskClip.clip_id).where(TaskClip.task_id == before.id, TaskClip.gold.is_not(None))
    gold = connection.execute(known.limit(1)).first()
    if said is not None or gold is not None:
        what = "has answers" if said is not None else "has gold clips"
        raise ConflictError(
            f"task {before.name!r} {what}, so its tags ({', '.join(before.tags)}) and its scale "
            f"({', '.join(before.scale)}) stay: make another task for other questions."
        )
    connection.execute(sa.delete(TaskTag).where(TaskTag.task_id == before.id))
    for position, tag in enumerate(wanted.tags):
        row = {"task_id": before.id, "tag_id": tag_id(connection, tag), "position": position, "help": ""}
        connection.execute(sa.insert(TaskTag).values(**row))

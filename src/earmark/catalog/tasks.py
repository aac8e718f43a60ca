"""Labelling tasks: what people are asked, on which scale, and which clips are in a task's queue."""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import get_args

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from earmark.catalog.auditing import audit, record
from earmark.catalog.database import Catalog, now_us
from earmark.catalog.places import reopen, settle_all
from earmark.catalog.tables import Clip, Recording, Tag, Task, TaskClip, TaskTag
from earmark.catalog.values import Policy, checked_values, scale_of
from earmark.errors import CatalogError, ConflictError, NotFoundError
from earmark.types import LabelValue

POLICIES: tuple[Policy, ...] = get_args(Policy)

_PAGE = 10_000  # clips that join a task in one transaction, so that others can label meanwhile
_NAME = re.compile(r"[\w][\w .+-]*", re.UNICODE)
_LONGEST_LEASE_S = 30 * 86400.0


@dataclass(frozen=True, slots=True)
class TaskInfo:
    """A task as it was made.

    Attributes:
        tags: in the order of the page. tag_ids: tag -> its row. help: tag -> a sentence for people.
        scale: what may be answered, `unsure` left out (it may always be).
        overlap: how many people each clip is asked.
        gold_share: how often a clip with a known answer is shown, 0 to 1.
        lease_s: how long a clip is kept for who was shown it.
        open: anyone may help.
    """

    id: int
    name: str
    tags: tuple[str, ...]
    tag_ids: Mapping[str, int]
    help: Mapping[str, str]
    scale: tuple[LabelValue, ...]
    instructions: str
    overlap: int
    policy: Policy
    gold_share: float
    lease_s: float
    open: bool
    seed: int
    created_at: int

    def check(self, values: Mapping[str, str]) -> dict[str, LabelValue]:
        """`values` as answers to this task; InputError for an unknown tag or value, or a missing tag."""
        return checked_values(self.name, self.tags, self.scale, values)


def new_task(
    catalog: Catalog,
    name: str,
    tags: Sequence[str],
    *,
    scale: Sequence[str] = ("present", "absent"),
    instructions: str = "",
    help: Mapping[str, str] | None = None,  # noqa: A002 - the field's name
    overlap: int = 1,
    policy: Policy = "random",
    gold_share: float = 0.0,
    lease_s: float = 600.0,
    open: bool = False,  # noqa: A002 - the field's name
    seed: int = 0,
    by: int | None = None,
) -> TaskInfo:
    """Make a task; its queue is empty until `add_clips_to_task`. Arguments as the attributes of TaskInfo.

    Args:
        seed: of the random order of the queue. by: who makes it, for the log.

    Raises:
        CatalogError: a value that makes no sense; ConflictError: the name is taken.
    """
    words = check_task(
        name, tags, scale=scale, overlap=overlap, policy=policy, gold_share=gold_share, lease_s=lease_s, help=help or {}
    )

    def work(connection: Connection) -> TaskInfo:
        values = {"name": name, "scale": words, "instructions": instructions, "overlap": overlap, "policy": policy}
        values |= {"gold_share": gold_share, "lease_s": lease_s, "open": open, "seed": seed, "created_at": now_us()}
        task_id = connection.execute(sa.insert(Task).values(**values).returning(Task.id)).scalar_one()
        for position, tag in enumerate(tags):
            row = {"task_id": task_id, "tag_id": tag_id(connection, tag), "position": position}
            connection.execute(sa.insert(TaskTag).values(**row, help=(help or {}).get(tag, "")))
        record(connection, by, "task made", {"task": name, "tags": list(tags)})
        return find_task(connection, task_id)

    try:
        return catalog.run(work)
    except sa.exc.IntegrityError:
        raise ConflictError(f"there is a task {name!r} already: choose another name.") from None


def check_task(
    name: str,
    tags: Sequence[str],
    *,
    scale: Sequence[str],
    overlap: int,
    policy: str,
    gold_share: float,
    lease_s: float,
    help: Mapping[str, str],  # noqa: A002 - the field's name
) -> list[str]:
    """CatalogError where a task cannot be like this; gives the words of its scale. Arguments as of `new_task`."""
    _check_name("task", name)
    if not tags or len(set(tags)) != len(tags):
        raise CatalogError(f"task {name!r}, tags {', '.join(tags) or '(none)'}: expected at least one, each once.")
    for tag in tags:
        _check_name("tag", tag)
    words = [value.value for value in scale_of(scale)]
    if policy not in POLICIES:
        raise CatalogError(f"policy {policy!r}: expected one of {', '.join(POLICIES)}.")
    if not 1 <= overlap <= 1000:
        raise CatalogError(f"overlap {overlap}: expected how many people label each clip, 1 to 1000.")
    if not 0 <= gold_share <= 0.9:
        raise CatalogError(f"gold_share {gold_share:g}: expected a share from 0 to 0.9.")
    if not (math.isfinite(lease_s) and 1 <= lease_s <= _LONGEST_LEASE_S):
        raise CatalogError(f"lease_s {lease_s:g}: expected seconds, from 1 to {_LONGEST_LEASE_S:.0f}.")
    unknown = sorted(set(help) - set(tags))
    if unknown:
        raise CatalogError(f"help for {unknown[0]!r}: no tag of task {name!r}; its tags are {', '.join(tags)}.")
    return words


def _check_name(what: str, name: str) -> None:
    # "sax@set" names a frozen set, "sax=foreground" a condition, and commas part tags: a name holds none of them
    if not _NAME.fullmatch(name) or len(name) > 100:
        raise CatalogError(
            f"{what} {name!r}: expected up to 100 letters, digits, spaces and . _ + -, a letter or digit first."
        )


def tag_id(connection: Connection, name: str) -> int:
    """The tag's row, made where there is none yet."""
    connection.execute(insert_new(connection, Tag).values(name=name).on_conflict_do_nothing())
    return connection.execute(sa.select(Tag.id).where(Tag.name == name)).scalar_one()


def insert_new(connection: Connection, table: type) -> sqlite.Insert | postgresql.Insert:
    """The dialect's own INSERT, which knows `on_conflict_do_nothing`."""
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)


def get_task(catalog: Catalog, task: int | str) -> TaskInfo:
    """A task by its name or row; NotFoundError names the ones that there are."""
    with catalog.look() as connection:
        return find_task(connection, task)


def find_task(connection: Connection, task: int | str) -> TaskInfo:
    """`get_task` on an open connection."""
    rows = connection.execute(_BY_ID if isinstance(task, int) else _BY_NAME, {"of_task": task}).all()
    if not rows:
        names = connection.execute(sa.select(Task.name).order_by(Task.name).limit(8)).scalars().all()
        known = (
            f"there are {', '.join(names)}" if names else "there is none yet: make one with `earmark catalog task new`"
        )
        raise NotFoundError(f"no task {task!r}: {known}.")
    return info_of(rows)


WITH_TAGS = (
    sa.select(Task.__table__, Tag.id.label("tag_id"), Tag.name.label("tag"), TaskTag.help)
    .join(TaskTag, TaskTag.task_id == Task.id)
    .join(Tag, Tag.id == TaskTag.tag_id)
    .order_by(Task.id, TaskTag.position)
)
"""A row for each tag of a task, of which it has one at least."""
_BY_ID = WITH_TAGS.where(Task.id == sa.bindparam("of_task"))
_BY_NAME = WITH_TAGS.where(Task.name == sa.bindparam("of_task"))


def info_of(rows: Sequence[sa.Row[tuple[object, ...]]]) -> TaskInfo:
    """Of the rows of one task."""
    row = rows[0]
    return TaskInfo(
        id=row.id,
        name=row.name,
        tags=tuple(tag.tag for tag in rows),
        tag_ids={tag.tag: tag.tag_id for tag in rows},
        help={tag.tag: tag.help for tag in rows if tag.help},
        scale=tuple(LabelValue(word) for word in row.scale),
        instructions=row.instructions,
        overlap=row.overlap,
        policy=row.policy,
        gold_share=row.gold_share,
        lease_s=row.lease_s,
        open=row.open,
        seed=row.seed,
        created_at=row.created_at,
    )


def list_tasks(catalog: Catalog) -> list[TaskInfo]:
    """All tasks, the oldest first."""
    with catalog.read() as connection:
        rows = connection.execute(WITH_TAGS).all()
    return [info_of(list(group)) for _, group in groupby(rows, key=lambda row: row.id)]


def progress_of(catalog: Catalog, task: int | str) -> tuple[int, int]:
    """How many clips are in a task's queue, and how many of them are done. It counts: not for each clip labelled."""
    with catalog.read() as connection:
        mine = TaskClip.task_id == find_task(connection, task).id
        done = sa.func.count().filter(TaskClip.done)
        row = connection.execute(sa.select(sa.func.count(), done).where(mine)).one()
    return row[0], row[1]


def add_clips_to_task(catalog: Catalog, task: int | str, clips: Sequence[int] | None = None) -> int:
    """Put clips into a task's queue; gives how many were new. Those that are in it already are left as they are.

    Each gets its place in the random order, which depends on the task's seed and the clip alone, so that clips which
    come later mingle with the others. It goes on in pieces, so labelling is never held up; one that was stopped is
    finished by the next.

    Args:
        clips: None for every clip of the catalog but those of copies: the same sound need not be labelled twice.
    """
    info = get_task(catalog, task)
    last, added, page = -1, 0, None
    wanted = sorted(set(clips)) if clips is not None else None
    seen: Counter[str] = _group_sizes(catalog, info) if info.policy == "balanced" else Counter()
    while True:
        if wanted is not None:
            page = [clip for clip in wanted if clip > last][:500]
        found = catalog.run(partial(add_page, task=info, last=last, page=page, seen=seen))
        if found is None:
            return added
        last, new = found
        added += new


def refresh(catalog: Catalog, task: int | str, *, by: int | None = None) -> int:
    """Put clips that were added to the catalog since into the task's queue; gives how many."""
    joined = add_clips_to_task(catalog, task)
    audit(catalog, by, "clips joined a task", {"task": get_task(catalog, task).name, "clips": joined})
    return joined


def add_page(
    connection: Connection, *, task: TaskInfo, last: int, page: Sequence[int] | None, seen: Counter[str]
) -> tuple[int, int] | None:
    """The last clip looked at and how many were added; None: there is no clip after `last`."""
    within = sa.exists().where(TaskClip.task_id == task.id, TaskClip.clip_id == Clip.id)
    query = (
        sa.select(Clip.id, GROUP.label("group_name"))
        .join(Recording)
        .where(Clip.id > last, ~within)
        .order_by(Clip.id)
        .limit(_PAGE)
    )
    query = query.where(Recording.copy_of.is_(None)) if page is None else query.where(Clip.id.in_(page))
    rows = connection.execute(query).all()
    if page:
        missing = set(page) - set(connection.execute(sa.select(Clip.id).where(Clip.id.in_(page))).scalars())
        if missing:
            raise NotFoundError(f"clip {min(missing)}: the catalog holds no such clip.")
    if not rows:
        return (page[-1], 0) if page else None
    drawn = sorted((_place(task.seed, row.id), row.id, row.group_name) for row in rows)
    values = []
    count = seen.copy()  # a transaction that is done again counts again
    for place, clip_id, group in reversed(drawn):
        priority = -float(count[group]) if task.policy == "balanced" else 0.0
        count[group] += 1
        values.append({"task_id": task.id, "clip_id": clip_id, "place": place, "priority": priority})
    # the task first, whose overlap an admin may change at any time: see `places`
    update = sa.update(Task).where(Task.id == task.id).values(order_version=Task.order_version + 1)
    overlap = connection.execute(update.returning(Task.overlap)).scalar_one()
    insert = insert_new(connection, TaskClip).on_conflict_do_nothing()
    connection.execute(insert, [{**value, "open_places": overlap} for value in values])
    seen.update(Counter(group for _, _, group in drawn))
    return (page[-1] if page else rows[-1].id), len(rows)


GROUP: sa.ColumnElement[str] = sa.func.coalesce(
    Recording.group_name, sa.literal("#") + sa.cast(sa.func.coalesce(Recording.copy_of, Recording.id), sa.String)
)
"""What a recording's clips are balanced by: its group, or where nobody said one, itself and its copies."""


def _group_sizes(catalog: Catalog, task: TaskInfo) -> Counter[str]:
    """How many clips of each group are in the queue already."""
    query = (
        sa.select(GROUP.label("name"), sa.func.count().label("n"))
        .select_from(TaskClip)
        .join(Clip, Clip.id == TaskClip.clip_id)
        .join(Recording, Recording.id == Clip.recording_id)
        .where(TaskClip.task_id == task.id)
        .group_by(GROUP)
    )
    with catalog.read() as connection:
        return Counter({row.name: row.n for row in connection.execute(query)})


def _place(seed: int, clip_id: int) -> float:
    """Uniform in [0, 1), the same each time."""
    digest = hashlib.blake2b(f"{seed}:{clip_id}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / 2.0**53


def set_gold(catalog: Catalog, task: int | str, gold: Mapping[int, Mapping[str, str] | None]) -> None:
    """Say what is known to be right of some clips: they are shown now and then to everybody, to see how good they are.

    A gold clip is no longer in the ordinary queue, and no overlap limits it.

    Args:
        gold: clip -> {tag: value}, every tag of the task; None makes it an ordinary clip again.

    Raises:
        NotFoundError: a clip that is not in the task. InputError: an unknown tag or value, or a missing tag.
    """
    info = get_task(catalog, task)
    checked = {clip: None if values is None else info.check(values) for clip, values in gold.items()}
    catalog.run(lambda connection: put_gold(connection, info, checked))


def put_gold(connection: Connection, task: TaskInfo, gold: Mapping[int, Mapping[str, LabelValue] | None]) -> None:
    """`set_gold` within a transaction; `gold` has been checked."""
    reopen(connection, task.id)  # locks the task first: see `places`
    for clip, values in gold.items():
        known = None if values is None else {tag: value.value for tag, value in values.items()}
        done = connection.execute(
            sa.update(TaskClip).where(TaskClip.task_id == task.id, TaskClip.clip_id == clip).values(gold=known)
        )
        if done.rowcount == 0:
            raise NotFoundError(f"clip {clip} is not in task {task.name!r}.")
    settle_all(connection, task.id, list(gold))

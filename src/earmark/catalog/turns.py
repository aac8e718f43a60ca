"""One person's search for clips in a task's queue; what is promised of it is told in `earmark.catalog.queueing`."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from earmark.catalog.gold import examples_of
from earmark.catalog.places import leased, move
from earmark.catalog.tables import Answered, Lease, QueuePosition, Task, TaskClip
from earmark.catalog.tasks import find_task, insert_new
from earmark.catalog.trouble import MetAnotherError

LIVE = sa.text("lease.state = 'live'")
"""In the words of the index: with a parameter in it, SQLite would not use that."""

_OPEN = sa.text("task_clip.open_places > 0")
_OPENED_AGAIN = sa.text("task_clip.reopened IS NOT NULL")
_GOLD = sa.text("task_clip.gold IS NOT NULL")
_LOOK_AHEAD = 12  # clips looked at on PostgreSQL, where others may have the first ones locked


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


def find_rules(connection: Connection, task: int | str, *, lasting: bool = True) -> Rules:
    """Raises NotFoundError where there is no such task.

    All reopenings up to the number that is read are committed by then, so it is read before any clip is looked at.

    Args:
        lasting: False for a transaction that may be lost if the database breaks down within the next second: PostgreSQL
            then does not wait for the disk. What is acknowledged after it brings it along, so no label ever
            stands without its lease.
    """
    by = "id" if isinstance(task, int) else "name"
    hurried = not lasting and connection.dialect.name != "sqlite"
    row = connection.execute((_HURRIED if hurried else _RULES)[by], {"of_task": task}).one_or_none()
    if row is None:
        find_task(connection, task)  # which says which tasks there are
        raise MetAnotherError(f"task {task!r} appeared while it was looked for.")
    return Rules(*row[: len(_RULE_COLUMNS)])


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

    def position(self) -> dict[str, float | int | None] | None:
        """What NOTE writes down at the end of the search; None where nothing has changed."""
        if self._before == (self._at, self._looked):
            return None
        priority, place, clip_id = self._at or (None, None, None)
        values = {"priority": priority, "place": place, "clip_id": clip_id, "reopened": self._looked}
        return {**self._who, **values, "order_version": self._rules.order_version}

    def renew(self, n: int) -> list[int]:
        """Leases of clips that they hold, in turn, each kept for its full time again."""
        rows = self._connection.execute(_RENEW, {**self._who, "most": n, "until": self._until})
        return [row.id for row in sorted(rows, key=lambda row: (row.turn, row.id))]

    def gold(self) -> list[int]:
        """A clip that tests them, if there is one left: no example, whose answer everybody may read."""
        examples = set(examples_of(self._connection, self._task_id, self._rules.gold_share).values())
        values = {**self._who, "examples": sorted(examples) or [-1]}  # an empty list is a scan, of nothing
        rows = self._connection.execute(_NEXT_GOLD, values).all()
        return [self._lease(row.clip_id) for row in rows if self._take(row.clip_id, False)]

    def reopened(self, n: int) -> list[int]:
        """Clips that were full when this person went by, or taken back, and are open now."""
        to = self._rules.reopenings
        if self._looked >= to:
            return []
        rows, taken = self._take_first(_REOPENED, {"after": self._looked, "up_to": to}, n)
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
        rows, taken = self._take_first(_FURTHER_DOWN if at else _FROM_THE_HEAD, at, n)
        for row in rows:  # no further than the first that somebody else was at: it may be open again
            if row.clip_id not in taken:
                break
            self._at = (row.priority, row.place, row.clip_id)
        return list(taken.values())

    def _ahead(self, n: int) -> int:
        return n if self._connection.dialect.name == "sqlite" else n + _LOOK_AHEAD

    def _take_first(
        self, search: _Search, values: Mapping[str, float | int], n: int
    ) -> tuple[Sequence[Any], dict[int, int]]:
        """The rows looked at, in the queue's order, and clip -> lease of those that were taken, at most `n`.

        Those that others have locked are left to them, unless they have all: then the first that comes free is waited
        for.
        """
        values = {**self._who, **values, "most": self._ahead(n)}
        if self._connection.dialect.name == "sqlite":  # nobody else writes now
            looked = self._connection.execute(search.look, values).all()
            return looked, {row.clip_id: self._lease(row.clip_id) for row in looked if self._take(row.clip_id, True)}
        values |= {"now": self._now, "until": self._until}
        for statement, wanted in ((search.take, n), (search.wait, 1)):
            tokens = [secrets.token_urlsafe(18) for _ in range(wanted)]
            rows = self._connection.execute(statement, {**values, "wanted": wanted, "tokens": tokens}).all()
            taken = {row.clip_id: row.lease_id for row in rows if row.lease_id is not None}
            if taken or (not rows and statement is search.take):
                return rows, taken
        raise MetAnotherError("others took all the clips that were next.")  # and there may be more after them

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
# written into the statement, for PostgreSQL plans for a tenth of the table where it does not know a limit
_MOST, _WANTED = (sa.bindparam(name, type_=sa.Integer, literal_execute=True) for name in ("most", "wanted"))
_FIRST_EXPIRY = (
    sa.select(Lease.expires_at).where(Lease.task_id == Task.id, LIVE).order_by(Lease.expires_at).limit(1)
).scalar_subquery()
_RULE_COLUMNS = (
    *(Task.id, Task.policy, Task.gold_share, Task.lease_s, Task.reopenings, Task.order_version),
    _FIRST_EXPIRY.label("first_expiry"),
)
_RULES = {
    "id": sa.select(*_RULE_COLUMNS).where(Task.id == _TASK),
    "name": sa.select(*_RULE_COLUMNS).where(Task.name == sa.bindparam("of_task")),
}
_HURRIED = {
    by: query.add_columns(sa.func.set_config("synchronous_commit", "off", True)) for by, query in _RULES.items()
}
_MINE = sa.and_(QueuePosition.task_id == _TASK, QueuePosition.annotator_id == _PERSON)
_POSITION = sa.select(QueuePosition.__table__).where(_MINE).with_for_update()
NOTE = (
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
_NO_EXAMPLE = TaskClip.clip_id.not_in(sa.bindparam("examples", type_=sa.BigInteger, expanding=True))
_NEXT_GOLD = _UNSEEN.where(_GOLD, _NO_EXAMPLE).order_by(TaskClip.place).limit(1)
_AT = sa.tuple_(
    sa.bindparam("at_priority", type_=sa.Float),
    sa.bindparam("at_place", type_=sa.Float),
    sa.bindparam("at_clip", type_=sa.BigInteger),
)
_TOKENS = sa.bindparam("tokens", type_=sa.ARRAY(sa.String))


class _Search:
    """Candidates in an order, and on PostgreSQL leases for the first of them, in one round trip.

    Args:
        candidates: with the columns of `_UNSEEN`.
        order: names of columns, and whether the largest comes first.

    Attributes:
        look: the first `most` candidates.
        take: as `look`, and of those that are open and nobody has locked the first `wanted` are leased, each by one of
            `tokens`; lease_id is None for the others. wait: the same, but what is locked is waited for.
    """

    def __init__(self, candidates: _Candidates, order: Sequence[str], *, downwards: bool) -> None:
        def ordered(columns: Any) -> list[sa.ColumnElement[Any]]:
            return [columns[name].desc() if downwards else columns[name] for name in order]

        self.look = candidates.order_by(*ordered(TaskClip.__table__.c)).limit(_MOST)
        self.take, self.wait = (self._leasing(ordered, skip_locked) for skip_locked in (True, False))

    def _leasing(self, ordered: Callable[[Any], list[sa.ColumnElement[Any]]], skip_locked: bool) -> sa.Select[Any]:
        seen = self.look.cte("seen")
        free = (
            sa.select(TaskClip.clip_id)
            .join(seen, seen.c.clip_id == TaskClip.clip_id)
            .where(TaskClip.task_id == _TASK, _OPEN)
            .order_by(*ordered(seen.c))
            .limit(_WANTED)
            .with_for_update(of=TaskClip, skip_locked=skip_locked)
            .cte("free")
        )
        taken = leased(free).returning(TaskClip.clip_id).cte("taken")
        number = sa.func.row_number().over(order_by=ordered(seen.c)).label("number")
        numbered = sa.select(seen.c.clip_id, number).join(taken, taken.c.clip_id == seen.c.clip_id).subquery("numbered")
        offered = sa.func.unnest(_TOKENS).table_valued(sa.column("token", sa.String), with_ordinality="number")
        offered = offered.render_derived(name="offered")
        values = {
            Lease.task_id: _TASK,
            Lease.clip_id: numbered.c.clip_id,
            Lease.annotator_id: _PERSON,
            Lease.token: offered.c.token,
            Lease.created_at: sa.bindparam("now", type_=sa.BigInteger),
            Lease.expires_at: sa.bindparam("until", type_=sa.BigInteger),
            Lease.turn: sa.literal_column("0"),
            Lease.state: sa.literal_column("'live'"),
        }
        rows = sa.select(*values.values()).join_from(numbered, offered, offered.c.number == numbered.c.number)
        insert = sa.insert(Lease).from_select(list(values), rows.order_by(numbered.c.number))
        leases = insert.returning(Lease.id, Lease.clip_id).cte("leases")
        found = sa.select(seen, leases.c.id.label("lease_id"))
        return found.outerjoin(leases, leases.c.clip_id == seen.c.clip_id).order_by(*ordered(seen.c))


_QUEUE = ("priority", "place", "clip_id")
_FROM_THE_HEAD = _Search(_UNSEEN.where(_OPEN), _QUEUE, downwards=True)
_FURTHER_DOWN = _Search(
    _UNSEEN.where(_OPEN, sa.tuple_(TaskClip.priority, TaskClip.place, TaskClip.clip_id) < _AT), _QUEUE, downwards=True
)
_REOPENED = _Search(
    _UNSEEN.where(
        _OPEN,
        _OPENED_AGAIN,
        TaskClip.reopened > sa.bindparam("after", type_=sa.BigInteger),
        TaskClip.reopened <= sa.bindparam("up_to", type_=sa.BigInteger),
    ),
    ("reopened",),
    downwards=False,
)

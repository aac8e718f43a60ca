"""Who labels which clip next.

A clip is held for somebody by a lease, until they answer, give it back, or let it run out. Nobody is shown a clip that
they hold or have answered, and a clip has no more answers and leases than its task's overlap (`places`).

It stays as fast with a million clips as with ten: everybody goes down the queue's index once and remembers where they
are (`queue_position`), and what comes free behind them is found by its number. Nothing is ever counted.

Gold clips that are no examples (`earmark.catalog.gold`) are shown now and then beside the queue, to everybody, so no
overlap holds for them.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from earmark.catalog.database import Catalog, now_us
from earmark.catalog.places import move, reopen
from earmark.catalog.tables import Clip, Lease, Recording, TaskClip
from earmark.catalog.turns import LIVE, NOTE, Rules, Turn, find_rules
from earmark.errors import CatalogError, NotAllowedError, NotFoundError

MOST_HELD = 4
"""Clips that one person holds at most: the one that is shown and a few that load meanwhile."""

_EXPIRED_AT_ONCE = 20  # leases that one "next" takes back, so that nobody waits for many


@dataclass(frozen=True, slots=True)
class Held:
    """A clip that is kept for somebody.

    Attributes:
        token: by which it is answered.
        uri: of the recording, as `Workspace.path_of` takes it. file: of the written chunk, or None.
        start, stop: samples at `sample_rate_hz`, the recording's own.
        expires_at: microseconds since 1970, UTC.
        undone: it was answered and undone, and is shown again.
        gold: its answer is known; the person who labels is not told.
    """

    token: str
    task_id: int
    clip_id: int
    recording_id: int
    uri: str
    file: str | None
    start: int
    stop: int
    sample_rate_hz: int
    expires_at: int
    undone: bool
    gold: bool


def next_clips(
    catalog: Catalog,
    task: int | str,
    annotator_id: int,
    n: int = 1,
    *,
    now: int | None = None,
    rng: random.Random | None = None,
) -> list[Held]:
    """Up to `n` clips for somebody: first what they hold already (its lease begins anew), then from the queue.

    Args:
        n: 1 to `MOST_HELD`.
        now: microseconds since 1970; None for the clock's.
        rng: decides when a gold clip is shown.

    Returns:
        Empty where nothing is left for them. While others hold clips, some may come back later.

    Raises:
        NotFoundError: no such task.
    """
    if not 1 <= n <= MOST_HELD:
        raise CatalogError(f"{n} clips: expected 1 to {MOST_HELD}, as many as one person may hold.")
    chance = rng or random.SystemRandom()
    at = now_us() if now is None else now
    return catalog.run(lambda connection: _next(connection, task, annotator_id, n, at, chance))


def _next(
    connection: Connection, task: int | str, annotator_id: int, n: int, now: int, rng: random.Random
) -> list[Held]:
    rules = find_rules(connection, task, lasting=False)
    overdue = rules.first_expiry is not None and rules.first_expiry < now
    if overdue and _expire(connection, rules, now, _EXPIRED_AT_ONCE):
        rules = find_rules(connection, rules.task_id)
    turn = Turn(connection, rules, annotator_id, now)
    held = turn.renew(n)
    while len(held) < n:
        found = turn.gold() if rules.gold_share and rng.random() < rules.gold_share else []
        found = found or turn.reopened(n - len(held)) or turn.down_the_queue(n - len(held))
        if not found:
            break
        held += found
    return _described(connection, held, turn.position())


_DESCRIBED = (
    sa.select(
        *(Lease.id, Lease.token, Lease.task_id, Lease.clip_id, Clip.recording_id, Recording.uri, Clip.file),
        *(Clip.start, Clip.stop, Recording.sample_rate_hz, Lease.expires_at, Lease.turn),
        TaskClip.gold.is_not(None).label("gold"),
    )
    .join(Clip, Clip.id == Lease.clip_id)
    .join(Recording, Recording.id == Clip.recording_id)
    .join(TaskClip, sa.and_(TaskClip.task_id == Lease.task_id, TaskClip.clip_id == Lease.clip_id))
    .where(Lease.id.in_(sa.bindparam("leases", expanding=True)))
)


_DESCRIBED_AND_NOTED = _DESCRIBED.add_cte(NOTE.cte("noted"))
"""Both in one round trip, on PostgreSQL."""


def _described(connection: Connection, leases: Sequence[int], position: Mapping[str, object] | None) -> list[Held]:
    """The leases as they are told of, in their order; the person's position is written down along with it."""
    describe = _DESCRIBED
    values: dict[str, object] = {"leases": leases}
    if position is not None and (not leases or connection.dialect.name == "sqlite"):
        connection.execute(NOTE, position)
    elif position is not None:
        describe, values = _DESCRIBED_AND_NOTED, {**position, **values}
    if not leases:
        return []
    found = {row.id: row for row in connection.execute(describe, values)}
    return [
        Held(
            token=row.token,
            task_id=row.task_id,
            clip_id=row.clip_id,
            recording_id=row.recording_id,
            uri=row.uri,
            file=row.file,
            start=row.start,
            stop=row.stop,
            sample_rate_hz=row.sample_rate_hz,
            expires_at=row.expires_at,
            undone=row.turn < 0,
            gold=row.gold,
        )
        for row in (found[lease] for lease in leases)
    ]


def return_lease(catalog: Catalog, token: str, *, annotator_id: int | None = None) -> None:
    """Give a clip back unanswered. One that is not held any more is left as it is.

    Raises:
        NotFoundError: no such lease. NotAllowedError: it is not this person's.
    """

    def work(connection: Connection) -> None:
        found = find_lease(connection, token, annotator_id)
        if found.state != "live":
            return
        _end(connection, find_rules(connection, found.task_id), [found.id], "returned", sa.and_(LIVE))

    catalog.run(work)


# made once: putting a statement together takes longer than running it
_BY_TOKEN = sa.select(Lease.__table__).where(Lease.token == sa.bindparam("by_token"))
_LOCKED = _BY_TOKEN.with_for_update()


def find_lease(connection: Connection, token: str, annotator_id: int | None, *, lock: bool = False) -> sa.Row[Any]:
    """A lease by its token; NotFoundError, or NotAllowedError where `annotator_id` is somebody else than its owner."""
    found = connection.execute(_LOCKED if lock else _BY_TOKEN, {"by_token": token}).one_or_none()
    if found is None:
        raise NotFoundError(f"no clip is held by the token {token!r}: ask for the next clip.")
    if annotator_id is not None and found.annotator_id != annotator_id:
        raise NotAllowedError("this clip is held by somebody else: ask for your own next clip.")
    return found


def expire(catalog: Catalog, task: int | str, *, now: int | None = None, limit: int = 1000) -> int:
    """Take back up to `limit` clips whose leases have run out; gives how many. "Next" does so by itself."""

    def work(connection: Connection) -> int:
        return _expire(connection, find_rules(connection, task), now_us() if now is None else now, limit)

    return catalog.run(work)


def _expire(connection: Connection, rules: Rules, now: int, limit: int) -> int:
    over = sa.and_(Lease.task_id == rules.task_id, Lease.expires_at < now, LIVE)
    query = sa.select(Lease.id).where(over).order_by(Lease.expires_at).limit(limit)
    found = list(connection.execute(query).scalars())
    return _end(connection, rules, found, "expired", over) if found else 0


def _end(
    connection: Connection, rules: Rules, leases: Sequence[int], state: str, condition: sa.ColumnElement[bool]
) -> int:
    number = reopen(connection, rules.task_id, len(leases))
    # what was answered or renewed meanwhile is left alone
    ended = sa.update(Lease).where(Lease.id.in_(leases), condition).values(state=state).returning(Lease.clip_id)
    clips = sorted(connection.execute(ended).scalars())
    for step, clip_id in enumerate(clips):
        move(connection, rules.task_id, clip_id, leases=-1, number=number + step)
    return len(clips)

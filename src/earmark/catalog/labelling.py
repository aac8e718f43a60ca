"""Answers: submitting, skipping, undoing, correcting, settling disputes. Each adds rows; none is ever changed.

A submit that is sent twice (a lost connection, an impatient finger) is one row and gets the same answer: by its
`client_key`, or where there is none by the lease.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from earmark.catalog.answers import Row, answer_held, insert_answer, insert_row, sent_before, values_of
from earmark.catalog.current import labels_of
from earmark.catalog.database import Catalog, now_us
from earmark.catalog.places import END_LEASE, move, reopen, settle_all
from earmark.catalog.queueing import find_lease
from earmark.catalog.tables import Annotation, Annotator, Answered, Lease, TaskClip
from earmark.catalog.tasks import TaskInfo, find_task, put_gold
from earmark.catalog.trusting import forget_discount, is_discounted
from earmark.catalog.turns import LIVE, insert_lease
from earmark.errors import CatalogError, ConflictError, NotAllowedError, NotFoundError
from earmark.types import LabelValue

MOST_UNDONE = 100
"""Steps that one undo goes back at most."""

LONGEST_MS = 24 * 3_600_000
"""What an answer takes at most: a longer time is that of a page that was left open."""

_KEPT = 20  # answers whose clips are with others now, that an undo passes over at most


@dataclass(frozen=True, slots=True)
class Answer:
    """annotation_id: of the row. again: it was there already, and nothing was written."""

    annotation_id: int
    again: bool


@dataclass(frozen=True, slots=True)
class Undone:
    """An answer that was taken back: its clip is held again, by `token`, and what had been said of it."""

    clip_id: int
    token: str
    kind: str
    values: dict[str, LabelValue]


def submit(
    catalog: Catalog,
    token: str,
    values: Mapping[str, str],
    *,
    annotator_id: int | None = None,
    task: TaskInfo | None = None,
    took_ms: int | None = None,
    client_key: str | None = None,
    now: int | None = None,
) -> Answer:
    """Label a clip that one holds.

    A lease that has run out still counts while the clip's place is free.

    Args:
        token: of the lease.
        values: tag -> answer, every tag of the task.
        annotator_id: who sends it; NotAllowedError unless the lease is theirs. None: whoever has the token.
        task: of the clip, where it was read a moment ago; it is not asked for again.
        took_ms: from the clip's appearing to the answer.
        client_key: up to 64 characters, another for each answer that one person gives.

    Raises:
        NotFoundError: a clip that nobody holds by this token, or that is of another task.
        UnknownTagError, UnknownValueError, MissingTagError: answers that do not fit the task.
        ConflictError: answered already, by other words; or the lease ran out and the place is taken.
    """
    return _answer(catalog, "label", token, values, annotator_id, task, took_ms, client_key, now)


def skip(
    catalog: Catalog,
    token: str,
    *,
    annotator_id: int | None = None,
    task: TaskInfo | None = None,
    took_ms: int | None = None,
    client_key: str | None = None,
    now: int | None = None,
) -> Answer:
    """Leave a clip to others: they are asked in one's place. Arguments and errors as `submit`."""
    return _answer(catalog, "skip", token, {}, annotator_id, task, took_ms, client_key, now)


def unusable(
    catalog: Catalog,
    token: str,
    *,
    annotator_id: int | None = None,
    task: TaskInfo | None = None,
    took_ms: int | None = None,
    client_key: str | None = None,
    now: int | None = None,
) -> Answer:
    """Say that a clip cannot be labelled by anybody (silence, noise, damage). Arguments and errors as `submit`."""
    return _answer(catalog, "unusable", token, {}, annotator_id, task, took_ms, client_key, now)


def _bounded(took_ms: int | None) -> int | None:
    return None if took_ms is None else max(0, min(int(took_ms), LONGEST_MS))


def _answer(
    catalog: Catalog,
    kind: str,
    token: str,
    values: Mapping[str, str],
    annotator_id: int | None,
    known: TaskInfo | None,
    took_ms: int | None,
    client_key: str | None,
    now: int | None,
) -> Answer:
    _check_key(client_key)
    took = _bounded(took_ms)
    at = now_us() if now is None else now
    tries = 0

    def work(connection: Connection) -> Answer:
        nonlocal tries
        tries += 1
        needs_number = kind == "skip" or known is None or known.policy == "disagreement"
        lease = find_lease(connection, token, annotator_id, lock=not needs_number)
        if known is not None and lease.task_id != known.id:
            raise NotFoundError(
                f"no clip of task {known.name!r} is held by the token {token!r}: ask for the next clip."
            )
        task = known or find_task(connection, lease.task_id)
        checked = task.check(values) if kind == "label" else {}
        key = client_key or f"lease:{lease.id}"
        number = None
        if needs_number:  # numbers before locks: see `places`
            number = reopen(connection, task.id) if kind == "skip" or task.policy == "disagreement" else None
            lease = find_lease(connection, token, annotator_id, lock=True)
        # by a live lease nothing was said yet; a key that was used by another one breaks the first try off
        if lease.state != "live" or tries > 1:
            before = _said_before(connection, lease, kind, checked, key)
            if before is not None:
                return before
            lease = _lease_to_use(connection, lease)
        row = Row(lease.clip_id, lease.annotator_id, kind, checked, at, took, "person", key)
        if lease.state == "live":
            annotation_id = answer_held(connection, task, row, lease.id, number=number)
        else:
            annotation_id = insert_answer(connection, task, row, lease_id=lease.id)
            _take_place_again(connection, task, lease, kind)
        if kind == "label" and number is not None:
            _put_disputed_first(connection, task, lease.clip_id, number)
        return Answer(annotation_id, again=False)

    return catalog.run(work)


def _check_key(client_key: str | None) -> None:
    if client_key is not None and not 1 <= len(client_key) <= 64:
        raise CatalogError(f"client_key of {len(client_key)} characters: expected 1 to 64.")
    if client_key is not None and client_key.startswith(("lease:", "import:")):
        raise CatalogError(f"client_key {client_key!r}: what begins like this is our own; choose another.")


def _said_before(
    connection: Connection, lease: sa.Row[Any], kind: str, values: Mapping[str, LabelValue], key: str
) -> Answer | None:
    """The answer that was sent under this key, or by this lease, before."""
    again = sent_before(connection, lease.task_id, lease.clip_id, lease.annotator_id, kind, values, key)
    if again is not None:
        return Answer(again, again=True)
    if lease.state == "answered":
        raise ConflictError("this clip was answered already: undo that answer, or correct it.")
    return None


def _lease_to_use(connection: Connection, lease: sa.Row[Any]) -> sa.Row[Any]:
    """The lease itself, or where it ran out the one by which the same person holds the clip again."""
    if lease.state == "live":
        return lease
    same = (Lease.annotator_id == lease.annotator_id, Lease.task_id == lease.task_id, Lease.clip_id == lease.clip_id)
    again = connection.execute(sa.select(Lease.__table__).where(*same, LIVE).with_for_update()).one_or_none()
    return lease if again is None else again


def _take_place_again(connection: Connection, task: TaskInfo, lease: sa.Row[Any], kind: str) -> None:
    """Of an answer whose lease ran out: it counts where there is still a place for it; a skip needs none."""
    connection.execute(END_LEASE, {"of_lease": lease.id})
    if kind == "skip":
        return
    here = (TaskClip.task_id == task.id, TaskClip.clip_id == lease.clip_id)
    gold = connection.execute(sa.select(TaskClip.gold.is_not(None)).where(*here)).scalar_one()
    if not move(connection, task.id, lease.clip_id, answers=1, needs_open=not gold):
        raise ConflictError(
            "the time for this clip ran out, and others have labelled it since: your answer is not needed; "
            "ask for the next clip."
        )


def _put_disputed_first(connection: Connection, task: TaskInfo, clip_id: int, number: int) -> None:
    """Of the policy `disagreement`, after the answers to a clip have changed."""
    priority = disagreement_on(connection, task, [clip_id]).get(clip_id, 0.0)
    here = (TaskClip.task_id == task.id, TaskClip.clip_id == clip_id)
    # numbered as if it came free, so that those who have gone past it find it too
    connection.execute(
        sa.update(TaskClip)
        .where(*here, TaskClip.priority != priority)
        .values(priority=priority, reopened=sa.case((TaskClip.open_places > 0, number), else_=TaskClip.reopened))
    )


def disagreement_on(connection: Connection, task: TaskInfo, clips: Sequence[int]) -> dict[int, float]:
    """How much people disagree on each labelled clip: the share of answers that are not their tag's commonest, mean
    over tags; 0 where all agree."""
    found = {}
    said = labels_of(connection, task.id, clips=clips)
    for clip_id, group in groupby(said, key=lambda label: label.clip_id):
        labels = [label.values for label in group]
        shares = []
        for tag in task.tags:
            answers = [values[tag] for values in labels if tag in values]
            most = max((answers.count(value) for value in set(answers)), default=0)
            shares.append(1.0 - most / len(answers) if answers else 0.0)
        found[clip_id] = sum(shares) / len(shares)
    return found


def undo(
    catalog: Catalog,
    task: int | str,
    annotator_id: int,
    steps: int = 1,
    *,
    client_key: str | None = None,
    now: int | None = None,
) -> list[Undone]:
    """Take back one's last answers; their clips are held again, and shown before all others, the oldest of them first.

    An answer whose clip has gone to others since (a skip, mostly) stays; the one before it is taken instead.

    Args:
        steps: how many, 1 to `MOST_UNDONE`.
        client_key: an undo that is sent twice under one key is done once; the second gives an empty list.

    Returns:
        The last answer first; fewer than `steps` where there were no more.
    """
    if not 1 <= steps <= MOST_UNDONE:
        raise CatalogError(f"undo of {steps} steps: expected 1 to {MOST_UNDONE}.")
    _check_key(client_key)
    at = now_us() if now is None else now

    def work(connection: Connection) -> list[Undone]:
        info = find_task(connection, task)
        number = reopen(connection, info.id) if info.policy == "disagreement" else None
        key = sa.and_(Annotation.annotator_id == annotator_id, Annotation.client_key == client_key)
        if client_key is not None and connection.execute(sa.select(Annotation.id).where(key)).first():
            return []
        mine = (Answered.annotator_id == annotator_id, Answered.task_id == info.id)
        query = sa.select(Annotation.__table__).join(Answered, Answered.annotation_id == Annotation.id).where(*mine)
        query = query.with_for_update(of=Answered)  # two undos of one person are two steps
        held = (Lease.annotator_id == annotator_id, Lease.task_id == info.id, LIVE)
        turn = min(0, connection.execute(sa.select(sa.func.min(Lease.turn)).where(*held)).scalar() or 0)
        undone: list[Undone] = []
        for row in connection.execute(query.order_by(Answered.annotation_id.desc()).limit(steps + _KEPT)).all():
            if len(undone) == steps:
                break
            aside = is_discounted(connection, info.id, annotator_id, row.clip_id)
            counted = int(row.kind != "skip" and not aside)
            if not move(connection, info.id, row.clip_id, answers=-counted, leases=1, needs_open=not counted):
                continue
            values = values_of(connection, row.id)
            key_of_row = None if undone else client_key
            taken = Row(row.clip_id, annotator_id, "retraction", {}, at, None, "person", key_of_row)
            insert_row(connection, info, taken, replaces=row.id)
            connection.execute(sa.delete(Answered).where(*mine, Answered.clip_id == row.clip_id))
            if aside:
                forget_discount(connection, info.id, annotator_id, row.clip_id)
            until = at + round(info.lease_s * 1e6)
            turn -= 1
            lease = insert_lease(connection, info.id, row.clip_id, annotator_id, now=at, until=until, turn=turn)
            token = connection.execute(sa.select(Lease.token).where(Lease.id == lease)).scalar_one()
            if number is not None:
                _put_disputed_first(connection, info, row.clip_id, number)
            undone.append(Undone(row.clip_id, token, row.kind, values))
        return undone

    return catalog.run(work)


def correct(
    catalog: Catalog,
    task: int | str,
    clip_id: int,
    annotator_id: int,
    values: Mapping[str, str],
    *,
    took_ms: int | None = None,
    client_key: str | None = None,
    now: int | None = None,
) -> Answer:
    """Replace one's own answer to a clip by another label.

    Raises:
        NotFoundError: this person has no answer in force there. ConflictError: a client_key used for another answer.
    """
    _check_key(client_key)
    at = now_us() if now is None else now

    def work(connection: Connection) -> Answer:
        info = find_task(connection, task)
        checked = info.check(values)
        again = sent_before(connection, info.id, clip_id, annotator_id, "label", checked, client_key)
        if again is not None:
            return Answer(again, again=True)
        number = reopen(connection, info.id)
        mine = (Answered.task_id == info.id, Answered.clip_id == clip_id, Answered.annotator_id == annotator_id)
        query = sa.select(Answered.annotation_id, Annotation.kind).join(Annotation).where(*mine)
        before = connection.execute(query.with_for_update(of=Answered)).one_or_none()
        if before is None:
            raise NotFoundError(f"clip {clip_id} of task {info.name!r} has no answer of yours to correct.")
        row = Row(clip_id, annotator_id, "label", checked, at, _bounded(took_ms), "correction", client_key)
        annotation_id = insert_answer(connection, info, row, replaces=before.annotation_id)
        if before.kind == "skip":
            move(connection, info.id, clip_id, answers=1)
        if info.policy == "disagreement":
            _put_disputed_first(connection, info, clip_id, number)
        return Answer(annotation_id, again=False)

    return catalog.run(work)


def adjudicate(
    catalog: Catalog,
    task: int | str,
    clip_id: int,
    annotator_id: int,
    values: Mapping[str, str],
    *,
    gold: bool = False,
    client_key: str | None = None,
    now: int | None = None,
) -> Answer:
    """Settle a clip: this label wins over all others, and nobody else is asked. The next adjudication replaces it.

    Args:
        gold: it is a known answer from now on too (`tasks.set_gold`).

    Raises:
        NotAllowedError: this person is no admin. NotFoundError: the clip is not in the task.
    """
    _check_key(client_key)
    at = now_us() if now is None else now

    def work(connection: Connection) -> Answer:
        info = find_task(connection, task)
        checked = info.check(values)
        role = connection.execute(sa.select(Annotator.role).where(Annotator.id == annotator_id)).scalar()
        if role != "admin":
            raise NotAllowedError("only an admin settles what others labelled.")
        again = sent_before(connection, info.id, clip_id, annotator_id, "label", checked, client_key)
        if again is not None:
            return Answer(again, again=True)
        reopen(connection, info.id)  # locks the task, so that two admins settle in turn
        here = (TaskClip.task_id == info.id, TaskClip.clip_id == clip_id)
        if connection.execute(sa.update(TaskClip).where(*here).values(adjudicated=True)).rowcount == 0:
            raise NotFoundError(f"clip {clip_id} is not in task {info.name!r}.")
        said = labels_of(connection, info.id, clips=[clip_id])
        before = [label.annotation_id for label in said if label.origin == "adjudication"]
        row = Row(clip_id, annotator_id, "label", checked, at, None, "adjudication", client_key)
        annotation_id = insert_row(connection, info, row, replaces=before[-1] if before else None)
        if gold:
            put_gold(connection, info, {clip_id: checked})
        else:
            settle_all(connection, info.id, [clip_id])
        return Answer(annotation_id, again=False)

    return catalog.run(work)

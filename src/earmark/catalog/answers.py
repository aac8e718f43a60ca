"""The rows of answers: written once, read back to tell whether the same was sent before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from earmark.catalog.places import END_LEASE, moving, of_held
from earmark.catalog.tables import Annotation, AnnotationValue, Answered, Tag
from earmark.catalog.tasks import TaskInfo
from earmark.catalog.trouble import MetAnotherError
from earmark.errors import ConflictError
from earmark.types import LabelValue

UNIQUE_VIOLATION = "23505"
"""PostgreSQL's code for a key that stands already."""


@dataclass(frozen=True, slots=True)
class Row:
    """An annotation to write; fields as of `earmark.catalog.tables.Annotation`, with the value of every tag."""

    clip_id: int
    annotator_id: int
    kind: str
    values: Mapping[str, LabelValue]
    at: int
    took_ms: int | None
    origin: Literal["person", "import", "correction", "adjudication"]
    client_key: str | None = None


def insert_answer(
    connection: Connection, task: TaskInfo, row: Row, *, lease_id: int | None = None, replaces: int | None = None
) -> int:
    """The row, and that this person has answered the clip; gives the row's id.

    Args:
        replaces: the row of the same person that this one takes the place of.

    Raises:
        ConflictError: this person has another answer in force there.
    """
    who = {"task_id": task.id, "clip_id": row.clip_id, "annotator_id": row.annotator_id}
    annotation_id = insert_row(connection, task, row, lease_id=lease_id, replaces=replaces)
    if replaces is None:
        insert = _insert_answered(connection.dialect.name)
        if connection.execute(insert, {**who, "annotation_id": annotation_id}).first() is None:
            raise _answered_already()
    else:
        mine = [getattr(Answered, name) == value for name, value in who.items()]
        connection.execute(sa.update(Answered).where(*mine).values(annotation_id=annotation_id))
    return annotation_id


def answer_held(connection: Connection, task: TaskInfo, row: Row, lease_id: int, *, number: int | None = None) -> int:
    """`insert_answer` by a live lease, which is locked and ends with it, and its place is moved; gives the row's id.

    On PostgreSQL this is one round trip. The parts of such a statement run in no order, which does no harm: a row of
    `answered` is waited for only by the same person's other answers to the clip, and those wait for the lease.

    Args:
        number: of the reopening (`places.reopen`), where the answer may free the place.

    Raises:
        ConflictError: this person has another answer in force there.
    """
    place = of_held(task.id, lease_id, row.clip_id, counts=row.kind != "skip", number=number)
    if connection.dialect.name == "sqlite":
        annotation_id = insert_answer(connection, task, row, lease_id=lease_id)
        connection.execute(END_LEASE, {"of_lease": place.pop("of_lease")})
        connection.execute(moving(number is not None, False), place)
        return annotation_id
    said = {
        "tag_ids": [task.tag_ids[tag] for tag in row.values],
        "said": [value.value for value in row.values.values()],
    }
    new = {f"new_{name}": value for name, value in _columns(task, row, lease_id, None).items()}
    values = {**new, **said, **place}
    try:
        found = connection.execute(_at_once(number is not None), values).scalar_one_or_none()
    except sa.exc.IntegrityError as error:
        raise _met(error) from error
    if found is None:
        raise _answered_already()
    return int(found)


def _met(error: sa.exc.IntegrityError) -> Exception:
    """Of a row under a key that another transaction has written: the next try will see it. Other faults stay."""
    if getattr(error.orig, "sqlstate", UNIQUE_VIOLATION) != UNIQUE_VIOLATION:  # SQLite's errors have no such attribute
        return error
    return MetAnotherError(f"another answer was written under the same key ({error.orig}).")


def _answered_already() -> ConflictError:
    return ConflictError("you have answered this clip already: undo that answer, or correct it.")


def insert_row(
    connection: Connection, task: TaskInfo, row: Row, *, lease_id: int | None = None, replaces: int | None = None
) -> int:
    """The annotation and its values alone: of a retraction or an adjudication, which answer for nobody."""
    try:
        annotation_id = int(connection.execute(_INSERT, _columns(task, row, lease_id, replaces)).scalar_one())
    except sa.exc.IntegrityError as error:
        raise _met(error) from error
    if row.values:
        said = [
            {"annotation_id": annotation_id, "tag_id": task.tag_ids[tag], "value": value.value}
            for tag, value in row.values.items()
        ]
        connection.execute(_INSERT_VALUES, said)
    return annotation_id


# made once: putting a statement together takes longer than running it
_INSERT = sa.insert(Annotation).returning(Annotation.id)
_INSERT_VALUES = sa.insert(AnnotationValue)


def _columns(task: TaskInfo, row: Row, lease_id: int | None, replaces: int | None) -> dict[str, Any]:
    return {
        "task_id": task.id,
        "clip_id": row.clip_id,
        "annotator_id": row.annotator_id,
        "kind": row.kind,
        "at": row.at,
        "took_ms": row.took_ms,
        "origin": row.origin,
        "client_key": row.client_key,
        "replaces": replaces,
        "lease_id": lease_id,
    }


@cache
def _insert_answered(dialect: str) -> sa.UpdateBase:
    insert = (sqlite.insert if dialect == "sqlite" else postgresql.insert)(Answered)
    return insert.on_conflict_do_nothing().returning(Answered.clip_id)


@cache
def _at_once(numbered: bool) -> sa.UpdateBase:
    given = [column for column in Annotation.__table__.columns if column.name != "id"]
    # not by the columns' own names, which SQLAlchemy would set in the other parts too
    bound = {column.name: sa.bindparam(f"new_{column.name}", type_=column.type) for column in given}
    written = sa.insert(Annotation).values(bound).returning(Annotation.id).cte("written")
    pairs = (
        sa.func.unnest(
            sa.bindparam("tag_ids", type_=sa.ARRAY(sa.BigInteger)), sa.bindparam("said", type_=sa.ARRAY(sa.String))
        )
        .table_valued(sa.column("tag_id", sa.BigInteger), sa.column("value", sa.String))
        .render_derived(name="pairs")
    )
    values = sa.select(written.c.id, pairs.c.tag_id, pairs.c.value).join_from(written, pairs, sa.true())
    said = sa.insert(AnnotationValue).from_select(["annotation_id", "tag_id", "value"], values).cte("said_of_tags")
    who = sa.select(bound["task_id"], bound["clip_id"], bound["annotator_id"], written.c.id)
    insert = postgresql.insert(Answered).from_select(["task_id", "clip_id", "annotator_id", "annotation_id"], who)
    answering = insert.on_conflict_do_nothing().returning(Answered.annotation_id)
    return answering.add_cte(said, END_LEASE.cte("ended"), moving(numbered, False).cte("moved"))


def values_of(connection: Connection, annotation_id: int) -> dict[str, LabelValue]:
    """What an annotation says, tag by tag."""
    query = sa.select(Tag.name, AnnotationValue.value).join(Tag, Tag.id == AnnotationValue.tag_id)
    rows = connection.execute(query.where(AnnotationValue.annotation_id == annotation_id))
    return {row.name: LabelValue(row.value) for row in rows}


def sent_before(
    connection: Connection,
    task_id: int,
    clip_id: int,
    annotator_id: int,
    kind: str,
    values: Mapping[str, LabelValue],
    client_key: str | None,
) -> int | None:
    """The row that the same answer, sent under the same key before, became.

    Raises:
        ConflictError: the key was used for another answer.
    """
    if client_key is None:
        return None
    mine = (Annotation.annotator_id == annotator_id, Annotation.client_key == client_key)
    row = connection.execute(sa.select(Annotation.__table__).where(*mine)).one_or_none()
    if row is None:
        return None
    if (row.task_id, row.clip_id, row.kind) == (task_id, clip_id, kind) and values_of(connection, row.id) == values:
        return int(row.id)
    raise ConflictError(f"client_key {client_key!r} was used for another answer: give each answer a key of its own.")

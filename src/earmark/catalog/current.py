"""The current view: what everybody's last word is. Labels are only ever added, so this is a query, and the only one."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import groupby

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from earmark.catalog.tables import Annotation, AnnotationValue, Tag
from earmark.types import LabelValue

ANSWERS = ("label", "skip", "unusable")
"""Kinds of annotation that answer; the other kind, `retraction`, takes one of them back."""

_ROWS = 2000  # fetched at a time


@dataclass(frozen=True, slots=True)
class Said:
    """One person's word on one clip that neither they took back nor a later row replaced.

    Attributes:
        annotation_id, clip_id, annotator_id: rows of the catalog.
        kind: label, skip or unusable.
        values: tag -> answer; empty for skip and unusable.
        at: microseconds since 1970, UTC. took_ms: None where nobody measured it.
        origin: person, import, correction or adjudication.
    """

    annotation_id: int
    clip_id: int
    annotator_id: int
    kind: str
    values: dict[str, LabelValue]
    at: int
    took_ms: int | None
    origin: str


def labels_of(
    connection: Connection, task_id: int, *, kinds: Collection[str] = ("label",), clips: Collection[int] | None = None
) -> Iterator[Said]:
    """Everybody's words in force on a task, clip by clip in the order of their ids, the oldest first within a clip.

    An adjudication is one more row of its clip, with its own origin.

    Args:
        connection: of `Catalog.read` (or `write`); it has to stay open while the iterator is used.
        kinds: of `ANSWERS`.
        clips: only of these; None: of all. A few thousand at most.
    """
    later = sa.orm.aliased(Annotation)
    query = (
        sa.select(
            Annotation.id,
            Annotation.clip_id,
            Annotation.annotator_id,
            Annotation.kind,
            Annotation.at,
            Annotation.took_ms,
            Annotation.origin,
            Tag.name,
            AnnotationValue.value,
        )
        .outerjoin(AnnotationValue, AnnotationValue.annotation_id == Annotation.id)
        .outerjoin(Tag, Tag.id == AnnotationValue.tag_id)
        .where(Annotation.task_id == task_id, Annotation.kind.in_(list(kinds)), in_force(later))
        .order_by(Annotation.clip_id, Annotation.id)
    )
    if clips is not None:
        query = query.where(Annotation.clip_id.in_(list(clips)))
    rows = connection.execute(query.execution_options(yield_per=_ROWS))
    for _, group in groupby(rows, key=lambda row: row.id):
        parts = list(group)
        first = parts[0]
        values = {part.name: LabelValue(part.value) for part in parts if part.name is not None}
        yield Said(
            first.id, first.clip_id, first.annotator_id, first.kind, values, first.at, first.took_ms, first.origin
        )


def in_force(later: type[Annotation]) -> sa.ColumnElement[bool]:
    """The condition that no row (`later`, an alias) replaces or takes back the `Annotation` of a query.

    A row that was replaced stays so, even where the replacement is taken back: what is undone is unanswered.
    """
    return ~sa.exists().where(later.replaces == Annotation.id)

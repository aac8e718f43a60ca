"""The tables of the catalog, as SQLAlchemy models; `migrations` make the same ones, and a test compares both.

Times are whole microseconds since 1970 in UTC, so that SQLite and PostgreSQL store, compare and give back the same.
What people said (`annotation`, `annotation_value`) is only ever added to. What can be computed from it again and is
kept for speed is in `task_clip`, `answered` and `queue_position`: see `earmark.catalog.queueing`.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Integer, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from earmark.catalog.base import Base as Base
from earmark.catalog.base import Id, Sha256, Time, Word, where


class Recording(Base):
    """One audio file.

    uri: relative to the workspace with '/' where it lies below it, else absolute.
    audio_sha256: of the decoded mono samples (`earmark.audio.hashing`). frames: decoded samples per channel.
    group_name: what must never be split. copy_of: the recording whose sound this is too, never itself a copy.
    """

    __tablename__ = "recording"

    id: Mapped[Id]
    uri: Mapped[str]
    name: Mapped[str]
    file_sha256: Mapped[Sha256] = mapped_column(unique=True)
    audio_sha256: Mapped[Sha256] = mapped_column(index=True)
    sample_rate_hz: Mapped[int] = mapped_column(Integer)
    channels: Mapped[int] = mapped_column(Integer)
    frames: Mapped[int]
    duration_s: Mapped[float]
    format: Mapped[str]
    licence: Mapped[str | None]
    source: Mapped[str | None]
    group_name: Mapped[str | None] = mapped_column(index=True)
    copy_of: Mapped[int | None] = mapped_column(ForeignKey("recording.id"), index=True)
    fingerprint: Mapped[bytes | None] = mapped_column(LargeBinary)  # (m,) uint32, little endian; see audio.fingerprint
    warning: Mapped[str | None]
    added_at: Mapped[Time]


class Duplicate(Base):
    """A file with the very bytes of a recording, beside the recording's own, where it was last seen."""

    __tablename__ = "duplicate"

    uri: Mapped[str] = mapped_column(primary_key=True)
    recording_id: Mapped[int] = mapped_column(ForeignKey("recording.id"), index=True)
    added_at: Mapped[Time]


class FingerprintKey(Base):
    """A few words of each recording's fingerprint: recordings that share some are compared as possible copies."""

    __tablename__ = "fingerprint_key"

    key: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    recording_id: Mapped[int] = mapped_column(ForeignKey("recording.id"), primary_key=True)


class Quarantined(Base):
    """A file that could not be added, and why (`earmark.types.Reason`)."""

    __tablename__ = "quarantined"

    id: Mapped[Id]
    uri: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    reason: Mapped[Word]
    message: Mapped[str]
    added_at: Mapped[Time]


class Clip(Base):
    """A span of a recording: samples start <= i < stop at the recording's own rate.

    chunk_id: six digits (more after a million); None for a span that was not numbered. file: the written chunk's path,
    relative to the workspace, None for a span.
    """

    __tablename__ = "clip"
    __table_args__ = (
        UniqueConstraint("recording_id", "start", "stop"),
        Index("ix_clip_numbered", "id", **where("chunk_id IS NOT NULL")),
    )

    id: Mapped[Id]
    recording_id: Mapped[int] = mapped_column(ForeignKey("recording.id"))
    start: Mapped[int]
    stop: Mapped[int]
    chunk_id: Mapped[str | None] = mapped_column(String(12), unique=True)
    file: Mapped[str | None]


class Tag(Base):
    """A name that clips are labelled with, shared by tasks."""

    __tablename__ = "tag"

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(unique=True)


class Task(Base):
    """What people are asked.

    scale: words of `earmark.types.LabelValue`; `unsure` may always be answered and is not listed.
    policy: random, balanced, uncertainty, disagreement. gold_share: how often a gold clip is shown, 0 to 1.
    lease_s: how long a clip is kept for who was shown it. open: anyone may help.
    reopenings: how often a clip's place has come free again; numbers `task_clip.reopened`.
    order_version: goes up when clips come in or the whole order changes: everybody begins at its head again.
    """

    __tablename__ = "task"

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(unique=True)
    scale: Mapped[list[str]]
    instructions: Mapped[str]
    overlap: Mapped[int] = mapped_column(Integer)
    policy: Mapped[Word]
    gold_share: Mapped[float]
    lease_s: Mapped[float]
    open: Mapped[bool]
    seed: Mapped[int]
    reopenings: Mapped[int] = mapped_column(default=0)
    order_version: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[Time]


class TaskTag(Base):
    """A tag of a task, at its place on the page."""

    __tablename__ = "task_tag"

    task_id: Mapped[int] = mapped_column(ForeignKey("task.id"), primary_key=True)
    tag_id: Mapped[int] = mapped_column(ForeignKey("tag.id"), primary_key=True)
    position: Mapped[int] = mapped_column(Integer)
    help: Mapped[str]


class TaskClip(Base):
    """A clip in a task's queue, which is ordered by priority and then place, the highest first.

    place: drawn once, uniform in [0, 1). answers: labels and `unusable` in force, each by another person, without the
    `Discounted` ones. leases: live ones. open_places: overlap less answers less leases; 0 for gold clips, which
    everybody may be shown, and for adjudicated ones. done: adjudicated, or as many answers as the overlap. reopened:
    number of its last reopening. gold: {tag: value} that is known to be right; None for all others.
    """

    __tablename__ = "task_clip"
    __table_args__ = (
        CheckConstraint("open_places >= 0 AND answers >= 0 AND leases >= 0", name="places"),
        Index("ix_task_clip_queue", "task_id", "priority", "place", "clip_id", **where("open_places > 0")),
        Index("ix_task_clip_reopened", "task_id", "reopened", **where("open_places > 0 AND reopened IS NOT NULL")),
        Index("ix_task_clip_gold", "task_id", "place", **where("gold IS NOT NULL")),
    )

    task_id: Mapped[int] = mapped_column(ForeignKey("task.id"), primary_key=True)
    clip_id: Mapped[int] = mapped_column(ForeignKey("clip.id"), primary_key=True)
    place: Mapped[float]
    priority: Mapped[float]
    open_places: Mapped[int] = mapped_column(Integer)
    answers: Mapped[int] = mapped_column(Integer, default=0)
    leases: Mapped[int] = mapped_column(Integer, default=0)
    done: Mapped[bool] = mapped_column(default=False)
    reopened: Mapped[int | None]
    gold: Mapped[dict[str, Any] | None]
    adjudicated: Mapped[bool] = mapped_column(default=False)


class Annotator(Base):
    """Somebody who labels: role admin, annotator, viewer; kind person, guest (no invite), import (another program)."""

    __tablename__ = "annotator"

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(unique=True)
    role: Mapped[Word]
    kind: Mapped[Word] = mapped_column(default="person")
    password_hash: Mapped[str | None]
    active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[Time]


class Invite(Base):
    """A link that lets somebody in; only the hash of its secret is kept."""

    __tablename__ = "invite"

    id: Mapped[Id]
    token_hash: Mapped[Sha256] = mapped_column(unique=True)
    role: Mapped[Word]
    note: Mapped[str]
    uses_left: Mapped[int] = mapped_column(Integer)
    created_by: Mapped[int | None] = mapped_column(ForeignKey("annotator.id"))
    created_at: Mapped[Time]
    expires_at: Mapped[Time]
    revoked_at: Mapped[int | None] = mapped_column(BigInteger)


class Session(Base):
    """Somebody who is logged in; only the hash of the cookie's secret is kept."""

    __tablename__ = "session"

    id: Mapped[Id]
    token_hash: Mapped[Sha256] = mapped_column(unique=True)
    annotator_id: Mapped[int] = mapped_column(ForeignKey("annotator.id"), index=True)
    created_at: Mapped[Time]
    expires_at: Mapped[Time]
    revoked_at: Mapped[int | None] = mapped_column(BigInteger)


class Lease(Base):
    """A clip that is kept for somebody, until `expires_at`; state live, answered, expired or returned.

    turn: the order in which one person's clips are shown: 0, below it for clips that were undone.
    """

    __tablename__ = "lease"
    __table_args__ = (
        Index("ix_lease_live", "task_id", "expires_at", **where("state = 'live'")),
        Index("uq_lease_held", "annotator_id", "task_id", "clip_id", unique=True, **where("state = 'live'")),
    )

    id: Mapped[Id]
    task_id: Mapped[int] = mapped_column(ForeignKey("task.id"))
    clip_id: Mapped[int] = mapped_column(ForeignKey("clip.id"))
    annotator_id: Mapped[int] = mapped_column(ForeignKey("annotator.id"))
    token: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[Time]
    expires_at: Mapped[Time]
    turn: Mapped[int]
    state: Mapped[Word]


class Annotation(Base):
    """What somebody said of a clip; never changed, never deleted. The current view: `earmark.catalog.current`.

    kind: label, skip, unusable, retraction. origin: person, import, correction, adjudication.
    client_key: chosen by whoever sends it, so that a submit sent twice is one row. replaces: the row that this one
    takes the place of (a correction) or takes back (a retraction).
    """

    __tablename__ = "annotation"
    __table_args__ = (
        UniqueConstraint("annotator_id", "client_key"),
        Index("ix_annotation_task_id_clip_id", "task_id", "clip_id"),
        Index("ix_annotation_task_id_at", "task_id", "at"),
    )

    id: Mapped[Id]
    task_id: Mapped[int] = mapped_column(ForeignKey("task.id"))
    clip_id: Mapped[int] = mapped_column(ForeignKey("clip.id"))
    annotator_id: Mapped[int] = mapped_column(ForeignKey("annotator.id"))
    kind: Mapped[Word]
    at: Mapped[Time]
    took_ms: Mapped[int | None] = mapped_column(Integer)
    origin: Mapped[Word]
    client_key: Mapped[str | None] = mapped_column(String(64))
    replaces: Mapped[int | None] = mapped_column(ForeignKey("annotation.id"), index=True)
    lease_id: Mapped[int | None] = mapped_column(ForeignKey("lease.id"))


class AnnotationValue(Base):
    """The answer for one tag; value is a word of `earmark.types.LabelValue`."""

    __tablename__ = "annotation_value"

    annotation_id: Mapped[int] = mapped_column(ForeignKey("annotation.id"), primary_key=True)
    tag_id: Mapped[int] = mapped_column(ForeignKey("tag.id"), primary_key=True)
    value: Mapped[Word]


class Answered(Base):
    """Who has an answer (label, skip, unusable) in force on which clip: nobody is asked twice."""

    __tablename__ = "answered"
    __table_args__ = (Index("ix_answered_last", "annotator_id", "task_id", "annotation_id"),)

    task_id: Mapped[int] = mapped_column(ForeignKey("task.id"), primary_key=True)
    clip_id: Mapped[int] = mapped_column(ForeignKey("clip.id"), primary_key=True)
    annotator_id: Mapped[int] = mapped_column(ForeignKey("annotator.id"), primary_key=True)
    annotation_id: Mapped[int] = mapped_column(ForeignKey("annotation.id"))


class Trust(Base):
    """Whose answers to a task are worth what; who has no row is trusted.

    state: aside (their answers carry no weight) or trusted. by_hand: an admin said so, and no rule changes it; else by
    the rule of `earmark.catalog.trust`. skill: as it was estimated then, from 0 for a die to 1.
    """

    __tablename__ = "trust"

    task_id: Mapped[int] = mapped_column(ForeignKey("task.id"), primary_key=True)
    annotator_id: Mapped[int] = mapped_column(ForeignKey("annotator.id"), primary_key=True)
    state: Mapped[Word]
    by_hand: Mapped[bool]
    skill: Mapped[float | None]
    at: Mapped[Time]


class Discounted(Base):
    """An answer in force of somebody who is set aside, whose place was given to others: `task_clip` counts it not."""

    __tablename__ = "discounted"

    task_id: Mapped[int] = mapped_column(ForeignKey("task.id"), primary_key=True)
    annotator_id: Mapped[int] = mapped_column(ForeignKey("annotator.id"), primary_key=True)
    clip_id: Mapped[int] = mapped_column(ForeignKey("clip.id"), primary_key=True)


class QueuePosition(Base):
    """How far down a task's queue somebody is: what comes before is answered or held by them, or full; None: its head.

    order_version: of the task when this was noted; where the task's is another, this holds no longer.
    reopened: reopenings up to this number have been looked at.
    """

    __tablename__ = "queue_position"

    task_id: Mapped[int] = mapped_column(ForeignKey("task.id"), primary_key=True)
    annotator_id: Mapped[int] = mapped_column(ForeignKey("annotator.id"), primary_key=True)
    priority: Mapped[float | None]
    place: Mapped[float | None]
    clip_id: Mapped[int | None]
    reopened: Mapped[int] = mapped_column(default=0)
    order_version: Mapped[int] = mapped_column(default=0)


class FrozenSet(Base):
    """A named set of clips with their labels, kept for ever, so that a figure can be got again."""

    __tablename__ = "frozen_set"
    __table_args__ = (UniqueConstraint("task_id", "name"),)

    id: Mapped[Id]
    task_id: Mapped[int] = mapped_column(ForeignKey("task.id"))
    name: Mapped[str]
    detail: Mapped[dict[str, Any]]
    created_at: Mapped[Time]


class FrozenClip(Base):
    """A clip of a frozen set, with {tag: ...} as it was when the set was frozen."""

    __tablename__ = "frozen_clip"

    set_id: Mapped[int] = mapped_column(ForeignKey("frozen_set.id"), primary_key=True)
    clip_id: Mapped[int] = mapped_column(ForeignKey("clip.id"), primary_key=True)
    position: Mapped[int] = mapped_column(Integer)
    detail: Mapped[dict[str, Any]]


class Score(Base):
    """How unsure a model is of a clip; the higher, the sooner it is asked."""

    __tablename__ = "score"

    task_id: Mapped[int] = mapped_column(ForeignKey("task.id"), primary_key=True)
    clip_id: Mapped[int] = mapped_column(ForeignKey("clip.id"), primary_key=True)
    score: Mapped[float]
    model: Mapped[str]
    at: Mapped[Time]


class StatusReport(Base):
    """A status that was remembered, to tell what changed since."""

    __tablename__ = "status_report"

    id: Mapped[Id]
    task_id: Mapped[int | None] = mapped_column(ForeignKey("task.id"), index=True)
    at: Mapped[Time]
    body: Mapped[dict[str, Any]]


class Audit(Base):
    """Who did what, beside labelling."""

    __tablename__ = "audit"

    id: Mapped[Id]
    at: Mapped[Time]
    annotator_id: Mapped[int | None] = mapped_column(ForeignKey("annotator.id"))
    what: Mapped[str]
    detail: Mapped[dict[str, Any]]

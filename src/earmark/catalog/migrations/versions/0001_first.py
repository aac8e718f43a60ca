"""The first catalog: recordings, clips, tasks, the queue, labels, people."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.BigInteger()
JSON = sa.JSON(none_as_null=True)


def upgrade() -> None:
    op.create_table(
        "annotator",
        sa.Column("id", BIG, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("role", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("password_hash", sa.String(), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "quarantined",
        sa.Column("id", BIG, nullable=False),
        sa.Column("uri", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("added_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("uri"),
    )
    op.create_table(
        "recording",
        sa.Column("id", BIG, nullable=False),
        sa.Column("uri", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("file_sha256", sa.String(length=64), nullable=False),
        sa.Column("audio_sha256", sa.String(length=64), nullable=False),
        sa.Column("sample_rate_hz", sa.Integer(), nullable=False),
        sa.Column("channels", sa.Integer(), nullable=False),
        sa.Column("frames", BIG, nullable=False),
        sa.Column("duration_s", sa.Double(), nullable=False),
        sa.Column("format", sa.String(), nullable=False),
        sa.Column("licence", sa.String(), nullable=True),
        sa.Column("source", sa.String(), nullable=True),
        sa.Column("group_name", sa.String(), nullable=True),
        sa.Column("copy_of", BIG, nullable=True),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=True),
        sa.Column("warning", sa.String(), nullable=True),
        sa.Column("added_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["copy_of"], ["recording.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("file_sha256"),
    )
    op.create_index("ix_recording_audio_sha256", "recording", ["audio_sha256"])
    op.create_index("ix_recording_copy_of", "recording", ["copy_of"])
    op.create_index("ix_recording_group_name", "recording", ["group_name"])
    op.create_table(
        "tag",
        sa.Column("id", BIG, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "task",
        sa.Column("id", BIG, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("scale", JSON, nullable=False),
        sa.Column("instructions", sa.String(), nullable=False),
        sa.Column("overlap", sa.Integer(), nullable=False),
        sa.Column("policy", sa.String(length=32), nullable=False),
        sa.Column("gold_share", sa.Double(), nullable=False),
        sa.Column("lease_s", sa.Double(), nullable=False),
        sa.Column("open", sa.Boolean(), nullable=False),
        sa.Column("seed", BIG, nullable=False),
        sa.Column("reopenings", BIG, nullable=False),
        sa.Column("order_version", BIG, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "audit",
        sa.Column("id", BIG, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("annotator_id", BIG, nullable=True),
        sa.Column("what", sa.String(), nullable=False),
        sa.Column("detail", JSON, nullable=False),
        sa.ForeignKeyConstraint(["annotator_id"], ["annotator.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "clip",
        sa.Column("id", BIG, nullable=False),
        sa.Column("recording_id", BIG, nullable=False),
        sa.Column("start", BIG, nullable=False),
        sa.Column("stop", BIG, nullable=False),
        sa.Column("chunk_id", sa.String(length=12), nullable=True),
        sa.Column("file", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["recording_id"], ["recording.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("chunk_id"),
        sa.UniqueConstraint("recording_id", "start", "stop"),
    )
    op.create_index(
        "ix_clip_numbered",
        "clip",
        ["id"],
        sqlite_where=sa.text("chunk_id IS NOT NULL"),
        postgresql_where=sa.text("chunk_id IS NOT NULL"),
    )
    op.create_table(
        "fingerprint_key",
        sa.Column("key", BIG, autoincrement=False, nullable=False),
        sa.Column("recording_id", BIG, nullable=False),
        sa.ForeignKeyConstraint(["recording_id"], ["recording.id"]),
        sa.PrimaryKeyConstraint("key", "recording_id"),
    )
    op.create_table(
        "frozen_set",
        sa.Column("id", BIG, nullable=False),
        sa.Column("task_id", BIG, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("detail", JSON, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["task_id"], ["task.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("task_id", "name"),
    )
    op.create_table(
        "invite",
        sa.Column("id", BIG, nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=32), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("uses_left", sa.Integer(), nullable=False),
        sa.Column("created_by", BIG, nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("revoked_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(["created_by"], ["annotator.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("token_hash"),
    )
    op.create_table(
        "queue_position",
        sa.Column("task_id", BIG, nullable=False),
        sa.Column("annotator_id", BIG, nullable=False),
        sa.Column("priority", sa.Double(), nullable=True),
        sa.Column("place", sa.Double(), nullable=True),
        sa.Column("clip_id", BIG, nullable=True),
        sa.Column("reopened", BIG, nullable=False),
        sa.Column("order_version", BIG, nullable=False),
        sa.ForeignKeyConstraint(["annotator_id"], ["annotator.id"]),
        sa.ForeignKeyConstraint(["task_id"], ["task.id"]),
        sa.PrimaryKeyConstraint("task_id", "annotator_id"),
    )
    op.create_table(
        "session",
        sa.Column("id", BIG, nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("annotator_id", BIG, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("revoked_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(["annotator_id"], ["annotator.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("token_hash"),
    )
    op.create_index("ix_session_annotator_id", "session", ["annotator_id"])
    op.create_table(
        "status_report",
        sa.Column("id", BIG, nullable=False),
        sa.Column("task_id", BIG, nullable=True),
        sa.Column("at", TIME, nullable=False),
        sa.Column("body", JSON, nullable=False),
        sa.ForeignKeyConstraint(["task_id"], ["task.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_status_report_task_id", "status_report", ["task_id"])
    op.create_table(
        "task_tag",
        sa.Column("task_id", BIG, nullable=False),
        sa.Column("tag_id", BIG, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("help", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["tag_id"], ["tag.id"]),
        sa.ForeignKeyConstraint(["task_id"], ["task.id"]),
        sa.PrimaryKeyConstraint("task_id", "tag_id"),
    )
    op.create_table(
        "frozen_clip",
        sa.Column("set_id", BIG, nullable=False),
        sa.Column("clip_id", BIG, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("detail", JSON, nullable=False),
        sa.ForeignKeyConstraint(["clip_id"], ["clip.id"]),
        sa.ForeignKeyConstraint(["set_id"], ["frozen_set.id"]),
        sa.PrimaryKeyConstraint("set_id", "clip_id"),
    )
    op.create_table(
        "lease",
        sa.Column("id", BIG, nullable=False),
        sa.Column("task_id", BIG, nullable=False),
        sa.Column("clip_id", BIG, nullable=False),
        sa.Column("annotator_id", BIG, nullable=False),
        sa.Column("token", sa.String(length=64), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("turn", BIG, nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(["annotator_id"], ["annotator.id"]),
        sa.ForeignKeyConstraint(["clip_id"], ["clip.id"]),
        sa.ForeignKeyConstraint(["task_id"], ["task.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("token"),
    )
    op.create_index(
        "ix_lease_live",
        "lease",
        ["task_id", "expires_at"],
        sqlite_where=sa.text("state = 'live'"),
        postgresql_where=sa.text("state = 'live'"),
    )
    op.create_index(
        "uq_lease_held",
        "lease",
        ["annotator_id", "task_id", "clip_id"],
        unique=True,
        sqlite_where=sa.text("state = 'live'"),
        postgresql_where=sa.text("state = 'live'"),
    )
    op.create_table(
        "score",
        sa.Column("task_id", BIG, nullable=False),
        sa.Column("clip_id", BIG, nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["clip_id"], ["clip.id"]),
        sa.ForeignKeyConstraint(["task_id"], ["task.id"]),
        sa.PrimaryKeyConstraint("task_id", "clip_id"),
    )
    op.create_table(
        "task_clip",
        sa.Column("task_id", BIG, nullable=False),
        sa.Column("clip_id", BIG, nullable=False),
        sa.Column("place", sa.Double(), nullable=False),
        sa.Column("priority", sa.Double(), nullable=False),
        sa.Column("open_places", sa.Integer(), nullable=False),
        sa.Column("answers", sa.Integer(), nullable=False),
        sa.Column("leases", sa.Integer(), nullable=False),
        sa.Column("done", sa.Boolean(), nullable=False),
        sa.Column("reopened", BIG, nullable=True),
        sa.Column("gold", JSON, nullable=True),
        sa.Column("adjudicated", sa.Boolean(), nullable=False),
        sa.CheckConstraint("open_places >= 0 AND answers >= 0 AND leases >= 0", name="ck_task_clip_places"),
        sa.ForeignKeyConstraint(["clip_id"], ["clip.id"]),
        sa.ForeignKeyConstraint(["task_id"], ["task.id"]),
        sa.PrimaryKeyConstraint("task_id", "clip_id"),
    )
    op.create_index(
        "ix_task_clip_gold",
        "task_clip",
        ["task_id", "place"],
        sqlite_where=sa.text("gold IS NOT NULL"),
        postgresql_where=sa.text("gold IS NOT NULL"),
    )
    op.create_index(
        "ix_task_clip_queue",
        "task_clip",
        ["task_id", "priority", "place", "clip_id"],
        sqlite_where=sa.text("open_places > 0"),
        postgresql_where=sa.text("open_places > 0"),
    )
    op.create_index(
        "ix_task_clip_reopened",
        "task_clip",
        ["task_id", "reopened"],
        sqlite_where=sa.text("open_places > 0 AND reopened IS NOT NULL"),
        postgresql_where=sa.text("open_places > 0 AND reopened IS NOT NULL"),
    )
    op.create_table(
        "annotation",
        sa.Column("id", BIG, nullable=False),
        sa.Column("task_id", BIG, nullable=False),
        sa.Column("clip_id", BIG, nullable=False),
        sa.Column("annotator_id", BIG, nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("took_ms", sa.Integer(), nullable=True),
        sa.Column("origin", sa.String(length=32), nullable=False),
        sa.Column("client_key", sa.String(length=64), nullable=True),
        sa.Column("replaces", BIG, nullable=True),
        sa.Column("lease_id", BIG, nullable=True),
        sa.ForeignKeyConstraint(["annotator_id"], ["annotator.id"]),
        sa.ForeignKeyConstraint(["clip_id"], ["clip.id"]),
        sa.ForeignKeyConstraint(["lease_id"], ["lease.id"]),
        sa.ForeignKeyConstraint(["replaces"], ["annotation.id"]),
        sa.ForeignKeyConstraint(["task_id"], ["task.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("annotator_id", "client_key"),
    )
    op.create_index("ix_annotation_replaces", "annotation", ["replaces"])
    op.create_index("ix_annotation_task_id_at", "annotation", ["task_id", "at"])
    op.create_index("ix_annotation_task_id_clip_id", "annotation", ["task_id", "clip_id"])
    op.create_table(
        "annotation_value",
        sa.Column("annotation_id", BIG, nullable=False),
        sa.Column("tag_id", BIG, nullable=False),
        sa.Column("value", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(["annotation_id"], ["annotation.id"]),
        sa.ForeignKeyConstraint(["tag_id"], ["tag.id"]),
        sa.PrimaryKeyConstraint("annotation_id", "tag_id"),
    )
    op.create_table(
        "answered",
        sa.Column("task_id", BIG, nullable=False),
        sa.Column("clip_id", BIG, nullable=False),
        sa.Column("annotator_id", BIG, nullable=False),
        sa.Column("annotation_id", BIG, nullable=False),
        sa.ForeignKeyConstraint(["annotation_id"], ["annotation.id"]),
        sa.ForeignKeyConstraint(["annotator_id"], ["annotator.id"]),
        sa.ForeignKeyConstraint(["clip_id"], ["clip.id"]),
        sa.ForeignKeyConstraint(["task_id"], ["task.id"]),
        sa.PrimaryKeyConstraint("task_id", "clip_id", "annotator_id"),
    )
    op.create_index("ix_answered_last", "answered", ["annotator_id", "task_id", "annotation_id"])

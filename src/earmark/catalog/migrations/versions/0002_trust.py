"""Whose answers are set aside, and which of their answers no longer take a place."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "trust",
        sa.Column("task_id", BIG, nullable=False),
        sa.Column("annotator_id", BIG, nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("by_hand", sa.Boolean(), nullable=False),
        sa.Column("skill", sa.Double(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["task_id"], ["task.id"]),
        sa.ForeignKeyConstraint(["annotator_id"], ["annotator.id"]),
        sa.PrimaryKeyConstraint("task_id", "annotator_id"),
    )
    op.create_table(
        "discounted",
        sa.Column("task_id", BIG, nullable=False),
        sa.Column("annotator_id", BIG, nullable=False),
        sa.Column("clip_id", BIG, nullable=False),
        sa.ForeignKeyConstraint(["task_id"], ["task.id"]),
        sa.ForeignKeyConstraint(["annotator_id"], ["annotator.id"]),
        sa.ForeignKeyConstraint(["clip_id"], ["clip.id"]),
        sa.PrimaryKeyConstraint("task_id", "annotator_id", "clip_id"),
    )

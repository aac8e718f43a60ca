"""Files with the very bytes of a recording."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "duplicate",
        sa.Column("uri", sa.String(), nullable=False),
        sa.Column("recording_id", BIG, nullable=False),
        sa.Column("added_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["recording_id"], ["recording.id"]),
        sa.PrimaryKeyConstraint("uri"),
    )
    op.create_index("ix_duplicate_recording_id", "duplicate", ["recording_id"])

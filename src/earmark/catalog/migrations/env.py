"""What Alembic runs to make a step: on the connection that `catalog.database` hands over, in its transaction."""

from __future__ import annotations

from alembic import context

from earmark.catalog.database import VERSION_TABLE
from earmark.catalog.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()

"""The log of what was done beside labelling: who came in, who was refused, what was changed, made or taken away."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from earmark.catalog.database import Catalog, now_us
from earmark.catalog.tables import Annotator, Audit


def record(connection: Connection, who: int | None, what: str, detail: Mapping[str, Any]) -> None:
    """An entry of the log, in the transaction of what it tells of.

    Args:
        who: None where nobody is logged in: on the command line, or before somebody has come in.
    """
    connection.execute(sa.insert(Audit).values(at=now_us(), annotator_id=who, what=what, detail=dict(detail)))


def audit(catalog: Catalog, who: int | None, what: str, detail: Mapping[str, Any]) -> None:
    """As `record`, of what has no transaction of its own."""
    catalog.run(lambda connection: record(connection, who, what, detail))


def log(catalog: Catalog, limit: int = 100) -> list[dict[str, Any]]:
    """The last things that were done beside labelling, the newest first: at, who, what, detail."""
    query = (
        sa.select(Audit.at, Annotator.name.label("who"), Audit.what, Audit.detail)
        .outerjoin(Annotator, Annotator.id == Audit.annotator_id)
        .order_by(Audit.id.desc())
        .limit(limit)
    )
    with catalog.read() as connection:
        return [dict(row._mapping) for row in connection.execute(query)]


def in_words(detail: Mapping[str, Any]) -> str:
    """An entry's detail in one line."""
    shown = {name: ", ".join(map(str, value)) if isinstance(value, list) else value for name, value in detail.items()}
    return ", ".join(f"{name} {value}" for name, value in shown.items() if value != "")

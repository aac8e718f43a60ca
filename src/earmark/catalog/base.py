"""What all tables share: how constraints are named, and the kinds of columns that there are."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from sqlalchemy import JSON, BigInteger, Integer, MetaData, String, text
from sqlalchemy.orm import DeclarativeBase, mapped_column

_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

_BIG = BigInteger().with_variant(Integer, "sqlite")  # of SQLite's types only INTEGER numbers new rows by itself
_JSON = JSON(none_as_null=True)


def where(condition: str) -> dict[str, Any]:
    """Of a partial index. Queries that are to use it say the same words: SQLite compares them as text."""
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


Id = Annotated[int, mapped_column(_BIG, primary_key=True)]
Time = Annotated[int, mapped_column(BigInteger)]
"""Microseconds since 1970-01-01 00:00 UTC."""
Sha256 = Annotated[str, mapped_column(String(64))]
Word = Annotated[str, mapped_column(String(32))]


class Base(DeclarativeBase):
    """All tables: `Base.metadata`, once `earmark.catalog.tables` is imported."""

    metadata = MetaData(naming_convention=_NAMES)
    type_annotation_map: ClassVar[dict[Any, Any]] = {int: _BIG, dict[str, Any]: _JSON, list[str]: _JSON}

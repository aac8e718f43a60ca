"""Whole copies of a catalog: into a file while people label, and from such a file into an empty catalog.

A copy is a SQLite catalog, whichever database it was made from, so that one kept from a server can be looked into
anywhere, and a catalog that has outgrown its file can move to PostgreSQL.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from earmark.catalog.database import SCHEMA, Catalog, file_url, open_engine
from earmark.catalog.tables import Base
from earmark.catalog.trouble import in_words
from earmark.errors import CatalogError
from earmark.types import Progress, Quiet

_ROWS = 2000  # of one insert


def back_up(catalog: Catalog, target: Path, *, progress: Progress | None = None) -> None:
    """A consistent copy at `target`, made while others read and write; it appears when it is whole.

    Raises:
        CatalogError: `target` exists or cannot be written.
    """
    if target.exists():
        raise CatalogError(f"{target} exists: name another file, a copy is never written over.")
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        partial.touch(exist_ok=False)
        if catalog.is_sqlite:
            with in_words(catalog.engine.url), closing(catalog.engine.raw_connection()) as source:
                assert isinstance(source.driver_connection, sqlite3.Connection)
                _copy_file(source.driver_connection, partial)
        else:
            with Catalog(open_engine(file_url(partial))) as copy:
                copy.upgrade()
                _copy_rows(catalog, copy, progress or Quiet())
        with closing(sqlite3.connect(partial)) as copied:
            copied.execute("PRAGMA journal_mode=DELETE")  # one file, which nobody who reads it adds others to
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.rename(target)
    except (OSError, sqlite3.Error) as error:
        raise CatalogError(f"{target} cannot be written ({error}): name a place with room for it.") from None
    finally:
        for part in (partial, *(partial.with_name(partial.name + end) for end in ("-wal", "-shm"))):
            part.unlink(missing_ok=True)


def restore(catalog: Catalog, source: Path, *, progress: Progress | None = None) -> int:
    """Put a copy, of this version of Earmark or an older one, into a catalog that holds nothing yet; gives the rows.

    All in one transaction; the copy itself is only read.

    Raises:
        CatalogError: `source` is no copy of a catalog, or of a newer version; the catalog is not empty.
    """
    if not source.is_file():
        raise CatalogError(f"{source} does not exist: name a file that `earmark catalog backup` wrote.")
    with tempfile.TemporaryDirectory(prefix="earmark-restore-") as folder:
        brought_forward = Path(folder) / "catalog.db"
        try:
            with closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as file:
                _copy_file(file, brought_forward)
                known = file.execute("SELECT count(*) FROM sqlite_master WHERE name = 'earmark_version'").fetchone()[0]
        except sqlite3.Error as error:
            raise CatalogError(f"{source} cannot be read as a copy of a catalog ({error}).") from None
        if not known:
            raise CatalogError(f"{source} is no copy of a catalog: name a file that `earmark catalog backup` wrote.")
        with Catalog(open_engine(file_url(brought_forward))) as copy:
            copy.upgrade()
            return _copy_rows(copy, catalog, progress or Quiet())


def _copy_file(source: sqlite3.Connection, target: Path) -> None:
    with closing(sqlite3.connect(target)) as copy:
        source.backup(copy)  # in one step, so that no writer makes it begin again


def _copy_rows(source: Catalog, target: Catalog, progress: Progress) -> int:
    """Every row of one moment of `source`, into `target`, all or none."""
    tables = Base.metadata.sorted_tables
    with source.read() as old, target.write() as new:
        for table in tables:
            if new.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).scalar() is not None:
                raise CatalogError(
                    f"{target.name} is not empty (there are rows in {table.name!r}): a copy is put into a catalog that "
                    "holds nothing yet; make one with `earmark catalog init`."
                )
        count = sa.func.count()
        total = sum(old.execute(sa.select(count).select_from(table)).scalar_one() for table in tables)
        progress.start("copy", total, "rows")
        for table in tables:
            # a row that refers to another of its table is younger than that one
            query = sa.select(table).order_by(*table.primary_key.columns).execution_options(yield_per=_ROWS)
            for rows in old.execute(query).partitions():
                new.execute(sa.insert(table), [dict(row._mapping) for row in rows])
                progress.advance(len(rows))
            if not target.is_sqlite:
                _number_on(new, table)
        progress.stop()
    return total


def _number_on(connection: Connection, table: sa.Table) -> None:
    """PostgreSQL numbers new rows from a sequence, which knows nothing of rows that came with their numbers."""
    name = f"{SCHEMA}.{table.name}"
    if table.autoincrement_column is not None:
        sequence = sa.func.pg_get_serial_sequence(name, table.autoincrement_column.name)
        last = sa.select(sa.func.max(table.autoincrement_column)).scalar_subquery()
        connection.execute(sa.select(sa.func.setval(sequence, last)).where(last.is_not(None), sequence.is_not(None)))

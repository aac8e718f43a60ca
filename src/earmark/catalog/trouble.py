"""What databases say when they cannot be used, as one sentence of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from earmark.errors import BusyError, CatalogError, UnreachableError

_BROKEN_OFF = {"40001", "40P01"}  # SQLSTATE serialization_failure, deadlock_detected
_WAITED = {"55P03", "57014"}  # lock_not_available, query_canceled (by a time limit)


class MetAnotherError(CatalogError):
    """A transaction that PostgreSQL broke off because it met another: the same again is likely to succeed."""


def shown(url: URL) -> str:
    """A database in words, without its password."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    return url.set(drivername="postgresql").render_as_string(hide_password=True)


@contextmanager
def in_words(url: URL) -> Iterator[None]:
    """Raises CatalogError, BusyError or MetAnotherError for what the drivers raise; IntegrityError is left as it is."""
    try:
        yield
    except PoolTimeoutError:
        raise BusyError(f"{shown(url)}: no connection came free in time; try again, or serve fewer at once.") from None
    except IntegrityError:
        raise
    except DBAPIError as error:
        worded = _sqlite(url, error) if url.get_backend_name() == "sqlite" else _postgresql(url, error)
        if worded is None:
            raise
        raise worded from error


def _sqlite(url: URL, error: DBAPIError) -> CatalogError | None:
    said = str(error.orig).lower()
    file = shown(url)
    if "locked" in said or "busy" in said:
        return BusyError(f"{file} is held by another program that writes; try again.")
    if "not a database" in said:
        return CatalogError(f"{file} is not a SQLite database: name the catalog.db of a workspace, or another URL.")
    if "malformed" in said:
        return CatalogError(
            f"{file} is damaged ({said}): put a copy in its place (`earmark catalog backup` makes them)."
        )
    if "unable to open" in said or "readonly" in said:
        return UnreachableError(f"{file} cannot be opened to write: check that it and its folder are there and yours.")
    if "disk is full" in said or "disk i/o" in said:
        return UnreachableError(f"{file} cannot be written ({said}): check that the disk has room and works.")
    return None


def _postgresql(url: URL, error: DBAPIError) -> CatalogError | None:
    state = getattr(error.orig, "sqlstate", None) or ""
    said = " ".join(str(error.orig).split())
    if state in _BROKEN_OFF:
        return MetAnotherError(f"{shown(url)} broke a transaction off ({said}); try again.")
    if state in _WAITED:
        return BusyError(f"{shown(url)} is busy ({said}); try again.")
    lost = error.connection_invalidated or (not state and isinstance(error, OperationalError | InterfaceError))
    if lost or state[:2] in ("08", "28", "3D", "53", "57"):  # connection, login, no such database, resources, shutdown
        return UnreachableError(
            f"{shown(url)} is out of reach ({said}): check that it runs, and EARMARK_DATABASE_URL or --database."
        )
    if state == "42501":
        return CatalogError(f"{shown(url)} does not let this user do that ({said}): grant it, or use another user.")
    return None

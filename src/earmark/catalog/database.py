"""Opening the catalog: SQLite in a workspace, or PostgreSQL by URL; reading, writing, and going forward a version.

SQLite runs in WAL mode with synchronous=FULL: what was acknowledged survives a power cut. Its one writer at a time
begins with BEGIN IMMEDIATE, and the threads of one process queue up for it in turn, which is fairer than SQLite's own
waiting. PostgreSQL keeps our tables in a schema of their own, `earmark`.
"""

from __future__ import annotations

import json
import os
import secrets
import selectors
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, make_url

from earmark.catalog.trouble import MetAnotherError, in_words, shown
from earmark.errors import BusyError, CatalogError, InputError

T = TypeVar("T")

MIGRATIONS = Path(__file__).parent / "migrations"
VERSION_TABLE = "earmark_version"
SCHEMA = "earmark"
WAIT_S = 30.0
"""How long a write waits for others to finish before it gives up."""

MOST_CONNECTIONS = 30
"""To PostgreSQL at once, of which a server takes a hundred as it comes."""

_MARK = "workspace.json"
_DATABASE = "catalog.db"
_TRIES = 10  # of a transaction that PostgreSQL broke off because it met another
_UPGRADING = 6320145  # any number: of the lock that two upgrades at once take in turn


def now_us() -> int:
    """The time as the tables keep it: microseconds since 1970, UTC."""
    return time.time_ns() // 1000


class Catalog:
    """An open database.

    Attributes:
        engine: SQLAlchemy's; only this room uses it.
        is_sqlite: which of the two it is.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.is_sqlite = engine.dialect.name == "sqlite"
        self._writer = threading.Lock()

    @property
    def name(self) -> str:
        """The database in words, without its password."""
        return shown(self.engine.url)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees the database as it was at its beginning, and changes nothing."""
        level = {} if self.is_sqlite else {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        with in_words(self.engine.url), self.engine.connect() as plain:
            connection = plain.execution_options(**level)
            with connection.begin():
                yield connection

    @contextmanager
    def look(self) -> Iterator[Connection]:
        """For one statement, or some that need not see the same moment: on PostgreSQL without a transaction around
        them, which saves two of three round trips. Nothing may be changed by it."""
        if self.is_sqlite:
            with self.read() as connection:
                yield connection
            return
        with in_words(self.engine.url), self.engine.connect() as plain:
            yield plain.execution_options(isolation_level="AUTOCOMMIT")

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that is committed at its end, or has changed nothing where an error leaves it.

        On PostgreSQL (READ COMMITTED) it may be broken off because it met another: `run` does such work again.

        Raises:
            BusyError: SQLite's only writer did not finish within `WAIT_S`.
        """
        with in_words(self.engine.url), self._turn(), self.engine.connect() as plain:
            connection = plain.execution_options(earmark_write=True)
            with connection.begin():
                yield connection

    def run(self, work: Callable[[Connection], T]) -> T:
        """`work` in a `write()`, done again from its beginning where PostgreSQL broke it off."""
        for turn in range(_TRIES):
            try:
                with self.write() as connection:
                    return work(connection)
            except MetAnotherError:
                time.sleep(secrets.randbelow(1000) * 5e-6 * 2**turn)  # up to 5 ms at first, so that both part
        raise BusyError(f"{self.name} broke this off {_TRIES} times because others wrote the same rows; try again.")

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self.is_sqlite:
            yield
            return
        if not self._writer.acquire(timeout=WAIT_S):
            raise BusyError(f"{self.name}: others have been writing for {WAIT_S:g} s; try again.")
        try:
            yield
        finally:
            self._writer.release()

    def upgrade(self) -> str:
        """Bring the tables forward to this version of Earmark; gives the revision. Does nothing where they are that.

        Raises:
            CatalogError: of a newer version, or a database of something else.
        """
        with self.write() as connection:
            if not self.is_sqlite:
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_UPGRADING)))  # two at once, in turn
                connection.execute(sa.schema.CreateSchema(SCHEMA, if_not_exists=True))
            found = self._revision(connection)
            if found is None:
                self._refuse_foreign(connection)
            if found != revisions()[-1]:
                _migrate(connection, "head")
        return revisions()[-1]

    def check(self) -> None:
        """CatalogError unless the tables are those of this version of Earmark."""
        with self.read() as connection:
            found = self._revision(connection)
            if found is None:
                self._refuse_foreign(connection)
                raise CatalogError(f"{self.name} holds no catalog yet: make one with `earmark catalog init`.")
            if found != revisions()[-1]:
                raise CatalogError(
                    f"{self.name} is of an older version of Earmark ({found}, expected {revisions()[-1]}): "
                    "keep a copy of it, then bring it forward with `earmark catalog init`."
                )

    def _revision(self, connection: Connection) -> str | None:
        """The revision that the tables have; None where there are none."""
        if not sa.inspect(connection).has_table(VERSION_TABLE):
            return None
        found = connection.execute(sa.select(sa.column("version_num")).select_from(sa.table(VERSION_TABLE))).scalar()
        if found is not None and found not in revisions():
            raise CatalogError(
                f"{self.name} is of a newer version of Earmark ({found}, this one knows up to {revisions()[-1]}): "
                "upgrade Earmark."
            )
        return found

    def _refuse_foreign(self, connection: Connection) -> None:
        tables = set(sa.inspect(connection).get_table_names()) - {VERSION_TABLE}
        if tables:
            raise CatalogError(
                f"{self.name} is a database of something else (it holds a table {min(tables)!r}): name another one."
            )

    def close(self) -> None:
        self.engine.dispose()

    def __enter__(self) -> Catalog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class Workspace:
    """A folder with a catalog and what belongs to it.

    Attributes:
        root: absolute.
        url: of the database.
    """

    root: Path
    url: str

    @property
    def audio_dir(self) -> Path:
        """Where written chunks lie."""
        return self.root / "audio"

    @property
    def runs_dir(self) -> Path:
        return self.root / "runs"

    @staticmethod
    def init(root: Path, url: str | None = None) -> Workspace:
        """Make a workspace at `root`, or bring the one that is there forward to this version.

        Args:
            url: of the database (`--database` or EARMARK_DATABASE_URL); None for catalog.db in `root`.

        Raises:
            CatalogError: `root` cannot be written; the database is out of reach, newer, or not ours.
        """
        root = root.absolute()
        workspace = Workspace(root, url or file_url(root / _DATABASE))
        try:
            for folder in (root, workspace.audio_dir, workspace.runs_dir):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CatalogError(f"{root} cannot be made: {(error.strerror or str(error)).lower()}.") from None
        with Catalog(open_engine(workspace.url)) as catalog:
            catalog.upgrade()
        # the URL itself may hold a password, so it is not written down
        mark = {"earmark_workspace": 1, "database": "EARMARK_DATABASE_URL" if url else _DATABASE}
        (root / _MARK).write_text(json.dumps(mark) + "\n", encoding="utf-8")
        return workspace

    @staticmethod
    def open(root: Path | None = None, url: str | None = None) -> Workspace:
        """The workspace at `root`; None: the current folder, or the nearest above it that is one.

        Args:
            url: of the database (`--database` or EARMARK_DATABASE_URL), for a workspace that was made with one.

        Raises:
            CatalogError: there is none.
        """
        start = (root or Path.cwd()).absolute()
        folders = [start] if root else [start, *start.parents]
        found = next((folder for folder in folders if (folder / _MARK).is_file()), None)
        if found is None:
            found = next((folder for folder in folders if (folder / _DATABASE).is_file()), None)
        if found is None:
            raise CatalogError(
                f"{start} is no workspace{'' if root else ', and no folder above it is one'}: go into one, make "
                "one with `earmark catalog init`, or name one with --workspace where the command takes it."
            )
        if url is None and not (found / _DATABASE).is_file():
            raise CatalogError(
                f"{found} keeps its catalog in another database: set EARMARK_DATABASE_URL to where it is, "
                f"or put {_DATABASE} back."
            )
        return Workspace(found, url or file_url(found / _DATABASE))

    def catalog(self) -> Catalog:
        """The open catalog, its tables checked.

        Raises:
            CatalogError: out of reach, not ours, or of another version.
        """
        parsed = make_url(self.url)
        if parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").is_file():
            raise CatalogError(f"{parsed.database} does not exist: make a catalog there with `earmark catalog init`.")
        catalog = Catalog(open_engine(self.url))
        try:
            catalog.check()
        except BaseException:
            catalog.close()
            raise
        return catalog

    def uri_of(self, path: Path) -> str:
        """How the catalog names a file: relative to the root with forward slashes where it lies below it."""
        absolute = Path(os.path.abspath(path))
        return absolute.relative_to(self.root).as_posix() if absolute.is_relative_to(self.root) else str(absolute)

    def path_of(self, uri: str) -> Path:
        """Where the file of a name that `uri_of` gave lies."""
        return self.root / uri


def file_url(path: Path) -> str:
    """Of a SQLite file."""
    return sa.URL.create("sqlite", database=str(path)).render_as_string()


def open_engine(url: str) -> Engine:
    """An engine for `url`, set up as this module's head says; nothing is opened yet.

    Raises:
        InputError: neither SQLite nor PostgreSQL, or no URL.
    """
    try:
        parsed = make_url(url.replace("postgres://", "postgresql://", 1) if url.startswith("postgres://") else url)
    except sa.exc.ArgumentError:
        raise InputError(f"database {url!r}: not a URL; expected postgresql://USER@HOST/NAME.") from None
    name = parsed.get_backend_name()
    if name == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
        # a connection more costs a server process and forgets its prepared statements, so all are kept, and those that
        # were used last are used first
        engine = sa.create_engine(
            parsed,
            pool_size=MOST_CONNECTIONS,
            max_overflow=0,
            pool_use_lifo=True,
            pool_timeout=WAIT_S,
            connect_args={"prepare_threshold": 2, **_KEEPALIVES},
        )
        sa.event.listen(engine, "connect", _prepare_postgresql)
        sa.event.listen(engine, "checkout", _still_connected)
        return engine
    if name == "sqlite" and parsed.database and parsed.database != ":memory:":
        engine = sa.create_engine(parsed, connect_args={"timeout": WAIT_S}, pool_size=10, max_overflow=90)
        sa.event.listen(engine, "connect", _prepare_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
        return engine
    raise InputError(f"database {url}: expected postgresql://USER@HOST/NAME or sqlite:////ABSOLUTE/FILE.")


_KEEPALIVES = {"keepalives_idle": 60, "keepalives_interval": 10, "keepalives_count": 3}
"""Seconds, seconds and tries after which a server that does not answer counts as gone: a firewall that forgets an idle
connection closes none, and `_still_connected` looks at sockets only."""


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions begin where we say so, not where Python's module thinks
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-65536"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    write = connection.get_execution_options().get("earmark_write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _prepare_postgresql(connection: Any, _record: object) -> None:
    before, connection.autocommit = connection.autocommit, True
    connection.execute(f"SET search_path TO {SCHEMA}")
    connection.autocommit = before


def _still_connected(connection: Any, _record: object, _proxy: object) -> None:
    """DisconnectionError, upon which the pool connects anew, where the server hung up while nobody used it, or the
    keepalives found it gone.

    A socket has nothing to be read between transactions unless the other side closed it, which is seen without a round
    trip; SQLAlchemy's own `pool_pre_ping` makes one for every transaction.
    """
    with selectors.DefaultSelector() as selector:
        selector.register(connection.fileno(), selectors.EVENT_READ)
        if selector.select(timeout=0):
            raise sa.exc.DisconnectionError("the server has closed this connection")


def revisions() -> list[str]:
    """Every revision that this version of Earmark knows, in order: what the names of its migrations begin with."""
    return sorted(path.name.split("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def _migrate(connection: Connection, revision: str) -> None:
    """Within the connection's transaction, so that a step that fails leaves nothing behind."""
    from alembic import command  # a third of a second that only an upgrade needs
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)

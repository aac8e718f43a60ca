from __future__ import annotations

import json
import sqlite3
import threading
import time
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from queue_rows import add_person

from earmark.catalog import database
from earmark.catalog.agreeing import consensus
from earmark.catalog.current import labels_of
from earmark.catalog.database import Catalog, Workspace, open_engine, revisions
from earmark.catalog.tables import Annotator, Base, Tag
from earmark.catalog.tasks import find_task
from earmark.errors import BusyError, CatalogError, InputError


def test_the_migrations_make_the_tables_that_the_models_name(catalog: Catalog):
    with catalog.read() as connection:
        options = {"version_table": database.VERSION_TABLE, "compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, Base.metadata) == []
        indexes = {
            (table.name, index["name"])
            for table in Base.metadata.sorted_tables
            for index in sa.inspect(connection).get_indexes(table.name)
        }
    named = {(table.name, index.name) for table in Base.metadata.sorted_tables for index in table.indexes}
    assert named <= indexes


def _at_revision(root: Path, url: str | None, revision: str, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace as the Earmark of that revision would have made it."""
    with monkeypatch.context() as patched:
        known = revisions()
        patched.setattr(database, "revisions", lambda: known[: known.index(revision) + 1])
        patched.setattr(database, "_migrate", lambda c, _, migrate=database._migrate: migrate(c, revision))
        return Workspace.init(root, url)


def _a_row(table: sa.Table) -> dict[str, object]:
    """Something in every column; what refers to another table, to its first row (to none of its own)."""
    row: dict[str, object] = {}
    for column in table.columns:
        kind = column.type
        if column.foreign_keys:
            (key,) = column.foreign_keys
            row[column.name] = None if key.column.table is table and column.nullable else 1
        elif isinstance(kind, sa.Boolean):
            row[column.name] = True
        elif isinstance(kind, sa.JSON):
            row[column.name] = ["present", "absent"] if column.name == "scale" else {"sax": "present"}
        elif isinstance(kind, sa.LargeBinary):
            row[column.name] = b"\x01\x02\x03\x04"
        elif isinstance(kind, sa.Integer):
            row[column.name] = 1
        elif isinstance(kind, sa.Float):
            row[column.name] = 0.5
        else:
            words = {"policy": "random", "state": "live", "kind": "label", "value": "present", "origin": "person"}
            row[column.name] = words.get(column.name, f"{column.name} of it")[: getattr(kind, "length", None)]
    return row


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
@pytest.mark.parametrize("revision", revisions())
def test_a_catalog_with_data_in_every_table_goes_forward_from_each_revision(
    revision: str, kind: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
):
    url = request.getfixturevalue("postgresql_url") if kind == "postgresql" else None
    workspace = _at_revision(tmp_path / "w", url, revision, monkeypatch)
    before: dict[str, list[dict[str, object]]] = {}
    with Catalog(open_engine(workspace.url)) as old:
        tables = sa.MetaData()
        with old.write() as connection:
            tables.reflect(connection)
            for table in tables.sorted_tables:
                if table.name != database.VERSION_TABLE:
                    connection.execute(sa.insert(table).values(**_a_row(table)))
        with old.read() as connection:
            for table in tables.sorted_tables:
                if table.name != database.VERSION_TABLE:
                    before[table.name] = [dict(row._mapping) for row in connection.execute(sa.select(table))]
    assert len(before) >= 20
    assert all(len(rows) == 1 for rows in before.values())
    assert Workspace.init(tmp_path / "w", url) == workspace
    with workspace.catalog() as catalog, catalog.read() as connection:
        now = sa.MetaData()
        now.reflect(connection)
        for name, rows in before.items():
            columns = [now.tables[name].c[column] for column in rows[0]]
            assert [dict(row._mapping) for row in connection.execute(sa.select(*columns))] == rows, name
        task = find_task(connection, 1)
        (said,) = labels_of(connection, task.id)
        assert said.values == {"name of it": "present"}
        assert consensus(connection, task).clips[1]["name of it"].value == "present"


def test_a_workspace_is_found_from_below_and_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    made = Workspace.init(tmp_path / "w")
    assert sorted(path.name for path in made.root.iterdir()) == ["audio", "catalog.db", "runs", "workspace.json"]
    with made.catalog() as catalog:
        add_person(catalog, "ann")
    assert Workspace.init(tmp_path / "w") == made
    monkeypatch.chdir(made.audio_dir)
    assert Workspace.open() == made
    with Workspace.open().catalog() as catalog, catalog.read() as connection:
        assert connection.execute(sa.select(Annotator.name)).scalars().all() == ["ann"]
    assert made.uri_of(made.root / "audio" / "x.wav") == "audio/x.wav"
    assert made.uri_of(tmp_path / "y.wav") == str(tmp_path / "y.wav")
    assert made.path_of(made.uri_of(tmp_path / "y.wav")) == tmp_path / "y.wav"


def test_no_workspace_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CatalogError, match=r"no folder above it is one: .*make one with `earmark catalog init`"):
        Workspace.open()
    with pytest.raises(CatalogError, match=r"nowhere is no workspace: go into one, make one with"):
        Workspace.open(tmp_path / "nowhere")


def test_a_workspace_with_another_database_needs_its_url_and_writes_it_nowhere(tmp_path: Path, postgresql_url: str):
    secret = postgresql_url.replace("earmark@", "earmark:pass-word@")
    made = Workspace.init(tmp_path / "w", secret)
    kept = "".join(path.read_text() for path in made.root.rglob("*") if path.is_file())
    assert "pass-word" not in kept
    assert json.loads(kept)["database"] == "EARMARK_DATABASE_URL"
    with pytest.raises(CatalogError, match=r"keeps its catalog in another database: set EARMARK_DATABASE_URL"):
        Workspace.open(tmp_path / "w")
    with Workspace.open(tmp_path / "w", secret).catalog() as catalog:
        assert "pass-word" not in catalog.name
    with psycopg.connect(postgresql_url) as connection:
        schemas = connection.execute(
            "SELECT DISTINCT table_schema FROM information_schema.tables "
            "WHERE table_name IN ('recording', 'earmark_version')"
        ).fetchall()
    assert schemas == [("earmark",)]


def _set_version(catalog: Catalog, version: str) -> None:
    with catalog.write() as connection:
        connection.execute(sa.text(f"UPDATE {database.VERSION_TABLE} SET version_num = :v"), {"v": version})


def test_a_catalog_of_a_newer_version_is_refused_everywhere(workspace: Workspace, catalog: Catalog):
    _set_version(catalog, "9999")
    with pytest.raises(CatalogError, match=r"is of a newer version of Earmark \(9999, .*: upgrade Earmark"):
        workspace.catalog()
    url = None if catalog.is_sqlite else workspace.url
    with pytest.raises(CatalogError, match=r"is of a newer version of Earmark"):
        Workspace.init(workspace.root, url)


def test_an_older_catalog_says_how_to_bring_it_forward(
    workspace: Workspace, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(database, "revisions", lambda: [*revisions(), "9999"])
    with pytest.raises(CatalogError, match=r"older version .* bring it forward with `earmark catalog init`"):
        workspace.catalog()


def test_a_database_of_something_else_is_refused(tmp_path: Path, postgresql_url: str):
    (tmp_path / "w").mkdir()
    with sqlite3.connect(tmp_path / "w" / "catalog.db") as connection:
        connection.execute("CREATE TABLE mail (x)")
    with psycopg.connect(postgresql_url, autocommit=True) as server:
        server.execute("CREATE SCHEMA earmark")
        server.execute("CREATE TABLE earmark.mail (x int)")
    for url in (None, postgresql_url):
        with pytest.raises(CatalogError, match=r"something else \(it holds a table 'mail'\): name another one"):
            Workspace.init(tmp_path / "w", url)
        with pytest.raises(CatalogError, match=r"something else"):
            Workspace(tmp_path / "w", url or f"sqlite:///{tmp_path}/w/catalog.db").catalog()


def test_what_is_no_database_or_out_of_reach_is_one_sentence(tmp_path: Path, postgresql_server: str):
    root = tmp_path / "w"
    root.mkdir()
    (root / "catalog.db").write_bytes(b"this is no database at all" * 100)
    with pytest.raises(CatalogError, match=r"catalog\.db is not a SQLite database"):
        Workspace.open(root).catalog()
    (root / "catalog.db").unlink()
    with pytest.raises(CatalogError, match=r"catalog\.db does not exist: make a catalog there"):
        Workspace(root, f"sqlite:///{root}/catalog.db").catalog()
    for url in ("postgresql://earmark@127.0.0.1:1/x", f"{postgresql_server}/no_such_database"):
        with pytest.raises(CatalogError, match=r"is out of reach \(.*check that it runs, and EARMARK_DATABASE_URL"):
            Workspace.init(root, url)


@pytest.mark.parametrize("url", ["mysql://a/b", "nonsense", "sqlite://", "sqlite:///:memory:", "postgresql+x://a/b c"])
def test_a_url_that_cannot_be_is_refused(url: str):
    if url.startswith("postgresql"):
        assert open_engine(url).dialect.name == "postgresql"  # whatever driver was named, it is ours
        return
    with pytest.raises(InputError, match=r"expected postgresql://USER@HOST/NAME"):
        open_engine(url)


def test_a_write_is_whole_or_nothing_and_a_read_sees_one_moment(catalog: Catalog):
    with pytest.raises(sa.exc.IntegrityError), catalog.write() as connection:
        connection.execute(sa.insert(Tag), [{"name": "a"}, {"name": "a"}])
    count = sa.select(sa.func.count()).select_from(Tag)
    with catalog.read() as reading:
        assert reading.execute(count).scalar() == 0
        with catalog.write() as connection:
            connection.execute(sa.insert(Tag).values(name="b"))
        assert reading.execute(count).scalar() == 0
    with catalog.read() as reading:
        assert reading.execute(count).scalar() == 1


def test_sqlite_is_set_to_lose_nothing(tmp_path: Path):
    with Workspace.init(tmp_path).catalog() as catalog, catalog.read() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30000}


def test_a_writer_that_waits_too_long_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(database, "WAIT_S", 0.1)
    workspace = Workspace.init(tmp_path)
    with workspace.catalog() as one, workspace.catalog() as other, one.write():
        with pytest.raises(BusyError, match=r"others have been writing for 0\.1 s; try again"), one.write():
            pass
        with pytest.raises(BusyError, match=r"is held by another program that writes"), other.write():
            pass


def test_work_that_met_another_is_done_again(postgresql_url: str, tmp_path: Path):
    """Two transactions that lock two rows in opposite orders: PostgreSQL breaks one off, and it is done again."""
    with Workspace.init(tmp_path, postgresql_url).catalog() as catalog:
        people = [add_person(catalog, name) for name in "ab"]
        both = threading.Barrier(2)
        tries: list[int] = []

        def work(order: list[int]) -> None:
            def locks(connection: sa.Connection) -> None:
                tries.append(order[0])
                for step, person in enumerate(order):
                    connection.execute(sa.update(Annotator).where(Annotator.id == person).values(active=True))
                    if step == 0 and len(tries) <= 2:
                        both.wait(10)

            catalog.run(locks)

        threads = [threading.Thread(target=work, args=(order,)) for order in (people, people[::-1])]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(tries) >= 3  # one was broken off at least once, and on a slow machine perhaps again
    assert not any(thread.is_alive() for thread in threads)
    assert set(tries) == set(people)


def test_a_connection_that_the_server_closed_is_opened_anew(catalog: Catalog):
    if catalog.is_sqlite:
        pytest.skip("SQLite is no server")
    with catalog.read() as connection:
        before = connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()
    with psycopg.connect(catalog.engine.url.set(drivername="postgresql").render_as_string(False)) as other:
        other.execute("SELECT pg_terminate_backend(%s)", [before])
        for _ in range(500):
            if not other.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", [before]).fetchall():
                break
            time.sleep(0.01)
    with catalog.read() as connection:
        assert connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one() != before
    with catalog.read() as connection:  # and a connection that is well is used again
        same = connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()
    with catalog.read() as connection:
        assert connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one() == same

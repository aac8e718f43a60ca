"""Every test of the catalog's contract runs over SQLite and over a PostgreSQL server of its own, on loopback."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from earmark.catalog.database import Catalog, Workspace


def _program(name: str) -> str | None:
    found = shutil.which(name)
    if found is None and shutil.which("pg_config"):
        folder = subprocess.run(["pg_config", "--bindir"], capture_output=True, text=True, check=True).stdout.strip()
        found = shutil.which(name, path=folder)
    if found is None:  # Debian keeps them out of the PATH
        for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
            found = found or shutil.which(name, path=str(folder))
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """postgresql://USER@127.0.0.1:PORT of a server in a temporary folder; the test skips where none is installed."""
    initdb, pg_ctl = _program("initdb"), _program("pg_ctl")
    if initdb is None or pg_ctl is None:
        pytest.skip("no PostgreSQL server is installed (on Debian: apt-get install postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="earmark-postgresql-"))
    as_user: list[str] = []
    if os.geteuid() == 0:  # which PostgreSQL refuses to run as
        user = pwd.getpwnam("postgres")
        os.chown(folder, user.pw_uid, user.pw_gid)
        as_user = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    port = _free_port()
    data = folder / "data"

    def run(*command: str) -> None:
        done = subprocess.run([*as_user, *command], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    run(initdb, "-D", str(data), "-U", "earmark", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
    settings = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={folder} -c fsync=off"
    run(pg_ctl, "-D", str(data), "-w", "-l", str(folder / "log"), "-o", settings, "start")
    try:
        yield f"postgresql://earmark@127.0.0.1:{port}"
    finally:
        run(pg_ctl, "-D", str(data), "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


def _statement(server: str, words: str, *names: str) -> None:
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(sql.SQL(words).format(*(sql.Identifier(name) for name in names)))


@pytest.fixture
def postgresql_url(postgresql_server: str) -> Iterator[str]:
    """An empty database of its own."""
    name = f"t_{uuid.uuid4().hex}"
    _statement(postgresql_server, "CREATE DATABASE {}", name)
    yield f"{postgresql_server}/{name}"
    _statement(postgresql_server, "DROP DATABASE {} WITH (FORCE)", name)


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace to copy: making the tables takes longer than most tests."""
    root = tmp_path_factory.mktemp("template") / "workspace"
    Workspace.init(root)
    return root


@pytest.fixture(scope="session")
def _postgresql_template(postgresql_server: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a database to copy."""
    name = f"template_{uuid.uuid4().hex}"
    _statement(postgresql_server, "CREATE DATABASE {}", name)
    Workspace.init(tmp_path_factory.mktemp("template") / "workspace", f"{postgresql_server}/{name}")
    return name


@pytest.fixture(params=["sqlite", "postgresql"])
def workspace(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Workspace]:
    """An empty workspace over each kind of database."""
    root = tmp_path / "workspace"
    shutil.copytree(request.getfixturevalue("_sqlite_template"), root)
    if request.param == "sqlite":
        yield Workspace.open(root)
        return
    server, template = request.getfixturevalue("postgresql_server"), request.getfixturevalue("_postgresql_template")
    (root / "catalog.db").unlink()
    name = f"t_{uuid.uuid4().hex}"
    _statement(server, "CREATE DATABASE {} TEMPLATE {}", name, template)
    yield Workspace.open(root, f"{server}/{name}")
    _statement(server, "DROP DATABASE {} WITH (FORCE)", name)


@pytest.fixture
def catalog(workspace: Workspace) -> Iterator[Catalog]:
    """The empty catalog of `workspace`."""
    with workspace.catalog() as opened:
        yield opened

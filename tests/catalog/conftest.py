"""Every test of the catalog's contract runs over SQLite and over a PostgreSQL server of its own, on loopback."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
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


@pytest.fixture
def postgresql_url(postgresql_server: str, tmp_path: Path) -> Iterator[str]:
    """An empty database of its own."""
    name = f"t_{os.getpid()}_{abs(hash(tmp_path))}"
    with psycopg.connect(f"{postgresql_server}/postgres", autocommit=True) as server:
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        yield f"{postgresql_server}/{name}"
    finally:
        with psycopg.connect(f"{postgresql_server}/postgres", autocommit=True) as server:
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(params=["sqlite", "postgresql"])
def workspace(request: pytest.FixtureRequest, tmp_path: Path) -> Workspace:
    """An empty workspace over each kind of database."""
    url = request.getfixturevalue("postgresql_url") if request.param == "postgresql" else None
    return Workspace.init(tmp_path / "workspace", url)


@pytest.fixture
def catalog(workspace: Workspace) -> Iterator[Catalog]:
    """The empty catalog of `workspace`."""
    with workspace.catalog() as opened:
        yield opened

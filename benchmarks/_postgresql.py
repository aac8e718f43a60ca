"""A PostgreSQL server of one's own on loopback, in a temporary folder, for tests and benchmarks."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql


def program(name: str) -> str | None:
    """Where one of PostgreSQL's programs lies; None where it is not installed."""
    found = shutil.which(name)
    if found is None and shutil.which("pg_config"):
        folder = subprocess.run(["pg_config", "--bindir"], capture_output=True, text=True, check=True).stdout.strip()
        found = shutil.which(name, path=folder)
    if found is None:  # Debian keeps them out of the PATH
        for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
            found = found or shutil.which(name, path=str(folder))
    return found


def is_installed() -> bool:
    return program("initdb") is not None and program("pg_ctl") is not None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def server(*, durable: bool) -> Iterator[str]:
    """postgresql://USER@127.0.0.1:PORT of a server that ends with the block.

    Args:
        durable: what is committed is on the disk, as in earnest; False is faster, and loses it in a power cut.
    """
    initdb, pg_ctl = program("initdb"), program("pg_ctl")
    assert initdb is not None
    assert pg_ctl is not None
    folder = Path(tempfile.mkdtemp(prefix="earmark-postgresql-"))
    as_user: list[str] = []
    if os.geteuid() == 0:  # which PostgreSQL refuses to run as
        user = pwd.getpwnam("postgres")
        os.chown(folder, user.pw_uid, user.pw_gid)
        as_user = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    port = free_port()
    data = folder / "data"

    def run(*command: str) -> None:
        done = subprocess.run([*as_user, *command], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    run(initdb, "-D", str(data), "-U", "earmark", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
    settings = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={folder}"
    settings += "" if durable else " -c fsync=off"
    run(pg_ctl, "-D", str(data), "-w", "-l", str(folder / "log"), "-o", settings, "start")
    try:
        yield f"postgresql://earmark@127.0.0.1:{port}"
    finally:
        run(pg_ctl, "-D", str(data), "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


def statement(server_url: str, words: str, *names: str) -> None:
    """Run SQL beside all databases; `{}` in `words` are names."""
    with psycopg.connect(f"{server_url}/postgres", autocommit=True) as connection:
        connection.execute(sql.SQL(words).format(*(sql.Identifier(name) for name in names)))


@contextmanager
def database(server_url: str, template: str | None = None) -> Iterator[str]:
    """The URL of an empty database, or of a copy of the one called `template`; dropped at the end."""
    name = f"t_{uuid.uuid4().hex}"
    if template is None:
        statement(server_url, "CREATE DATABASE {}", name)
    else:
        statement(server_url, "CREATE DATABASE {} TEMPLATE {}", name, template)
    try:
        yield f"{server_url}/{name}"
    finally:
        statement(server_url, "DROP DATABASE {} WITH (FORCE)", name)

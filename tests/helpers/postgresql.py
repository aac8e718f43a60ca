"""A PostgreSQL server on loopback for the tests that want one; they skip, saying so, where none is installed."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from benchmarks._postgresql import database, is_installed, server, statement

from earmark.catalog.database import Workspace


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """postgresql://USER@127.0.0.1:PORT of a server in a temporary folder."""
    if not is_installed():
        pytest.skip("no PostgreSQL server is installed (on Debian: apt-get install postgresql)")
    with server(durable=False) as url:
        yield url


@pytest.fixture
def postgresql_url(postgresql_server: str) -> Iterator[str]:
    """An empty database of its own."""
    with database(postgresql_server) as url:
        yield url


def template_of(server_url: str, root: Path) -> str:
    """The name of a database with a catalog's tables, to copy: making them takes longer than most tests."""
    name = f"template_{uuid.uuid4().hex}"
    statement(server_url, "CREATE DATABASE {}", name)
    Workspace.init(root, f"{server_url}/{name}")
    return name


@contextmanager
def copied(root: Path, server_url: str, template: str, to: Path) -> Iterator[Workspace]:
    """The workspace at `root`, copied to `to`, over a copy of a database."""
    shutil.copytree(root, to, ignore=shutil.ignore_patterns("catalog.db*"))
    with database(server_url, template) as url:
        yield Workspace.open(to, url)

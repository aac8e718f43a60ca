"""Every test of the catalog's contract runs over SQLite and over a PostgreSQL server of its own, on loopback."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from postgresql import copied, template_of

from earmark.catalog.database import Catalog, Workspace


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace to copy: making the tables takes longer than most tests."""
    root = tmp_path_factory.mktemp("template") / "workspace"
    Workspace.init(root)
    return root


@pytest.fixture(scope="session")
def _postgresql_template(postgresql_server: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    return template_of(postgresql_server, tmp_path_factory.mktemp("template") / "workspace")


@pytest.fixture(params=["sqlite", "postgresql"])
def workspace(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Workspace]:
    """An empty workspace over each kind of database."""
    root, empty = tmp_path / "workspace", request.getfixturevalue("_sqlite_template")
    if request.param == "sqlite":
        shutil.copytree(empty, root)
        yield Workspace.open(root)
        return
    server, template = request.getfixturevalue("postgresql_server"), request.getfixturevalue("_postgresql_template")
    with copied(empty, server, template, root) as found:
        yield found


@pytest.fixture
def catalog(workspace: Workspace) -> Iterator[Catalog]:
    """The empty catalog of `workspace`."""
    with workspace.catalog() as opened:
        yield opened

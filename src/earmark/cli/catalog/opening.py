"""The workspace that a verb of `earmark catalog` works on: its two options, and opening it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earmark.cli.console import need_extra

if TYPE_CHECKING:
    from earmark.catalog.database import Catalog, Workspace

In = Annotated[
    Path | None,
    typer.Option("--workspace", "-w", help="The workspace; left out: this folder or the nearest above it that is one."),
]
Database = Annotated[
    str | None,
    typer.Option("--database", help="postgresql://USER@HOST/NAME, where the catalog is not in the workspace."),
]


@contextmanager
def opened(workspace: Path | None, database: str | None) -> Iterator[tuple[Workspace, Catalog]]:
    """The workspace and its catalog, closed at the end. A database comes from --database, else from the environment."""
    from earmark.settings import load_settings

    with need_extra("catalog"):
        from earmark.catalog.database import Workspace

    found = Workspace.open(workspace, database or load_settings().database_url)
    with found.catalog() as catalog:
        yield found, catalog

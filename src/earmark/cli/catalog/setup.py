"""`earmark catalog init`, `backup` and `restore`."""

from __future__ import annotations

import shlex
from pathlib import Path

import typer

from earmark.cli.catalog.opening import Database, In, opened
from earmark.cli.console import Console, need_extra
from earmark.cli.options import AsJson


def register(catalog: typer.Typer) -> None:
    catalog.command("init")(init)
    catalog.command("backup")(backup)
    catalog.command("restore")(restore)


def init(
    root: Path = typer.Argument(Path(), metavar="[DIR]", help="The folder to make a workspace of; default: this one."),
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Make a workspace: a catalog, a folder for written chunks and one for runs.

    In a folder that is one already nothing is lost: its catalog is brought forward to this version of Earmark.
    """
    from earmark.settings import load_settings

    with need_extra("catalog"):
        from earmark.catalog.database import Workspace

    console = Console(as_json=as_json)
    made = Workspace.init(root, database or load_settings().database_url)
    with made.catalog() as catalog:
        name = catalog.name
    console.say(f"{made.root} is a workspace; its catalog is {name}")
    here = "" if made.root == Path.cwd() else f" --workspace {shlex.quote(str(root))}"
    console.finish(
        {"workspace": str(made.root), "database": name},
        next_step=f"earmark catalog add SOUNDS --chunk 5s{here}",
    )


def backup(
    target: Path = typer.Argument(..., metavar="FILE", help="The copy to write; a file that is there is kept."),
    workspace: In = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Copy the catalog, whole and consistent, into a file, while people go on labelling.

    The file is a SQLite catalog, of a catalog in PostgreSQL too.
    """
    console = Console(as_json=as_json)
    with opened(workspace, database) as (_, catalog):
        from earmark.catalog.auditing import audit
        from earmark.catalog.copying import back_up

        back_up(catalog, target.absolute(), progress=console.progress())
        audit(catalog, None, "backup written", {"file": target.name})
    size = target.stat().st_size
    console.say(f"{target}: {size / 1e6:,.1f} MB")
    console.finish({"backup": str(target), "bytes": size}, next_step=None)


def restore(
    source: Path = typer.Argument(..., metavar="FILE", help="A file that `earmark catalog backup` wrote."),
    workspace: In = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Put a copy into a catalog that holds nothing yet, in SQLite or PostgreSQL.

    So a lost catalog comes back, and one that has outgrown its file moves to a server.
    """
    console = Console(as_json=as_json)
    with opened(workspace, database) as (_, catalog):
        from earmark.catalog.auditing import audit
        from earmark.catalog.copying import restore as put_back

        rows = put_back(catalog, source, progress=console.progress())
        audit(catalog, None, "catalog restored", {"file": source.name})
    console.say(f"{source}: {rows:,} rows put back")
    console.finish({"restored": str(source), "rows": rows}, next_step="earmark catalog status")

"""`earmark catalog`: recordings, tasks, labels and people in a database. One module for verbs that belong together."""

from __future__ import annotations

from collections.abc import Callable

import typer

from earmark.cli.catalog import add, labels, people, queue, setup, tasks

PARTS: tuple[Callable[[typer.Typer], None], ...] = (
    setup.register,
    add.register,
    tasks.register,
    queue.register,
    labels.register,
    people.register,
)


def register(app: typer.Typer) -> None:
    catalog = typer.Typer(no_args_is_help=True, help="Recordings, labelling tasks, labels and people of a workspace.")
    for part in PARTS:
        part(catalog)
    app.add_typer(catalog, name="catalog")

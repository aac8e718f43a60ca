"""`earmark reset`: take a prepared folder back to its beginning."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

import typer

from earmark.cli.console import Console
from earmark.errors import InputError
from earmark.formats.words import counted


def register(app: typer.Typer) -> None:
    app.command("reset")(reset)


def reset(
    folder: Path = typer.Argument(..., metavar="DIR", help="A folder that Earmark wrote prepared files into."),
    yes: bool = typer.Option(False, "--yes", "-y", help="Do not ask."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Only say what would be removed."),
    as_json: bool = typer.Option(False, "--json", help="One JSON object on stdout; needs --yes or --dry-run."),
) -> None:
    """Remove exactly the files that Earmark prepared in DIR. Files changed since, and all others, are kept."""
    from earmark.reports.prepared_folder import reset as take_back

    console = Console(as_json=as_json)
    plan = take_back(folder, dry_run=True)
    console.say(
        f"{folder}: {counted(len(plan.removed), 'prepared file')} and {counted(len(plan.folders), 'folder')} to remove"
    )
    for name in plan.changed:
        console.say(f"kept, changed since it was prepared: {name}")
    if not dry_run:
        if not yes:
            if as_json:
                raise InputError("reset --json cannot ask; add --yes to remove the files or --dry-run to only look.")
            if not typer.confirm("Remove them?"):
                raise InputError(f"{folder}: nothing was removed.")
        plan = take_back(folder)
        console.say(
            f"{counted(len(plan.removed), 'file')} removed, {len(plan.changed)} kept; nothing else was touched."
        )
    console.finish(
        {
            "folder": str(folder),
            "dry_run": dry_run,
            "removed": plan.removed,
            "changed": plan.changed,
            "missing": plan.missing,
            "folders": plan.folders,
        },
        next_step=f"earmark reset {quote(str(folder))} --yes" if dry_run else None,
    )

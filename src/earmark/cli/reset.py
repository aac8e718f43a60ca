"""`earmark reset`: take a prepared folder, or the prepared sounds of a data folder, back to the beginning."""

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
    folder: Path = typer.Argument(
        ..., metavar="DIR", help="A folder that Earmark wrote prepared files into, or whose sounds it prepared."
    ),
    yes: bool = typer.Option(False, "--yes", "-y", help="Do not ask."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Only say what would be removed."),
    as_json: bool = typer.Option(False, "--json", help="One JSON object on stdout; needs --yes or --dry-run."),
) -> None:
    """Remove exactly the files that Earmark prepared in DIR, and the cache's copies of its sounds.

    Files changed since, and all others, are kept; so are copies that other data folders use.
    """
    from earmark.data.housekeeping import Held, held_by, prune_data, size_words
    from earmark.reports.prepared_folder import Reset, read_record
    from earmark.reports.prepared_folder import reset as take_back
    from earmark.settings import load_settings

    console = Console(as_json=as_json)
    cache_dir = load_settings().cache_dir
    held = held_by(cache_dir, folder)
    recorded = held is None or read_record(folder) is not None
    plan = take_back(folder, dry_run=True) if recorded else Reset([], [], [], [])
    if recorded:
        files, folders = counted(len(plan.removed), "prepared file"), counted(len(plan.folders), "folder")
        console.say(f"{folder}: {files} and {folders} to remove")
    if held is not None:
        copies = counted(held.recordings, "prepared recording")
        console.say(f"{folder}: {copies} ({size_words(held.bytes)}) in {cache_dir} to drop; the sounds stay")
    for name in plan.changed:
        console.say(f"kept, changed since it was prepared: {name}")
    if not dry_run:
        if not yes:
            if as_json:
                raise InputError("reset --json cannot ask; add --yes to remove the files or --dry-run to only look.")
            if not typer.confirm("Remove them?"):
                raise InputError(f"{folder}: nothing was removed.")
        if recorded:
            plan = take_back(folder)
        files = counted(len(plan.removed), "file")
        dropped = ""
        if held is not None:
            done = prune_data(cache_dir, folder)
            held = Held(done.entries_dropped, done.bytes_freed)
            dropped = f"{counted(held.recordings, 'prepared recording')} dropped; "
        console.say(f"{dropped}{files} removed, {len(plan.changed)} kept; nothing else was touched.")
    console.finish(
        {
            "folder": str(folder),
            "dry_run": dry_run,
            "removed": plan.removed,
            "changed": plan.changed,
            "missing": plan.missing,
            "folders": plan.folders,
            "recordings": 0 if held is None else held.recordings,
            "bytes": 0 if held is None else held.bytes,
        },
        next_step=f"earmark reset {quote(str(folder))} --yes" if dry_run else None,
    )

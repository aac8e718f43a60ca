"""`earmark cache`: the prepared audio kept on this machine."""

from __future__ import annotations

from pathlib import Path

import typer

from earmark.cli.console import Console
from earmark.errors import InputError
from earmark.formats.words import counted


def register(app: typer.Typer) -> None:
    cache = typer.Typer(no_args_is_help=True, help="List, check and prune the prepared audio kept on this machine.")
    cache.command("list")(list_)
    cache.command("verify")(verify)
    cache.command("prune")(prune)
    app.add_typer(cache, name="cache")


def list_(as_json: bool = typer.Option(False, "--json", help="One JSON object on stdout.")) -> None:
    """Which data folders are prepared, at which rate, how large, and when they were last used."""
    from rich.table import Table

    from earmark.data.housekeeping import list_stores, size_words
    from earmark.explore.kept import bytes_kept
    from earmark.settings import load_settings

    console = Console(as_json=as_json)
    cache_dir = load_settings().cache_dir
    listed = list_stores(cache_dir)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("data folder", "rate", "recordings", "size", "last used"):
        table.add_column(name, justify="left" if name in ("data folder", "last used") else "right")
    for store in listed:
        for use in store.uses:
            when = f"{use.used_at:%Y-%m-%d %H:%M}"
            rate = f"{store.sample_rate_hz:,} Hz"
            table.add_row(_seen_from_here(use.root), rate, f"{use.recordings:,}", size_words(use.bytes), when)
    if table.row_count:
        console.rich.print(table)
    total = sum(store.bytes_on_disk for store in listed)
    recordings = sum(store.recordings for store in listed)
    console.say(f"{cache_dir}: {counted(recordings, 'recording')}, {size_words(total)}")
    figures = bytes_kept(cache_dir)
    if figures:
        console.say(f"and {size_words(figures)} of figures that `earmark inspect` measured")
    result = {"cache_dir": str(cache_dir), "bytes": total, "stores": [store.to_json() for store in listed]}
    result["inspect_bytes"] = figures
    console.finish(result, next_step="earmark cache prune --older-than 30d" if recordings or figures else None)


def verify(as_json: bool = typer.Option(False, "--json", help="One JSON object on stdout.")) -> None:
    """Compare every prepared recording with its checksum; the damaged ones are dropped and prepared anew later."""
    from earmark.data.housekeeping import verify_all
    from earmark.settings import load_settings

    console = Console(as_json=as_json)
    checked = verify_all(load_settings().cache_dir, progress=console.progress())
    console.say(f"{counted(checked.entries, 'recording')} checked, {checked.damaged:,} damaged and dropped")
    step = "train or check again: what was dropped is prepared anew" if checked.damaged else "earmark cache list"
    console.finish({"entries": checked.entries, "damaged": checked.damaged}, next_step=step)


def prune(
    data: Path | None = typer.Argument(
        None, metavar="[DATA]", help="A data folder or manifest: drop what only it uses, however lately."
    ),
    older_than: str | None = typer.Option(
        None, show_default="30d", help="Drop what no data folder used for so long: 30d, 12h, 2w."
    ),
    everything: bool = typer.Option(False, "--all", help="Drop everything, and forget which files are broken."),
    as_json: bool = typer.Option(False, "--json", help="One JSON object on stdout."),
) -> None:
    """Free the room of prepared audio that is no longer used. A training that is running keeps what it has open."""
    from earmark.data.housekeeping import days_of, prune_all, prune_data, size_words
    from earmark.explore.kept import forget
    from earmark.settings import load_settings

    console = Console(as_json=as_json)
    cache_dir = load_settings().cache_dir
    figures = 0
    if data is not None:
        if older_than is not None or everything:
            option = "--all" if everything else "--older-than"
            raise InputError(f"{data} and {option}: give one of the two; {option} prunes whatever the data folder.")
        done = prune_data(cache_dir, data)
    else:
        done = prune_all(cache_dir, unused_for_days=days_of(older_than or "30d"), everything=everything)
        figures = forget(cache_dir, unused_for_days=0.0 if everything else days_of(older_than or "30d"))
    freed = done.bytes_freed + figures
    console.say(
        f"{counted(done.entries_dropped, 'recording')} dropped, {done.entries_kept:,} kept, {size_words(freed)} freed"
    )
    step = "earmark cache list" if done.entries_kept else "earmark check DATA  (prepares it anew)"
    result = {"dropped": done.entries_dropped, "kept": done.entries_kept, "bytes_freed": freed}
    console.finish(result, next_step=step)


def _seen_from_here(root: str) -> str:
    here = Path.cwd()
    return str(Path(root).relative_to(here)) if Path(root).is_relative_to(here) else root

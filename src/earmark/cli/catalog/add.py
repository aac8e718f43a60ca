"""`earmark catalog add`."""

from __future__ import annotations

import re
from pathlib import Path

import typer

from earmark.cli.catalog.opening import Database, In, opened
from earmark.cli.console import Console, on_ctrl_c
from earmark.cli.options import AsJson
from earmark.errors import InputError

_SHOWN = 10
_SECONDS = {"ms": 1e-3, "s": 1.0, "": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def register(catalog: typer.Typer) -> None:
    catalog.command("add")(add)


def add(
    paths: list[Path] = typer.Argument(..., metavar="PATH...", help="Audio files, or folders of them."),
    chunk: str | None = typer.Option(None, "--chunk", help="Length of a clip: 5s, 500ms, 1m. Left out: whole files."),
    hop: str | None = typer.Option(None, "--hop", help="From one clip to the next; left out: they do not overlap."),
    group_by: list[str] = typer.Option(
        [], "--group-by", metavar="REGEX", help="On file names, or paths: what must never be split. Repeatable."
    ),
    licence: str | None = typer.Option(None, "--licence", help="Of all these files, e.g. CC-BY-4.0."),
    source: str | None = typer.Option(None, "--source", help="Where all these files are from."),
    write: str | None = typer.Option(None, "--write", metavar="FORMAT", help="Write clips as wav, mp3, flac or ogg."),
    bitrate: int | None = typer.Option(None, "--bitrate", metavar="KBPS", help="kbit/s, for --write mp3."),
    queue: bool = typer.Option(False, "--queue", help="Empty the folders PATH: into their done/, and bad/."),
    workspace: In = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Put sounds into the catalog: probed, hashed, cut into clips; broken ones go to quarantine with their reason.

    What the catalog holds already, by its bytes, is left as it is, so the same command goes on after a stop, and brings
    in what is new in a folder.
    """
    from earmark.settings import load_settings

    console = Console(as_json=as_json)
    chunk_s, hop_s = seconds_of("--chunk", chunk), seconds_of("--hop", hop)
    settings = load_settings()
    with opened(workspace, database) as (found, catalog):
        from earmark.catalog import adding
        from earmark.catalog.tasks import list_tasks

        with on_ctrl_c("what was added is kept, run the same command again to go on."):
            done = adding.add(
                found,
                catalog,
                paths,
                chunk_s=chunk_s,
                hop_s=hop_s,
                group_by=group_by,
                licence=licence,
                source=source,
                write=write,
                bitrate_kbps=bitrate,
                queue=queue,
                workers=settings.workers,
                timeout_s=settings.decode_timeout_s,
                progress=console.progress(),
            )
        tasks = list_tasks(catalog)
    told = [f"read in part: {warning}" for warning in done.warnings]
    told += [f"{error.reason}: {error}" for error in done.quarantined]
    told += [f"moved: {before} is gone, and was found again as {now}" for before, now in done.moved]
    told += [f"same bytes: {path} is {uri}, which the catalog has" for path, uri in done.same]
    told += [f"copy: {uri} holds the sound of {original}" for uri, original in done.copies]
    told += done.unheard
    for line in told[:_SHOWN]:
        console.say(line)
    if len(told) > _SHOWN:
        console.say(f"... and {len(told) - _SHOWN} more; --json lists them all.")
    console.say(
        f"{len(done.recordings):,} recordings added with {done.clips:,} clips, {len(done.known):,} known already, "
        f"{len(done.copies):,} copies, {len(done.quarantined):,} quarantined"
    )
    result = {
        "recordings": done.recordings,
        "clips": done.clips,
        "known": done.known,
        "same": [{"path": path, "uri": uri} for path, uri in done.same],
        "moved": [{"from": before, "to": now} for before, now in done.moved],
        "copies": [{"uri": uri, "copy_of": original} for uri, original in done.copies],
        "quarantined": [
            {"path": error.path, "reason": str(error.reason), "message": str(error)} for error in done.quarantined
        ],
        "unheard": done.unheard,
        "warnings": done.warnings,
    }
    step = f"earmark catalog task refresh {tasks[-1].name}" if tasks else "earmark catalog task new NAME --tags A,B"
    console.finish(result, next_step=step)
    if done.quarantined and not done.recordings and not done.known:
        raise InputError(f"none of the {len(done.quarantined)} files could be added; the reasons are above.")


def seconds_of(option: str, text: str | None) -> float | None:
    """A length as it is typed: 5s, 0.5, 500ms, 2m."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*(ms|s|min|m|h|)", text.strip())
    if match is None:
        raise InputError(f"{option} {text!r}: expected a length such as 5s, 500ms or 2m.")
    return float(match.group(1)) * _SECONDS[match.group(2)]

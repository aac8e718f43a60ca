"""`earmark convert`: audio files in another format, rate or channel count."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

import typer

from earmark.cli.console import Console, on_ctrl_c
from earmark.errors import InputError
from earmark.formats.words import counted

_SHOWN = 10


def convert(
    sources: list[Path] = typer.Argument(..., metavar="SOURCE...", help="Audio files, or folders of them."),
    to: str = typer.Option(..., "--to", metavar="FORMAT", help="wav, flac, aiff, mp3, ogg or opus."),
    out: Path = typer.Option(..., "--out", help="The folder to write to; a folder's tree is kept."),
    rate: int | None = typer.Option(None, "--rate", help="Sample rate in Hz; left out: each file's own."),
    mono: bool = typer.Option(False, "--mono", help="Mix the channels to one."),
    bitrate: int | None = typer.Option(None, "--bitrate", help="kbit/s, for mp3."),
    force: bool = typer.Option(False, "--force", help="Write files anew that are there already."),
    as_json: bool = typer.Option(False, "--json", help="One JSON object on stdout."),
) -> None:
    """Convert audio files to another format, sample rate or number of channels.

    Anything that Earmark reads can be converted, the sound tracks of videos included. Files that cannot be read are
    left out and named with their reason; a run that was stopped goes on where it was.
    """
    from earmark.audio.convert import convert_all
    from earmark.settings import load_settings

    console = Console(as_json=as_json)
    settings = load_settings()
    with on_ctrl_c("finished files are kept, run the same command again to go on."):
        done = convert_all(
            sources,
            out,
            to,
            sample_rate_hz=rate,
            mono=mono,
            bitrate_kbps=bitrate,
            force=force,
            workers=settings.workers,
            timeout_s=settings.decode_timeout_s,
            progress=console.progress(),
        )
    for warning in done.warnings[:_SHOWN]:
        console.say(f"read in part: {warning}")
    for error in done.refused[:_SHOWN]:
        console.say(f"{error.reason}: {error}")
    more = max(0, len(done.refused) - _SHOWN) + max(0, len(done.warnings) - _SHOWN)
    if more:
        console.say(f"... and {more} more; --json lists them all.")
    console.say(
        f"{len(done.written)} written to {out}, {len(done.warnings)} of them read in part, "
        f"{len(done.skipped)} there already, {len(done.refused)} refused."
    )
    console.finish(
        {
            "out": str(out),
            "written": done.written,
            "skipped": done.skipped,
            "partial": done.warnings,
            "quarantine": [
                {"path": error.path, "reason": str(error.reason), "message": str(error)} for error in done.refused
            ],
        },
        next_step=f"earmark inspect {quote(str(out))}" if done.written or done.skipped else None,
    )
    if not done.written and not done.skipped:
        raise InputError(f"converted 0 of {counted(len(done.refused), 'file')}; the reasons are above.")


def register(app: typer.Typer) -> None:
    app.command("convert")(convert)

"""`earmark export`: data in the form that other programs take."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

import typer

from earmark.cli.console import Console, on_ctrl_c
from earmark.formats.words import counted

export = typer.Typer(no_args_is_help=True, help="Write data in the form that other programs take.")


def register(app: typer.Typer) -> None:
    app.add_typer(export, name="export")


@export.command("spectrograms")
def spectrograms(
    data: Path = typer.Argument(
        ..., metavar="DATA", help="Labelled sounds: a folder, a manifest file, or catalog:TASK[@SET][?WHERE]."
    ),
    out: Path = typer.Option(..., help="Folder to write into; `earmark reset` takes it back."),
    format: str = typer.Option("npz", "--format", help="npz (`mel` and `label`), npy or png."),
    recipe: str | None = typer.Option(None, help="Recipe whose front end is used. Default: small-cnn."),
    model: Path | None = typer.Option(None, help="Model folder whose front end is used."),
    overrides: list[str] = typer.Option([], "--set", help="Change a recipe's field: front_end.n_mels=96; repeatable."),
    layout: str | None = typer.Option(None, help="How DATA is laid out; found by looking if not given."),
    axes: bool = typer.Option(False, "--axes", help="png: with seconds, hertz and a colour bar."),
    as_json: bool = typer.Option(False, "--json", help="One JSON object on stdout."),
) -> None:
    """Write the log-mel spectrogram of every clip, as the net would see it."""
    from earmark.layouts import read
    from earmark.reports.spectrograms import check_format, choose_front_end, export_spectrograms
    from earmark.settings import load_settings

    console = Console(as_json=as_json)
    settings = load_settings()
    kind = check_format(format)
    spec = choose_front_end(recipe, model, overrides)
    with on_ctrl_c("finished spectrograms are kept, run the same command again to go on."):
        done = export_spectrograms(
            read(data, layout=layout),
            spec,
            out,
            format=kind,
            axes=axes,
            workers=settings.workers,
            timeout_s=settings.decode_timeout_s,
            progress=console.progress(),
        )
    for line in spec.describe():
        console.say(f"  {line}")
    for item in done.quarantine[:10]:
        console.say(f"quarantined ({item.reason}): {item.message}")
    if len(done.quarantine) > 10:
        console.say(f"... and {len(done.quarantine) - 10} more in quarantine")
    pictures, clips = counted(done.pictures, "spectrogram"), counted(done.clips, "clip")
    before = f" ({done.already:,} were there already)" if done.already else ""
    console.say(f"{pictures} of {clips} in {out}{before}, listed in {out / 'index.csv'}")
    console.finish(done.to_json(), next_step=f"earmark reset {quote(str(out))}  (when they are no longer needed)")

"""`earmark evaluate`: honest figures of a model on sounds it has not heard."""

from __future__ import annotations

import math
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import typer

from earmark.cli.console import Console, on_ctrl_c
from earmark.formats.words import counted

if TYPE_CHECKING:
    from earmark.evaluation.run import Judged
    from earmark.metrics.results import Evaluation

_MOST_TAGS = 40  # shown to a person; --json and the report hold all


def register(app: typer.Typer) -> None:
    app.command("evaluate")(evaluate)


def evaluate(
    model: Path = typer.Argument(..., metavar="MODEL", help="A model folder."),
    data: Path = typer.Argument(
        ..., metavar="DATA", help="Labelled sounds: a folder, a manifest file, or catalog:TASK[@SET][?WHERE]."
    ),
    layout: str | None = typer.Option(None, help="How DATA is laid out; found by looking if not given."),
    group_by: list[str] = typer.Option(
        [], help="What belongs together: a pattern on the file name, REGEX or TAG=REGEX; repeatable."
    ),
    out: Path | None = typer.Option(None, help="Folder for a report with pictures, mistakes and predictions."),
    include_seen: bool = typer.Option(
        False, "--include-seen", help="Judge by audio that the model was trained on, too. Such figures flatter."
    ),
    unknown: bool = typer.Option(
        False, "--unknown", help="Take clips of tags that the model does not know as unknown sounds to be refused."
    ),
    seed: int = typer.Option(0, help="Of the random draws behind the intervals."),
    as_json: bool = typer.Option(False, "--json", help="One JSON object on stdout."),
) -> None:
    """Judge a model by labelled sounds: figures with 95 % intervals, per tag, and what is taken for what."""
    from earmark.cli.outputs import check_folder
    from earmark.evaluation.run import evaluate_model, to_json
    from earmark.settings import load_settings

    console = Console(as_json=as_json)
    if out is not None:
        check_folder(out)
    settings = load_settings()
    with on_ctrl_c("an evaluation keeps nothing of what it heard, so the same command begins anew."):
        judged, report = evaluate_model(
            model,
            data,
            out=out,
            layout=layout,
            groups=group_by,
            include_seen=include_seen,
            unknown=unknown,
            workers=settings.workers,
            timeout_s=settings.decode_timeout_s,
            seed=seed,
            progress=console.progress(),
        )
    _show(console, judged)
    if report is not None:
        console.say(f"Report: {report}")
        wrong = judged.evaluation.metrics["accuracy"] < 1
        step = f"open {report}" + (" and listen to the worst mistakes." if wrong else "")
    else:
        again = f"earmark evaluate {quote(str(model))} {quote(str(data))} --out report/"
        strangers = (
            f"put clips that the model knows beside them in {quote(str(data))}, and see how well it tells them apart"
        )
        step = f"{again}  (pictures, and the worst mistakes to hear)" if judged.evaluation.clips else strangers
    console.finish(to_json(judged, report), next_step=step)


def _show(console: Console, judged: Judged) -> None:
    from earmark.reports import text

    found = judged.evaluation
    files = counted(judged.files, "file")
    if found.clips:
        console.say(
            f"{judged.manifest.name}: {counted(found.clips, 'clip')} in {files}, {counted(found.groups, 'group')}"
        )
    else:
        console.say(f"{judged.manifest.name}: {counted(len(judged.clips), 'clip')} in {files}, all of other kinds")
    if judged.left_out_seen:
        left_out = counted(judged.left_out_seen, "clip")
        console.say(f"{left_out} left out: the model was trained on that very audio (--include-seen)")
    for item in judged.quarantine[:10]:
        console.say(f"quarantined ({item.reason}): {item.message}")
    if len(judged.quarantine) > 10:
        console.say(f"... and {counted(len(judged.quarantine) - 10, 'more file')} in quarantine")
    if found.clips:
        _show_figures(console, found)
    lines = [*(text.confusion_lines(found.confusion, found.tags) if found.confusion is not None else [])]
    lines += text.refusal_lines(found.unknown)
    if lines:
        console.say()
    for line in [*lines, *found.notes]:
        console.say(f"- {line}")
    console.say()


def _show_figures(console: Console, found: Evaluation) -> None:
    """Of all clips, and tag by tag."""
    from rich.table import Table

    from earmark.reports import text

    console.say()
    for line in text.summary_lines(found):
        console.say(f"  {line}")
    console.say("  [..] 95 % interval over groups")
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("tag")
    for name in ("precision", "recall", "specificity", "F1", "clips"):
        table.add_column(name, justify="right")
    for row in found.per_tag[:_MOST_TAGS]:
        values = (row[key] for key in ("precision", "recall", "specificity", "f1"))
        figures = ("-" if math.isnan(value) else f"{value:.3f}" for value in values)
        table.add_row(row["tag"], *figures, str(row["support"]))
    console.say()
    console.rich.print(table)
    if len(found.per_tag) > _MOST_TAGS:
        console.say(f"... and {counted(len(found.per_tag) - _MOST_TAGS, 'more tag')}")

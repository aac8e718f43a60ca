"""`earmark inspect`: what is in a folder of sounds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from earmark.cli.console import Console


def register(app: typer.Typer) -> None:
    app.command("inspect")(inspect)


def inspect(
    data: Path = typer.Argument(
        ..., metavar="DATA", help="A folder of sounds, labelled or not, a manifest file, or catalog:TASK[@SET][?WHERE]."
    ),
    layout: str | None = typer.Option(None, help="How the folder is laid out; found by looking if not given."),
    group_by: list[str] = typer.Option(
        [], help="What must stay together: a pattern on the file name, REGEX or TAG=REGEX; repeatable."
    ),
    out: Path = typer.Option(Path("inspect.html"), help="Where the HTML report goes."),
    no_report: bool = typer.Option(False, "--no-report", help="Write no HTML report."),
    as_json: bool = typer.Option(False, "--json", help="One JSON object on stdout."),
) -> None:
    """Say what is in there, what is broken, whether it is balanced, and how a detector could cheat on it."""
    from earmark.explore.advice import next_step
    from earmark.explore.inspect import inspect as look
    from earmark.settings import load_settings

    console = Console(as_json=as_json)
    if not no_report:
        from earmark.cli.outputs import check_file
        from earmark.reports.inspect_plots import require_matplotlib

        check_file(out)
        require_matplotlib()
    settings = load_settings()
    progress = console.progress()
    found = look(
        data,
        workers=settings.workers,
        timeout_s=settings.decode_timeout_s,
        layout=layout,
        group_by=group_by,
        cache_dir=settings.cache_dir,
        progress=progress,
    )
    step = next_step(found, data)
    _show(console, found)
    if not no_report:
        from earmark.explore.report import write_report

        write_report(found, out, step)
        console.say(f"Report: {out}")
    result: dict[str, Any] = found.to_json() | {"report": None if no_report else str(out)}
    words, command = step
    console.finish(result, next_step=f"{words} {command}".strip())


def _show(console: Console, found: Any) -> None:
    from rich.table import Table

    from earmark.explore.report import summary

    rich = console.rich
    console.say(f"{found.root}: {summary(found)}")
    if len(found.per_tag):
        table = Table(box=None, pad_edge=False, header_style="dim")
        table.add_column("class")
        for name in ("files", "minutes", "groups", "broken"):
            table.add_column(name, justify="right")
        for row in found.per_tag.head(40).itertuples():
            broken = str(row.quarantined) if row.quarantined else ""
            table.add_row(row.tag, f"{row.files:,}", f"{row.minutes:.1f}", f"{row.groups:,}", broken)
        rich.print(table)
        if len(found.per_tag) > 40:
            console.say(f"... and {len(found.per_tag) - 40} more")
    for title, column in (("sample rates", "sample_rate_hz"), ("channels", "channels"), ("formats", "format")):
        counts = list(found.counts(column).items())
        more = f", and {len(counts) - 6} more" if len(counts) > 6 else ""
        if counts:  # nothing is known of files that are all broken
            console.say(f"{title}: " + ", ".join(f"{value} ({n:,})" for value, n in counts[:6]) + more)
    verdicts = found.verdicts
    console.say(", ".join(f"{n:,} {name}" for name, n in verdicts.items()))
    for item in found.quarantine[:10]:
        console.say(f"  {item.reason.value}: {item.message}")
    if len(found.quarantine) > 10:
        console.say(f"  ... and {len(found.quarantine) - 10} more, all in the report and in --json")
    style = {"problem": "bold red", "warning": "yellow", "note": "dim"}
    for finding in found.findings:
        rich.print(f"{finding.weight}: {finding.title}", style=style[finding.weight])
        rich.print(f"  {finding.text}{' ' + finding.advice if finding.advice else ''}")
        for option, what in finding.options:
            rich.print(f"    {option}\n      {what}")

"""`earmark catalog status`, `import`, `export` and `freeze`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from earmark.cli.catalog.opening import Database, In, opened
from earmark.cli.console import Console
from earmark.cli.options import AsJson
from earmark.errors import InputError

if TYPE_CHECKING:
    from earmark.catalog.status import Status

Where = typer.Option(None, "--where", help="Classes, or a filter: 'sax=foreground vs absent'.")
Form = typer.Option(
    None,
    "--format",
    help="mongoexport, csv, parquet, audacity, raven, labelstudio, audiofolder or intervals; seen from the file if "
    "left out.",
)


def register(catalog: typer.Typer) -> None:
    catalog.command("status")(status)
    catalog.command("import")(import_)
    catalog.command("export")(export)
    catalog.command("freeze")(freeze)


def status(
    task: str | None = typer.Argument(None, metavar="[TASK]", help="Left out: all of the catalog, and each task."),
    peek: bool = typer.Option(False, "--peek", help="Do not remember this report: the next compares with the last."),
    workspace: In = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Say what is labelled, by whom, how well they agree, what changed since the last report, and how long it takes."""
    console = Console(as_json=as_json)
    with opened(workspace, database) as (_, catalog):
        from earmark.catalog.gold import gold_of
        from earmark.catalog.status import status as reckon
        from earmark.catalog.status import task_names

        names = task_names(catalog)
        if task is None and len(names) == 1:
            task = names[0]
        found = reckon(catalog, task, remember=not peek)
        each = {name: reckon(catalog, name, remember=not peek) for name in names} if task is None else {}
        lacks = {name: gold_of(catalog, name).lack for name in (names if task is None else [task])}
    if task is None and names:
        _show_counts(console, found)
    else:
        _show(console, found)
    for name, one in each.items():
        console.say("")
        _show(console, one)
        if lacks[name]:
            console.say(lacks[name])
    if task is not None and lacks[task]:
        console.say(lacks[task])
    step = None
    if task is None:
        step = (
            f"earmark catalog status {shlex.quote(names[0])}" if names else "earmark catalog task new NAME --tags A,B"
        )
    elif found.places_to_reopen:
        step = f"earmark catalog queue {shlex.quote(task)} --reopen"
    elif any(one.disputed for one in found.agreement.values()):
        step = f"earmark catalog queue {shlex.quote(task)} --by disagreement"
    elif found.labelled:
        step = f"earmark train catalog:{shlex.quote(task)} --out model/"
    more = {"tasks": {name: one.to_json() for name, one in each.items()}} if each else {}
    console.finish({**found.to_json(), **more}, next_step=step)


def import_(
    file: Path = typer.Argument(..., metavar="FILE", help="The labels: a file, or a folder of label tracks."),
    task: str = typer.Option(..., "--task", help="The task that they answer."),
    form: str | None = Form,
    annotator: str | None = typer.Option(None, "--as", help="Whose labels they are, where the file does not say."),
    tag: str | None = typer.Option(None, "--tag", help="What sounds in intervals that name no tag."),
    share: float = typer.Option(0.5, "--share", help="Of a clip that intervals have to cover for it to have the tag."),
    present_as: str | None = typer.Option(
        None, "--present-as", help="What is present becomes this word of the task's scale; default: its first."
    ),
    others_absent: bool = typer.Option(
        False, "--others-absent", help="Recordings that the intervals do not name have none of their tags."
    ),
    workspace: In = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Take labels from a file: all of it, or, where a row is wrong, nothing."""
    from dataclasses import asdict

    from earmark.types import LabelValue

    console = Console(as_json=as_json)
    if present_as is not None and present_as not in [value.value for value in LabelValue if value.is_present]:
        raise InputError(f"--present-as {present_as!r}: expected present, foreground or background.")
    with opened(workspace, database) as (_, catalog):
        from earmark.catalog.exchange.importing import Choices, import_labels

        word = LabelValue(present_as) if present_as else None
        choices = Choices(annotator, tag, share, word, others_absent)
        done = import_labels(catalog, task, file, form, choices)
    for note in done.notes:
        console.say(note)
    parts = [f"{done.labels:,} labels"]
    parts += [f"{count:,} {what}" for count, what in _parts(done.skipped, done.unusable, done.unlabelled) if count]
    console.say(f"{file}: {', '.join(parts)}; {done.known:,} known already, {done.replaced:,} replaced")
    if done.gold:
        console.say(f"{done.gold:,} known answers are new: gold clips")
    if done.clips:
        console.say(f"{done.clips:,} clips joined the task")
    for name in done.sets:
        console.say(f"set {name} is frozen: catalog:{task}@{name}")
    console.finish(asdict(done), next_step=f"earmark catalog status {shlex.quote(task)}")


def export(
    file: Path = typer.Argument(..., metavar="FILE", help="Where they go: a file, or a new folder."),
    task: str = typer.Option(..., "--task", help="The task whose labels are written."),
    form: str | None = Form,
    who: str | None = typer.Option(
        None,
        "--who",
        help="everybody, consensus, or one name; default: everybody where the format can tell them apart.",
    ),
    workspace: In = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Write a task's labels for another program, or to keep: what is exported can be imported again."""
    from dataclasses import asdict

    console = Console(as_json=as_json)
    with opened(workspace, database) as (found, catalog):
        from earmark.catalog.exchange.exporting import export_labels

        done = export_labels(found, catalog, task, file, form, who)
    for note in done.notes:
        console.say(note)
    console.say(f"{file}: {done.rows:,} rows on {done.clips:,} clips ({done.who})")
    console.finish({"file": str(file), **asdict(done)}, next_step=None)


def freeze(
    task: str = typer.Argument(..., metavar="TASK", help="The task whose labels are kept."),
    name: str = typer.Argument(..., metavar="SET", help="The set's name: it is catalog:TASK@SET then."),
    where: str | None = Where,
    balanced: bool = typer.Option(False, "--balanced", help="As many clips of every class as the rarest has."),
    seed: int = typer.Option(0, "--seed", help="Of which clips --balanced draws."),
    method: str = typer.Option(
        "auto", "--method", help="Of the consensus: majority or dawid-skene; default: see docs."
    ),
    workspace: In = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Keep the exact clips of a set, with their labels as they are now, for ever: a figure can be got again."""
    console = Console(as_json=as_json)
    with opened(workspace, database) as (_, catalog):
        from earmark.catalog import sets
        from earmark.catalog.consensus import METHODS, Method

        ways: tuple[Method | Literal["auto"], ...] = ("auto", *METHODS)
        way = next((one for one in ways if one == method), None)
        if way is None:
            raise InputError(f"--method {method!r}: expected auto, {' or '.join(METHODS)}.")
        counts = sets.freeze(catalog, task, name, where, balanced=balanced, seed=seed, method=way)
    console.say(f"set {name}: {', '.join(f'{count:,} {one}' for one, count in counts.items())}")
    source = shlex.quote(f"catalog:{task}@{name}")
    console.finish(
        {"task": task, "set": name, "where": where, "counts": counts},
        next_step=f"earmark train {source} --recipe sax --folds 5 --out model/",
    )


def _parts(skipped: int, unusable: int, unlabelled: int) -> list[tuple[int, str]]:
    return [(skipped, "skipped"), (unusable, "unusable"), (unlabelled, "unlabelled")]


def _show_counts(console: Console, found: Status) -> None:
    """The report's first lines: how much there is, and what of it is new."""
    since = found.since_last or {}
    from earmark.catalog.status import COUNTS

    rare = ("copies", "duplicates")
    names = [name for name in COUNTS if name not in rare or getattr(found, name) or since.get(name)]
    counts = ", ".join(f"{_count(getattr(found, name), since.get(name))} {name}" for name in names)
    console.say(f"{f'task {found.task}: ' if found.task else ''}{counts}")
    if since:
        console.say(f"(in brackets: since {since['at'][:16].replace('T', ' ')} UTC)")


def _count(value: int, more: int | None) -> str:
    return f"{value:,}" + (f" ({more:+,})" if more else "")


def _show(console: Console, found: Status) -> None:
    """The report for people."""
    from rich.table import Table

    _show_counts(console, found)
    since = found.since_last or {"per_tag": {}, "per_annotator": {}}
    tags = Table(box=None, padding=(0, 2))
    words = list(dict.fromkeys(word for values in found.per_tag.values() for word in values))
    for heading in ("tag", *words, "alpha", "disputed"):
        tags.add_column(heading, justify="left" if heading == "tag" else "right")
    for tag, values in found.per_tag.items():
        agreed, change = found.agreement.get(tag), since["per_tag"].get(tag, {})
        alpha = "-" if agreed is None or agreed.alpha is None else f"{agreed.alpha:.2f}"
        disputed = "-" if agreed is None else f"{agreed.disputed:,}"
        tags.add_row(tag, *(_count(values.get(word, 0), change.get(word)) for word in words), alpha, disputed)
    console.rich.print(tags)
    if found.per_annotator:
        people = Table(box=None, padding=(0, 2))
        for heading in ("who", "labels", "skips", "unusable", "kappa", ""):
            people.add_column(heading, justify="left" if heading in ("who", "") else "right")
        for name, one in found.per_annotator.items():
            known = [kappa for kappa in one.kappa.values() if kappa is not None]
            kappa = f"{sum(known) / len(known):.2f}" if known else "-"
            doubt = f"no better than chance at {', '.join(one.unskilled)}" if one.unskilled else ""
            if one.aside:
                doubt = "set aside: no better than chance" if one.aside == "rule" else "set aside by hand"
            labels = _count(one.labels, since["per_annotator"].get(name))
            people.add_row(name, labels, f"{one.skips:,}", f"{one.unusable:,}", kappa, doubt)
        console.rich.print(people)
    pace = found.speed["labels_a_day"]
    if pace is not None:
        took = found.speed["median_s"]
        left = "" if found.days_to_finish is None else f"; {found.days_to_finish:,.1f} days to finish"
        console.say(f"{pace:,.0f} labels a day{f', {took:.1f} s each' if took is not None else ''}{left}")
    if found.places_to_reopen:
        console.say(f"{found.places_to_reopen:,} places are taken by answers of people who are set aside")

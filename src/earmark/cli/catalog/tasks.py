"""`earmark catalog task`."""

from __future__ import annotations

import shlex
from pathlib import Path

import typer

from earmark.cli.catalog.add import seconds_of
from earmark.cli.catalog.labels import Form
from earmark.cli.catalog.opening import Database, In, opened
from earmark.cli.catalog.queue import policy_of
from earmark.cli.console import Console
from earmark.cli.options import AsJson
from earmark.errors import InputError

Name = typer.Argument(..., metavar="TASK", help="The task's name.")


def register(catalog: typer.Typer) -> None:
    task = typer.Typer(no_args_is_help=True, help="Labelling tasks: what people are asked, of which clips.")
    task.command("new")(new)
    task.command("list")(list_)
    task.command("refresh")(refresh)
    task.command("gold")(gold)
    catalog.add_typer(task, name="task")


def new(
    name: str = Name,
    tags: str = typer.Option(..., "--tags", help="What is labelled, with commas between: sax,vocals,piano."),
    scale: str = typer.Option(
        "present,absent", "--scale", help="The answers; foreground,background,absent is another."
    ),
    overlap: int = typer.Option(1, "--overlap", help="How many people label each clip."),
    policy: str = typer.Option("random", "--policy", help="random, balanced, uncertainty or disagreement."),
    instructions: str = typer.Option("", "--instructions", help="What people are told; @FILE reads a file."),
    help_: list[str] = typer.Option([], "--tag-help", metavar="TAG=TEXT", help="What a tag means. Repeatable."),
    lease: str = typer.Option("10m", "--lease", help="How long a clip is kept for who was shown it: 10m, 1h."),
    gold_share: float = typer.Option(0.0, "--gold-share", help="How often a clip with a known answer is shown: 0.05."),
    anyone: bool = typer.Option(False, "--anyone", help="Anyone may help, without an invite."),
    seed: int = typer.Option(0, "--seed", help="Of the random order."),
    workspace: In = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Make a labelling task of all clips there are, but those of copies: the same sound need not be labelled twice."""
    console = Console(as_json=as_json)
    lease_s = seconds_of("--lease", lease)
    assert lease_s is not None
    with opened(workspace, database) as (_, catalog):
        from earmark.catalog import scoring, tasks

        made = tasks.new_task(
            catalog,
            name,
            _words(tags),
            scale=_words(scale),
            instructions=_instructions(instructions),
            help=dict(_pair(text) for text in help_),
            overlap=overlap,
            policy=policy_of(policy),
            gold_share=gold_share,
            lease_s=lease_s,
            open=anyone,
            seed=seed,
        )
        from earmark.catalog.gold import gold_of

        clips = tasks.add_clips_to_task(catalog, made.id)
        known = gold_of(catalog, made.id)
        note = scoring.no_scores_yet(catalog, made)
    console.say(f"task {made.name}: {', '.join(made.tags)} on {clips:,} clips, each by {made.overlap}")
    if known.lack:
        console.say(known.lack)
    if note is not None:
        console.say(f"warning: {note}")
    result = {"task": made.name, "tags": list(made.tags), "scale": list(made.scale), "clips": clips}
    result["warnings"] = [] if note is None else [note]
    step = f"earmark catalog status {made.name}" if clips else "earmark catalog add SOUNDS --chunk 5s"
    console.finish(result, next_step=step)


def list_(workspace: In = None, database: Database = None, as_json: AsJson = False) -> None:
    """All tasks with their tags, and how many of their clips are done."""
    from rich.table import Table

    console = Console(as_json=as_json)
    with opened(workspace, database) as (_, catalog):
        from earmark.catalog import tasks

        found = [(task, tasks.progress_of(catalog, task.id)) for task in tasks.list_tasks(catalog)]
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("task", "tags", "policy", "overlap", "clips", "done"):
        table.add_column(column, justify="left" if column in ("task", "tags", "policy") else "right")
    for task, (clips, done) in found:
        table.add_row(task.name, ", ".join(task.tags), task.policy, str(task.overlap), f"{clips:,}", f"{done:,}")
    if found:
        console.rich.print(table)
    else:
        console.say("no task yet")
    rows = [
        {"task": task.name, "tags": list(task.tags), "scale": list(task.scale), "overlap": task.overlap}
        | {"policy": task.policy, "clips": clips, "done": done}
        for task, (clips, done) in found
    ]
    step = f"earmark catalog status {found[-1][0].name}" if found else "earmark catalog task new NAME --tags A,B"
    console.finish({"tasks": rows}, next_step=step)


def refresh(name: str = Name, workspace: In = None, database: Database = None, as_json: AsJson = False) -> None:
    """Put clips that were added since into a task's queue."""
    console = Console(as_json=as_json)
    with opened(workspace, database) as (_, catalog):
        from earmark.catalog import tasks

        clips = tasks.refresh(catalog, name)
    console.say(f"task {name}: {clips:,} clips joined")
    console.finish({"task": name, "clips": clips}, next_step=f"earmark catalog status {name}")


def gold(
    name: str = Name,
    file: Path = typer.Argument(..., metavar="FILE", help="Labels that are known to be right, every tag of each clip."),
    form: str | None = Form,
    forget: bool = typer.Option(False, "--forget", help="The clips that the file names are ordinary ones again."),
    workspace: In = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Say what is known to be right of some clips: examples to learn by, and tests of how good people are."""
    console = Console(as_json=as_json)
    with opened(workspace, database) as (_, catalog):
        from earmark.catalog.exchange.importing import import_gold
        from earmark.catalog.gold import gold_of

        done = import_gold(catalog, name, file, form, forget=forget)
        known = gold_of(catalog, name)
    for note in done.notes:
        console.say(note)
    what, before = ("forgotten", "not known anyway") if forget else ("known answers", "known already")
    of = f"{known.examples:,} of them examples"
    console.say(f"{file}: {done.gold:,} {what}, {done.known:,} {before}; task {name} has {known.clips:,} in all, {of}")
    if done.clips:
        console.say(f"{done.clips:,} clips joined the task")
    if known.lack:
        console.say(known.lack)
    elif known.clips and not known.share:
        console.say("They are examples only: the task's gold share is 0, so nobody is tested by them.")
    result = {"task": name, "gold": done.gold, "known": done.known, "clips": known.clips, "notes": done.notes}
    console.finish(result, next_step=f"earmark catalog status {shlex.quote(name)}")


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _pair(text: str) -> tuple[str, str]:
    tag, found, words = text.partition("=")
    if not found or not words.strip():
        raise InputError(f"--tag-help {text!r}: expected TAG=TEXT.")
    return tag.strip(), words.strip()


def _instructions(text: str) -> str:
    if not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--instructions {text}: the file cannot be read as UTF-8 text ({error}).") from None

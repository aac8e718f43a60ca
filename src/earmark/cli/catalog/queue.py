"""`earmark catalog queue`: which of the clips that are left are asked first."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import typer

from earmark.cli.catalog.opening import Database, In, opened
from earmark.cli.console import Console, on_ctrl_c
from earmark.cli.options import AsJson
from earmark.errors import InputError

if TYPE_CHECKING:
    from earmark.catalog.database import Catalog, Workspace
    from earmark.catalog.values import Policy

_SHOWN = 5


def register(catalog: typer.Typer) -> None:
    catalog.command("queue")(queue)


def queue(
    name: str = typer.Argument(..., metavar="TASK", help="The task's name."),
    by: str | None = typer.Option(None, "--by", help="random, balanced, uncertainty or disagreement."),
    reopen: bool = typer.Option(
        False, "--reopen", help="Ask others in place of people whose answers prove no better than chance."
    ),
    model: Path | None = typer.Option(
        None, "--model", metavar="MODEL", help="For uncertainty: the model folder whose doubts decide."
    ),
    scores: Path | None = typer.Option(
        None, "--scores", metavar="CSV", help="For uncertainty: columns clip and score, the least sure the highest."
    ),
    workspace: In = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Order a task's queue anew: which of the clips that are left are asked first, and which are asked again.

    With --model every clip that is still asked is decoded and scored; a run that is stopped goes on where it was.
    """
    console = Console(as_json=as_json)
    if by is None and not reopen:
        raise InputError("nothing to do: say the order with --by, or --reopen places.")
    given = [option for option, value in (("--model", model), ("--scores", scores)) if value is not None]
    if given and by != "uncertainty":
        raise InputError(f"{given[0]} orders by uncertainty, and --by is {by!r}; leave one of them out.")
    if len(given) == 2:
        raise InputError("--model and --scores: both say how unsure a model is; give one of them.")
    read = None if scores is None else _scores(scores)
    result: dict[str, Any] = {"task": name, "by": by, "scored": None}
    with opened(workspace, database) as (found, catalog):
        if reopen:
            result |= _reopen(console, catalog, name)
        if by is not None and model is not None:
            result |= _by_model(console, found, catalog, name, model)
        elif by is not None:
            result["scored"] = _by_policy(catalog, name, policy_of(by), read, str(scores))
    scored = result["scored"]
    if by is not None:
        console.say(f"task {name}: asked by {by}" + ("" if scored is None else f", {scored:,} clips have a score"))
    console.finish(result, next_step=f"earmark catalog status {shlex.quote(name)}")


def _by_policy(catalog: Catalog, name: str, policy: Policy, scores: dict[int, float] | None, table: str) -> int | None:
    """How many clips got a score of the table; None where there is none."""
    from earmark.catalog import ordering, scoring
    from earmark.catalog.tasks import get_task

    if policy == "uncertainty" and scores is None and not scoring.has_scores(catalog, get_task(catalog, name).id):
        raise InputError(
            f"task {name!r}: no model has been asked how sure it is of its clips; name one with --model, "
            "or a table with --scores."
        )
    ordering.set_policy(catalog, name, policy)
    return None if scores is None else scoring.set_scores(catalog, name, scores, model=table)


def _reopen(console: Console, catalog: Catalog, name: str) -> dict[str, Any]:
    from earmark.catalog.trusting import reopen_places

    done = reopen_places(catalog, name)
    if done.aside:
        console.say(f"set aside: {', '.join(done.aside)} (earmark catalog people trust NAME --task {name} puts back)")
    if done.back:
        console.say(f"counted again: {', '.join(done.back)}")
    console.say(f"{done.freed:,} places reopened, {done.taken:,} taken again")
    return {"aside": list(done.aside), "back": list(done.back), "freed": done.freed, "taken": done.taken}


def policy_of(text: str) -> Policy:
    """A policy by its word; InputError names those that there are."""
    from earmark.catalog.values import Policy

    policies: tuple[Policy, ...] = get_args(Policy)
    for policy in policies:
        if text == policy:
            return policy
    raise InputError(f"policy {text!r}: expected one of {', '.join(policies)}.")


def _by_model(console: Console, workspace: Workspace, catalog: Catalog, name: str, model: Path) -> dict[str, Any]:
    from earmark.settings import load_settings
    from earmark.tagging.tagger import load
    from earmark.tagging.uncertainty import score_queue

    settings = load_settings()
    tagger = load(model)
    with on_ctrl_c("what was scored is kept, run the same command again to go on."):
        done = score_queue(
            workspace,
            catalog,
            name,
            tagger,
            workers=settings.workers,
            timeout_s=settings.decode_timeout_s,
            progress=console.progress(),
        )
    if done.unknown:
        console.say(f"{model} does not know {', '.join(done.unknown)}: it is asked about {', '.join(done.known)} alone")
    if done.already:
        console.say(f"{done.already:,} clips were scored by it before")
    for error in done.errors[:_SHOWN]:
        console.say(f"{error.reason}: {error}")
    if done.failed:
        console.say(f"{done.failed:,} clips could not be heard; they are asked last")
    return {
        "scored": done.scored + done.already,
        "already": done.already,
        "failed": done.failed,
        "model": tagger.bundle.hash,
        "tags": list(done.known),
        "unknown_tags": list(done.unknown),
        "errors": [{"path": one.path, "reason": str(one.reason), "message": str(one)} for one in done.errors],
    }


def _scores(path: Path) -> dict[int, float]:
    import csv

    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            if not {"clip", "score"} <= set(rows.fieldnames or ()):
                raise InputError(
                    f"{path}: expected the columns clip and score, found {', '.join(rows.fieldnames or ())}."
                )
            read: dict[int, float] = {}
            for number, row in enumerate(rows, start=2):
                try:
                    read[int(row["clip"])] = float(row["score"])
                except (TypeError, ValueError):
                    found = f"{row['clip']!r}, {row['score']!r}"
                    raise InputError(f"{path}, line {number}: expected a clip and a number, found {found}.") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as a CSV file ({error}).") from None
    return read

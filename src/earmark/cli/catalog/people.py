"""`earmark catalog people`: who may label, and how they get in."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import typer

from earmark.cli.catalog.opening import Database, In, opened
from earmark.cli.console import Console
from earmark.cli.options import AsJson
from earmark.errors import InputError

if TYPE_CHECKING:
    from earmark.catalog.people import Role

_DAY_S = 86400.0

Person = typer.Argument(..., metavar="NAME", help="The person's name.")
RoleName = typer.Option("annotator", "--role", help="viewer, annotator or admin.")


def register(catalog: typer.Typer) -> None:
    people = typer.Typer(no_args_is_help=True, help="People who label: list, add and invite them, or shut them out.")
    people.command("list")(list_)
    people.command("add")(add)
    people.command("invite")(invite)
    people.command("role")(role)
    people.command("password")(password)
    people.command("shut-out")(shut_out)
    people.command("let-in")(let_in)
    people.command("trust")(trust)
    people.command("log")(log)
    catalog.add_typer(people, name="people")


def list_(workspace: In = None, database: Database = None, as_json: AsJson = False) -> None:
    """Everybody with their role."""
    from rich.table import Table

    console = Console(as_json=as_json)
    with opened(workspace, database) as (_, catalog):
        from earmark.catalog import people

        found = people.list_people(catalog)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("name", "role", "way in"):
        table.add_column(column)
    for one in found:
        way = "shut out" if not one.active else "password" if one.has_password else one.kind
        table.add_row(one.name, one.role, way)
    if found:
        console.rich.print(table)
    else:
        console.say("nobody yet")
    rows = [{"name": p.name, "role": p.role, "active": p.active, "password": p.has_password} for p in found]
    console.finish({"people": rows}, next_step="earmark catalog people invite --role annotator")


def add(
    name: str = Person,
    role: str = RoleName,
    with_password: bool = typer.Option(False, "--password", help="Ask for a password, which is not shown."),
    workspace: In = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Add somebody, to log in by a password, or to label through Python."""
    console = Console(as_json=as_json)
    asked = _ask(as_json) if with_password else None
    with opened(workspace, database) as (_, catalog):
        from earmark.catalog import people

        made = people.add_person(catalog, name, _role(role), password=asked)
    console.say(f"{made.name} is {made.role}")
    console.finish({"name": made.name, "role": made.role}, next_step="earmark catalog people list")


def invite(
    role: str = RoleName,
    uses: int = typer.Option(1, "--uses", help="How many people may come in by it."),
    days: float = typer.Option(14.0, "--days", help="How long it is good."),
    note: str = typer.Option("", "--note", help="Whom it is for; shown to admins."),
    url: str = typer.Option(
        "http://127.0.0.1:8000", "--url", help="Where people reach `earmark serve`: https://label.example.org."
    ),
    workspace: In = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Make an invite link. It is shown once, and not kept: whoever has it comes in."""
    console = Console(as_json=as_json)
    if not re.fullmatch(r"https?://[^/?#\s]+/?", url):
        raise InputError(f"--url {url!r}: expected http:// or https:// and a host, such as https://label.example.org.")
    with opened(workspace, database) as (_, catalog):
        from earmark.catalog import people

        secret = people.invite(catalog, _role(role), uses=uses, seconds=days * _DAY_S, note=note)
    console.say(f"invite for {uses} {'person' if uses == 1 else 'people'} as {role}, good for {days:g} days:")
    link = f"{url.rstrip('/')}/invite/{secret}"
    console.say(link)
    console.finish(
        {"invite": secret, "link": link, "role": role, "uses": uses}, next_step="earmark catalog people list"
    )


def role(
    name: str = Person,
    to: str = typer.Option(..., "--to", help="viewer, annotator or admin."),
    workspace: In = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Change what somebody may do. The last admin stays one."""
    console = Console(as_json=as_json)
    with opened(workspace, database) as (_, catalog):
        from earmark.catalog import people

        people.set_role(catalog, people.find_person(catalog, name).id, _role(to))
    console.say(f"{name} is {to}")
    console.finish({"name": name, "role": to})


def password(name: str = Person, workspace: In = None, database: Database = None, as_json: AsJson = False) -> None:
    """Ask for somebody's new password. They have to log in again everywhere."""
    console = Console(as_json=as_json)
    with opened(workspace, database) as (_, catalog):
        from earmark.catalog import people

        found = people.find_person(catalog, name)
        people.set_password(catalog, found.id, _ask(as_json))
    console.say(f"{name} has a new password, and is logged out everywhere")
    console.finish({"name": name})


def shut_out(name: str = Person, workspace: In = None, database: Database = None, as_json: AsJson = False) -> None:
    """Let somebody in no longer. Their labels stay."""
    _set_active(name, False, workspace, database, as_json)


def let_in(name: str = Person, workspace: In = None, database: Database = None, as_json: AsJson = False) -> None:
    """Let somebody in again who was shut out."""
    _set_active(name, True, workspace, database, as_json)


def _set_active(name: str, active: bool, workspace: In, database: Database, as_json: bool) -> None:
    console = Console(as_json=as_json)
    with opened(workspace, database) as (_, catalog):
        from earmark.catalog import people

        people.set_active(catalog, people.find_person(catalog, name).id, active)
    console.say(f"{name} is {'let in again' if active else 'shut out; what they labelled stays'}")
    console.finish({"name": name, "active": active})


def trust(
    name: str = Person,
    task: str = typer.Option(..., "--task", help="Of which their answers are meant."),
    to: str = typer.Option(
        "trusted", "--to", help="trusted: they count; aside: they do not; rule: as they prove themselves."
    ),
    workspace: In = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Say whether somebody's answers to a task count, whatever the rule says: trusted puts back who was set aside."""
    console = Console(as_json=as_json)
    with opened(workspace, database) as (_, catalog):
        from earmark.catalog import people, trusting

        verdict = next((one for one in trusting.VERDICTS if one == to), None)
        if verdict is None:
            raise InputError(f"--to {to!r}: expected {', '.join(trusting.VERDICTS)}.")
        trusting.set_trust(catalog, task, people.find_person(catalog, name).id, verdict)
    words = {"trusted": "count", "aside": "do not count", "rule": "count as they prove themselves"}
    console.say(f"answers of {name} to {task} {words[verdict]}")
    console.finish({"name": name, "task": task, "trust": to}, f"earmark catalog queue {shlex.quote(task)} --reopen")


def log(
    limit: int = typer.Option(20, "--limit", help="How many entries."),
    workspace: In = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """What was done beside labelling, the newest first: who came in, who was refused, what was changed."""
    from datetime import UTC, datetime

    console = Console(as_json=as_json)
    with opened(workspace, database) as (_, catalog):
        from earmark.catalog.auditing import in_words
        from earmark.catalog.auditing import log as entries_of

        entries = entries_of(catalog, max(1, limit))
    rows = []
    for entry in entries:
        at = datetime.fromtimestamp(entry["at"] / 1e6, UTC)
        detail = in_words(entry["detail"])
        console.say(
            f"{at:%Y-%m-%d %H:%M:%S} {entry['who'] or '-'}: {entry['what']}" + (f" ({detail})" if detail else "")
        )
        rows.append({**entry, "at": at.isoformat()})
    console.finish({"log": rows})


def _ask(as_json: bool) -> str:
    if as_json:
        raise InputError("a password cannot be asked for with --json; leave --json out.")
    asked: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return asked


def _role(text: str) -> Role:
    from earmark.catalog.people import ROLES

    for role in ROLES:
        if text == role:
            return role
    raise InputError(f"role {text!r}: expected one of {', '.join(ROLES)}.")

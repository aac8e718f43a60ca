"""Making and changing tasks, in the pages of admins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any, cast

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response

from earmark.catalog import people, tasks
from earmark.catalog.changing import Wanted, change_task
from earmark.catalog.pages import is_answered
from earmark.catalog.tasks import POLICIES, TaskInfo
from earmark.catalog.values import Policy
from earmark.errors import CatalogError, ConflictError, EarmarkError, InputError
from earmark.web.site import Site
from earmark.web.visits import Admin, SeenTask, TheSite

router = APIRouter(include_in_schema=False)

SCALES = (("present", "absent"), ("foreground", "background", "absent"))
_LONGEST = 20_000  # characters of a field


@dataclass(frozen=True, slots=True)
class Fields:
    """The form as it was filled in.

    Attributes:
        tags: one a line, each with a sentence after a colon: "sax: any saxophone".
        scale: with commas between.
        gold_percent: how often a gold clip is shown. lease_min: how long a clip is kept for who was shown it.
    """

    name: str = ""
    tags: str = ""
    scale: str = "present,absent"
    instructions: str = ""
    overlap: str = "1"
    policy: str = "random"
    gold_percent: str = "0"
    lease_min: str = "10"
    anyone: bool = False


async def read_fields(request: Request) -> Fields:
    form = await request.form()
    found = {name: str(form.get(name, ""))[:_LONGEST] for name in Fields.__dataclass_fields__}
    return Fields(**{**found, "anyone": "anyone" in form})  # type: ignore[arg-type]


Filled = Annotated[Fields, Depends(read_fields)]


def fields_of(task: TaskInfo) -> Fields:
    """The form of a task as it is."""
    lines = [f"{tag}: {task.help[tag]}" if tag in task.help else tag for tag in task.tags]
    return Fields(
        name=task.name,
        tags="\n".join(lines),
        scale=",".join(task.scale),
        instructions=task.instructions,
        overlap=str(task.overlap),
        policy=task.policy,
        gold_percent=f"{100 * task.gold_share:g}",
        lease_min=f"{task.lease_s / 60:g}",
        anyone=task.open,
    )


def wanted_by(fields: Fields) -> Wanted:
    """What a form asks for; CatalogError names the field that cannot be read."""
    lines = [line.partition(":") for line in fields.tags.splitlines() if line.strip()]
    return Wanted(
        tags=[tag.strip() for tag, _, _ in lines],
        scale=[word.strip() for word in fields.scale.split(",")],
        help={tag.strip(): words.strip() for tag, _, words in lines if words.strip()},
        instructions=fields.instructions.replace("\r\n", "\n").strip(),
        overlap=int(_number("People a clip", fields.overlap, whole=True)),
        policy=cast(Policy, fields.policy),
        gold_share=_number("Gold clips", fields.gold_percent) / 100,
        lease_s=60 * _number("Minutes", fields.lease_min),
        open=fields.anyone,
    )


def _number(field: str, text: str, *, whole: bool = False) -> float:
    try:
        return int(text) if whole else float(text.replace(",", "."))
    except ValueError:
        kind = "a whole number" if whole else "a number"
        raise CatalogError(f"{field}: expected {kind}, found {text[:40]!r}.") from None


@router.get("/admin/new-task")
def new_page(request: Request, site: TheSite, person: Admin) -> Response:
    return _form(request, site, Fields(), None)


@router.post("/admin/new-task")
def make(request: Request, site: TheSite, person: Admin, fields: Filled) -> Response:
    """A task of every clip there is, as by `earmark catalog task new`."""
    try:
        wanted = wanted_by(fields)
        made = tasks.new_task(site.catalog, fields.name.strip(), **asdict(wanted), by=person.id)
    except InputError as error:
        return _form(request, site, fields, None, error)
    tasks.add_clips_to_task(site.catalog, made.id)
    return RedirectResponse(f"/admin/tasks/{made.name}", 303)


@router.get("/admin/tasks/{task}/edit")
def edit_page(request: Request, site: TheSite, person: Admin, task: SeenTask) -> Response:
    return _form(request, site, fields_of(task), task)


@router.post("/admin/tasks/{task}/edit")
def change(request: Request, site: TheSite, person: Admin, task: SeenTask, fields: Filled) -> Response:
    fields = replace(fields, name=task.name)
    try:
        change_task(site.catalog, task.id, wanted_by(fields), by=person.id)
    except InputError as error:
        return _form(request, site, fields, task, error)
    people.audit(site.catalog, person.id, "task changed", {"task": task.name, **_differences(fields_of(task), fields)})
    return RedirectResponse(f"/admin/tasks/{task.name}", 303)


def _differences(before: Fields, after: Fields) -> dict[str, Any]:
    """field -> what it is now, of those that are not as before."""
    old: Mapping[str, Any] = asdict(before)
    return {name: value for name, value in asdict(after).items() if value != old[name]}


@router.post("/admin/tasks/{task}/refresh")
def refresh(site: TheSite, person: Admin, task: SeenTask) -> Response:
    """Put clips that were added since into the queue."""
    tasks.refresh(site.catalog, task.id, by=person.id)
    return RedirectResponse(f"/admin/tasks/{task.name}", 303)


def _form(
    request: Request, site: Site, fields: Fields, task: TaskInfo | None, error: EarmarkError | None = None
) -> Response:
    status = 200 if error is None else 409 if isinstance(error, ConflictError) else 422
    scales = [",".join(scale) for scale in SCALES]
    context = {
        "task": task,
        "fields": fields,
        "scales": scales if fields.scale in scales else [fields.scale, *scales],
        "policies": POLICIES,
        "fixed": task is not None and is_answered(site.catalog, task.id),
        "wrong": str(error) if error is not None else "",
    }
    return site.page(request, "task_form.html", context, status)

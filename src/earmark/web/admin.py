"""How labelling stands, for everybody who was let in; and what admins alone do: people, invites, sessions, disputes."""

from __future__ import annotations

from typing import Annotated, Any, cast

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import RedirectResponse, Response

from earmark.catalog import labelling, people
from earmark.catalog.gold import gold_of
from earmark.catalog.pages import labels_by_day, list_sessions, page_of_disputes
from earmark.catalog.people import ROLES, Role
from earmark.catalog.scoring import no_scores_yet
from earmark.catalog.status import status
from earmark.catalog.tasks import list_tasks
from earmark.web.bars import bars_of
from earmark.web.visits import Admin, SeenTask, TheSite, Viewer

router = APIRouter(include_in_schema=False)

Text = Annotated[str, Form(max_length=200)]

DISPUTES = 20
"""Clips on one page: each has a picture to draw and a sound to decode."""


@router.get("/admin")
def overview(request: Request, site: TheSite, person: Viewer) -> Response:
    tasks = list_tasks(site.catalog)
    return site.page(request, "admin.html", {"tasks": tasks, "status": status(site.catalog)})


@router.get("/admin/tasks/{task}")
def task_status(request: Request, site: TheSite, person: Viewer, task: SeenTask) -> Response:
    found = status(site.catalog, task.name)
    bars = bars_of(labels_by_day(site.catalog, task.id))
    seen = {"gold": gold_of(site.catalog, task.id), "note": no_scores_yet(site.catalog, task)}
    return site.page(request, "admin_task.html", {"task": task, "status": found, "bars": bars, **seen})


@router.post("/admin/tasks/{task}/report")
def remember_report(site: TheSite, person: Admin, task: SeenTask) -> Response:
    """What changes from now on is told as such, here and by `earmark catalog status`."""
    status(site.catalog, task.name, remember=True)
    return RedirectResponse(f"/admin/tasks/{task.name}", 303)


@router.get("/api/v1/status")
def status_json(site: TheSite, person: Viewer, task: str | None = None) -> dict[str, Any]:
    """As `earmark catalog status --json`."""
    return status(site.catalog, task).to_json()


@router.get("/admin/people")
def people_page(request: Request, site: TheSite, person: Admin) -> Response:
    return _people(request, site, "")


def _people(request: Request, site: TheSite, link: str) -> Response:
    context = {
        "people": [one for one in people.list_people(site.catalog) if one.kind != "import"],
        "invites": people.list_invites(site.catalog),
        "sessions": list_sessions(site.catalog),
        "log": people.log(site.catalog, 40),
        "roles": ROLES,
        "link": link,
    }
    return site.page(request, "people.html", context)


@router.post("/admin/invites")
def make_invite(
    request: Request,
    site: TheSite,
    person: Admin,
    role: Text,
    uses: Annotated[int, Form()] = 1,
    days: Annotated[float, Form()] = 14.0,
    note: Text = "",
) -> Response:
    """The link is shown once, on the page that answers; only its hash is kept."""
    secret = people.invite(site.catalog, cast(Role, role), uses=uses, seconds=days * 86400, note=note, by=person.id)
    return _people(request, site, str(request.url_for("invite_page", secret=secret)))


@router.post("/admin/invites/{invite}/revoke")
def revoke_invite(site: TheSite, person: Admin, invite: int) -> Response:
    people.revoke_invite(site.catalog, invite, by=person.id)
    return RedirectResponse("/admin/people", 303)


@router.post("/admin/sessions/{session}/revoke")
def revoke_session(site: TheSite, person: Admin, session: int) -> Response:
    people.revoke_session(site.catalog, session, by=person.id)
    return RedirectResponse("/admin/people", 303)


@router.post("/admin/people/{who}/role")
def set_role(site: TheSite, person: Admin, who: int, role: Text) -> Response:
    people.set_role(site.catalog, who, cast(Role, role), by=person.id)
    return RedirectResponse("/admin/people", 303)


@router.post("/admin/people/{who}/active")
def set_active(site: TheSite, person: Admin, who: int, active: Annotated[bool, Form()]) -> Response:
    people.set_active(site.catalog, who, active, by=person.id)
    return RedirectResponse("/admin/people", 303)


@router.get("/admin/tasks/{task}/disputes")
def disputes_page(
    request: Request, site: TheSite, person: Admin, task: SeenTask, page: Annotated[int, Query(ge=1, le=1_000_000)] = 1
) -> Response:
    """`DISPUTES` clips at a time; `page` counts from 1."""
    count, found = page_of_disputes(site.catalog, task.id, start=(page - 1) * DISPUTES, limit=DISPUTES)
    shown = {"task": task, "disputes": found, "count": count, "page": page, "pages": -(-count // DISPUTES)}
    return site.page(request, "disputes.html", shown)


async def answers_of(request: Request) -> dict[str, str]:
    """The form's fields `value:TAG`."""
    form = await request.form()
    return {name.removeprefix("value:"): str(value) for name, value in form.items() if name.startswith("value:")}


Answers = Annotated[dict[str, str], Depends(answers_of)]
Gold = Annotated[str, Form(max_length=10)]


@router.post("/admin/tasks/{task}/disputes/{clip}")
def settle(site: TheSite, person: Admin, task: SeenTask, clip: int, values: Answers, gold: Gold = "") -> Response:
    """One label that wins over all others; ticked, it is a known answer from now on."""
    labelling.adjudicate(site.catalog, task.id, clip, person.id, values, gold=bool(gold))
    detail = {"task": task.name, "clip": clip} | ({"gold": True} if gold else {})
    people.audit(site.catalog, person.id, "clip settled", detail)
    return RedirectResponse(f"/admin/tasks/{task.name}/disputes", 303)

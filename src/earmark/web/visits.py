"""Who asks, and whether they may: what routes depend on."""

from __future__ import annotations

import logging
import secrets
from typing import Annotated

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool

from earmark.catalog.pages import who_and_what
from earmark.catalog.people import Person
from earmark.catalog.tasks import TaskInfo, get_task
from earmark.errors import NotAllowedError
from earmark.web.problems import LoginNeededError
from earmark.web.site import SESSION_COOKIE, VISITOR_COOKIE, Site, Visit

_log = logging.getLogger("earmark.web")

SAFE = ("GET", "HEAD", "OPTIONS")


async def the_site(request: Request) -> Site:
    site: Site = request.app.state.site
    return site


TheSite = Annotated[Site, Depends(the_site)]


async def find_visit(request: Request, site: TheSite) -> Visit:
    """Who asks; a cookie that is forged, stale or revoked is as none.

    The task in the path is looked up along with the session. Whatever needs no database is done here and in the
    functions below without a thread: handing one function to a thread costs as much as all of them.
    """
    cookie = request.cookies.get(SESSION_COOKIE)
    secret = site.signer.read("session", cookie)
    if cookie and secret is None:
        _log.warning("a session cookie that is not ours came from %s", address(request))
    wanted = request.path_params.get("task")
    person, request.state.task = await run_in_threadpool(who_and_what, site.catalog, secret, wanted)
    if secret is not None and person is not None:
        found = Visit(person, secret)
        request.state.visit = found
        return found
    known = site.signer.read("visitor", request.cookies.get(VISITOR_COOKIE))
    found = Visit(None, known or secrets.token_urlsafe(32), is_new=known is None, stale=cookie is not None)
    request.state.visit = found
    return found


TheVisit = Annotated[Visit, Depends(find_visit)]


async def check_csrf(request: Request, site: TheSite, visit: TheVisit) -> None:
    """What changes anything carries the token of its page; NotAllowedError where it does not, or another's."""
    if request.method in SAFE:
        return
    token = request.headers.get("X-CSRF-Token")
    if token is None and "json" not in request.headers.get("Content-Type", ""):
        sent = (await request.form()).get("csrf")
        token = sent if isinstance(sent, str) else None
    if visit.is_new or not site.signer.matches("csrf", visit.secret, token or ""):
        if visit.stale:
            raise LoginNeededError("this session is over: log in again.")
        raise NotAllowedError("this page is out of date, or was not ours: load it again and repeat.")


async def somebody(visit: TheVisit) -> Person:
    """Whoever is logged in; LoginNeededError where nobody is."""
    if visit.person is None:
        raise LoginNeededError("nobody is logged in, or the session is over: log in.")
    return visit.person


Somebody = Annotated[Person, Depends(somebody)]


async def a_viewer(person: Somebody) -> Person:
    """Somebody who was let in, whatever they may do beyond looking; guests only label."""
    person.require("viewer")
    if person.kind == "guest":
        raise NotAllowedError("figures are for those who were invited: ask for a link.")
    return person


Viewer = Annotated[Person, Depends(a_viewer)]


async def an_admin(person: Somebody) -> Person:
    person.require("admin")
    return person


Admin = Annotated[Person, Depends(an_admin)]


async def seen_task(request: Request, task: str, site: TheSite, visit: TheVisit) -> TaskInfo:
    """A task that whoever asks may see; one that is hidden from them looks as if it needed a login."""
    found: TaskInfo | None = request.state.task
    if found is None:
        if visit.person is None:  # which tasks there are is nobody's business
            raise LoginNeededError("log in to see this task.")
        found = await run_in_threadpool(get_task, site.catalog, task)  # which says what there is
    if not site.may_see(visit.person, found):
        if visit.person is None:
            raise LoginNeededError("log in to see this task.")
        raise NotAllowedError(f"task {found.name!r} is for those who were invited: ask for a link.")
    return found


SeenTask = Annotated[TaskInfo, Depends(seen_task)]


async def a_labeller(person: Somebody, task: SeenTask) -> Person:
    """Somebody who may label this task."""
    person.require("annotator")
    return person


Labeller = Annotated[Person, Depends(a_labeller)]


def address(request: Request) -> str:
    """Where a request comes from, as far as the connection tells."""
    return request.client.host if request.client else "unknown"

"""Coming in and going out: login, invite links, helping without one, passwords."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from earmark.catalog import people
from earmark.errors import CatalogError, ConflictError, NotAllowedError
from earmark.web.site import SESSION_COOKIE, Site
from earmark.web.visits import SeenTask, Somebody, TheSite, TheVisit, address

router = APIRouter(include_in_schema=False)

Text = Annotated[str, Form(max_length=2000)]


def _path_within(path: str) -> str:
    """A path on this site: a link that leads elsewhere after a login would be a trap."""
    safe = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() and "\\" not in path
    return path if safe else "/"


def let_in(site: Site, request: Request, secret: str, to: str) -> Response:
    """On to a page, with the cookie of a session that began."""
    response = RedirectResponse(to, 303)
    cookie = site.signer.sign("session", secret)
    site.set_cookie(request, response, SESSION_COOKIE, cookie, round(people.SESSION_S))
    return response


@router.get("/login")
def login_page(request: Request, site: TheSite, visit: TheVisit, next: str = "/") -> Response:  # noqa: A002
    return site.page(request, "login.html", {"next": _path_within(next), "wrong": "", "name": ""})


@router.post("/login")
def log_in(
    request: Request,
    site: TheSite,
    name: Text,
    password: Text,
    next: Text = "/",  # noqa: A002
) -> Response:
    for who in (address(request), f"name {name[:80].casefold()}"):
        site.limits.take("logins", who, most=site.settings.logins_a_minute, per_s=60)
    try:
        secret = people.log_in(site.catalog, name, password)
    except NotAllowedError as error:
        return site.page(
            request, "login.html", {"next": _path_within(next), "wrong": str(error), "name": name[:80]}, 401
        )
    return let_in(site, request, secret, _path_within(next))


@router.post("/logout")
def log_out(site: TheSite, visit: TheVisit) -> Response:
    if visit.person is not None:
        people.end_session(site.catalog, visit.secret)
    response = RedirectResponse("/", 303)
    response.delete_cookie(SESSION_COOKIE, path="/")
    return response


@router.get("/invite/{secret}")
def invite_page(request: Request, site: TheSite, visit: TheVisit, secret: str) -> Response:
    """Asks for a name. Whether the link is good is told when it is used, so that looking does not use it up."""
    return site.page(request, "invite.html", {"secret": secret, "wrong": "", "name": ""})


@router.post("/invite/{secret}")
def accept(request: Request, site: TheSite, secret: str, name: Text, password: Text = "") -> Response:
    site.limits.take("logins", address(request), most=site.settings.logins_a_minute, per_s=60)
    try:
        person, session = people.accept_invite(site.catalog, secret, name, password=password or None)
    except (NotAllowedError, ConflictError, CatalogError) as error:
        status = 403 if isinstance(error, NotAllowedError) else 409 if isinstance(error, ConflictError) else 422
        return site.page(request, "invite.html", {"secret": secret, "wrong": str(error), "name": name[:80]}, status)
    return let_in(site, request, session, "/admin" if person.role == "admin" else "/")


@router.post("/tasks/{task}/help")
def help_out(request: Request, site: TheSite, visit: TheVisit, task: SeenTask) -> Response:
    """Begin to label; where anyone may help, whoever is not logged in becomes a guest."""
    to = f"/tasks/{task.name}/label"
    if visit.person is not None:
        return RedirectResponse(to, 303)
    site.limits.take("new guests", address(request), most=site.settings.guests_an_hour, per_s=3600)
    _, secret = people.add_guest(site.catalog)
    return let_in(site, request, secret, to)


@router.get("/me/password")
def password_page(request: Request, site: TheSite, person: Somebody) -> Response:
    return site.page(request, "password.html", {"wrong": ""})


@router.post("/me/password")
def set_password(request: Request, site: TheSite, person: Somebody, password: Text, again: Text) -> Response:
    site.limits.take("logins", address(request), most=site.settings.logins_a_minute, per_s=60)
    if person.kind == "guest":
        raise NotAllowedError("guests have no password: ask for an invite.")
    wrong = "" if password == again else "the two are not the same."
    if not wrong:
        try:
            people.set_password(site.catalog, person.id, password, by=person.id)
        except CatalogError as error:
            wrong = str(error)
    if wrong:
        return site.page(request, "password.html", {"wrong": wrong}, 422)
    return let_in(site, request, people.start_session(site.catalog, person.id), "/me")

"""What every route shares: the catalog, the key, the limits, the sounds, and drawing a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from anyio import CapacityLimiter
from fastapi import Request
from fastapi.templating import Jinja2Templates
from starlette.responses import Response

from earmark import __version__
from earmark.catalog.auditing import in_words
from earmark.catalog.database import Catalog, Workspace
from earmark.catalog.people import Person
from earmark.catalog.tasks import TaskInfo
from earmark.web.limits import Limits
from earmark.web.settings import WebSettings
from earmark.web.signing import Signer
from earmark.web.sounds import Sounds

MEDIA_THREADS = 12
HERE = Path(__file__).parent
SESSION_COOKIE = "earmark_session"
VISITOR_COOKIE = "earmark_visitor"


@dataclass(frozen=True, slots=True)
class Visit:
    """Who asks.

    Attributes:
        person: None where nobody is logged in.
        secret: of the session; without one, of the visitor: what their forms are tied to.
        is_new: the visitor's secret was drawn just now, and is to be set as a cookie.
        stale: a session's cookie came along that is no longer good.
    """

    person: Person | None
    secret: str
    is_new: bool = False
    stale: bool = False


class Site:
    """One running app."""

    def __init__(self, catalog: Catalog, workspace: Workspace, settings: WebSettings, key: bytes) -> None:
        self.catalog, self.workspace, self.settings = catalog, workspace, settings
        self.signer = Signer(key)
        self.limits = Limits()
        self.sounds = Sounds(workspace, settings)
        self.media_threads = CapacityLimiter(MEDIA_THREADS)
        self.templates = Jinja2Templates(directory=HERE / "templates")
        self.templates.env.trim_blocks = self.templates.env.lstrip_blocks = True
        self.templates.env.filters["day"] = _day
        self.templates.env.filters["in_words"] = in_words
        self.version = __version__

    def csrf(self, visit: Visit) -> str:
        """The token that this visitor's forms and scripts send along."""
        return self.signer.mark("csrf", visit.secret)

    def page(self, request: Request, template: str, context: Mapping[str, Any], status: int = 200) -> Response:
        """A page for whoever asks, with the cookie that its forms need."""
        visit: Visit = getattr(request.state, "visit", None) or Visit(None, "")
        shared = {"visit": visit, "person": visit.person, "csrf": self.csrf(visit), "version": self.version}
        drawn = self.templates.TemplateResponse(request, template, {**shared, **context}, status)
        drawn.headers["Cache-Control"] = "no-store"
        if visit.is_new:
            self.set_cookie(request, drawn, VISITOR_COOKIE, self.signer.sign("visitor", visit.secret), None)
        if visit.stale:
            drawn.delete_cookie(SESSION_COOKIE, path="/")
        return drawn

    def set_cookie(self, request: Request, response: Response, name: str, value: str, seconds: int | None) -> None:
        """For this site only, out of scripts' reach, and over https only where the page came by it."""
        secure = request.url.scheme == "https"
        response.set_cookie(name, value, max_age=seconds, path="/", httponly=True, samesite="lax", secure=secure)

    def may_see(self, person: Person | None, task: TaskInfo) -> bool:
        """Tasks that anyone may help with are everybody's, the others of those who were let in."""
        if task.open or self.settings.anyone:
            return True
        return person is not None and person.kind != "guest"


def _day(us: int) -> str:
    """Microseconds since 1970 as a day and a time of day, UTC."""
    return datetime.fromtimestamp(us / 1e6, UTC).strftime("%Y-%m-%d %H:%M")

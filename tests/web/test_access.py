"""Every page checked by axe (Deque's rules for WCAG), on a desktop and on a phone, light and dark."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from axe_playwright_python.sync_playwright import Axe
from dispute import make_dispute
from web_pages import Opening, until

from earmark.catalog.database import Catalog, Workspace
from earmark.catalog.labelling import submit
from earmark.catalog.people import find_person, invite
from earmark.catalog.queueing import next_clips

if TYPE_CHECKING:
    from playwright.sync_api import Page

DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}

VISITOR = ("/", "/tasks/sax", "/login", "/nope")
ADMIN = (
    *("/", "/tasks/sax", "/tasks/sax/label", "/tasks/sax/done", "/me", "/me/password", "/admin", "/admin/people"),
    *("/admin/new-task", "/admin/tasks/two", "/admin/tasks/two/edit", "/admin/tasks/two/disputes"),
)


@pytest.fixture
def workspace(sqlite_workspace: Workspace) -> Workspace:
    return sqlite_workspace


def _faults(page: Page) -> list[str]:
    """Serious and critical ones, with where they are; and a page that is wider than its window."""
    found = [
        f"{page.url}: {one['id']} ({one['impact']}): {node['html'][:160]}"
        for one in Axe().run(page).response["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]
    width = page.evaluate("document.documentElement.scrollWidth")
    wide = [] if width <= page.viewport_size["width"] else [f"{page.url} is {width} px wide"]
    return found + wide


def _login(page: Page) -> None:
    page.goto("/login")
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill("correct horse")
    page.keyboard.press("Enter")
    page.wait_for_url("**/")


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_shuts_anybody_out(opening: Opening, catalog: Catalog, viewport: dict[str, int], scheme: str) -> None:
    make_dispute(catalog)
    ada = find_person(catalog, "ada").id
    for held in next_clips(catalog, "sax", ada, 3):
        submit(catalog, held.token, {"sax": "foreground", "vocals": "unsure"})
    link = f"/invite/{invite(catalog, 'annotator')}"
    options = {"viewport": viewport, "color_scheme": scheme, "has_touch": viewport is PHONE}
    options["reduced_motion"] = "reduce"  # colours half way between two states are nobody's
    faults: list[str] = []
    visitor = opening(**options)
    for path in (*VISITOR, link):
        visitor.goto(path)
        faults += _faults(visitor)
    admin = opening(**options)
    _login(admin)
    for path in ADMIN:
        admin.goto(path)
        if path.endswith("/label"):
            until(admin, "document.getElementById('loading')?.hidden")
            admin.keyboard.press("1")
            faults += _faults(admin)
            admin.keyboard.press("?")
            until(admin, "document.getElementById('help').open")
        faults += _faults(admin)
    assert faults == []

"""The labeller in a real browser: by keyboard alone, two people at once, a lost connection, a phone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Error
from web_labels import labels

from earmark.catalog.database import Catalog, Workspace
from earmark.catalog.people import list_people
from earmark.catalog.tables import Annotation
from earmark.catalog.tasks import get_task

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

WAIT_MS = 60_000
ORDINARY = 23  # clips of the task that are not gold

READY = "document.getElementById('loading')?.hidden && !document.getElementById('skip').disabled"

Opening = Callable[..., "Page"]


@pytest.fixture
def workspace(sqlite_workspace: Workspace) -> Workspace:
    """A browser makes no difference between databases; `test_api` holds both."""
    return sqlite_workspace


@pytest.fixture
def opening(browser: Browser, served: Any) -> Iterator[Opening]:
    """Opens a browser of somebody new; what its pages report as wrong fails the test."""
    wrong: list[str] = []
    contexts = []

    def make(**options: Any) -> Page:
        context = browser.new_context(base_url=served.url, **options)
        contexts.append(context)
        context.set_default_timeout(WAIT_MS)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda m: wrong.append(m.text) if m.type == "error" and "net::ERR" not in m.text else None)
        return page

    yield make
    for context in contexts:
        context.close()
    assert wrong == []


def _until(page: Page, condition: str) -> None:
    """Waits for a condition in JavaScript. Playwright's own waiting needs eval, which the page's policy forbids."""
    for _ in range(WAIT_MS // 50):
        try:
            if page.evaluate(condition):
                return
        except Error as error:
            if "context was destroyed" not in str(error):  # another page is coming, of which we ask the same
                raise
        page.wait_for_timeout(50)
    raise AssertionError(f"{condition} did not come true; the page says {page.inner_text('body')!r}")


def _start(page: Page) -> None:
    page.goto("/tasks/sax")
    page.get_by_role("button", name="Start labelling").click()
    _ready(page)


def _ready(page: Page) -> None:
    _until(page, READY)


def _counted(page: Page, n: int) -> None:
    _until(page, f"document.getElementById('count').textContent === '{n} labelled'")


def _sent(page: Page) -> None:
    """All answers have been acknowledged."""
    _until(page, "Object.entries(localStorage).every(([k, v]) => !k.endsWith(':outbox') || v === '[]')")


def _by_keys(page: Page, first: int, second: int) -> None:
    """Answers both tags by pressing their keys so often, and submits."""
    _ready(page)
    for key, times in (("1", first), ("2", second)):
        for _ in range(times):
            page.keyboard.press(key)
    page.keyboard.press("Enter")


def test_a_first_visitor_labels_by_keyboard_alone_and_takes_one_back(opening: Opening, catalog: Catalog) -> None:
    page = opening()
    page.goto("/")
    for wanted in ("sax", "Read how, and start with sax"):
        while page.evaluate("document.activeElement.textContent.trim()") != wanted:
            page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/tasks/sax")
    while page.evaluate("document.activeElement.textContent.trim()") != "Start labelling":
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/label")
    _ready(page)
    assert page.locator("#submit").is_disabled()
    page.keyboard.press("Enter")  # nothing is answered, so nothing is sent
    _by_keys(page, 1, 3)
    _counted(page, 1)
    _by_keys(page, 2, 4)
    _counted(page, 2)
    _ready(page)
    page.keyboard.press("u")
    _counted(page, 1)
    _until(page, "document.querySelectorAll('fieldset input:checked').length === 2")
    assert page.locator("#said").inner_text().startswith("Undone: this clip again")
    page.keyboard.press("1")  # background was said; once more is absent
    page.keyboard.press("Enter")
    _counted(page, 2)
    _by_keys(page, 4, 4)
    _counted(page, 3)
    _sent(page)
    said = [tuple(values.values()) for _, values in labels(catalog, "sax")]
    assert sorted(said) == [("absent", "unsure"), ("foreground", "absent"), ("unsure", "unsure")]


def test_a_lost_connection_and_a_reload_lose_nothing_and_send_nothing_twice(opening: Opening, catalog: Catalog) -> None:
    page = opening()
    _start(page)
    arrived = []

    def swallow_the_answer(route: Route) -> None:
        arrived.append(route.fetch().status)  # the server has it, and we never hear of it
        route.abort()

    page.wait_for_load_state("networkidle")
    page.route("**/submit", swallow_the_answer)
    _by_keys(page, 1, 1)
    _until(page, "document.getElementById('line').textContent.includes('1 answer kept here')")
    page.route("**/submit", lambda route: route.abort())
    _by_keys(page, 2, 2)  # of the clips that were loaded ahead
    _until(page, "document.getElementById('line').textContent.includes('2 answers kept here')")
    page.keyboard.press("1")
    page.reload()
    _until(page, "document.getElementById('line').textContent.includes('2 answers kept here')")
    assert arrived[0] == 200
    assert len(labels(catalog, "sax")) == 1
    page.unroute("**/submit")
    _sent(page)
    _ready(page)
    _until(page, "document.querySelectorAll('fieldset input:checked').length === 1")  # the draft is back
    said = [tuple(values.values()) for _, values in labels(catalog, "sax")]
    assert sorted(said) == [("background", "background"), ("foreground", "foreground")]
    with catalog.read() as connection:
        task = get_task(catalog, "sax").id
        kinds = connection.execute(Annotation.__table__.select().where(Annotation.task_id == task)).all()
    assert len(kinds) == 2


def test_the_labeller_fits_a_phone_and_a_thumb(opening: Opening, catalog: Catalog) -> None:
    page = opening(viewport={"width": 390, "height": 844}, has_touch=True)
    _start(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    small = page.evaluate(
        "[...document.querySelectorAll('#labeller button, #labeller select, .scale label')]"
        ".map(e => [e.id || e.className, e.getBoundingClientRect()])"
        ".filter(([, box]) => box.height < 44 || box.width < 40).map(([name]) => name)"
    )
    assert small == []
    for tag in ("sax", "vocals"):
        page.locator(f"fieldset[data-tag={tag}] label.absent").tap()
    bar = page.locator("#submit").bounding_box()
    assert bar is not None
    assert bar["y"] + bar["height"] <= 844  # within reach without scrolling
    page.locator("#submit").tap()
    _counted(page, 1)
    _sent(page)
    assert [values for _, values in labels(catalog, "sax")] == [{"sax": "absent", "vocals": "absent"}]


@pytest.mark.slow
def test_two_people_at_once_never_meet_and_finish_together(opening: Opening, catalog: Catalog) -> None:
    labelling = [opening(), opening()]
    for page in labelling:
        _start(page)
    for turn in range(2 * ORDINARY):
        for page in list(labelling):
            _until(page, f"location.pathname.endsWith('/done') || ({READY})")
            if page.url.endswith("/done"):
                assert page.locator("h1").inner_text() == "Nothing is left for you"
                labelling.remove(page)
            else:
                _by_keys(page, 1 + turn % 4, 3)
        if not labelling:
            break
    assert labelling == []
    said = labels(catalog, "sax")
    assert len(said) == len({clip for clip, _ in said}) == ORDINARY  # overlap 1: nobody's clip is another's too
    assert sum(person.kind == "guest" for person in list_people(catalog)) == 2

"""The labeller in a real browser: by keyboard alone, two people at once, a lost connection, a phone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from dispute import make_dispute
from web_labels import labels
from web_pages import Opening, until

from earmark.catalog.current import labels_of
from earmark.catalog.database import Catalog, Workspace
from earmark.catalog.people import list_people
from earmark.catalog.tables import Annotation
from earmark.catalog.tasks import get_task

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

ORDINARY = 23  # clips of the task that are not gold

READY = "document.getElementById('loading')?.hidden && !document.getElementById('skip').disabled"


@pytest.fixture
def workspace(sqlite_workspace: Workspace) -> Workspace:
    """A browser makes no difference between databases; `test_api` holds both."""
    return sqlite_workspace


def _start(page: Page) -> None:
    page.goto("/tasks/sax")
    page.get_by_role("button", name="Start labelling").click()
    _ready(page)


def _ready(page: Page) -> None:
    until(page, READY)


def _counted(page: Page, n: int) -> None:
    until(page, f"document.getElementById('count').textContent === '{n} labelled'")


def _sent(page: Page) -> None:
    """All answers have been acknowledged."""
    until(page, "Object.entries(localStorage).every(([k, v]) => !k.endsWith(':outbox') || v === '[]')")


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
    until(page, "document.querySelectorAll('fieldset input:checked').length === 2")
    until(page, "document.getElementById('said').textContent.startsWith('Undone: this clip again')")
    page.keyboard.press("1")  # background was said; once more is absent
    page.keyboard.press("Enter")
    _counted(page, 2)
    _by_keys(page, 4, 4)
    _counted(page, 3)
    _sent(page)
    said = [tuple(values.values()) for _, values in labels(catalog, "sax")]
    assert sorted(said) == [("absent", "unsure"), ("foreground", "absent"), ("unsure", "unsure")]


def test_two_answers_taken_back_are_both_there_to_be_sent_again(opening: Opening, catalog: Catalog) -> None:
    page = opening()
    _start(page)
    _by_keys(page, 1, 3)
    _counted(page, 1)
    _by_keys(page, 2, 4)
    _counted(page, 2)
    _sent(page)
    before = labels(catalog, "sax")
    _ready(page)
    page.keyboard.press("1")  # begun, and not to be lost either
    for left in (1, 0):
        page.keyboard.press("u")
        _counted(page, left)
        until(page, "document.querySelectorAll('fieldset input:checked').length === 2")
        _ready(page)
    for done in (1, 2):
        page.keyboard.press("Enter")
        _counted(page, done)
        _ready(page)
    _sent(page)
    said = sorted(tuple(values.values()) for _, values in before)
    assert said == [("background", "unsure"), ("foreground", "absent")]
    assert labels(catalog, "sax") == before
    chosen = "[...document.querySelectorAll('fieldset input:checked')].map(input => input.value)"
    assert page.evaluate(chosen) == ["foreground"]


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
    until(page, "document.getElementById('line').textContent.includes('1 answer kept here')")
    page.route("**/submit", lambda route: route.abort())
    _by_keys(page, 2, 2)  # of the clips that were loaded ahead
    until(page, "document.getElementById('line').textContent.includes('2 answers kept here')")
    page.keyboard.press("1")
    page.reload()
    until(page, "document.getElementById('line').textContent.includes('2 answers kept here')")
    assert arrived[0] == 200
    assert len(labels(catalog, "sax")) == 1
    page.unroute("**/submit")
    _sent(page)
    _ready(page)
    until(page, "document.querySelectorAll('fieldset input:checked').length === 1")  # the draft is back
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
def test_a_first_visitor_reads_the_intro_and_labels_everything_by_keyboard(opening: Opening, catalog: Catalog) -> None:
    page = opening()
    page.goto("/")
    page.keyboard.press("Tab")  # the jump to the content
    while page.evaluate("document.activeElement.textContent.trim()") != "sax":
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/tasks/sax")
    intro = page.inner_text("main")
    for words in ("How it goes", "Any saxophone.", "you hear it, but behind other sounds", "you cannot tell"):
        assert words in intro
    while page.evaluate("document.activeElement.textContent.trim()") != "Start labelling":
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/label")
    for done in range(1, 21):
        _by_keys(page, 1 + done % 4, 1 + done % 3)
        _counted(page, done)
        if done == 10:
            _ready(page)
            page.keyboard.press("u")
            _counted(page, 9)
            until(page, "document.querySelectorAll('fieldset input:checked').length === 2")
            page.keyboard.press("Enter")
            _counted(page, 10)
    for done in range(21, ORDINARY + 1):
        _by_keys(page, 3, 3)
        if done < ORDINARY:
            _counted(page, done)
    page.wait_for_url("**/done")
    assert page.locator("h1").inner_text() == "Nothing is left for you"
    assert f"You have labelled {ORDINARY} clips of sax" in page.inner_text("main")
    said = labels(catalog, "sax")
    assert len(said) == len({clip for clip, _ in said}) == ORDINARY


def test_an_admin_settles_a_dispute(opening: Opening, catalog: Catalog) -> None:
    make_dispute(catalog)
    page = opening()
    page.goto("/login?next=/admin/tasks/two")
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill("correct horse")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Settle disputes").click()
    dispute = page.locator("section.dispute")
    assert dispute.count() == 1
    assert "bo: present · ada: absent" in dispute.inner_text()
    page.get_by_role("radio", name="absent").focus()
    page.keyboard.press("Space")
    page.get_by_role("button", name="Settle").click()
    page.get_by_text("Nobody disagrees").wait_for()
    with catalog.read() as connection:
        said = list(labels_of(connection, get_task(catalog, "two").id, clips=[2]))
    assert [(one.origin, {tag: str(value) for tag, value in one.values.items()}) for one in said][-1] == (
        "adjudication",
        {"sax": "absent"},
    )


def test_a_clip_that_cannot_be_played_is_passed_on(opening: Opening, catalog: Catalog, workspace: Workspace) -> None:
    for song in (workspace.root / "songs").iterdir():
        song.write_bytes(b"no sound at all")
    page = opening()
    page.goto("/tasks/sax")
    page.get_by_role("button", name="Start labelling").click()
    until(page, "document.getElementById('loading')?.textContent.startsWith('This clip cannot be played')")
    for key in "12":
        page.keyboard.press(key)
    assert page.locator("#submit").is_disabled()
    page.keyboard.press("x")
    until(page, "document.getElementById('loading')?.textContent.startsWith('This clip cannot be played')")
    _sent(page)
    with catalog.read() as connection:
        kinds = [one.kind for one in labels_of(connection, get_task(catalog, "sax").id, kinds=("label", "unusable"))]
    assert kinds == ["unusable"]


@pytest.mark.slow
def test_two_people_at_once_never_meet_and_finish_together(opening: Opening, catalog: Catalog) -> None:
    labelling = [opening(), opening()]
    for page in labelling:
        _start(page)
    for turn in range(2 * ORDINARY):
        for page in list(labelling):
            until(page, f"location.pathname.endsWith('/done') || ({READY})")
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

"""The labeller in a real browser: by keyboard alone, two people at once, a lost connection, a phone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from dispute import make_dispute
from web_labels import labels
from web_pages import Opening, until

from earmark.catalog.current import labels_of
from earmark.catalog.database import Catalog, Workspace
from earmark.catalog.people import list_people
from earmark.catalog.tables import Annotation
from earmark.catalog.tasks import add_clips_to_task, get_task, new_task

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

TAGS = ("sax", "vocals")
SCALE = ("foreground", "background", "absent")
ORDINARY = 23  # clips of the task that are not gold

READY = "document.getElementById('loading')?.hidden && !document.getElementById('skip').disabled"


@pytest.fixture
def workspace(sqlite_workspace: Workspace) -> Workspace:
    """A browser makes no difference between databases; `test_api` holds both."""
    return sqlite_workspace


def _start(page: Page, task: str = "sax") -> None:
    page.goto(f"/tasks/{task}")
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


# the page keeps its sound to itself, so it is caught as it is made
CAUGHT = "Audio = new Proxy(Audio, {construct: (kind, given) => globalThis.caught = Reflect.construct(kind, given)})"
# of a clip of 5 s: the sound's own time, and that of the playhead, the slider and the number
SECONDS = """(() => {
  const of = (id) => document.getElementById(id);
  const head = parseFloat(of("head").style.left) / 20;
  return [caught.currentTime, head, Number(of("seek").value) / 200, Number(of("now").textContent)];
})()"""


def test_the_player_plays_seeks_loops_and_changes_speed(opening: Opening) -> None:
    page = opening()
    page.add_init_script(CAUGHT)
    _start(page)
    until(page, "!caught.paused && caught.currentTime > 0.2")  # by itself, as each clip does
    assert page.evaluate("[caught.duration, caught.playbackRate, caught.loop]") == [5.0, 1, False]

    def click(surface: str, share: float) -> None:
        box = page.locator(surface).bounding_box()
        assert box is not None
        page.mouse.click(box["x"] + share * box["width"], box["y"] + box["height"] / 2)

    page.locator("#speed").select_option("0.5")
    assert page.evaluate("caught.playbackRate") == 0.5
    page.locator("#heading").focus()
    before = page.evaluate(SECONDS)[1]
    until(page, f"{SECONDS}[1] > {before + 0.3}")  # the playhead moves along
    page.keyboard.press("Space")
    assert page.evaluate("caught.paused")
    assert page.evaluate(SECONDS)[0] < 4  # it was stopped, and has not ended
    for surface, share, seconds in (("#picture", 0.25, 1.25), ("#wave", 0.75, 3.75)):
        click(surface, share)
        until(page, "!caught.seeking")
        assert page.evaluate(SECONDS) == pytest.approx([seconds] * 4, abs=0.06)  # the number has one decimal
    page.keyboard.press("ArrowLeft")
    assert page.evaluate(SECONDS)[0] == pytest.approx(3.25, abs=0.02)
    page.keyboard.press("r")
    until(page, "!caught.paused && caught.currentTime > 0")
    assert page.evaluate("caught.currentTime") < 3
    page.keyboard.press("l")
    assert page.evaluate("[caught.loop, document.getElementById('loop').ariaPressed]") == [True, "true"]
    click("#wave", 0.95)
    until(page, "!caught.paused && caught.currentTime < 4")  # it has come round
    page.locator("#speed").select_option("2")
    assert page.evaluate("caught.playbackRate") == 2
    page.locator("#heading").focus()  # keys in a list choose from it
    _by_keys(page, 1, 1)
    _counted(page, 1)
    _ready(page)
    assert page.evaluate("[caught.playbackRate, caught.loop]") == [2, True]  # of the next clip too
    page.keyboard.press("l")
    assert page.evaluate("[caught.loop, document.getElementById('loop').ariaPressed]") == [False, "false"]


def test_keys_skip_pass_on_and_help(opening: Opening, catalog: Catalog) -> None:
    page = opening()
    _start(page)
    page.keyboard.press("?")
    help_ = page.get_by_role("dialog")
    assert "skip: leave it to others" in help_.inner_text()
    page.keyboard.press("s")  # nothing is said from behind the help
    page.keyboard.press("Escape")
    assert help_.count() == 0

    def kinds() -> list[str]:
        _sent(page)
        with catalog.read() as connection:
            query = sa.select(Annotation.kind).where(Annotation.task_id == get_task(catalog, "sax").id)
            return list(connection.execute(query.order_by(Annotation.id)).scalars())

    assert kinds() == []
    for key in "sx":
        page.keyboard.press(key)
        until(page, "document.getElementById('said').textContent.startsWith('Next clip')")
        _ready(page)
        page.evaluate("document.getElementById('said').textContent = ''")
    assert kinds() == ["skip", "unusable"]
    page.keyboard.press("u")
    until(page, "document.getElementById('said').textContent.startsWith('Undone: this clip again')")
    assert kinds() == ["skip", "unusable", "retraction"]
    page.keyboard.press("?")
    page.get_by_label("Use these keys").uncheck()
    page.keyboard.press("Escape")
    _ready(page)
    for key in "s1":  # are off now
        page.keyboard.press(key)
    assert page.locator("fieldset input:checked").count() == 0
    # The box may hold the focus for a moment more than the help is there.
    page.evaluate(
        "document.getElementById('help').showModal();"
        "document.getElementById('use-keys').focus();"
        "document.getElementById('help').close();"
        "document.getElementById('use-keys').dispatchEvent(new KeyboardEvent('keydown', {key: '?', bubbles: true}))"
    )  # `?` is not off, or one could not have them back
    page.get_by_label("Use these keys").check()
    page.get_by_role("button", name="Close").click()
    page.keyboard.press("1")
    assert page.locator("fieldset input:checked").count() == 1
    assert kinds() == ["skip", "unusable", "retraction"]


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


def _few(catalog: Catalog, clips: int) -> str:
    """A task of so many clips, none of them gold: one that is over soon. All there are: the fixture's own."""
    if clips == ORDINARY:
        return "sax"
    new_task(catalog, "few", TAGS, scale=SCALE, overlap=1, open=True, help={"sax": "Any saxophone."})
    add_clips_to_task(catalog, "few", range(2, 2 + clips))
    return "few"


@pytest.mark.parametrize("clips", [5, pytest.param(ORDINARY, marks=pytest.mark.slow)])
def test_a_first_visitor_reads_the_intro_and_labels_everything_by_keyboard(
    opening: Opening, catalog: Catalog, clips: int
) -> None:
    task = _few(catalog, clips)
    page = opening()
    page.goto("/")
    page.keyboard.press("Tab")  # the jump to the content
    while page.evaluate("document.activeElement.textContent.trim()") != task:
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/tasks/{task}")
    intro = page.inner_text("main")
    for words in ("How it goes", "Any saxophone.", "you hear it, but behind other sounds", "you cannot tell"):
        assert words in intro
    while page.evaluate("document.activeElement.textContent.trim()") != "Start labelling":
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/label")
    for done in range(1, clips + 1):
        _by_keys(page, 1 + done % 4, 1 + done % 3)
        if done < clips:
            _counted(page, done)
        if done == clips // 2:
            _ready(page)
            page.keyboard.press("u")
            _counted(page, done - 1)
            until(page, "document.querySelectorAll('fieldset input:checked').length === 2")
            page.keyboard.press("Enter")
            _counted(page, done)
    page.wait_for_url("**/done")
    assert page.locator("h1").inner_text() == "Nothing is left for you"
    assert f"You have labelled {clips} clips of {task}" in page.inner_text("main")
    said = labels(catalog, task)
    assert len(said) == len({clip for clip, _ in said}) == clips


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


@pytest.mark.parametrize("clips", [6, pytest.param(ORDINARY, marks=pytest.mark.slow)])
def test_two_people_at_once_never_meet_and_finish_together(opening: Opening, catalog: Catalog, clips: int) -> None:
    task = _few(catalog, clips)
    labelling = [opening(), opening()]
    for page in labelling:
        _start(page, task)
    for turn in range(2 * clips):
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
    said = labels(catalog, task)
    assert len(said) == len({clip for clip, _ in said}) == clips  # overlap 1: nobody's clip is another's too
    guests = [person.id for person in list_people(catalog) if person.kind == "guest"]
    with catalog.read() as connection:
        by = [one.annotator_id for one in labels_of(connection, get_task(catalog, task).id)]
    assert len(guests) == 2
    assert set(by) == set(guests)  # both had a part in it

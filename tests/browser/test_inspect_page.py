"""The page of `earmark inspect` in a browser: it fits the screen, needs nothing beside it, and its sounds play."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from earmark.audio.synthetic import make_sounds
from earmark.explore.advice import next_step
from earmark.explore.inspect import inspect
from earmark.explore.report import write_report

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def page_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inspect")
    made = make_sounds(folder / "sounds", per_class=3)
    found = inspect(made.root, workers=2, timeout_s=60.0)
    write_report(found, folder / "inspect.html", next_step(found, made.root))
    return folder / "inspect.html"


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_fits_the_screen_and_asks_for_nothing(browser: Browser, page_path: Path, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    wrong: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: asked.append(request.url) if not request.url.startswith("data:") else None)
    page.goto(page_path.as_uri())
    assert wrong == []
    assert asked == [page_path.as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert "engine_dead_battery.wav" in page.content()
    page.close()


def test_the_examples_can_be_heard(browser: Browser, page_path: Path) -> None:
    page = browser.new_page()
    page.goto(page_path.as_uri())
    seconds = page.evaluate(
        "async () => Promise.all([...document.querySelectorAll('audio')].map(a => new Promise((good, bad) => {"
        " a.onloadedmetadata = () => good(a.duration); a.onerror = () => bad(a.error.message);"
        " a.preload = 'auto'; a.load() })))"
    )
    assert len(seconds) >= 6
    assert all(0.3 < duration < 15 for duration in seconds)
    page.close()

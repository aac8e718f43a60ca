"""A browser's pages in the tests of the web room."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from playwright.sync_api import Error

if TYPE_CHECKING:
    from playwright.sync_api import Page

WAIT_MS = 60_000

Opening = Callable[..., "Page"]


def until(page: Page, condition: str) -> None:
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

"""The report as people open it: in a browser, from a folder, on a wide screen and on a phone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from earmark.audio.synthetic import recording
from earmark.bundle.schema import Calibration
from earmark.evaluation.calibrate import probabilities_of
from earmark.evaluation.evaluate import evaluate
from earmark.metrics.results import ClipPredictions
from earmark.reports.content import ReportContent
from earmark.reports.html import write_report
from earmark.types import Samples, Vocabulary, VocabularyKind

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WIDTHS = (1280, 390)
LONG = "a tag whose name is as long as some people's folder names tend to be"
TAGS = ("bell", "drum & bass", "Öl <pump>", LONG, *(f"tag {number:02d}" for number in range(14)))


def _predictions(kind: VocabularyKind, clips: int = 150) -> ClipPredictions:
    rng = np.random.default_rng(0)
    targets = np.zeros((clips, len(TAGS)), np.float32)
    targets[np.arange(clips), np.arange(clips) % len(TAGS)] = 1
    if kind == "multilabel":
        targets = np.maximum(targets, rng.random(targets.shape) < 0.05).astype(np.float32)
    logits = (4.0 * targets + 2.0 * rng.standard_normal(targets.shape)).astype(np.float32)
    return ClipPredictions(
        uris=[f"/sounds/{LONG}/a recording with a very long name {i:04d}.wav" for i in range(clips)],
        start_s=np.full(clips, np.nan),
        stop_s=np.full(clips, np.nan),
        groups=[f"g{i // 3}" for i in range(clips)],
        logits=logits,
        embeddings=rng.standard_normal((clips, 8)).astype(np.float32),
        targets=targets,
        weights=np.ones_like(targets),
        vocabulary=Vocabulary(TAGS, kind),
    )


def _sound(split: str, clip: int) -> tuple[Samples, int]:
    return recording("bell", seconds=0.5, sample_rate_hz=16000, rng=np.random.default_rng(clip)), 16000


def _picture(split: str, clip: int) -> np.ndarray:
    return np.random.default_rng(clip).standard_normal((64, 50))


@pytest.fixture(scope="module", params=["exclusive", "multilabel"])
def report(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    clips = _predictions(request.param)
    folder = tmp_path_factory.mktemp("report")
    table = pd.DataFrame({"tag": [*TAGS, "all"], "train": range(len(TAGS) + 1), "val": 3, "test": 4})
    write_report(
        folder,
        ReportContent(
            title="sounds & more <of them>",
            vocabulary=clips.vocabulary,
            evaluations={"test": evaluate(clips, resamples=50)},
            predictions={"test": clips},
            probabilities={"test": probabilities_of(clips, Calibration())},
            history=[{"epoch": i, "train_loss": 1 / (i + 1), "val_loss": 1.2 / (i + 1)} for i in range(5)],
            recipe_yaml="name: small-cnn\nsummary: a line that goes" + " on and on" * 12 + "\n",
            data_table=table,
            notes=["1 file was left out", "LEAK ALLOWED: " + "x" * 120],
            provenance={"versions": {"earmark": "0.1.0"}, "data fingerprint": "0" * 64},
            samples_of=_sound,
            spectrogram_of=_picture,
        ),
    )
    return folder / "report.html"


@contextmanager
def _opened(browser: Browser, path: Path, width: int) -> Iterator[tuple[Page, list[str]]]:
    """The page, and what went wrong while it was open: errors, and anything asked of the network."""
    page = browser.new_page(viewport={"width": width, "height": 900})
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    # a player that has what it needs for now breaks off the rest by itself
    page.on(
        "requestfailed",
        lambda request: (
            None
            if request.resource_type == "media" and request.failure == "net::ERR_ABORTED"
            else wrong.append(f"failed: {request.url} ({request.failure})")
        ),
    )
    page.on(
        "request", lambda request: None if request.url.startswith(("file:", "data:")) else wrong.append(request.url)
    )
    page.goto(path.as_uri())
    yield page, wrong
    page.close()


@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_fits_the_screen_and_asks_nothing_of_the_network(browser: Browser, report: Path, width: int) -> None:
    with _opened(browser, report, width) as (page, wrong):
        page.mouse.wheel(0, 20000)
        assert wrong == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        outside = page.evaluate(
            "[...document.querySelectorAll('h1, h2, p, figure, .card, nav')]"
            ".filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.tagName + e.className)"
        )
        assert outside == []


def test_what_people_named_is_shown_as_they_wrote_it(browser: Browser, report: Path) -> None:
    with _opened(browser, report, 1280) as (page, _):
        assert page.locator("h1").inner_text() == "sounds & more <of them>"
        assert "Öl <pump>" in page.locator("table.sortable").inner_text()


def test_the_worst_mistakes_can_be_seen_and_heard(browser: Browser, report: Path) -> None:
    with _opened(browser, report, 1280) as (page, wrong):
        assert page.locator("#mistakes figure").count() == 12
        assert page.locator("#mistakes audio[controls]").count() == 12
        seconds = page.evaluate(
            "async () => { const a = document.querySelector('#mistakes audio'); a.preload = 'auto'; a.load();"
            " await new Promise((good, bad) => { a.onloadedmetadata = good; a.onerror = () => bad(a.error.message) });"
            " return a.duration }"
        )
        assert seconds == pytest.approx(0.5, abs=0.15)
        drawn = page.evaluate(
            "[...document.querySelectorAll('#mistakes img')].filter(i => i.naturalWidth > 0 && i.alt).length"
        )
        assert drawn == 12
        assert wrong == []


def test_a_press_on_a_heading_sorts_and_another_turns_it_round(browser: Browser, report: Path) -> None:
    with _opened(browser, report, 1280) as (page, wrong):
        heading = page.locator("table.sortable th").filter(has_text="recall")

        def column() -> list[float]:
            return [float(text) for text in page.locator("table.sortable tbody td:nth-child(3)").all_inner_texts()]

        heading.locator("button").click()
        first, said = column(), heading.get_attribute("aria-sort")
        heading.locator("button").click()
        second, turned = column(), heading.get_attribute("aria-sort")
        assert {said, turned} == {"ascending", "descending"}
        assert first == sorted(first, reverse=said == "descending")
        assert second == sorted(first, reverse=turned == "descending")
        page.locator("table.sortable th button").first.click()
        names = page.locator("table.sortable tbody td:first-child").all_inner_texts()
        assert sorted(names) == sorted(TAGS)
        assert wrong == []


def test_the_links_of_the_menu_lead_to_their_sections(browser: Browser, report: Path) -> None:
    with _opened(browser, report, 390) as (page, _):
        targets = page.eval_on_selector_all("nav a", "links => links.map(a => a.getAttribute('href'))")
        assert len(targets) >= 5
        assert [target for target in targets if page.locator(target).count() != 1] == []

"""docs/architecture.md and its drawing tell of the house that stands."""

from __future__ import annotations

import runpy
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def drawing() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "scripts" / "draw_architecture.py"))


def _existing() -> set[str]:
    inside = (ROOT / "src" / "earmark").iterdir()
    packages = {path.name for path in inside if (path / "__init__.py").is_file()}
    # without the house itself, and its door
    modules = {path.stem for path in (ROOT / "src" / "earmark").glob("*.py")} - {"__init__", "__main__"}
    return packages | modules


def test_the_page_names_every_room_that_exists_and_no_other(drawing: dict[str, Any]) -> None:
    assert set(drawing["rooms"]()) == _existing()


def test_every_room_has_its_floor_in_the_import_contract(drawing: dict[str, Any]) -> None:
    placed = [room for floor in drawing["floors"]() for room in floor]
    assert sorted(placed) == sorted(_existing())


def test_the_page_lists_the_rooms_from_the_top_down(drawing: dict[str, Any]) -> None:
    floor_of = {room: number for number, floor in enumerate(drawing["floors"]()) for room in floor}
    told = [floor_of[room] for room in drawing["rooms"]()]
    assert told == sorted(told)


def test_the_drawing_is_the_one_that_the_page_and_the_contract_give(drawing: dict[str, Any]) -> None:
    kept = (ROOT / "docs" / "images" / "architecture.svg").read_text(encoding="utf-8")
    assert kept == drawing["draw"](), "run scripts/draw_architecture.py (or make pictures) and commit what it draws"


def test_no_text_of_the_drawing_leaves_its_box(drawing: dict[str, Any]) -> None:
    space = "{http://www.w3.org/2000/svg}"
    for box in ElementTree.fromstring(drawing["draw"]()).iter(f"{space}g"):
        rectangle, *texts = box
        bottom = float(rectangle.attrib["y"]) + float(rectangle.attrib["height"])
        right = float(rectangle.attrib["x"]) + float(rectangle.attrib["width"])
        for text in texts:
            assert float(text.attrib["y"]) <= bottom - 4, text.text
            width = 0.56 * float(text.attrib["font-size"]) * len(text.text or "")
            assert float(text.attrib["x"]) + width <= right + 4, text.text

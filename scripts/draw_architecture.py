"""Draw docs/images/architecture.svg from the floors in pyproject.toml and the table in docs/architecture.md."""

from __future__ import annotations

import re
import textwrap
import tomllib
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "architecture.md"
DRAWING = ROOT / "docs" / "images" / "architecture.svg"

WIDTH, MARGIN, GAP, HEIGHT, LINE = 960, 16, 8, 62, 15
CHARACTER = 6.1  # mean width of the small text, in its font size of 11.5
FLOORS = ("#5b4b8a", "#3f5f9a", "#2b7a8c", "#2f7f5f", "#6b7f2f", "#8a6a2b", "#8a4b3b", "#6a5560", "#555b66")


def floors() -> list[list[str]]:
    """Rooms floor by floor from the top, as import-linter holds them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = next(c for c in project["tool"]["importlinter"]["contracts"] if c["type"] == "layers")["layers"]
    return [[room.strip() for room in layer.split("|")] for layer in layers]


def rooms() -> dict[str, str]:
    """Room -> what it does, from the table of the page."""
    page = PAGE.read_text(encoding="utf-8")
    return dict(re.findall(r"^\| `(\w+)` \| (.+?) \|$", page, flags=re.MULTILINE))


def draw() -> str:
    """The drawing as SVG text: one band a floor, one box a room, an arrow for who may import whom."""
    told = rooms()
    # the ground floors hold one room each and nothing else: together they make one band
    bands = floors()
    while len(bands) > 2 and len(bands[-2]) == 1 and bands[-2][0] in ("settings", "types"):
        bands[-2:] = [bands[-2] + bands[-1]]
    left = MARGIN + 24
    parts = []
    y = MARGIN
    for number, band in enumerate(bands):
        width = (WIDTH - MARGIN - left - GAP * (len(band) - 1)) / len(band)
        colour = FLOORS[number % len(FLOORS)]
        for position, room in enumerate(band):
            x = left + position * (width + GAP)
            parts.append(_box(x, y, width, colour, room, told[room]))
        y += HEIGHT + GAP
    arrow = f'<path d="M{MARGIN + 6} {MARGIN + 4} V{y - GAP - 12}" stroke="#888" stroke-width="2" fill="none"/>'
    head = f'<path d="M{MARGIN} {y - GAP - 14} l6 12 l6 -12 z" fill="#888"/>'
    font = "font-family=\"'DejaVu Sans', Verdana, sans-serif\""
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y - GAP + MARGIN}" role="img" {font}>'
    title = "<title>The rooms of Earmark: each may import what lies below it</title>"
    return "\n".join([opening, title, arrow, head, *parts, "</svg>", ""])


def _box(x: float, y: float, width: float, colour: str, room: str, does: str) -> str:
    lines = textwrap.wrap(does, max(12, int((width - 20) / CHARACTER)))
    text = "".join(
        f'<text x="{x + 10:.0f}" y="{y + 39 + LINE * i:.0f}" font-size="11.5" fill="#fff">{escape(line)}</text>'
        for i, line in enumerate(lines)
    )
    return (
        f'<g><rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{HEIGHT}" rx="6" fill="{colour}"/>'
        f'<text x="{x + 10:.0f}" y="{y + 21}" font-size="15" font-weight="bold" fill="#fff">{escape(room)}</text>'
        f"{text}</g>"
    )


if __name__ == "__main__":
    DRAWING.parent.mkdir(parents=True, exist_ok=True)
    DRAWING.write_text(draw(), encoding="utf-8")
    print(f"drawn: {DRAWING.relative_to(ROOT)}")

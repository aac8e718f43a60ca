"""The page of `earmark inspect`: one HTML file that needs nothing beside it."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Picture:
    """A chart: `png` with a title and, in words for who cannot see it, `alt`."""

    title: str
    alt: str
    png: bytes


@dataclass(frozen=True, slots=True)
class Example:
    """A sound to look at and to hear. `mp3` may be empty."""

    tag: str
    name: str
    png: bytes
    mp3: bytes


def write_page(
    path: Path,
    page: Mapping[str, Any],
    *,
    charts: Sequence[Picture],
    examples: Sequence[Example],
    wide: Sequence[Picture],
) -> None:
    """Write the report; `page` holds what `templates/inspect.html.jinja` names.

    An existing file is replaced only when the new one is complete.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("earmark.reports"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["data_uri"] = _data_uri
    environment.filters["thousands"] = lambda n: f"{n:,}"
    html = environment.get_template("inspect.html.jinja").render(page, charts=charts, examples=examples, wide=wide)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".partial")
    # file names on disk need not be UTF-8, but a page must be
    temporary.write_bytes(html.encode("utf-8", "replace"))
    os.replace(temporary, path)


def _data_uri(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"

"""What the tests of the web room share beside fixtures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from earmark.catalog.current import labels_of
from earmark.catalog.database import Catalog
from earmark.catalog.tasks import get_task

LABEL = {"sax": "absent", "vocals": "unsure"}

Visiting = Callable[..., Any]


def labels(catalog: Catalog, task: str) -> list[tuple[int, dict[str, str]]]:
    """(clip, answers) in force, in the order of clips."""
    with catalog.read() as connection:
        found = labels_of(connection, get_task(catalog, task).id)
        return [(said.clip_id, {tag: str(value) for tag, value in said.values.items()}) for said in found]

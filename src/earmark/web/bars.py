"""A bar chart of labels a day, as numbers for an SVG."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

DAYS = 30
HEIGHT = 80.0
STEP = 12.0


@dataclass(frozen=True, slots=True)
class Bar:
    """x, y, height: in the SVG's units. day: as people write it."""

    x: float
    y: float
    height: float
    day: str
    labels: int


def bars_of(days: Sequence[tuple[int, int]], *, today: int | None = None) -> list[Bar]:
    """One bar for each of the last `DAYS` days.

    Args:
        days: (days since 1970, labels).
        today: days since 1970; None: the clock's.
    """
    last = int(time.time() // 86400) if today is None else today
    counts = dict(days)
    shown = [(day, counts.get(day, 0)) for day in range(last - DAYS + 1, last + 1)]
    most = max(1, *(count for _, count in shown))
    bars = []
    for i, (day, count) in enumerate(shown):
        height = HEIGHT * count / most
        date = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day)
        bars.append(Bar(i * STEP, HEIGHT - height, height, date.strftime("%d %b"), count))
    return bars

"""Progress where nobody draws a bar: plain lines for a log file, nohup, a container or CI."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress

from earmark.formats.names import printable

EVERY_S = 30.0
_WARM_UP_S = 1.0


class LogLines:
    """`earmark.types.Progress` as a plain line on stderr now and then; a job that is over before the first has none.

        training: 1,200/5,000 steps (24%), 41.2/s, 0:01:32 left, epoch 3/10 loss 0.312

    The pieces of work of a command share one clock, so that a thousand short ones are told as one long one is.

    Args:
        every_s: at most one line in so many seconds; it comes with the unit of work that is done next.
        clock: seconds, from wherever they count.
    """

    def __init__(self, every_s: float = EVERY_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._every_s, self._clock = every_s, clock
        self._told_at: float | None = None
        self._task = self._unit = self._note = ""
        self._total: int | None = None
        self._done = self._done_before = 0.0
        self._began = self._counted_from = 0.0
        self._on = False

    def start(self, task: str, total: int | None, unit: str) -> None:
        now = self._clock()
        if self._told_at is None:
            self._told_at = now
        self._task, self._total, self._unit, self._note = task, total, unit, ""
        self._done = self._done_before = 0.0
        self._began = self._counted_from = now
        self._on = True

    def advance(self, n: float = 1, note: str = "") -> None:
        if not self._on or self._told_at is None:
            return
        now = self._clock()
        self._done += n
        self._note = note or self._note
        if now - self._began < _WARM_UP_S:  # what an earlier run had done comes at once, and is no rate
            self._done_before, self._counted_from = self._done, now
        if now - self._told_at >= self._every_s:
            self._told_at = now
            with suppress(OSError, ValueError):  # a stderr that is gone is no reason to lose the work
                sys.stderr.write(self._line(now) + "\n")
                sys.stderr.flush()

    def stop(self) -> None:
        self._on = False

    def _line(self, now: float) -> str:
        count = f"{self._done:,.0f}/{self._total:,}" if self._total else f"{self._done:,.0f}"
        share = f" ({min(100, int(100 * self._done / self._total))}%)" if self._total else ""
        parts = [f"{self._task}: {count} {self._unit}{share}"]
        spent, done = now - self._counted_from, self._done - self._done_before
        if spent > 0 and done > 0:
            rate = done / spent
            parts.append(f"{rate:,.1f}/s" if rate >= 1 else f"{rate:.2g}/s")
            if self._total:
                parts.append(f"{_clock_words(max(0.0, self._total - self._done) / rate)} left")
        words = ", ".join([*parts, *([self._note] if self._note else [])])
        # one line without escapes, whatever a file's name holds
        return "".join(letter if letter.isprintable() else " " for letter in printable(words))


def _clock_words(seconds: float) -> str:
    minutes, second = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{second:02d}"

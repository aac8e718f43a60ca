"""Rate limits: a bucket of tokens for each who and what, which fills up again at a steady pace."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from earmark.errors import EarmarkError

_MOST_BUCKETS = 50_000  # of one kind; the ones that were used longest ago are forgotten


class TooManyError(EarmarkError):
    """Somebody asks more often than is allowed.

    Attributes:
        wait_s: after which the next is allowed.
    """

    def __init__(self, what: str, wait_s: float) -> None:
        super().__init__(f"too many {what} in a short time: wait {max(1, round(wait_s))} s and try again.")
        self.wait_s = wait_s


class Limits:
    """All buckets of a server.

    Args:
        clock: seconds that only go up.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        # for each what, so that a flood of one cannot make another's forgotten: who -> tokens, at
        self._buckets: dict[str, OrderedDict[str, tuple[float, float]]] = {}

    def take(self, what: str, who: str, *, most: int, per_s: float) -> None:
        """One of `most` in `per_s` seconds; TooManyError where none is left."""
        now = self._clock()
        with self._lock:
            buckets = self._buckets.setdefault(what, OrderedDict())
            tokens, at = buckets.pop(who, (float(most), now))
            tokens = min(float(most), tokens + (now - at) * most / per_s)
            left = tokens - 1 if tokens >= 1 else tokens
            buckets[who] = (left, now)
            while len(buckets) > _MOST_BUCKETS:
                buckets.popitem(last=False)
        if tokens < 1:
            raise TooManyError(what, (1 - tokens) * per_s / most)

"""Whether prepared recordings are still what was written, found out before a run and not in its midst."""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from earmark.data.shards import Entry
from earmark.data.store import Store

CHECK_S = 5.0
"""How long a run may take for it. A core sums up to 2 GB a second of what is in memory already, 0.5 GB where it is
shared with much else, and a disk gives 0.2 GB and more: seven hours of sound at 32 kHz (1.6 GB) take 1 to 5 seconds.
What there is no time for, in a larger store, is compared when it is first touched."""
BLOCK = 2**23
"""Samples summed at once, so that the end of the time is noticed in a long recording too."""


@dataclass(frozen=True, slots=True)
class Compared:
    """Keys of recordings that have their checksum, and of those that have not; what time ran out for is in neither."""

    sound: frozenset[str]
    damaged: frozenset[str]


def compare(store: Store, keys: Iterable[str], *, workers: int, seconds: float = CHECK_S) -> Compared:
    """Sum the recordings `keys` of `store` in threads, in the order in which they lie on the disk."""
    rows = sorted((store.entries[key] for key in set(keys)), key=lambda row: (row.shard, row.offset))
    pieces = [store.pcm(row) for row in rows]  # maps only
    until = time.monotonic() + seconds

    def is_sound(number: int) -> bool | None:
        row: Entry = rows[number]
        crc32 = 0
        for first in range(0, row.n_samples, BLOCK):
            if time.monotonic() > until:
                return None
            crc32 = zlib.crc32(pieces[number][first : first + BLOCK].data, crc32)
        return crc32 == row.crc32

    with ThreadPoolExecutor(workers) as pool:
        found = list(pool.map(is_sound, range(len(rows)))) if rows else []
    by_outcome = {
        outcome: frozenset(row.file_sha256 for row, one in zip(rows, found, strict=True) if one is outcome)
        for outcome in (True, False)
    }
    return Compared(by_outcome[True], by_outcome[False])

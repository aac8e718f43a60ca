"""Which files are copies of each other: fingerprints propose, waveforms decide, in worker processes."""

from __future__ import annotations

from collections.abc import Sequence

from earmark.audio.copies import LEAST_AGREEMENT, Pair, compare, excerpts
from earmark.audio.fingerprint import Words, find_other_copies
from earmark.audio.pool import map_files, time_limits
from earmark.types import Progress


def copied_files(
    paths: Sequence[str],
    prints: Sequence[Words],
    hashes: Sequence[str],
    *,
    workers: int,
    timeout_s: float,
    progress: Progress,
) -> list[tuple[int, int]]:
    """Pairs (i, j), i < j, of files that hold one sound in another coding, gain or cut.

    Of identical ones the first stands for all.

    Args:
        paths, prints, hashes: of each file: where it is, its fingerprint, the hash of its decoded samples.
        workers, timeout_s: see `earmark.audio.pool.map_files`.
    """
    progress.start("Looking for copies", None, "files")
    try:
        found = find_other_copies(prints, hashes)
    finally:
        progress.stop()
    items = [(paths[i], Pair(paths[i], paths[j], *excerpts(prints[i], prints[j], lag))) for i, j, _, lag in found]
    limits_a = time_limits([pair.a for _, pair in items], timeout_s)
    limits_b = time_limits([pair.b for _, pair in items], timeout_s)
    limits = [a + b for a, b in zip(limits_a, limits_b, strict=True)]
    progress.start("Comparing likely copies", len(items), "pairs")
    kept = []
    try:
        for outcome in map_files(compare, items, workers=workers, timeout_s=limits):
            # what can be read no more since it was measured is what its fingerprint says it is
            if outcome.value is None or outcome.value >= LEAST_AGREEMENT:
                kept.append((found[outcome.index].i, found[outcome.index].j))
            progress.advance(1)
    finally:
        progress.stop()
    return sorted(kept)

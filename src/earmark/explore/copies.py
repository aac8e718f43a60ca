"""Which files are copies of each other: fingerprints propose, waveforms decide, in worker processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from earmark.audio import read as audio
from earmark.audio.copies import LEAST_AGREEMENT, Span, agreement, excerpts
from earmark.audio.fingerprint import RATE_HZ, Words, find_copies
from earmark.audio.pool import map_files, time_limits
from earmark.types import Progress


@dataclass(frozen=True, slots=True)
class Pair:
    """Two files, and from where to where (seconds) to compare them."""

    a: str
    b: str
    span_a: Span
    span_b: Span


def compare(pair: Pair) -> float:
    """How well the two waveforms agree, 0 to 1. Raises AudioError where one cannot be read."""
    x = audio.read(pair.a, start_s=pair.span_a[0], stop_s=pair.span_a[1], sample_rate_hz=RATE_HZ)
    y = audio.read(pair.b, start_s=pair.span_b[0], stop_s=pair.span_b[1], sample_rate_hz=RATE_HZ)
    return agreement(x.samples, y.samples)


def copied_files(
    paths: Sequence[str],
    prints: Sequence[Words],
    hashes: Sequence[str],
    *,
    workers: int,
    timeout_s: float,
    progress: Progress,
) -> list[tuple[int, int]]:
    """Pairs (i, j), i < j, of files that hold one sound in another coding, gain or cut; not of identical ones.

    Args:
        paths, prints, hashes: of each file: where it is, its fingerprint, the hash of its decoded samples.
        workers, timeout_s: see `earmark.audio.pool.map_files`.
    """
    progress.start("Looking for copies", None, "file")
    try:
        found = [pair for pair in find_copies(prints) if hashes[pair.i] != hashes[pair.j]]
    finally:
        progress.stop()
    items = [(paths[i], Pair(paths[i], paths[j], *excerpts(prints[i], prints[j], lag))) for i, j, _, lag in found]
    limits_a = time_limits([pair.a for _, pair in items], timeout_s)
    limits_b = time_limits([pair.b for _, pair in items], timeout_s)
    limits = [a + b for a, b in zip(limits_a, limits_b, strict=True)]
    progress.start("Comparing likely copies", len(items), "pair")
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

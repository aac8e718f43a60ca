"""Which prepared recordings are copies of each other: fingerprints propose, waveforms decide."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from earmark.audio.copies import LEAST_AGREEMENT, agreement, excerpts
from earmark.audio.fingerprint import Candidate, find_other_copies
from earmark.data.prepared import Prepared
from earmark.settings import usable_cores
from earmark.types import Progress, Quiet


def copies(prepared: Sequence[Prepared], progress: Progress | None = None) -> list[tuple[int, int]]:
    """Pairs (i, j), i < j, of recordings that hold one sound: the same samples, or a lossy copy of them.

    Of recordings with the same samples the first stands for all.

    Args:
        prepared: recordings are counted through all of them: those of the second begin where the first one's end.
    """
    progress = progress or Quiet()
    where = [(one, recording) for one in prepared for recording in range(len(one.recordings))]
    prints = [words for one in prepared for words in one.fingerprints(progress)]
    hashes = [str(value) for one in prepared for value in one.recordings["audio_sha256"]]
    pairs = set(_same(hashes))
    open_ = find_other_copies(prints, hashes)

    def agree(found: Candidate) -> bool:
        spans = excerpts(prints[found.i], prints[found.j], found.lag)
        (one, a), (other, b) = where[found.i], where[found.j]
        return agreement(one.excerpt(a, *spans[0]), other.excerpt(b, *spans[1])) >= LEAST_AGREEMENT

    if open_:
        progress.start("Comparing likely copies", len(open_), "pair")
        try:
            with ThreadPoolExecutor(usable_cores()) as pool:  # Fourier transforms leave the interpreter free
                for found, is_copy in zip(open_, pool.map(agree, open_), strict=True):
                    if is_copy:
                        pairs.add((found.i, found.j))
                    progress.advance(1)
        finally:
            progress.stop()
    return sorted(pairs)


def _same(hashes: Sequence[str]) -> list[tuple[int, int]]:
    """The first recording of each hash with each later one."""
    seen: dict[str, int] = {}
    return [(seen[value], i) for i, value in enumerate(hashes) if seen.setdefault(value, i) != i]

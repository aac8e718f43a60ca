"""Fingerprints of sounds, and the lossy copies they find.

A fingerprint is one 32-bit word a frame: each bit says whether the difference in level of two neighbouring bands grew
or fell since the frame before (Haitsma and Kalker, "A Highly Robust Audio Fingerprinting System", ISMIR 2002). Gain
cancels in it, a codec changes few bits, and two recordings of even the same note agree little better than chance.

Measured by `python -m benchmarks.fingerprint` on 499 recordings of eight sets, 0.2 to 12 s long. Found are 99.6 %
or more for MP3 at 48 to 320 kbit/s, Vorbis, AAC and Opus at 64 kbit/s and other sample rates, 99.0 % for -20 dB, 98.8 %
where 0.1 s is cut off, 97.4 % for 6 dB into clipping, 97.0 % for Opus at 32 kbit/s. False: 8 of 10.6 million pairs,
all rumbles of elephants, which their waveforms tell apart (`earmark.audio.copies`). Not found: other speeds, less than
60 % of the shorter one in common, and what lies wholly outside 150 to 3600 Hz. 24,000 fingerprints of 4 million words
are searched in 13 s with 0.4 GB.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import soxr

from earmark.types import Samples

Words = npt.NDArray[np.uint32]
Ints = npt.NDArray[np.int64]

RATE_HZ = 8000  # what every copy still has, telephone included
WINDOW = 1024
HOP = 128
BANDS = 33
LOW_HZ, HIGH_HZ = 150.0, 3600.0
FLOOR_DB = -60.0  # below the clip's loudest cells; a quantiser's noise lies lower
SILENT = np.uint32(0)  # the word of a frame that says nothing

_BLOCK = 64  # frames at a time stay in the processor's cache
_TABLES = range(0, 32, 4)  # each index takes the bits from here on, round the word's end
_KEY_BITS = (16, 24)  # few words: short keys find more; many words: long keys keep chance meetings rare
_NEIGHBOURS = 12  # entries of one key that each entry is compared with


class Candidate(NamedTuple):
    """Two fingerprints that look like those of one recording.

    Attributes:
        i, j: which, i < j.
        error_rate: share of the bits that differ where they lie on each other.
        lag: place in j minus place in i, in words, of what lies on each other.
    """

    i: int
    j: int
    error_rate: float
    lag: int


def fingerprint(samples: Samples, sample_rate_hz: int) -> Words:
    """(m,) uint32, m = 1 + n // 128 for n samples at 8 kHz: one word every 16 ms; 0 where a frame says nothing.

    Args:
        samples: (n,) mono, at any rate and any gain.
    """
    x = np.asarray(samples, dtype=np.float32)
    if sample_rate_hz != RATE_HZ:
        x = soxr.resample(x, sample_rate_hz, RATE_HZ, quality="LQ")
    levels = _levels(x)
    if len(levels) == 0:
        return np.zeros(0, dtype=np.uint32)
    loudest = np.partition(levels.ravel(), -max(1, levels.size // 200))[-max(1, levels.size // 200)]
    if not loudest > 0:
        return np.zeros(len(levels) - 1, dtype=np.uint32)
    decibel = 10.0 * np.log10(levels / loudest + np.float32(10.0 ** (FLOOR_DB / 10.0)))
    slope = decibel[:, :-1] - decibel[:, 1:]
    change = slope[1:] - slope[:-1]
    words: Words = ((change > 0) @ (np.uint32(1) << np.arange(32, dtype=np.uint32))).astype(np.uint32)
    heard = (np.abs(change) > 0.05).sum(axis=1) >= 16  # where all lies below the floor, bits are no information
    words[words == SILENT] = 1
    words[~heard] = SILENT
    return words


def _levels(x: Samples) -> npt.NDArray[np.float32]:
    """(2 + n // 128, 33) power of each frame in each band; the first and last frames reach over the ends into zeros."""
    frames = 2 + len(x) // HOP
    padded = np.zeros((frames - 1) * HOP + WINDOW, dtype=np.float32)
    padded[WINDOW // 2 : WINDOW // 2 + len(x)] = x
    cut = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    levels = np.empty((frames, BANDS), dtype=np.float32)
    for start in range(0, frames, _BLOCK):
        spectrum = np.fft.rfft(cut[start : start + _BLOCK] * _HANN, axis=1)
        levels[start : start + _BLOCK] = (spectrum.real**2 + spectrum.imag**2).astype(np.float32) @ _FILTERS
    return levels


def _filters() -> npt.NDArray[np.float32]:
    """(513, 33): triangles on the mel scale (O'Shaughnessy's), each at least one bin wide on both sides."""
    frequency = np.fft.rfftfreq(WINDOW, 1 / RATE_HZ)
    low, high = np.log10(1 + np.array([LOW_HZ, HIGH_HZ]) / 700)
    edges = 700 * (10 ** np.linspace(low, high, BANDS + 1) - 1)
    centre = (edges[:-1] + edges[1:]) / 2
    width = np.maximum(np.diff(edges), RATE_HZ / WINDOW)
    triangles = 1 - np.abs(frequency[:, None] - centre) / width
    return np.asarray(np.maximum(triangles, 0), dtype=np.float32)


_HANN = np.hanning(WINDOW).astype(np.float32)
_FILTERS = _filters()


def find_copies(fingerprints: Sequence[Words], *, max_ber: float = 0.32, least_words: int = 10) -> list[Candidate]:
    """Pairs of fingerprints that look like those of one recording; `earmark.audio.copies` listens whether they are.

    n words that lie on each other are taken for one recording where fewer than max_ber - 0.5 / sqrt(n) of their bits
    differ: short sounds, of which two can be alike by chance, have to agree better (0.2 for 0.25 s, 0.29 for 5 s).

    Time and memory grow with the number of words (n log n: sorting), not with the number of pairs: in each of eight
    indexes, each over a part of the bits, a word is compared with its nearest neighbours of the same key only.

    Args:
        max_ber: what the limit tends to for long sounds. Unrelated sounds differ in about half of their bits.
        least_words: frames that must say something in both, for a pair to be judged at all.
    """
    lengths = np.array([len(words) for words in fingerprints], dtype=np.int64)
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    if len(fingerprints) < 2 or starts[-1] == 0:
        return []
    words = np.concatenate(fingerprints).astype(np.uint32)
    owner = np.repeat(np.arange(len(fingerprints)), lengths)
    candidates = _candidates(words, owner, starts)
    best: dict[tuple[int, int], Candidate] = {}
    for i, j, lag in candidates.tolist():
        rate, n = _error_rate(fingerprints[i], fingerprints[j], lag)
        if n >= least_words and rate <= max_ber - 0.5 / np.sqrt(n):
            found = Candidate(i, j, rate, lag)
            best[i, j] = min(best.get((i, j), found), found, key=lambda candidate: candidate.error_rate)
    return [candidate for _, candidate in sorted(best.items())]


def find_other_copies(fingerprints: Sequence[Words], hashes: Sequence[str]) -> list[Candidate]:
    """`find_copies` among sounds that are not the same to the sample: the first of each hash stands for the others.

    A sound that lies in a folder a hundred times would be a hundred times its own neighbour, and hide an MP3 of it.
    """
    first = np.sort(np.unique(np.asarray(hashes), return_index=True)[1]).tolist()
    found = find_copies([fingerprints[i] for i in first])
    return [one._replace(i=first[one.i], j=first[one.j]) for one in found]


def _candidates(words: Words, owner: Ints, starts: Ints) -> Ints:
    """(c, 3) rows i, j, lag (place in j minus place in i) that share a key and agree around it."""
    heard = np.flatnonzero(words != SILENT)
    total = int(starts[-1])
    following = words[np.minimum(heard + 2, total - 1)].astype(np.uint64)
    bits = int(np.clip(np.ceil(np.log2(total)) + 2, *_KEY_BITS))
    found = []
    for turn in _TABLES:
        turned = words[heard] >> np.uint32(turn) | words[heard] << np.uint32((32 - turn) % 32)
        key = turned & np.uint32((1 << bits) - 1)
        order = np.argsort((key.astype(np.uint64) << np.uint64(32)) | following, kind="stable")
        sorted_key, place = key[order], heard[order]
        for step in range(1, _NEIGHBOURS + 1):
            a, b = place[:-step], place[step:]
            same = (sorted_key[:-step] == sorted_key[step:]) & (owner[a] != owner[b])
            a, b = a[same], b[same]
            a, b = np.minimum(a, b), np.maximum(a, b)
            alike = _agree_around(words, a, b)
            a, b = a[alike], b[alike]
            i, j = owner[a], owner[b]
            found.append(np.stack([i, j, (b - starts[j]) - (a - starts[i])], axis=1))
    return np.unique(np.concatenate(found), axis=0)


def _agree_around(words: Words, a: Ints, b: Ints) -> npt.NDArray[np.bool_]:
    """Whether the nine words around each pair of places differ in less than 38 % of their bits."""
    differing = np.zeros(len(a), dtype=np.int64)
    alive = np.arange(len(a))
    last = len(words) - 1
    seen = 0
    for offsets, limit in (((-2, -1, 1, 2), 0.45), ((-4, -3, 0, 3, 4), 0.38)):  # most chance meetings end at the first
        for offset in offsets:
            x = words[np.clip(a[alive] + offset, 0, last)] ^ words[np.clip(b[alive] + offset, 0, last)]
            differing[alive] += bits(x)
        seen += len(offsets)
        alive = alive[differing[alive] < limit * 32 * seen]
    alike = np.zeros(len(a), dtype=bool)
    alike[alive] = True
    return alike


def _error_rate(a: Words, b: Words, lag: int) -> tuple[float, int]:
    """Share of differing bits where `b` shifted by `lag` lies on `a`, and over how many words; (1, 0): too few."""
    i, j = max(0, -lag), max(0, lag)
    n = max(0, min(len(a) - i, len(b) - j))
    x, y = a[i : i + n], b[j : j + n]
    both = (x != SILENT) & (y != SILENT)
    heard = int(both.sum())
    shorter = min(np.count_nonzero(a), np.count_nonzero(b))
    if heard == 0 or heard < 0.6 * shorter:
        return 1.0, 0
    return float(bits(x[both] ^ y[both]).sum() / (32 * heard)), heard


def bits(words: Words) -> Ints:
    """How many bits of each word are set (np.bitwise_count needs NumPy 2)."""
    return np.asarray(_POPCOUNT[words & np.uint32(0xFFFF)] + _POPCOUNT[words >> np.uint32(16)])


_POPCOUNT = np.array([bin(n).count("1") for n in range(1 << 16)], dtype=np.int64)

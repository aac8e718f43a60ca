"""Clips out of one recording, for a worker process that has no store: cut after resampling, as the store's are. Few
imports, so that a worker starts at once.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from earmark.audio import read as audio
from earmark.audio.examine import check_usable
from earmark.audio.hashing import AudioDigest
from earmark.audio.signal import StreamResampler
from earmark.data.decode import is_long, largest
from earmark.types import Samples


class Spans(NamedTuple):
    """Clips of a recording, in the order asked for.

    Attributes:
        clips: (n,) float32 each at the rate asked for, contiguous; None where the span lies outside the recording.
        starts: where each begins, in samples at that rate.
        audio_sha256: of the whole recording, as `earmark.audio.hashing` has it.
        duration_s: of the whole recording.
    """

    clips: tuple[Samples | None, ...]
    starts: tuple[int, ...]
    audio_sha256: str
    duration_s: float


def decode_spans(path: str, spans: Sequence[tuple[float, float]], sample_rate_hz: int) -> Spans:
    """The whole recording once, of which its clips are kept.

    A long one (`earmark.data.decode.is_long`) is decoded in blocks: memory holds a block and the clips, however long it
    is. The samples are those of a recording that is read at once, to float32 rounding, and exactly those where it needs
    no resampling.

    Args:
        spans: (start, stop) in seconds, NaN where open; in any order, and they may overlap.
        sample_rate_hz: of the clips.

    Raises:
        AudioError: nothing usable in it, by the same rules as where audio is prepared for training.
    """
    try:
        long = is_long(path, os.stat(path).st_size)
    except OSError:
        long = False  # the reader says what is wrong with it
    cutter = _Cutter(spans, sample_rate_hz)
    if not long:
        found = audio.read(path)
        return _cut(path, [found.samples], found.sample_rate_hz, sample_rate_hz, cutter)
    with audio.stream(path) as stream:
        return _cut(path, stream, stream.sample_rate_hz, sample_rate_hz, cutter)


def _cut(path: str, blocks: Iterable[Samples], rate: int, to_hz: int, cutter: _Cutter) -> Spans:
    digest, resampler = AudioDigest(rate), StreamResampler(rate, to_hz)
    n_native, native_peak, peak = 0, 0.0, 0.0
    for native, last in _with_last(blocks):
        digest.update(native)
        n_native += len(native)
        native_peak = max(native_peak, largest(native))
        block = resampler.push(native, last=last)
        peak = max(peak, largest(block))
        cutter.add(block)
    # what lies wholly above the new rate is silent after resampling, and no use at this rate
    check_usable(path, frames=n_native, sample_rate_hz=rate, peak=min(native_peak, peak))
    return Spans(cutter.clips(), tuple(cutter.starts), digest.hexdigest(), n_native / rate)


class _Cutter:
    """Takes the samples of a recording block by block, and keeps those within the spans."""

    def __init__(self, spans: Sequence[tuple[float, float]], rate: int) -> None:
        self.starts = [0 if math.isnan(start_s) else math.floor(start_s * rate + 0.5) for start_s, _ in spans]
        self._stops = [math.inf if math.isnan(stop_s) else math.floor(stop_s * rate + 0.5) for _, stop_s in spans]
        self._parts: list[list[Samples]] = [[] for _ in spans]
        self._coming = sorted(range(len(spans)), key=lambda k: self.starts[k], reverse=True)
        self._open: list[int] = []
        self._taken = 0

    def add(self, block: Samples) -> None:
        begin, end = self._taken, self._taken + len(block)
        while self._coming and self.starts[self._coming[-1]] < end:
            self._open.append(self._coming.pop())
        for k in self._open:
            part = block[max(0, self.starts[k] - begin) : max(0, int(min(end, self._stops[k])) - begin)]
            if len(part):
                self._parts[k].append(part if len(part) == len(block) else part.copy())  # not to hold the whole block
        self._open = [k for k in self._open if self._stops[k] > end]
        self._taken = end

    def clips(self) -> tuple[Samples | None, ...]:
        return tuple(
            np.ascontiguousarray(parts[0] if len(parts) == 1 else np.concatenate(parts)) if parts else None
            for parts in self._parts
        )


def _with_last(blocks: Iterable[Samples]) -> Iterator[tuple[Samples, bool]]:
    """Each block, and whether it is the last."""
    rest = iter(blocks)
    held = next(rest, None)
    for block in itertools.chain(rest, [None]):
        if held is not None:
            yield held, block is None
        held = block

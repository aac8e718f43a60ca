"""What a model says of given clips of many recordings: each is decoded once, in another process, in blocks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import pairwise
from math import ceil

import numpy as np
import numpy.typing as npt

from earmark.errors import AudioError
from earmark.tagging.decoder import Decoder
from earmark.tagging.lanes import Lanes
from earmark.tagging.tagger import Tagger
from earmark.types import Reason, Samples

Array = npt.NDArray[np.float32]

PART_S = 60.0
"""A longer clip is heard in equal parts of at most so long, that it costs time and no memory."""

_WORTH_HEARING_S = 120.0  # of a recording behind its last clip: less is decoded for nothing, more costs a new decoder


@dataclass(frozen=True, slots=True)
class Cut:
    """A clip of a recording. key: the caller's. start_s, stop_s: from the recording's beginning."""

    key: int
    start_s: float
    stop_s: float


@dataclass(frozen=True, slots=True)
class HeardClips:
    """What became of some clips of one recording.

    Attributes:
        logits: key -> (tags,) mean over the clip's windows.
        missing: how many clips are not in it. error: why.
    """

    path: str
    logits: dict[int, Array]
    missing: int
    error: AudioError | None


def hear_clips(
    tagger: Tagger,
    recordings: Iterable[tuple[str, Sequence[Cut]]],
    *,
    workers: int,
    timeout_s: float,
    heard: Callable[[], None] | None = None,
) -> Generator[HeardClips]:
    """The model's answers to clips, as evaluation hears them (`Tagger.clip_windows`); recordings as they are done.

    Args:
        recordings: path and its clips, in any order; taken as they are needed.
        workers: recordings at once.
        timeout_s: for the next block of a file.
        heard: called for each clip, from any thread.
    """

    def work(recording: tuple[str, Sequence[Cut]], decoder: Decoder) -> HeardClips:
        return _hear(tagger, *recording, decoder, heard)

    lanes = Lanes(work, iter(recordings), timeout_s=timeout_s)
    try:
        yield from lanes.run(workers)
    finally:
        lanes.stop()


@dataclass(slots=True)
class _Part:
    """A part of a clip, at the model's rate, and what has come of it so far."""

    key: int
    start: int
    stop: int
    pieces: list[Samples] = field(default_factory=list)


def _hear(
    tagger: Tagger, path: str, cuts: Sequence[Cut], decoder: Decoder, heard: Callable[[], None] | None
) -> HeardClips:
    parts = sorted((part for cut in cuts for part in _parts(cut, tagger.sample_rate_hz)), key=lambda part: part.start)
    left = Counter(part.key for part in parts)
    sums: dict[int, tuple[Array, int]] = {}
    done: dict[int, Array] = {}

    def close(part: _Part) -> None:
        if part.pieces:
            logits, _ = tagger.clip_windows(np.concatenate(part.pieces))
            total, windows = sums.get(part.key, (np.zeros(logits.shape[1], np.float32), 0))
            sums[part.key] = total + logits.sum(axis=0), windows + len(logits)
        left[part.key] -= 1
        if not left[part.key] and part.key in sums:
            total, windows = sums.pop(part.key)
            done[part.key] = total / np.float32(windows)
            if heard is not None:
                heard()

    failed: AudioError | None = None
    try:
        _stream(parts, path, decoder, tagger.sample_rate_hz, close)
    except AudioError as error:
        failed = error
    missing = len(cuts) - len(done)
    if missing and failed is None:
        failed = AudioError(path, Reason.EMPTY, f"{path} ends before {missing} of its clips begin; add it again.")
    return HeardClips(path, done, missing, failed)


def _parts(cut: Cut, rate: int) -> list[_Part]:
    start, stop = round(cut.start_s * rate), max(round(cut.stop_s * rate), round(cut.start_s * rate) + 1)
    count = max(1, ceil((stop - start) / (PART_S * rate)))
    edges = [start + (stop - start) * i // count for i in range(count + 1)]
    return [_Part(cut.key, begin, end) for begin, end in pairwise(edges)]


def _stream(parts: list[_Part], path: str, decoder: Decoder, rate: int, close: Callable[[_Part], None]) -> None:
    """Give each part its samples as the file's blocks come by, and close it when it has them."""
    at, following = 0, 0
    open_: list[_Part] = []
    with closing(decoder.blocks(path, rate)) as blocks:
        for block in blocks:
            while following < len(parts) and parts[following].start < at + len(block):
                open_.append(parts[following])
                following += 1
            for part in open_:
                piece = block[max(0, part.start - at) : part.stop - at]
                if len(piece):
                    part.pieces.append(piece)
            at += len(block)
            for part in [part for part in open_ if part.stop <= at]:
                close(part)
                open_.remove(part)
            behind = decoder.duration_s is None or decoder.duration_s - at / rate > _WORTH_HEARING_S
            if following == len(parts) and not open_ and behind:
                return
    for part in open_:  # the file is a little shorter than the catalog thinks
        close(part)

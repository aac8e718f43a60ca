"""What a worker process does with one file that is to be added: decode it once, measure, hash, cut it into chunks."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from earmark.audio.decode import Decoding, Frames
from earmark.audio.examine import check_usable
from earmark.audio.fingerprint import fingerprint
from earmark.audio.hashing import AudioDigest
from earmark.audio.signal import to_mono
from earmark.audio.write import check_rate, write
from earmark.errors import AudioError, InputError
from earmark.types import Reason, Samples

FINGERPRINT_S = 60.0
"""So much of a recording's beginning is compared with others."""

_HASH_BYTES = 1 << 20


class Job(NamedTuple):
    """One file. chunk_s, hop_s: of its clips, None for one clip. chunks: where chunk files are to be written, or ''.
    bitrate_kbps: of those in mp3."""

    path: str
    chunk_s: float | None
    hop_s: float | None
    chunks: str
    suffix: str
    bitrate_kbps: int | None = None


class Probed(NamedTuple):
    """What was found; fields as of `earmark.catalog.tables.Recording`.

    spans: (clips, 2) start and stop, in samples at the recording's rate. words: (m,) uint32 as bytes, little endian.
    """

    file_sha256: str
    audio_sha256: str
    sample_rate_hz: int
    channels: int
    frames: int
    format: str
    warning: str | None
    spans: list[tuple[int, int]]
    words: bytes


def hash_file(path: str | os.PathLike[str]) -> str:
    """sha256 of the file's bytes, hex."""
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while block := file.read(_HASH_BYTES):
            digest.update(block)
    return digest.hexdigest()


def spans_of(frames: int, length: int, hop: int) -> list[tuple[int, int]]:
    """Where a recording's clips begin and end.

    Clips of `length` samples begin at 0, hop, 2 * hop, ...; what is left after the last whole one is a clip of its own,
    shorter than the others, where it is at least half of one, and is left out otherwise. A recording shorter than a
    clip is one clip.
    """
    spans = [(start, start + length) for start in range(0, frames - length + 1, hop)]
    rest = len(spans) * hop
    if not spans or 2 * (frames - max(rest, spans[-1][1])) >= length:
        spans.append((rest, frames))
    return spans


def probe(job: Job) -> Probed:
    """Read one file from end to end.

    Raises:
        AudioError: there is nothing to use in it, or no chunk of it can be written in the format asked for.
    """
    try:
        file_sha256 = hash_file(job.path)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise AudioError(job.path, Reason.MISSING, f"{job.path} cannot be read: {why}; check its rights.") from None
    with Decoding(Path(job.path)) as decoding:
        rate = decoding.source.sample_rate_hz
        if not rate:
            raise AudioError(job.path, Reason.UNSUPPORTED, f"{job.path} states no sample rate: convert it to WAV.")
        length, hop = _lengths(job, rate)
        chunks = _Chunks(job, rate, length, hop) if job.chunks and length else None
        digest = AudioDigest(rate)
        beginning: list[Samples] = []
        frames, peak = 0, np.float32(0.0)
        for block in decoding.blocks():
            mono = to_mono(block)
            digest.update(mono)
            peak = np.maximum(peak, np.abs(mono).max(initial=0.0))  # keeps a NaN, as Python's own max would not
            if frames < FINGERPRINT_S * rate:
                beginning.append(mono[: round(FINGERPRINT_S * rate) - frames].copy())
            frames += len(block)
            if chunks is not None and np.isfinite(peak):
                chunks.push(block)
        channels, format_ = decoding.source.channels, decoding.source.format
        warning = decoding.shortfall()
    check_usable(job.path, frames=frames, sample_rate_hz=rate, peak=float(peak))
    spans = spans_of(frames, length, hop) if length else [(0, frames)]
    if chunks is not None:
        chunks.finish(spans)
    words = fingerprint(np.concatenate(beginning), rate)
    return Probed(
        file_sha256=file_sha256,
        audio_sha256=digest.hexdigest(),
        sample_rate_hz=rate,
        channels=channels,
        frames=frames,
        format=format_,
        warning=warning,
        spans=spans,
        words=words.astype("<u4").tobytes(),
    )


def _lengths(job: Job, rate: int) -> tuple[int, int]:
    """Of a clip and of a hop, in samples; (0, 0) where the whole recording is one clip."""
    if job.chunk_s is None:
        return 0, 0
    return max(1, round(job.chunk_s * rate)), max(1, round((job.hop_s or job.chunk_s) * rate))


class _Chunks:
    """Writes chunks as the blocks come by; no more than one chunk and one block is in memory."""

    def __init__(self, job: Job, rate: int, length: int, hop: int) -> None:
        self._job, self._rate, self._length, self._hop = job, rate, length, hop
        self._held: Frames | None = None
        self._at = 0  # the sample that `_held` begins at
        self._written = 0
        Path(job.chunks).mkdir(parents=True, exist_ok=True)
        try:
            check_rate(self._path(0), rate)
        except InputError as error:
            raise AudioError(job.path, Reason.UNSUPPORTED, f"{job.path}: {error}") from None

    def _path(self, number: int) -> Path:
        return Path(self._job.chunks) / f"{number}{self._job.suffix}"

    def push(self, block: Frames) -> None:
        # a copy, because a decoder may use its block again
        self._held = block.copy() if self._held is None else np.concatenate([self._held, block])
        for start in self._whole():
            self._write(self._held[start - self._at : start - self._at + self._length])
        keep = self._written * self._hop - self._at
        if keep > 0:
            self._held, self._at = self._held[keep:], self._at + min(keep, len(self._held))

    def _whole(self) -> Iterator[int]:
        assert self._held is not None
        while (start := self._written * self._hop) + self._length <= self._at + len(self._held):
            yield start

    def finish(self, spans: list[tuple[int, int]]) -> None:
        """The last chunk, where it is shorter than the others."""
        if len(spans) > self._written and self._held is not None:
            start, stop = spans[-1]
            self._write(self._held[start - self._at : stop - self._at])

    def _write(self, frames: Frames) -> None:
        path = self._path(self._written)
        try:
            write(path, frames, self._rate, bitrate_kbps=self._job.bitrate_kbps)
        except InputError as error:  # what was asked for fits the others, not this file's channels
            raise AudioError(self._job.path, Reason.UNSUPPORTED, f"{self._job.path}: {error}") from None
        with path.open("rb") as file:  # on disk before the catalog names it; here, where workers wait side by side
            os.fsync(file.fileno())
        self._written += 1

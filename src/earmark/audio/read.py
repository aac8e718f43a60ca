"""The only opener of audio: probe a file, read it whole or a span of it, stream it in blocks.

All three go through the same decoders (`earmark.audio.decode`) and the same resampler, so a streamed file and a file
read at once are the same samples to float32 rounding, and a span is the slice of the whole.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt

from earmark.audio.decode import AvSource, DecoderName, Decoding, Frames, no_sample
from earmark.audio.signal import StreamResampler, resample, to_mono
from earmark.errors import AudioError, InputError
from earmark.types import Reason, Samples, Verdict

MAX_DURATION_S = 24 * 3600.0
"""The longest audio that is read at once unless the caller says otherwise; longer files are for `stream`."""

_BLOCK_FRAMES = 1 << 20
_OVERRUN_S = 0.1  # a span may reach this far past the end of its file, as rounded annotations do


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """What a file's header says.

    Attributes:
        path: as given.
        sample_rate_hz, channels: of the file.
        frames: samples per channel that the file claims; None where it states none (an MP3 without a Xing header).
        duration_s: of `frames`, else the decoder's estimate, else None.
        format: container and coding, e.g. `WAV/PCM_16`, `MP3/mp3float`.
        decoder: what reads it.
    """

    path: str
    sample_rate_hz: int
    channels: int
    frames: int | None
    duration_s: float | None
    format: str
    decoder: DecoderName


@dataclass(frozen=True, slots=True)
class Audio:
    """Decoded audio.

    Attributes:
        samples: (n,) float32, or (n, channels) where mono was not asked for.
        sample_rate_hz: of `samples`.
        source_rate_hz, source_channels, format: of the file.
        verdict: READ, or PARTIAL with a `warning` that says how much.
    """

    samples: npt.NDArray[np.float32]
    sample_rate_hz: int
    source_rate_hz: int
    source_channels: int
    format: str
    verdict: Verdict
    warning: str | None


def info_of(decoding: Decoding) -> AudioInfo:
    """The AudioInfo of an open file."""
    source = decoding.source
    duration_s = None
    if source.claimed is not None:
        duration_s = source.claimed / source.sample_rate_hz if source.sample_rate_hz else None
    elif isinstance(source, AvSource) and not decoding.header.chained:  # of which it looks at one stream only
        duration_s = source.estimated_duration_s()
    return AudioInfo(
        str(decoding.path),
        source.sample_rate_hz,
        source.channels,
        source.claimed,
        duration_s,
        source.format,
        source.name,
    )


def probe(path: str | os.PathLike[str]) -> AudioInfo:
    """What the header of `path` says; hardly anything is decoded.

    Raises:
        AudioError: MISSING, EMPTY (no bytes), NOT_AUDIO or UNSUPPORTED.
    """
    with Decoding(Path(path)) as decoding:
        return info_of(decoding)


def read(
    path: str | os.PathLike[str],
    *,
    start_s: float = 0.0,
    stop_s: float | None = None,
    sample_rate_hz: int | None = None,
    mono: bool = True,
    max_duration_s: float | None = None,
) -> Audio:
    """A file, or the span of it from `start_s` to `stop_s`, decoded.

    A span begins at sample round(start_s * rate) and ends before round(stop_s * rate), at the file's own rate; it
    equals that slice of the whole, and is resampled after it was cut. Formats that seek to the sample (PCM,
    FLAC, Vorbis) are entered there; all others are decoded from their beginning.

    A header that claims more than the file holds allocates nothing: what is decoded is what takes room.

    Args:
        path: any file that a decoder here reads.
        start_s: >= 0.
        stop_s: > start_s; None for the end.
        sample_rate_hz: of the result; None for the file's own.
        mono: mean of the channels, (n,); else (n, channels).
        max_duration_s: more than this (default `MAX_DURATION_S`) is refused as TOO_LARGE.

    Raises:
        AudioError: MISSING, EMPTY (no sample in the file or the span), NOT_AUDIO, UNSUPPORTED, NON_FINITE, TOO_LARGE.
        InputError: a span that is none.
    """
    _check_span(path, start_s, stop_s)
    limit_s = MAX_DURATION_S if max_duration_s is None else max_duration_s
    with Decoding(Path(path)) as decoding:
        pieces = _Pieces(decoding, start_s, stop_s, limit_s)
        samples = pieces.mono(sample_rate_hz) if mono else pieces.channels(sample_rate_hz)
        rate = decoding.source.sample_rate_hz
        warning = decoding.shortfall()
        if warning is None and stop_s is not None and decoding.decoded < (stop_s - _OVERRUN_S) * rate:
            warning = f"the span ends at {stop_s:.2f} s, the file at {decoding.decoded / rate:.2f} s"
        return Audio(
            samples=samples,
            sample_rate_hz=sample_rate_hz or rate,
            source_rate_hz=rate,
            source_channels=decoding.source.channels,
            format=decoding.source.format,
            verdict=Verdict.PARTIAL if warning else Verdict.READ,
            warning=None if warning is None else f"{path}: {warning}.",
        )


def stream(path: str | os.PathLike[str], *, sample_rate_hz: int | None = None, block_s: float = 10.0) -> AudioStream:
    """A file as mono blocks of about `block_s` seconds, in memory that does not grow with its length.

    The concatenated blocks equal `read(path, sample_rate_hz=...)` to float32 rounding.

        with stream("night.flac", sample_rate_hz=16000) as blocks:
            for samples in blocks:
                ...

    Raises (here or while iterating):
        AudioError: MISSING, EMPTY, NOT_AUDIO, UNSUPPORTED, NON_FINITE.
    """
    return AudioStream(path, sample_rate_hz=sample_rate_hz, block_s=block_s)


class AudioStream:
    """A context manager and an iterator of (n,) float32 blocks; it runs through its file once.

    Attributes:
        info: of the file.
        sample_rate_hz: of the blocks.
        warning: after the last block, what was missing in a file that was read in part; else None.
    """

    def __init__(self, path: str | os.PathLike[str], *, sample_rate_hz: int | None, block_s: float) -> None:
        if not block_s > 0:
            raise InputError(f"block_s={block_s}: expected a length in seconds above 0.")
        self._decoding = Decoding(Path(path))
        self.info = info_of(self._decoding)
        self.sample_rate_hz = sample_rate_hz or self.info.sample_rate_hz
        self.warning: str | None = None
        self._blocks = self._run(block_s)

    def _run(self, block_s: float) -> Iterator[Samples]:
        rate = self.info.sample_rate_hz
        pieces = _Pieces(self._decoding, 0.0, None, float("inf"), block=max(1, int(block_s * rate)))
        yield from pieces.mono_blocks(self.sample_rate_hz)
        warning = self._decoding.shortfall()
        self.warning = None if warning is None else f"{self.info.path}: {warning}."

    def __iter__(self) -> Iterator[Samples]:
        return self._blocks

    def __next__(self) -> Samples:
        return next(self._blocks)

    def close(self) -> None:
        self._decoding.close()

    def __enter__(self) -> AudioStream:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class _Pieces:
    """The blocks of a span, checked for length and for values that are no numbers."""

    def __init__(
        self, decoding: Decoding, start_s: float, stop_s: float | None, limit_s: float, block: int = _BLOCK_FRAMES
    ) -> None:
        rate = decoding.source.sample_rate_hz
        self._decoding = decoding
        self._start = round(start_s * rate)
        self._stop = None if stop_s is None else round(stop_s * rate)
        self._limit_s = limit_s
        span = None if self._stop is None else max(1, self._stop - self._start)
        self._block = block if span is None else min(block, span)
        self._refuse_known_length()

    def _refuse_known_length(self) -> None:
        """PCM lengths are what is really there, so what is too long is refused before it is read."""
        source = self._decoding.source
        if source.claimed is None or "PCM" not in source.format or self._decoding.header.riff is None:
            return
        stop = source.claimed if self._stop is None else min(self._stop, source.claimed)
        size = self._decoding.header.riff.size
        present = size // (self._decoding.header.riff.bytes_per_sample * source.channels or 1)
        self._refuse_too_large(min(stop, present) - self._start)

    def _refuse_too_large(self, frames: int) -> None:
        if frames > self._limit_s * self._decoding.source.sample_rate_hz:
            path = self._decoding.path
            raise AudioError(
                str(path),
                Reason.TOO_LARGE,
                f"{path} is longer than the {self._limit_s:g} s that are read at once: cut it, read a span of it, "
                "or stream it.",
            )

    def __iter__(self) -> Iterator[Frames]:
        """Blocks (n, channels) of the span; EMPTY where there is none."""
        count = 0
        for frames in self._decoding.blocks(self._start, self._block):
            left = None if self._stop is None else self._stop - self._start - count
            taken = frames if left is None or len(frames) <= left else frames[:left]
            count += len(taken)
            self._refuse_too_large(count)
            _refuse_non_finite(taken, self._decoding.path)
            yield taken
            if left is not None and count >= self._stop_length():
                return
        if count == 0:
            self._refuse_empty()

    def _stop_length(self) -> int:
        assert self._stop is not None
        return self._stop - self._start

    def _refuse_empty(self) -> None:
        path, source = self._decoding.path, self._decoding.source
        if self._start:
            raise AudioError(
                str(path),
                Reason.EMPTY,
                f"{path} has no sound from {self._start / source.sample_rate_hz:g} s on: it ends before; "
                "correct the span.",
            )
        raise no_sample(self._decoding)

    def mono_blocks(self, sample_rate_hz: int | None) -> Iterator[Samples]:
        """The span as mono, resampled blocks; empty ones are left out."""
        rate = self._decoding.source.sample_rate_hz
        resampler = StreamResampler(rate, sample_rate_hz or rate)
        held: Samples | None = None
        for frames in self:
            if held is not None and len(out := resampler.push(held)):
                yield out
            held = to_mono(frames)
        if held is not None and len(out := resampler.push(held, last=True)):
            yield out

    def mono(self, sample_rate_hz: int | None) -> Samples:
        parts = list(self.mono_blocks(sample_rate_hz))
        if len(parts) == 1:
            return parts[0]
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.float32)

    def channels(self, sample_rate_hz: int | None) -> npt.NDArray[np.float32]:
        samples = np.concatenate(list(self))
        rate = self._decoding.source.sample_rate_hz
        return resample(samples, rate, sample_rate_hz or rate)


def _refuse_non_finite(frames: Frames, path: Path) -> None:
    flat = frames.ravel()
    # one pass of multiply-add finds almost every clean block; only a suspect one is looked at value by value
    with np.errstate(over="ignore", invalid="ignore"):
        suspect = not np.isfinite(np.dot(flat, flat))
    if not suspect or np.isfinite(flat).all():
        return
    bad = int(np.count_nonzero(~np.isfinite(flat)))
    raise AudioError(
        str(path), Reason.NON_FINITE, f"{path} holds {bad} values that are NaN or infinite: export it again."
    )


def _check_span(path: str | os.PathLike[str], start_s: float, stop_s: float | None) -> None:
    if not start_s >= 0 or (stop_s is not None and not stop_s > start_s):
        raise InputError(f"{path}: span from {start_s} s to {stop_s} s; expected 0 <= start < stop.")

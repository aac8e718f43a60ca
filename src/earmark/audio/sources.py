"""The decoders: soundfile (libsndfile), PyAV (FFmpeg) and, for integers wider than 32 bits and for a WAV beyond 4 GiB,
a reader of our own.

FFmpeg is told to open nothing but plain containers: a playlist that calls itself song.mp3 cannot make it read other
files or the network. Which decoder opens what: `earmark.audio.decode`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import soundfile

from earmark.audio.headers import Header, RiffData

DecoderName: TypeAlias = Literal["soundfile", "av", "riff"]
Frames: TypeAlias = npt.NDArray[np.float32]  # (n, channels)

BLOCK_VALUES = 1 << 22  # values (frames * channels) that one read asks for at most: 16 MiB
_UNKNOWN_LENGTH = 1 << 62

# libvorbis starts anew at a seek; two of its longest blocks later its output is exact, bit for bit
_VORBIS_PREROLL = 16384
_SEEKS_EXACTLY = ("PCM", "FLOAT", "DOUBLE", "ULAW", "ALAW", "ADPCM", "DWVW", "DPCM", "ALAC")

_CONTAINERS = (
    "wav,w64,aiff,flac,ogg,mp3,aac,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,asf,caf,au,amr,amrnb,amrwb,ape,wv,tta,tak,"
    "ac3,eac3,dts,dtshd,mpc,mpc8,avi,flv,mpegts,mpeg,voc,dsf,iff,loas,latm,truehd,oma,shn,sox,qcp"
)
# containers whose stated length is the muxer's count, not FFmpeg's estimate from the bit rate
_STATES_LENGTH = ("mov", "matroska", "caf", "flac", "wv", "ape", "tta", "avi", "asf", "aiff", "wav")
_MAX_BAD_PACKETS = 10_000


class DecodeError(Exception):
    """A decoder's refusal, in its own words; `unsupported` where it knows the format but not the coding."""

    def __init__(self, words: str, *, unsupported: bool = False, not_audio: bool = False) -> None:
        super().__init__(words)
        self.unsupported = unsupported
        self.not_audio = not_audio


class Source(Protocol):
    """One decoder on one open file."""

    name: DecoderName
    sample_rate_hz: int
    channels: int
    format: str
    claimed: int | None  # frames, where the container states them
    tolerance: int  # frames by which a sound file may miss its claim
    damaged: int  # packets that had to be left out so far

    def blocks(self, start: int, block: int) -> Iterator[Frames]:
        """Frames from `start` to the end, at most about `block` at a time; DecodeError where it gives up."""

    def close(self) -> None: ...


class SoundfileSource:
    name: DecoderName = "soundfile"

    def __init__(self, path: Path, header: Header) -> None:
        try:
            self._file = soundfile.SoundFile(os.fsencode(path))
        except soundfile.LibsndfileError as error:
            words = str(error.error_string)
            raise DecodeError(words, unsupported="unimplemented" in words or "upported" in words) from None
        self.sample_rate_hz = int(self._file.samplerate)
        self.channels = int(self._file.channels)
        self.format = f"{self._file.format}/{self._file.subtype}"
        self.damaged = 0
        self._subtype = str(self._file.subtype)
        frames = int(self._file.frames)
        # an MPEG length is libsndfile's estimate
        known = 0 <= frames < _UNKNOWN_LENGTH and not self._subtype.startswith("MPEG")
        self.claimed: int | None = header.frames
        if self.claimed is None and known:
            self.claimed = int(frames * header.overclaim)
        self.tolerance = 2 * 1152 if self._subtype.startswith("MPEG") else 0
        if self.sample_rate_hz <= 0 or self.channels <= 0:
            self.close()
            raise DecodeError(f"the header says {self.sample_rate_hz} Hz and {self.channels} channels")

    def _seek(self, start: int) -> int:
        """Moves to `start` or before it; returns how many frames to leave out."""
        if start == 0 or not self._file.seekable():
            return start
        if self._file.format == "FLAC" or any(part in self._subtype for part in _SEEKS_EXACTLY):
            to = start
        elif self._subtype == "VORBIS":
            to = max(0, start - _VORBIS_PREROLL)
        else:  # Opus and the rest carry state from the beginning
            return start
        at = self._file.seek(min(to, int(self._file.frames)))
        return start - int(at)

    def _at_end(self) -> bool:
        """soundfile reads no further than the frames it counted, and an Ogg file's last, empty read is not cheap."""
        return bool(self._file.seekable()) and self._file.tell() >= self._file.frames

    def blocks(self, start: int, block: int) -> Iterator[Frames]:
        block = max(1, min(block, BLOCK_VALUES // self.channels))
        try:
            skip = self._seek(start)
            while not self._at_end():
                frames: Frames = self._file.read(block, dtype="float32", always_2d=True)
                if len(frames) == 0:
                    return
                if skip:
                    left_out = min(skip, len(frames))
                    skip -= left_out
                    frames = frames[left_out:]
                if len(frames):
                    yield frames
        except soundfile.LibsndfileError as error:
            raise DecodeError(str(error.error_string)) from None

    def close(self) -> None:
        self._file.close()


class AvSource:
    name: DecoderName = "av"

    def __init__(self, path: Path, header: Header) -> None:
        import av  # 0.1 s to import, and most collections never need it

        self._errors: Any = av.error.FFmpegError
        self._to_float: Any = None
        self._trouble: str | None = None
        self.damaged = 0
        try:
            self._container = av.open(
                str(path),
                metadata_errors="ignore",
                options={"format_whitelist": _CONTAINERS, "protocol_whitelist": "file"},
            )
        except (av.error.FFmpegError, ValueError) as error:
            raise DecodeError(_words(error)) from None
        try:
            stream = self._container.streams.best("audio")
            if stream is None:
                others = sorted({str(other.type) for other in self._container.streams})
                if "audio" in others:  # one that FFmpeg would never choose
                    raise DecodeError("its sound has no channel")
                held = f"only {' and '.join(others)}" if others else "no stream at all"
                raise DecodeError(f"it holds {held}, no sound track", not_audio=bool(others))
            if stream.codec_context is None:
                raise DecodeError("the container is known, the coding of its sound is not", unsupported=True)
            stream.codec_context.thread_count = 1
            self._stream = stream
            self._frames = self._decode()
            self._first = next(self._frames, None)
            if self._first is None:
                self.sample_rate_hz = int(stream.codec_context.sample_rate or 0)
                self.channels = int(stream.codec_context.channels or 0)
            else:  # what was decoded knows better than the header: HE-AAC doubles the rate
                self.sample_rate_hz = int(self._first.sample_rate)
                self.channels = int(self._first.layout.nb_channels)
            container = str(self._container.format.name).split(",")[0]
            self.format = f"{container.upper()}/{stream.codec_context.name}"
            self.claimed: int | None = header.frames
            self.tolerance = 2 * 1152 if header.kind == "MP3" else 0
            if self.claimed is None and container in _STATES_LENGTH:
                self.claimed = self._stated_length(container)
                self.tolerance = int(0.1 * self.sample_rate_hz + 0.01 * (self.claimed or 0))
            if self._first is not None and (self.sample_rate_hz <= 0 or self.channels <= 0):
                raise DecodeError(f"the header says {self.sample_rate_hz} Hz and {self.channels} channels")
        except DecodeError:
            self.close()
            raise

    def _stated_length(self, container: str) -> int | None:
        if container not in ("asf", "matroska") and self._stream.duration is not None:
            return int(self._stream.duration * self._stream.time_base * self.sample_rate_hz)
        if self._container.duration is not None:  # in microseconds
            return int(self._container.duration * self.sample_rate_hz // 1_000_000)
        return None

    def estimated_duration_s(self) -> float | None:
        """FFmpeg's estimate for what states no length; for a person to read, never to judge a file by."""
        return None if self._container.duration is None else float(self._container.duration) / 1e6

    def _decode(self) -> Iterator[Any]:
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except self._errors as error:
                self._trouble = _words(error)
                return
            if packet is None:
                return
            try:
                yield from packet.decode()
            except self._errors:
                if packet.size:  # the empty packet at the end only flushes
                    self.damaged += 1
                if self.damaged > _MAX_BAD_PACKETS:
                    return

    def blocks(self, start: int, block: int) -> Iterator[Frames]:
        """From the beginning, leaving out what comes before `start`: few codecs here seek to the sample."""
        skip, size = start, 0
        held: list[Frames] = []
        frame: Any = self._first
        while frame is not None:
            if int(frame.sample_rate) != self.sample_rate_hz or int(frame.layout.nb_channels) != self.channels:
                if held:
                    yield np.concatenate(held)
                raise DecodeError(
                    f"it changes from {self.sample_rate_hz} Hz and {self.channels} channels "
                    f"to {frame.sample_rate} Hz and {frame.layout.nb_channels}"
                )
            if skip >= frame.samples:
                skip -= frame.samples
            else:
                values = self._float(frame)[skip:]
                skip = 0
                held.append(values)
                size += len(values)
                if size >= block:
                    yield np.concatenate(held)
                    held, size = [], 0
            frame = next(self._frames, None)
        if held:
            yield np.concatenate(held)
        if self._trouble:
            raise DecodeError(self._trouble)

    def _float(self, frame: Any) -> Frames:
        """(n, channels) float32 in [-1, 1] of whatever sample format the codec gives."""
        kind = str(frame.format.name)
        if kind in ("s64", "s64p"):  # which PyAV cannot turn into an array
            import av

            self._to_float = self._to_float or av.AudioResampler(format="fltp")
            frame = self._to_float.resample(frame)[0]
            kind = "fltp"
        values: npt.NDArray[Any] = frame.to_ndarray()
        values = values.T if kind.endswith("p") else values.reshape(-1, self.channels)
        plain = kind.removesuffix("p")
        if plain == "u8":
            return (values.astype(np.float32) - 128.0) / 128.0
        scale = {"s16": 2.0**15, "s32": 2.0**31}.get(plain)
        out: Frames = values.astype(np.float32)
        return out if scale is None else out / np.float32(scale)

    def close(self) -> None:
        self._container.close()


class RiffSource:
    """PCM of a WAV by its header: integers of 5 to 8 bytes, whose four highest are more than float32 can hold, and
    whatever is longer than 32 bits can say."""

    name: DecoderName = "riff"

    def __init__(self, path: Path, header: Header) -> None:
        assert header.riff is not None, "only opened where the header describes such data"
        riff = header.riff
        self._riff: RiffData = riff
        self._file = path.open("rb")
        self.sample_rate_hz = riff.sample_rate_hz
        self.channels = riff.channels
        self.format = f"WAV/{_coding(riff)}"
        self.claimed: int | None = int(riff.size // (riff.bytes_per_sample * riff.channels) * header.overclaim)
        self.tolerance = 0
        self.damaged = 0

    def blocks(self, start: int, block: int) -> Iterator[Frames]:
        riff = self._riff
        align = riff.bytes_per_sample * riff.channels
        left = riff.size // align - start
        self._file.seek(riff.offset + start * align)
        while left > 0:
            n = min(left, block, max(1, BLOCK_VALUES // riff.channels))
            raw = np.frombuffer(self._file.read(n * align), dtype=np.uint8)
            yield _pcm_to_float(raw, riff).reshape(-1, riff.channels)
            left -= n

    def close(self) -> None:
        self._file.close()


def _coding(riff: RiffData) -> str:
    """As libsndfile calls it."""
    if riff.floating:
        return "FLOAT" if riff.bytes_per_sample == 4 else "DOUBLE"
    return "PCM_U8" if riff.bytes_per_sample == 1 else f"PCM_{8 * riff.bytes_per_sample}"


def _pcm_to_float(raw: npt.NDArray[np.uint8], riff: RiffData) -> npt.NDArray[np.float32]:
    """(bytes,) uint8 -> (samples,) float32: integers in [-1, 1), floats as they are."""
    order, width = ">" if riff.big_endian else "<", riff.bytes_per_sample
    if riff.floating:
        return raw.view(f"{order}f{width}").astype(np.float32)
    if width == 1:  # the only one without a sign
        return (raw.astype(np.float32) - np.float32(128.0)) / np.float32(128.0)
    if width == 2:
        return raw.view(f"{order}i2").astype(np.float32) / np.float32(2.0**15)
    kept = min(width, 4)
    top = np.zeros((len(raw) // width, 4), np.uint8)
    if riff.big_endian:
        top[:, :kept] = raw.reshape(-1, width)[:, :kept]
    else:
        top[:, 4 - kept :] = raw.reshape(-1, width)[:, width - kept :]
    return top.view(f"{order}i4").ravel().astype(np.float32) / np.float32(2.0**31)


def _words(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)

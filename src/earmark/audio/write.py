"""Writing audio: WAV, FLAC, AIFF, MP3, OGG Vorbis and Opus, by the file's suffix, through soundfile in blocks.

libsndfile crashed on one OGG write of 2.6 million frames, so no write here is longer than `BLOCK_FRAMES`. It says
nothing of a WAV or AIFF that outgrows its 32-bit sizes: whoever reads it by them loses the rest. So a WAV that may
become so long is written as RF64 (EBU Tech 3306), which libsndfile turns into a plain WAV where it stayed short.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from earmark.audio.decode import Decoding, Frames, no_sample
from earmark.audio.signal import StreamResampler, resampled_length, to_mono
from earmark.errors import EarmarkError, InputError
from earmark.types import Progress, Quiet

BLOCK_FRAMES = 1 << 16

# suffix: (libsndfile's format, its usual coding)
_FORMATS = {
    ".wav": ("WAV", "PCM_16"),
    ".flac": ("FLAC", "PCM_16"),
    ".aiff": ("AIFF", "PCM_16"),
    ".aif": ("AIFF", "PCM_16"),
    ".mp3": ("MP3", "MPEG_LAYER_III"),
    ".ogg": ("OGG", "VORBIS"),
    ".opus": ("OGG", "OPUS"),
}
WRITABLE_SUFFIXES = tuple(_FORMATS)

_RIFF_BYTES = 2**32 - 2**20  # of a file whose sizes are 32 bits, with room for its header
_RF64_BYTES = {"PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "PCM_U8": 1, "FLOAT": 4, "DOUBLE": 8, "ULAW": 1, "ALAW": 1}
_AUTO_DOWNGRADE = 0x1210  # libsndfile's SFC_RF64_AUTO_DOWNGRADE, for which soundfile has no name
_SYSTEM_ERROR = 2  # libsndfile's SF_ERR_SYSTEM: the disk's fault, not the format's
_MP3_RATES_HZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_OPUS_RATES_HZ = (8000, 12000, 16000, 24000, 48000)
# lowest sample rate: bit rates (kbit/s) of MPEG-1, MPEG-2 and MPEG-2.5, over which libsndfile's compression level runs
# from 0 (the highest) towards 1 (the lowest; it refuses 1 itself)
_MP3_RANGE_KBPS = ((32000, 32, 320), (16000, 8, 160), (0, 8, 64))


def write(
    path: str | os.PathLike[str],
    samples: npt.NDArray[np.floating[Any]],
    sample_rate_hz: int,
    *,
    bitrate_kbps: int | None = None,
    subtype: str | None = None,
) -> None:
    """Writes `samples` to `path`, in the format of its suffix; a WAV beyond 4 GiB is an RF64.

    What is beyond full scale is clipped by the integer formats, as everywhere. A write that fails leaves the path as
    it was: the file is written beside it and renamed.

    Args:
        path: *.wav, *.flac, *.aiff, *.mp3, *.ogg (Vorbis) or *.opus.
        samples: (n,) or (n, channels), within [-1, 1].
        sample_rate_hz: int > 0; MP3 and Opus know only some (`check_rate`).
        bitrate_kbps: for MP3 only: constant bit rate. None: the encoder's usual quality.
        subtype: libsndfile's coding, e.g. `PCM_24`, `FLOAT`, `ULAW`; None: 16 bits, or the format's only one.

    Raises:
        InputError: a suffix, rate, coding or bit rate that cannot be written; an AIFF beyond 4 GiB.
        EarmarkError: the disk refuses.
    """
    array = np.asarray(samples)
    channels = 1 if array.ndim == 1 else array.shape[1]
    blocks = (array[start : start + BLOCK_FRAMES] for start in range(0, len(array), BLOCK_FRAMES))
    _write_blocks(Path(path), blocks, sample_rate_hz, channels, bitrate_kbps, subtype, frames=len(array))


def convert(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    sample_rate_hz: int | None = None,
    mono: bool = False,
    bitrate_kbps: int | None = None,
    progress: Progress | None = None,
) -> str | None:
    """Decodes `source` and writes it to `target` block by block, in memory that does not grow with the length.

    Args:
        source: any file that can be read.
        target: its suffix says the format; an existing file is replaced once the new one is whole.
        sample_rate_hz: of the target; None keeps the source's, or the next higher rate that the format knows.
        mono: mixes the channels down.
        bitrate_kbps: for MP3.
        progress: told of seconds of audio.

    Returns:
        The warning where the source could be read only in part, else None.

    Raises:
        AudioError: as `earmark.audio.read.read`.
        InputError: as `write`.
    """
    progress = progress or Quiet()
    with Decoding(Path(source)) as decoding:
        opened = decoding.source
        rate = sample_rate_hz or _nearest_rate(Path(target), opened.sample_rate_hz)
        channels = 1 if mono else opened.channels
        total = None if opened.claimed is None else round(opened.claimed / opened.sample_rate_hz)
        progress.start(f"convert {Path(source).name}", total, "s")
        try:
            blocks = _resampled(decoding, rate, channels, mono=mono, progress=progress)
            first = next(blocks, None)
            if first is None:
                raise no_sample(decoding)
            frames = None if opened.claimed is None else resampled_length(opened.claimed, opened.sample_rate_hz, rate)
            _write_blocks(Path(target), _chain(first, blocks), rate, channels, bitrate_kbps, None, frames=frames)
        finally:
            progress.stop()
        warning = decoding.shortfall()
        return None if warning is None else f"{source}: {warning}."


def _chain(first: Frames, rest: Iterator[Frames]) -> Iterator[Frames]:
    yield first
    yield from rest


def _resampled(decoding: Decoding, rate: int, channels: int, *, mono: bool, progress: Progress) -> Iterator[Frames]:
    """(n, channels) blocks at `rate`; one block is held back so that the last can be told from the others."""
    from_hz = decoding.source.sample_rate_hz
    resamplers = [StreamResampler(from_hz, rate) for _ in range(channels)]

    def push(block: Frames, *, last: bool) -> Frames:
        columns = to_mono(block)[:, None] if mono else block
        if from_hz == rate:
            return columns
        return np.stack(
            [resampler.push(columns[:, k], last=last) for k, resampler in enumerate(resamplers)],
            axis=1,
        )

    held: Frames | None = None
    for block in decoding.blocks(0, BLOCK_FRAMES):
        progress.advance(len(block) / from_hz)
        if held is not None:
            yield push(held, last=False)
        held = block
    if held is not None:
        yield push(held, last=True)


def _write_blocks(
    path: Path,
    blocks: Iterable[Frames],
    rate: int,
    channels: int,
    bitrate_kbps: int | None,
    subtype: str | None,
    *,
    frames: int | None,
) -> None:
    """`frames`: how many there will be, as far as anybody says; None where nobody does."""
    kind, usual = _format_of(path)
    coding = subtype or usual
    if not soundfile.check_format(kind, coding):
        known = ", ".join(sorted(soundfile.available_subtypes(kind)))
        raise InputError(f"{path}: {kind} cannot hold {coding}; it knows {known}.")
    check_rate(path, rate)
    options = _bitrate_options(path, kind, rate, bitrate_kbps)
    if kind == "WAV" and coding in _RF64_BYTES:
        fits = frames is not None and frames * channels * _RF64_BYTES[coding] <= _RIFF_BYTES
        kind = "WAV" if fits else "RF64"
    # the ending stays, so that a person who finds it after a power cut can tell what it is
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        with _create(partial, path, rate, channels, kind, coding, options) as file:
            for block in blocks:
                for start in range(0, len(block), BLOCK_FRAMES):
                    file.write(block[start : start + BLOCK_FRAMES])
                if kind in ("WAV", "AIFF") and partial.stat().st_size > _RIFF_BYTES:
                    raise InputError(
                        f"{path} cannot be written: {kind} in {coding} ends at 4 GiB, and there is more; write .flac."
                    )
        partial.replace(path)
    except (soundfile.LibsndfileError, OSError) as error:
        words = getattr(error, "error_string", None) or getattr(error, "strerror", None) or str(error)
        raise EarmarkError(
            f"{path} cannot be written: {str(words).rstrip('.')}; check that the folder exists and the disk has room."
        ) from None
    finally:
        partial.unlink(missing_ok=True)


def _create(
    partial: Path, path: Path, rate: int, channels: int, kind: str, coding: str, options: dict[str, Any]
) -> soundfile.SoundFile:
    if not path.parent.is_dir():
        raise InputError(f"{path} cannot be written: there is no folder {path.parent}; make it first.")
    try:
        file = soundfile.SoundFile(
            os.fsencode(partial), "w", samplerate=rate, channels=channels, format=kind, subtype=coding, **options
        )
        if kind == "RF64":
            soundfile._snd.sf_command(file._file, _AUTO_DOWNGRADE, soundfile._ffi.NULL, 1)
        return file
    except soundfile.LibsndfileError as error:
        if error.code == _SYSTEM_ERROR:
            raise
        words = str(error.error_string).rstrip(".")
        raise InputError(
            f"{path}: {kind} cannot hold {channels} channels at {rate} Hz ({words}); mix to mono, or write .wav."
        ) from None


def _format_of(path: Path) -> tuple[str, str]:
    try:
        return _FORMATS[path.suffix.lower()]
    except KeyError:
        known = ", ".join(WRITABLE_SUFFIXES)
        raise InputError(f"{path}: no format is known for the suffix {path.suffix!r}; choose one of {known}.") from None


def _rates_of(path: Path) -> tuple[int, ...] | None:
    return {".mp3": _MP3_RATES_HZ, ".opus": _OPUS_RATES_HZ}.get(path.suffix.lower())


def _nearest_rate(path: Path, rate: int) -> int:
    """The source's rate where the target's format knows it, else the next higher one, else its highest."""
    rates = _rates_of(path)
    if rates is None or rate in rates:
        return rate
    return min((known for known in rates if known > rate), default=rates[-1])


def check_rate(path: Path, sample_rate_hz: int) -> None:
    """InputError where the format of `path` does not know the rate."""
    rates = _rates_of(path)
    if sample_rate_hz <= 0 or (rates is not None and sample_rate_hz not in rates):
        known = "a rate above 0" if rates is None else ", ".join(map(str, rates))
        raise InputError(f"{path}: {sample_rate_hz} Hz cannot be written to {path.suffix}; it knows {known}.")


def _bitrate_options(path: Path, kind: str, rate: int, bitrate_kbps: int | None) -> dict[str, Any]:
    if bitrate_kbps is None:
        return {}
    if kind != "MP3":
        raise InputError(f"{path}: a bit rate can be set for .mp3 only; leave it out, or write .mp3.")
    low, high = next((low, high) for least_hz, low, high in _MP3_RANGE_KBPS if rate >= least_hz)
    if not low <= bitrate_kbps <= high:
        raise InputError(f"{path}: {bitrate_kbps} kbit/s at {rate} Hz; MP3 takes {low} to {high} there.")
    return {"bitrate_mode": "CONSTANT", "compression_level": min(0.9999, (high - bitrate_kbps) / (high - low))}

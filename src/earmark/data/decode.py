"""What a worker process does with one file: decode, mix to mono, resample, quantise, and measure. Few imports, so that
a worker starts at once: numpy, soundfile and soxr, never a table library.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from earmark.audio import read as audio
from earmark.audio.examine import SILENT_PEAK, check_usable
from earmark.audio.hashing import AudioDigest, audio_sha256
from earmark.audio.signal import StreamResampler, resample
from earmark.errors import AudioError
from earmark.settings import keep_freed_memory
from earmark.types import Reason, Samples

WHOLE_FILE_BYTES = 2**20
"""Files up to this size are decoded in one piece without asking how long they are."""
WHOLE_FILE_S = 600.0
"""Longer recordings are decoded in blocks and go through a spill file, so that memory stays flat."""
KEPT_BYTES, KEPT_BLOCK_BYTES = 2**28, 2**25
"""What a process that prepares keeps of freed memory, and the largest block of it."""
_SURELY_HEARD = 100.0 * SILENT_PEAK
"""No resampler makes a sound a hundred times louder: with such a peak after it, there was one before it."""


# both go between processes for every file, for which a frozen dataclass is slow
class Job(NamedTuple):
    """One file to prepare. `spill_dir` is where long recordings are put on their way to the store."""

    path: str
    sample_rate_hz: int
    spill_dir: str


class Decoded(NamedTuple):
    """A prepared recording. Fields as in `earmark.data.shards.Entry`; its samples are `pcm` or lie in file `spill`.

    From a worker, `pcm` is lent (`earmark.audio.pool.map_files`): it has to be written before the next file is taken.
    """

    file_sha256: str
    file_bytes: int
    mtime_ns: int
    audio_sha256: str
    sample_rate_hz: int
    channels: int
    duration_s: float
    format: str
    n_samples: int
    scale: float
    peak: float
    rms_db: float
    warning: str
    crc32: int
    pcm: npt.NDArray[np.int16]
    spill: str = ""

    def blocks(self, block_bytes: int = 2**22) -> Iterator[bytes | memoryview]:
        """The int16 bytes, from memory or from the spill file, which is gone afterwards."""
        if not self.spill:
            yield self.pcm.data.cast("B")
            return
        with open(self.spill, "rb") as file:
            while block := file.read(block_bytes):
                yield block
        os.unlink(self.spill)


def decode(job: Job) -> Decoded:
    """Prepare one file. Raises AudioError where there is nothing to use in it."""
    keep_freed_memory(KEPT_BYTES, KEPT_BLOCK_BYTES)
    try:
        stat = os.stat(job.path)
        file_sha256 = hash_file(job.path)
    except OSError as error:
        raise AudioError(
            job.path, Reason.MISSING, f"{job.path}: cannot be opened ({error.strerror}); check the path and its rights."
        ) from error
    about = (file_sha256, stat.st_size, stat.st_mtime_ns)
    return _decode_long(job, about) if is_long(job.path, stat.st_size) else _decode_whole(job, about)


def is_long(path: str, file_bytes: int) -> bool:
    """Whether a file is to be decoded in blocks: it is large, and lasts long or does not say how long."""
    if file_bytes <= WHOLE_FILE_BYTES:
        return False
    duration_s = audio.probe(path).duration_s
    return duration_s is None or duration_s > WHOLE_FILE_S


def hash_file(path: str | Path) -> str:
    """sha256 of the file's bytes, hex."""
    with open(path, "rb", buffering=0) as file:
        if 0 < os.fstat(file.fileno()).st_size <= WHOLE_FILE_BYTES:  # 0 may be a device, which never ends
            return hashlib.sha256(file.read()).hexdigest()
        return hashlib.file_digest(file, "sha256").hexdigest()


def quantise(samples: Samples, peak: float) -> tuple[npt.NDArray[np.int16], float]:
    """int16 samples and the scale that brings them back: sample = int16 * scale, wrong by at most scale / 2.

    Args:
        samples: (n,) float32.
        peak: largest absolute sample, above 0.

    Returns:
        (n,) int16, little endian, and scale = peak / 32767: a recording at -80 dBFS keeps all its 16 bits.
    """
    scale = peak / 32767.0
    steps = samples * np.float32(1.0 / scale)
    np.rint(steps, out=steps)
    return steps.astype("<i2"), scale


def _decode_whole(job: Job, about: tuple[str, int, int]) -> Decoded:
    found = audio.read(job.path)
    native, rate = found.samples, found.sample_rate_hz
    samples = resample(native, rate, job.sample_rate_hz)
    peak = largest(samples)
    # what lies wholly above the new rate is silent after resampling, and no use at this rate
    heard = peak if peak >= _SURELY_HEARD else min(peak, largest(native))
    check_usable(job.path, frames=len(native), sample_rate_hz=rate, peak=heard)
    pcm, scale = quantise(samples, peak)
    return Decoded(
        *about,
        audio_sha256=audio_sha256(native, rate),
        sample_rate_hz=found.source_rate_hz,
        channels=found.source_channels,
        duration_s=len(native) / rate,
        format=found.format,
        n_samples=len(pcm),
        scale=scale,
        peak=peak,
        rms_db=_rms_db(float(np.dot(samples, samples)), len(samples)),
        warning=found.warning or "",
        crc32=zlib.crc32(pcm.data),
        pcm=pcm,
    )


def _decode_long(job: Job, about: tuple[str, int, int]) -> Decoded:
    """The same in blocks: resampled float32 to a spill file first, because the scale is only known at the end."""
    # hardly any collection needs them
    import tempfile

    from earmark.data.shards import disk_full, is_disk_full

    fd, spill = tempfile.mkstemp(prefix="spill-", suffix=".i16", dir=job.spill_dir)
    os.close(fd)
    floats = Path(spill + ".f32")
    try:
        n_native, energy, peak, native_peak = 0, 0.0, 0.0, 0.0
        with audio.stream(job.path) as stream, floats.open("wb") as file:
            rate = stream.sample_rate_hz
            digest = AudioDigest(rate)
            resampler = StreamResampler(rate, job.sample_rate_hz)
            for native in itertools.chain(stream, [None]):
                if native is None:
                    block = resampler.push(np.zeros(0, np.float32), last=True)
                else:
                    digest.update(native)
                    n_native += len(native)
                    native_peak = max(native_peak, largest(native))
                    block = resampler.push(native)
                peak, energy = max(peak, largest(block)), energy + float(np.dot(block, block))
                file.write(block.data)
            info, warning = stream.info, stream.warning
        check_usable(job.path, frames=n_native, sample_rate_hz=rate, peak=min(peak, native_peak))
        n_samples, crc32 = _quantise_file(floats, Path(spill), peak)
        return Decoded(
            *about,
            audio_sha256=digest.hexdigest(),
            sample_rate_hz=info.sample_rate_hz,
            channels=info.channels,
            duration_s=n_native / rate,
            format=info.format,
            n_samples=n_samples,
            scale=peak / 32767.0,
            peak=peak,
            rms_db=_rms_db(energy, n_samples),
            warning=warning or "",
            crc32=crc32,
            pcm=np.zeros(0, np.int16),
            spill=spill,
        )
    except OSError as error:
        os.unlink(spill)
        raise (disk_full(job.spill_dir) if is_disk_full(error) else error) from error
    except BaseException:
        os.unlink(spill)
        raise
    finally:
        floats.unlink(missing_ok=True)


def _quantise_file(floats: Path, target: Path, peak: float) -> tuple[int, int]:
    """float32 file -> int16 file in blocks; returns (samples, crc32)."""
    n_samples, crc32 = 0, 0
    with floats.open("rb") as source, target.open("wb") as out:
        while data := source.read(2**22):
            pcm, _ = quantise(np.frombuffer(data, np.float32), peak)
            block = pcm.tobytes()
            crc32 = zlib.crc32(block, crc32)
            n_samples += len(pcm)
            out.write(block)
    return n_samples, crc32


def largest(samples: Samples) -> float:
    """Largest absolute sample; NaN where there is one. No copy of the samples is made."""
    return max(float(samples.max()), -float(samples.min())) if len(samples) else 0.0


def _rms_db(energy: float, n: int) -> float:
    return 10.0 * math.log10(max(energy / max(n, 1), 1e-20))

"""What a worker process measures of one file, at the file's own rate. Few imports: numpy and the decoder."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from earmark.audio import read as audio
from earmark.audio.examine import check_usable
from earmark.audio.hashing import AudioDigest
from earmark.data.decode import WHOLE_FILE_BYTES, WHOLE_FILE_S
from earmark.types import Samples

MEASURES = 1
"""To be raised with any change of a figure below: what older code measured is then measured anew."""
FRAME = 4096
FRAMES_A_FILE = 256
"""Spectra are taken of at most this many frames a block of a minute, spread evenly."""
SILENCE_DB = 60.0
"""A stretch of 50 ms is silent where its RMS lies this far below the recording's peak."""
EDGE_DB = 75.0
"""The upper frequency is the highest whose level lies within this of the strongest one."""
QUIETEST_CLIPPED = 0.05  # below, steps of 16 bits look like flat tops
CLIP_RUN = 3  # consecutive samples at the peak; a single one is just the peak
FINGERPRINT_BLOCK_S = 300.0


@dataclass(frozen=True, slots=True)
class Measured:
    """One file that could be read, wholly or in part.

    Attributes:
        sample_rate_hz, channels, duration_s, format: of the file.
        warning: what was lost where only a part was read; empty otherwise.
        file_bytes: its size.
        peak: largest absolute sample of the mono mix, full scale is 1.
        rms_db: dB re full scale.
        dc_offset: mean of the samples, full scale is 1.
        clipped: share of samples that lie in runs at full scale or at a flat top.
        silence: share of the recording that is silent.
        bandwidth_hz: its effective upper frequency.
        cliff_db: how steeply the spectrum falls there: dB between just below and just above it.
        audio_sha256: see `earmark.audio.hashing`.
        fingerprint: uint32, little endian, as bytes.
    """

    sample_rate_hz: int
    channels: int
    duration_s: float
    format: str
    warning: str
    file_bytes: int
    peak: float
    rms_db: float
    dc_offset: float
    clipped: float
    silence: float
    bandwidth_hz: float
    cliff_db: float
    audio_sha256: str
    fingerprint: bytes


def measure(path: str) -> Measured:
    """Decode and measure one file. Raises AudioError where there is nothing to use in it."""
    size = Path(path).stat().st_size if Path(path).exists() else 0
    if size > WHOLE_FILE_BYTES:
        duration_s = audio.probe(Path(path)).duration_s
        if duration_s is None or duration_s > WHOLE_FILE_S:
            with audio.stream(Path(path), block_s=60.0) as stream:
                gauge = _Gauge(stream.sample_rate_hz, stream)
                info = stream.info
                return gauge.result(path, info.sample_rate_hz, info.channels, info.format, stream.warning, size)
    found = audio.read(Path(path))
    gauge = _Gauge(found.sample_rate_hz, [found.samples])
    return gauge.result(path, found.source_rate_hz, found.source_channels, found.format, found.warning, size)


class _Gauge:
    """Sums over blocks, so that a recording of fifteen hours takes no more memory than one of a minute."""

    def __init__(self, sample_rate_hz: int, blocks: Iterable[Samples]) -> None:
        self.rate = sample_rate_hz
        self.n, self.total, self.energy, self.peak, self.at_top = 0, 0.0, 0.0, 0.0, 0
        self.power = np.zeros(FRAME // 2 + 1)
        self.levels: list[npt.NDArray[np.float64]] = []  # mean square of each 50 ms
        self.prints: list[bytes] = []
        self.digest = AudioDigest(sample_rate_hz)
        for block in _at_least(blocks, int(FINGERPRINT_BLOCK_S * sample_rate_hz)):
            self._add(block)

    def _add(self, samples: Samples) -> None:
        if not len(samples):
            return
        self.digest.update(samples)
        self.n += len(samples)
        self.total += float(samples.sum(dtype=np.float64))
        self.energy += float(np.dot(samples, samples))
        top = max(float(samples.max()), -float(samples.min()))
        self.at_top += _flat_top(samples, top)
        self.peak = max(self.peak, top)
        if math.isfinite(top):
            self.power = np.maximum(self.power, _spectrum(samples))
            self.levels.append(_levels(samples, max(1, self.rate // 20)))
            self.prints.append(_fingerprint(samples, self.rate))

    def result(
        self, path: str, rate: int, channels: int, format: str, warning: str | None, file_bytes: int
    ) -> Measured:
        check_usable(path, frames=self.n, sample_rate_hz=self.rate, peak=self.peak)
        levels = np.concatenate(self.levels)
        bandwidth_hz, cliff_db = upper_frequency(self.power, self.rate)
        return Measured(
            sample_rate_hz=rate,
            channels=channels,
            duration_s=self.n / self.rate,
            format=format,
            warning=warning or "",
            file_bytes=file_bytes,
            peak=self.peak,
            rms_db=10 * math.log10(max(self.energy / self.n, 1e-20)),
            dc_offset=self.total / self.n,
            clipped=self.at_top / self.n,
            silence=float(np.mean(levels < self.peak**2 * 10 ** (-SILENCE_DB / 10))),
            bandwidth_hz=bandwidth_hz,
            cliff_db=cliff_db,
            audio_sha256=self.digest.hexdigest(),
            fingerprint=b"".join(self.prints),
        )


def upper_frequency(power: npt.NDArray[np.float64], sample_rate_hz: int) -> tuple[float, float]:
    """Where a spectrum ends.

    Args:
        power: (bins,) from 0 to half the sample rate.
        sample_rate_hz: of the signal.

    Returns:
        the highest frequency in Hz whose level, smoothed over 9 bins, lies within EDGE_DB of the strongest bin, and the
        fall in dB from the 5 % below it to the 5 % above it: natural sounds fade by 10 or 20, a resampler or a lossy
        codec cuts by 30 and more. At half the sample rate there is nothing above, and the fall is 0.
    """
    smooth = np.convolve(power, np.ones(9) / 9, mode="same")
    db = 10 * np.log10(np.maximum(smooth, 1e-20))
    top = int(np.flatnonzero(db >= db.max() - EDGE_DB)[-1])
    hz = top * sample_rate_hz / 2 / (len(power) - 1)
    if top >= 0.97 * (len(power) - 1):
        return sample_rate_hz / 2, 0.0
    step = max(4, top // 20)
    below, above = db[max(0, top - 2 * step) : max(1, top - step)], db[top + step : top + 2 * step]
    return hz, float(max(0.0, below.mean() - above.mean())) if len(above) else 0.0


def _spectrum(samples: Samples) -> npt.NDArray[np.float64]:
    """(FRAME // 2 + 1,) mean power of frames spread evenly over the samples."""
    if len(samples) < FRAME:
        samples = np.pad(samples, (0, FRAME - len(samples)))
    n = min(FRAMES_A_FILE, max(1, (len(samples) - FRAME) // (FRAME // 2) + 1))
    starts = np.linspace(0, len(samples) - FRAME, n).astype(int)
    window = np.hanning(FRAME).astype(np.float32)
    total = np.zeros(FRAME // 2 + 1)
    for part in np.array_split(starts, max(1, n // 32)):  # batches that fit the processor's cache
        frames = samples[part[:, None] + np.arange(FRAME)] * window
        spectrum = np.fft.rfft(frames)
        total += (spectrum.real**2 + spectrum.imag**2).sum(axis=0)
    return total / n


def _levels(samples: Samples, step: int) -> npt.NDArray[np.float64]:
    n = len(samples) // step
    if n == 0:
        return np.array([float(np.mean(samples**2))])
    frames = samples[: n * step].reshape(n, step)
    return np.asarray(np.einsum("ij,ij->i", frames, frames), np.float64) / step


def _flat_top(samples: Samples, top: float) -> int:
    """Samples in runs of CLIP_RUN and more at the same greatest level: what clipping leaves, also when turned down."""
    if top < QUIETEST_CLIPPED:
        return 0
    flat = np.abs(samples) >= top - 2 / 32768  # a step of 16 bits each way: +1 and -1 are not stored alike
    if np.count_nonzero(flat) < CLIP_RUN:
        return 0
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flat, [False]]).astype(np.int8)))
    runs = edges[1::2] - edges[::2]
    return int(runs[runs >= CLIP_RUN].sum())


def _at_least(blocks: Iterable[Samples], n: int) -> Iterator[Samples]:
    """The same samples in blocks of at least n, save the last."""
    pending: list[Samples] = []
    for block in blocks:
        pending.append(block)
        if sum(map(len, pending)) >= n:
            yield np.concatenate(pending)
            pending = []
    if pending:
        yield np.concatenate(pending) if len(pending) > 1 else pending[0]


def _fingerprint(samples: Samples, sample_rate_hz: int) -> bytes:
    from earmark.audio.fingerprint import fingerprint  # here, so that a worker starts sooner

    return bytes(fingerprint(samples, sample_rate_hz).astype("<u4").tobytes())

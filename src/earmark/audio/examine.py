"""A verdict on one file: decoded once in blocks, in memory that does not grow, and judged.

Meant for `earmark.audio.pool`: what makes a decoder crash, hang or fill the memory costs a worker, not the run.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from earmark.audio.decode import BLOCK_VALUES, Decoding, no_sample
from earmark.audio.read import MAX_DURATION_S, AudioInfo, info_of
from earmark.audio.signal import to_mono
from earmark.errors import AudioError
from earmark.types import Reason, Verdict

SILENT_PEAK = 1e-5
"""A file whose mono mix never reaches this (-100 dB below full scale) is silent."""

SHORTEST_S = 0.02
"""Less than this holds no sound that could be judged."""

CLIPPED = 0.9999
"""A value at or beyond this counts as clipped: the largest of 16 bits is 0.99997."""


@dataclass(frozen=True, slots=True)
class Examined:
    """What became of one file.

    Attributes:
        path: as given.
        verdict: READ, PARTIAL (the warning says how much) or QUARANTINED.
        reason: for a quarantined file; else None.
        message: for a quarantined file, one sentence; else empty.
        warning: for a file read in part; else None.
        info: the header's word; None where no decoder opened the file.
        duration_s: decoded, in seconds; 0 where nothing was.
        peak: largest absolute value of the mono mix.
        rms_db: of the mono mix, in dB re full scale; -inf for digital silence.
        clipped_share: share of all channels' values at or beyond full scale, 0 to 1.
    """

    path: str
    verdict: Verdict
    reason: Reason | None
    message: str
    warning: str | None
    info: AudioInfo | None
    duration_s: float = 0.0
    peak: float = 0.0
    rms_db: float = -math.inf
    clipped_share: float = 0.0


def examine(path: str | os.PathLike[str], *, max_duration_s: float = MAX_DURATION_S) -> Examined:
    """Decodes `path` to its end and judges it; never raises for what a file holds."""
    info: AudioInfo | None = None
    level = _Level()
    try:
        with Decoding(Path(path)) as decoding:
            info = info_of(decoding)
            rate = info.sample_rate_hz
            for frames in decoding.blocks(0, BLOCK_VALUES // 4):
                level.add(frames)
                if level.frames > max_duration_s * rate:
                    raise AudioError(
                        str(path),
                        Reason.TOO_LARGE,
                        f"{path} is longer than {max_duration_s:g} s: cut it into shorter files.",
                    )
            if level.frames == 0:
                raise no_sample(decoding)
            info = info_of(decoding)  # another decoder may have taken over
            check_usable(
                str(path), frames=level.frames, sample_rate_hz=rate, peak=level.peak, loudest_channel=level.loudest
            )
            shortfall = decoding.shortfall()
    except AudioError as error:
        return Examined(
            str(path),
            Verdict.QUARANTINED,
            Reason(error.reason),
            str(error),
            None,
            info,
            **level.figures(info.sample_rate_hz if info else 0),
        )
    return Examined(
        str(path),
        Verdict.PARTIAL if shortfall else Verdict.READ,
        None,
        "",
        f"{path}: {shortfall}." if shortfall else None,
        info,
        **level.figures(rate),
    )


def check_usable(
    path: str, *, frames: int, sample_rate_hz: int, peak: float, loudest_channel: float | None = None
) -> None:
    """The rules by which decoded audio is refused, in one place for `examine` and for whoever decodes by himself.

    Args:
        path: for the message.
        frames: samples per channel that were decoded, at `sample_rate_hz`.
        peak: largest absolute value of the mono mix.
        loudest_channel: largest absolute value of any channel, where it is known.

    Raises:
        AudioError: EMPTY (nothing decoded), NON_FINITE, TOO_SHORT (less than `SHORTEST_S`), SILENT.
    """
    if frames == 0:
        raise AudioError(path, Reason.EMPTY, f"{path} holds no sample: record or copy it again.")
    if not math.isfinite(peak):
        raise AudioError(path, Reason.NON_FINITE, f"{path} holds values that are NaN or infinite: export it again.")
    if frames < SHORTEST_S * sample_rate_hz:
        raise AudioError(
            path,
            Reason.TOO_SHORT,
            f"{path} is {1000 * frames / sample_rate_hz:.1f} ms long; expected at least {1000 * SHORTEST_S:.0f} ms.",
        )
    if peak < SILENT_PEAK:
        cancels = loudest_channel is not None and loudest_channel >= SILENT_PEAK
        what = "is silent once mixed to mono (its channels cancel out)" if cancels else "is silent from end to end"
        raise AudioError(path, Reason.SILENT, f"{path} {what}: leave it out, or record it again.")


class _Level:
    """Running peak, energy and clipping."""

    def __init__(self) -> None:
        self.frames = self._values = self._clipped = 0
        self.peak = self.loudest = self._energy = 0.0

    def add(self, block: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> None:
        mono = to_mono(block)
        # max keeps NaN, so one bad value anywhere is seen at the end
        self.peak = float(np.maximum(self.peak, np.abs(mono).max(initial=0.0)))
        self._energy += float(np.dot(mono, mono)) if len(mono) else 0.0
        self.frames += len(mono)
        magnitude = np.abs(block)
        self.loudest = float(np.maximum(self.loudest, magnitude.max(initial=0.0)))
        if not math.isfinite(self.loudest):
            self.peak = math.nan
        self._clipped += int(np.count_nonzero(magnitude >= CLIPPED))
        self._values += block.size

    def figures(self, rate: int) -> dict[str, float]:
        mean = self._energy / self.frames if self.frames else 0.0
        return {
            "duration_s": self.frames / rate if rate else 0.0,
            "peak": self.peak if math.isfinite(self.peak) else 0.0,
            "rms_db": 10 * math.log10(mean) if 0 < mean < math.inf else -math.inf,
            "clipped_share": self._clipped / self._values if self._values else 0.0,
        }

"""Audio as arrays: mono, resampling, windows, padding, silence. Pure functions on numpy; no file is opened here."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import soxr

from earmark.errors import InputError
from earmark.types import Samples

Padding: TypeAlias = Literal["zero", "loop", "noise"]

NOISE_FLOOR = 1e-4
"""Standard deviation of the noise that `fit` pads with: -80 dB below full scale."""


def to_mono(x: npt.NDArray[np.float32]) -> Samples:
    """The mean of the channels.

    Args:
        x: (n,) or (n, channels) float32.

    Returns:
        (n,) float32; a mono input is returned without a copy.
    """
    if x.ndim == 1:
        return x
    if x.shape[1] == 1:
        return x[:, 0]
    if x.shape[1] == 2:  # twice as fast as mean(axis=1) on the commonest case, and equal to it
        out: Samples = x[:, 0] + x[:, 1]
        out *= np.float32(0.5)
        return out
    mean: Samples = x.mean(axis=1, dtype=np.float32)
    return mean


def resampled_length(n: int, from_hz: int, to_hz: int) -> int:
    """Length of `n` samples after resampling: n * to / from, halves rounded up."""
    return (2 * n * to_hz + from_hz) // (2 * from_hz)


def resample(samples: Samples, from_hz: int, to_hz: int) -> Samples:
    """Band-limited resampling by soxr (quality HQ).

    Args:
        samples: (n,) or (n, channels) float32.
        from_hz: int > 0.
        to_hz: int > 0.

    Returns:
        float32 of length n * to_hz / from_hz with halves rounded up (`resampled_length`).

    Raises:
        InputError: a rate that is not above 0.
    """
    _check_rates(from_hz, to_hz)
    if from_hz == to_hz:
        return samples
    out: Samples = soxr.resample(np.ascontiguousarray(samples, dtype=np.float32), from_hz, to_hz, quality="HQ")
    return _exactly(out, resampled_length(len(samples), from_hz, to_hz))


class StreamResampler:
    """`resample` block by block: the concatenated blocks equal the one call, to float32 rounding and in length."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        _check_rates(from_hz, to_hz)
        self._from_hz, self._to_hz = from_hz, to_hz
        self._soxr: soxr.ResampleStream | None = None
        self._taken = 0
        self._given = 0

    def push(self, block: Samples, *, last: bool = False) -> Samples:
        """What can be given out after `block`; with `last`, the rest."""
        if self._from_hz == self._to_hz:
            return block
        if last and self._soxr is None:  # all there is came at once
            return resample(block, self._from_hz, self._to_hz)
        if self._soxr is None:
            self._soxr = soxr.ResampleStream(self._from_hz, self._to_hz, 1, dtype="float32", quality="HQ")
        self._taken += len(block)
        out: Samples = self._soxr.resample_chunk(np.ascontiguousarray(block, dtype=np.float32), last=last)
        if last:
            out = _exactly(out, resampled_length(self._taken, self._from_hz, self._to_hz) - self._given)
        self._given += len(out)
        return out


def windows(n_samples: int, length: int, hop: int) -> npt.NDArray[np.int64]:
    """Where windows of `length` samples start so that every sample of a clip is in at least one of them.

    Starts are 0, hop, 2 * hop, ... and the last is n_samples - length, so no window reaches past the end and none
    needs padding; the last two may overlap by more than the others. A clip of at most `length` samples has the one
    start 0, and the caller pads (`fit`).

    Args:
        n_samples: int >= 0.
        length: int > 0.
        hop: int, 0 < hop <= length (a larger hop would leave samples out).

    Returns:
        (windows,) int64, strictly increasing.

    Raises:
        InputError: a length or hop outside these ranges.
    """
    if length <= 0 or not 0 < hop <= length or n_samples < 0:
        raise InputError(
            f"windows of {length} samples every {hop} over {n_samples}: "
            "expected length above 0, 0 < hop <= length and a clip that is not negative; change the overlap."
        )
    if n_samples <= length:
        return np.zeros(1, dtype=np.int64)
    last = n_samples - length
    starts = np.arange(0, last + 1, hop, dtype=np.int64)
    return starts if starts[-1] == last else np.append(starts, np.int64(last))


def fit(samples: Samples, length: int, padding: Padding, *, seed: int = 0) -> Samples:
    """`samples` padded at its end to `length`; one that is long enough is returned as it is, never cut.

    Args:
        samples: (n,) float32.
        length: int >= 0.
        padding: `zero`; `loop` repeats the clip (an empty one becomes zeros); `noise` appends Gaussian noise of
            standard deviation `NOISE_FLOOR`, the same for the same `seed`.

    Returns:
        (max(n, length),) float32.
    """
    missing = length - len(samples)
    if missing <= 0:
        return samples
    out = np.zeros(length, dtype=np.float32)
    out[: len(samples)] = samples
    if padding == "loop" and len(samples):
        out[len(samples) :] = np.resize(samples, length)[len(samples) :]
    elif padding == "noise":
        rng = np.random.default_rng(seed)
        out[len(samples) :] = rng.standard_normal(missing, dtype=np.float32) * np.float32(NOISE_FLOOR)
    elif padding not in ("zero", "loop"):
        raise InputError(f"padding {padding!r}: expected zero, loop or noise.")
    return out


def non_silent(
    samples: Samples, *, threshold_db: float = 20.0, frame_length: int = 2048, hop_length: int = 512
) -> npt.NDArray[np.int64]:
    """Intervals louder than `threshold_db` below the clip's loudest frame, as `librosa.effects.split` finds them.

    Frames are centred: frame k covers samples k * hop - frame/2 to k * hop + frame/2, with zeros beyond the ends;
    its level is 20 log10 of its RMS, floored at 1e-5.

    Returns:
        (intervals, 2) int64: start and stop in samples, at multiples of the hop, the last stop at most n.
    """
    n = len(samples)
    if n == 0:
        return np.zeros((0, 2), dtype=np.int64)
    energy = np.zeros(n + 1)
    np.cumsum(np.square(samples, dtype=np.float64), out=energy[1:])
    centres = np.arange(0, n + 1, hop_length)
    low = np.clip(centres - frame_length // 2, 0, n)
    high = np.clip(centres + frame_length // 2, 0, n)
    rms = np.sqrt(np.maximum(energy[high] - energy[low], 0.0) / frame_length)
    level_db = 20.0 * np.log10(np.maximum(rms, 1e-5))
    loud = level_db - 20.0 * np.log10(max(float(rms.max()), 1e-5)) > -threshold_db
    edges = np.flatnonzero(np.diff(loud.astype(np.int8), prepend=0, append=0))
    return np.minimum(edges.reshape(-1, 2) * hop_length, n).astype(np.int64)


def skip_silence(samples: Samples, sample_rate_hz: int, *, threshold_db: float = 20.0) -> Samples:
    """The clip without its silent spans: what `non_silent` finds, joined.

    Frames are 2048 samples every 512, whatever the rate. A clip of one level throughout, digital silence included,
    is returned whole.

    Args:
        samples: (n,) float32.
        sample_rate_hz: of the samples; stated so that every caller has to know it.
        threshold_db: how far below the loudest frame a frame counts as silent; > 0.
    """
    if sample_rate_hz <= 0 or threshold_db <= 0:
        raise InputError(f"skip_silence at {sample_rate_hz} Hz below {threshold_db} dB: expected both above 0.")
    spans = non_silent(samples, threshold_db=threshold_db)
    if len(spans) == 1 and spans[0, 0] == 0 and spans[0, 1] == len(samples):
        return samples
    parts = [samples[start:stop] for start, stop in spans]
    return np.concatenate(parts) if parts else samples


def _exactly(out: Samples, length: int) -> Samples:
    """Trimmed, or padded with zeros, to `length`: soxr's own rounding may differ from ours by a sample."""
    if len(out) == length:
        return out
    if len(out) > length:
        return out[:length]
    return np.concatenate([out, np.zeros((length - len(out), *out.shape[1:]), dtype=np.float32)])


def _check_rates(from_hz: int, to_hz: int) -> None:
    if from_hz <= 0 or to_hz <= 0:
        raise InputError(f"resampling from {from_hz} Hz to {to_hz} Hz: expected rates above 0.")

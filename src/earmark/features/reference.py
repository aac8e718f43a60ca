"""The front end in numpy: for pictures where torch is not installed, and the truth the torch one is tested against.

Inside it computes in float64. Equal to librosa within 1e-4 dB over the range above top_db (tested on real clips).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from earmark.errors import InputError
from earmark.features import mel
from earmark.features.spec import DELTA_WIDTH, FeatureSpec
from earmark.features.statistics import BandStatistics

Array = npt.NDArray[np.float64]

SMALLEST_RANGE = 1e-6
"""A picture of one single value is divided by this when normalised, so it becomes all zero (or all -1)."""


def log_mel(
    samples: npt.NDArray[np.floating], spec: FeatureSpec, statistics: BandStatistics | None = None
) -> npt.NDArray[np.float32]:
    """The picture of one clip.

    Args:
        samples: (n,) mono, at spec.sample_rate_hz; any length that opens a frame, not only spec.n_samples.
        spec: the front end.
        statistics: for `normalise: band-statistics`; None leaves the picture as it was scaled.

    Returns:
        (channels, bands, frames) float32: spec.shape(n).

    Raises:
        InputError: the samples are not (n,), too short, or the statistics are of another front end.
    """
    if samples.ndim != 1:
        raise InputError(f"samples have shape {samples.shape}, expected (n,): mix to mono first.")
    channels = with_deltas(scaled_mel(samples, spec), spec.deltas)
    if spec.patch_frames is not None:
        start = loudest_start(channels[0], spec.patch_frames, spec.patch_hop)
        channels = channels[:, :, start : start + spec.patch_frames]
    if spec.resize is not None:
        rows = mel.resize_matrix(channels.shape[1], spec.resize[0])
        columns = mel.resize_matrix(channels.shape[2], spec.resize[1])
        channels = rows @ channels @ columns.T
    return _normalise(channels, spec, statistics).astype(np.float32)


def spectrum(samples: npt.NDArray[np.floating], spec: FeatureSpec) -> Array:
    """(n_bins, frames) float64: the magnitude (power 1) or its square (power 2) of each frame's spectrum."""
    frames = spec.n_frames(len(samples))  # refuses what is too short
    exact = samples.astype(np.float64)
    if spec.centre:
        exact = np.pad(exact, spec.n_fft // 2, mode=spec.pad_mode)
    starts = np.lib.stride_tricks.sliding_window_view(exact, spec.n_fft)[:: spec.hop_length][:frames]
    bins = np.fft.rfft(starts * mel.analysis_window(spec.window, spec.window_length, spec.n_fft), axis=1)
    power = bins.real**2 + bins.imag**2
    return np.ascontiguousarray((power if spec.power == 2 else np.sqrt(power)).T)


def scaled_mel(samples: npt.NDArray[np.floating], spec: FeatureSpec) -> Array:
    """(n_mels, frames) float64: mel bands after `scaling`, before everything else."""
    bands = _filters(spec) @ spectrum(samples, spec)
    if spec.scaling == "none":
        return np.asarray(bands)
    if spec.scaling == "ln":
        # a band of exact zeros with ln_offset 0 would be -inf; the smallest normal float32 stands in
        return np.asarray(np.log(np.maximum(bands + spec.ln_offset, np.finfo(np.float32).tiny)))
    per_decade, floor = (10.0, spec.amin) if spec.power == 2 else (20.0, float(np.sqrt(spec.amin)))
    db = per_decade * np.log10(np.maximum(bands, floor))
    loudest = db.max()
    if spec.top_db is not None:
        db = np.maximum(db, loudest - spec.top_db)
    return np.asarray(db - loudest if spec.db_ref == "max" else db)


def with_deltas(picture: Array, orders: int) -> Array:
    """(bands, frames) to (1 + orders, bands, frames): the picture, its slope, its curvature."""
    return np.stack([picture, *(_delta(picture, order) for order in range(1, orders + 1))])


def loudest_start(picture: Array, length: int, hop: int) -> int:
    """First frame of the run of `length` frames with the largest sum, of the runs that start at 0, hop, 2 hop, ..."""
    frames = picture.shape[1]
    if frames < length:
        raise InputError(f"the picture has {frames} frames, fewer than patch_frames {length}; feed longer audio.")
    energy = np.lib.stride_tricks.sliding_window_view(picture.sum(axis=0), length).sum(axis=1)[::hop]
    return int(np.argmax(energy)) * hop


def _delta(picture: Array, order: int) -> Array:
    frames = picture.shape[1]
    if frames < DELTA_WIDTH:
        raise InputError(f"the picture has {frames} frames, deltas need {DELTA_WIDTH}; feed longer audio.")
    rows = mel.delta_matrix(DELTA_WIDTH, order)
    half = DELTA_WIDTH // 2
    inner = np.lib.stride_tricks.sliding_window_view(picture, DELTA_WIDTH, axis=1) @ rows[half]
    first = picture[:, :DELTA_WIDTH] @ rows[:half].T
    last = picture[:, -DELTA_WIDTH:] @ rows[half + 1 :].T
    return np.concatenate([first, inner, last], axis=1)


def _normalise(channels: Array, spec: FeatureSpec, statistics: BandStatistics | None) -> Array:
    if spec.normalise == "band-statistics":
        if statistics is None:
            return channels
        statistics.check(spec)
        return np.asarray((channels - statistics.mean) / statistics.std)
    if spec.normalise == "clip-z":
        mean, std = channels.mean(axis=(1, 2), keepdims=True), channels.std(axis=(1, 2), keepdims=True)
        return np.asarray((channels - mean) / np.maximum(std, SMALLEST_RANGE))
    if spec.normalise in ("clip-minmax", "clip-minmax-symmetric"):
        low, high = channels.min(axis=(1, 2), keepdims=True), channels.max(axis=(1, 2), keepdims=True)
        unit = (channels - low) / np.maximum(high - low, SMALLEST_RANGE)
        return np.asarray(unit if spec.normalise == "clip-minmax" else 2.0 * unit - 1.0)
    return channels


@lru_cache(maxsize=16)
def _filters(spec: FeatureSpec) -> Array:
    return mel.mel_filters(
        spec.sample_rate_hz, spec.n_fft, spec.n_mels, spec.fmin_hz, spec.upper_hz, spec.mel_scale, spec.mel_norm
    )

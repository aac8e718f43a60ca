"""Mel filters, analysis windows and the small linear maps of the front end: numpy, shared by every implementation.

Equal to `librosa.filters.mel` and `librosa.filters.get_window` (tested). The Slaney scale is linear below 1 kHz and
logarithmic above (Slaney, Auditory Toolbox, 1998); HTK's is 2595 log10(1 + f / 700).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

MelScale = Literal["slaney", "htk"]
MelNorm = Literal["slaney"] | None
Array = npt.NDArray[np.float64]

_LINEAR_HZ_PER_MEL = 200.0 / 3
_LOG_FROM_HZ = 1000.0
_LOG_FROM_MEL = _LOG_FROM_HZ / _LINEAR_HZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27.0


def hz_to_mel(hz: npt.ArrayLike, scale: MelScale) -> Array:
    """Frequencies in Hz, >= 0, to mels."""
    hz = np.asarray(hz, dtype=np.float64)
    if scale == "htk":
        return np.asarray(2595.0 * np.log10(1.0 + hz / 700.0))
    log_part = _LOG_FROM_MEL + np.log(np.maximum(hz, _LOG_FROM_HZ) / _LOG_FROM_HZ) / _LOG_STEP
    return np.where(hz < _LOG_FROM_HZ, hz / _LINEAR_HZ_PER_MEL, log_part)


def mel_to_hz(mels: npt.ArrayLike, scale: MelScale) -> Array:
    """Mels to frequencies in Hz."""
    mels = np.asarray(mels, dtype=np.float64)
    if scale == "htk":
        return np.asarray(700.0 * (10.0 ** (mels / 2595.0) - 1.0))
    log_part = _LOG_FROM_HZ * np.exp(_LOG_STEP * (np.maximum(mels, _LOG_FROM_MEL) - _LOG_FROM_MEL))
    return np.where(mels < _LOG_FROM_MEL, mels * _LINEAR_HZ_PER_MEL, log_part)


def mel_edges(n_mels: int, fmin_hz: float, fmax_hz: float, scale: MelScale) -> Array:
    """(n_mels + 2,) in Hz: band i rises from edge i to i + 1 and falls to i + 2."""
    low, high = hz_to_mel([fmin_hz, fmax_hz], scale)
    return mel_to_hz(np.linspace(low, high, n_mels + 2), scale)


def mel_filters(
    sample_rate_hz: int, n_fft: int, n_mels: int, fmin_hz: float, fmax_hz: float, scale: MelScale, norm: MelNorm
) -> Array:
    """(n_mels, 1 + n_fft // 2) float64: triangles over the bins of the one-sided spectrum."""
    bins_hz = np.fft.rfftfreq(n_fft, 1.0 / sample_rate_hz)
    edges = mel_edges(n_mels, fmin_hz, fmax_hz, scale)
    width = np.diff(edges)[:, None]
    distance = edges[:, None] - bins_hz[None, :]
    rising = -distance[:-2] / width[:-1]
    falling = distance[2:] / width[1:]
    filters = np.maximum(0.0, np.minimum(rising, falling))
    if norm == "slaney":
        filters *= (2.0 / (edges[2:] - edges[:-2]))[:, None]
    return np.asarray(filters)


def empty_bands(
    sample_rate_hz: int, n_fft: int, n_mels: int, fmin_hz: float, fmax_hz: float, scale: MelScale
) -> tuple[int, ...]:
    """Indices of the mel bands that hold no bin of the spectrum."""
    filters = mel_filters(sample_rate_hz, n_fft, n_mels, fmin_hz, fmax_hz, scale, None)
    return tuple(int(i) for i in np.flatnonzero(filters.max(axis=1) == 0.0))


def analysis_window(kind: Literal["hann", "hamming"], length: int, n_fft: int) -> Array:
    """(n_fft,) float64: the periodic window of `length` samples in the middle of `n_fft`, zeros on both sides."""
    phase = 2.0 * np.pi * np.arange(length) / length
    base = 0.5 if kind == "hann" else 0.54
    window = np.zeros(n_fft)
    start = (n_fft - length) // 2
    window[start : start + length] = base - (1.0 - base) * np.cos(phase)
    return window


def resize_matrix(size_in: int, size_out: int) -> Array:
    """(size_out, size_in) float64: an anti-aliased linear resize of one axis, rows summing to 1.

    A triangle of half-width max(1, size_in / size_out) input steps around each output's centre, as Pillow's BILINEAR
    and `torch.nn.functional.interpolate(mode="bilinear", antialias=True, align_corners=False)` do it. As a matrix it
    is one and the same in numpy, torch and ONNX.
    """
    scale = size_in / size_out
    support = max(1.0, scale)
    centres = (np.arange(size_out) + 0.5) * scale
    inputs = np.arange(size_in) + 0.5
    weights = np.maximum(0.0, 1.0 - np.abs(inputs[None, :] - centres[:, None]) / support)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def delta_matrix(width: int, order: int) -> Array:
    """(width, width) float64: row j gives the `order`-th derivative at position j of a window of `width` frames.

    The derivative is that of the polynomial of degree `order` fitted to the window by least squares (Savitzky-Golay).
    The middle row serves every inner frame; the rows before and after it serve the ends, from the first and the last
    window (`scipy.signal.savgol_filter(mode="interp")`, which is `librosa.feature.delta`).
    """
    position = np.arange(width) - width // 2
    powers = np.vander(position, order + 1, increasing=True).astype(np.float64)
    fit = np.linalg.pinv(powers)  # (order + 1, width): coefficients of 1, t, t^2
    derivative = np.zeros((width, order + 1))
    for degree in range(order, order + 1):
        # d^order/dt^order of t^degree; with degree == order it is the constant order!
        derivative[:, degree] = float(np.prod(np.arange(1, degree + 1)))
    return np.asarray(derivative @ fit)

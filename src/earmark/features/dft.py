"""A Fourier transform as two small matrix products, for graphs whose runtime has no fast one of its own.

Cooley and Tukey (1965): with n = B a + b and k = A c + d, where N = A B,

    X[A c + d] = sum_b  e^(-2 pi i b d / N) e^(-2 pi i b c / B)  sum_a  x[B a + b] e^(-2 pi i a d / A)

The inner sum is the same (D, A) matrix for every b; the outer one is a (C, B) matrix for every d, twiddle factor
included. Samples are real, so d = 0..A/2 is enough: what is left out are complex conjugates, of equal magnitude. For
N = 1024 that is about a tenth of the products of the direct transform, and onnxruntime's own STFT operator takes 4-10
times as long (`benchmarks/frontend.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TwoStageDft:
    """Constants of the transform of frames whose samples outside `start:stop` are zero.

    Attributes:
        start, stop: the part of a frame that is fed, start and stop multiples of `inner`.
        inner: B.
        groups: D, the values of d kept: A // 2 + 1.
        first: (2 D, (stop - start) / B): real and imaginary rows of each d, to multiply frames shaped (A', B).
        second: (D, 2 B, 2 B): rows are real then imaginary parts over b, columns real then imaginary parts over c.
        bins: (D * B,): the bin of the one-sided spectrum that each output holds, d-major.
        kept: (D * B,): False where the output repeats a bin that another holds.
    """

    start: int
    stop: int
    inner: int
    groups: int
    first: Array
    second: Array
    bins: npt.NDArray[np.int64]
    kept: npt.NDArray[np.bool_]


def best_inner(n: int) -> int:
    """B for a transform of n: the divisor of n that is nearest to the root of n / 2 on a log scale.

    n / 2 because half of d falls away by symmetry: the two stages then cost about the same.
    """
    divisors = [b for b in range(1, n + 1) if n % b == 0]
    return min(divisors, key=lambda b: abs(np.log(b) - 0.5 * np.log(n / 2)))


def two_stage(n: int, start: int = 0, stop: int | None = None) -> TwoStageDft:
    """Constants for real frames of n samples, of which only start <= i < stop may differ from zero."""
    inner = best_inner(n)
    outer = n // inner
    stop = n if stop is None else stop
    first_a, last_a = start // inner, -(-stop // inner)
    groups = outer // 2 + 1
    a, b, c, d = np.arange(first_a, last_a), np.arange(inner), np.arange(inner), np.arange(groups)

    column = np.exp(-2j * np.pi * np.outer(d, a) / outer)  # (D, A')
    first = np.stack([column.real, column.imag], axis=1).reshape(2 * groups, len(a))

    twiddle = np.exp(-2j * np.pi * np.outer(d, b) / n)  # (D, B)
    row = np.exp(-2j * np.pi * np.outer(b, c) / inner)  # (B, C)
    both = twiddle[:, :, None] * row[None]  # (D, B, C)
    from_real = np.concatenate([both.real, both.imag], axis=2)
    from_imaginary = np.concatenate([-both.imag, both.real], axis=2)
    second = np.concatenate([from_real, from_imaginary], axis=1)

    k = (outer * c[None, :] + d[:, None]).reshape(-1)
    bins = np.where(k > n // 2, n - k, k)
    kept = np.zeros(len(bins), dtype=bool)
    kept[np.unique(bins, return_index=True)[1]] = True
    return TwoStageDft(first_a * inner, last_a * inner, inner, groups, first, second, bins, kept)

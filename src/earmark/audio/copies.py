"""Whether two recordings with like fingerprints are one: their waveforms, laid on each other.

A fingerprint knows how bands move against each other. Of a sound that lies in few bands, such as a rumble of an
elephant, that is little, and two calls can look like one. Their waveforms do not: a copy, whatever codec, gain or cut
it went through, still has the original's phase in the band that both hold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from earmark.audio import read as audio
from earmark.audio.fingerprint import HOP, RATE_HZ, SILENT, Words, bits
from earmark.types import Samples

LEAST_AGREEMENT = 0.5
"""Measured (`python -m benchmarks.fingerprint`): copies in 14 ways agree by 0.86 and more, through Opus by 0.70, a
sound that its set holds twice by 0.75; calls that only fingerprint alike by 0.34 and less."""
EXCERPT_S = 30.0
"""At most so much is compared, where the fingerprints agree best: a night's recording costs no more than a minute."""
MARGIN_S = 0.5
"""More of the second one on both sides: a word is 16 ms, and recordings of hours are fingerprinted in pieces."""
LEAST_SHARED = 0.6
"""Of the shorter excerpt, that has to lie on the other."""

Span = tuple[float, float]


def excerpts(a: Words, b: Words, lag: int) -> tuple[Span, Span]:
    """From where to where, in seconds, to compare two recordings.

    Args:
        a, b: their fingerprints.
        lag: place in `b` minus place in `a` of what lies on each other, as `find_copies` says.
    """
    i, j = max(0, -lag), max(0, lag)
    n = max(0, min(len(a) - i, len(b) - j))
    length = min(n, round(EXCERPT_S * RATE_HZ / HOP))
    x, y = a[i : i + n], b[j : j + n]
    both = (x != SILENT) & (y != SILENT)
    gain = np.where(both, 16 - bits(x ^ y), 0)  # above 0 where fewer bits differ than by chance
    total = np.concatenate([[0], np.cumsum(gain)])
    first = int((total[length:] - total[: len(total) - length]).argmax())
    start_s, length_s = first * HOP / RATE_HZ, length * HOP / RATE_HZ
    at_a, at_b = start_s + i * HOP / RATE_HZ, start_s + j * HOP / RATE_HZ
    return (at_a, at_a + length_s), (max(0.0, at_b - MARGIN_S), at_b + length_s + MARGIN_S)


def agreement(x: Samples, y: Samples) -> float:
    """Largest normalised cross-correlation of two waveforms, 0 to 1, of either sign.

    It is the envelope's, so that a copy that is late by a part of a sample does not lose its upper band.

    Args:
        x, y: (n,) and (m,) at 8 kHz.
    """
    shorter = min(len(x), len(y))
    if shorter == 0:
        return 0.0
    size = 1 << (len(x) + len(y) - 1).bit_length()
    spectrum = np.zeros(size, np.complex64)
    spectrum[: size // 2 + 1] = np.fft.rfft(x, size) * np.conj(np.fft.rfft(y, size))
    spectrum[1 : size // 2] *= 2
    envelope = np.abs(np.fft.ifft(spectrum))
    lag = np.arange(-(len(y) - 1), len(x))  # y begins so many samples after x
    first, last = np.maximum(0, lag), np.minimum(len(x), lag + len(y))
    energy_x, energy_y = (np.concatenate([[0.0], np.cumsum(np.square(z, dtype=np.float64))]) for z in (x, y))
    energy = (energy_x[last] - energy_x[first]) * (energy_y[last - lag] - energy_y[first - lag])
    enough = (last - first >= LEAST_SHARED * shorter) & (energy > 1e-12 * energy_x[-1] * energy_y[-1])
    if not enough.any():
        return 0.0
    return min(1.0, float((envelope[lag[enough]] / np.sqrt(energy[enough])).max()))


@dataclass(frozen=True, slots=True)
class Pair:
    """Two files, and from where to where (seconds) to compare them."""

    a: str
    b: str
    span_a: Span
    span_b: Span


def compare(pair: Pair) -> float:
    """How well the two waveforms agree, 0 to 1, for a worker process. Raises AudioError where one cannot be read."""
    x = audio.read(pair.a, start_s=pair.span_a[0], stop_s=pair.span_a[1], sample_rate_hz=RATE_HZ)
    y = audio.read(pair.b, start_s=pair.span_b[0], stop_s=pair.span_b[1], sample_rate_hz=RATE_HZ)
    return agreement(x.samples, y.samples)

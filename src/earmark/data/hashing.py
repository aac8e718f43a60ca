"""The hash of what a listener hears: equal for a WAV and a FLAC of one take, whatever the container and bit depth."""

from __future__ import annotations

import hashlib

import numpy as np

from earmark.types import Samples


def audio_sha256(samples: Samples, sample_rate_hz: int) -> str:
    """Hash of decoded audio at its own rate.

    Args:
        samples: (n,) float32, mono, at the file's native rate, nominally within [-1, 1].
        sample_rate_hz: the native rate; it is part of the hash.

    Returns:
        64 hex digits: sha256 over the rate as decimal text, a colon, and the samples times 32768, rounded half to even
        and clipped to int16, little endian. Audio of 16 bits or fewer survives that exactly, so every lossless copy
        agrees; silence of two lengths does not.
    """
    digest = hashlib.sha256(f"{int(sample_rate_hz)}:".encode())
    block = 1 << 20  # in blocks, so a 15-hour file needs no second copy of itself
    for start in range(0, len(samples), block):
        scaled = np.rint(samples[start : start + block] * np.float32(32768.0))
        digest.update(np.clip(scaled, -32768, 32767).astype("<i2").tobytes())
    return digest.hexdigest()

"""The hash of what a listener hears: equal for a WAV and a FLAC of one take, whatever the container and bit depth."""

from __future__ import annotations

import hashlib

import numpy as np

from earmark.types import Samples


class AudioDigest:
    """Hash of decoded audio at its own rate, taken block by block; see `audio_sha256` for what is hashed."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._digest = hashlib.sha256(f"{int(sample_rate_hz)}:".encode())

    def update(self, samples: Samples) -> None:
        """The next (n,) float32 mono samples at the native rate; how they are cut into blocks does not matter."""
        block = 1 << 20  # in blocks, so a 15-hour file needs no second copy of itself
        for start in range(0, len(samples), block):
            scaled = samples[start : start + block] * np.float32(32768.0)
            np.rint(scaled, out=scaled)
            np.clip(scaled, -32768, 32767, out=scaled)
            self._digest.update(scaled.astype("<i2").data)

    def hexdigest(self) -> str:
        """64 hex digits of everything so far."""
        return self._digest.hexdigest()


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
    digest = AudioDigest(sample_rate_hz)
    digest.update(samples)
    return digest.hexdigest()

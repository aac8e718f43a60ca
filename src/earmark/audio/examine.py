"""What is too little to be used, by rules that hold wherever audio is decoded."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from earmark.audio.decode import Decoding
from earmark.audio.signal import to_mono
from earmark.errors import AudioError
from earmark.types import Reason

SILENT_PEAK = 1e-5
"""A file whose mono mix never reaches this (-100 dB below full scale) is silent."""

SHORTEST_S = 0.02
"""Less than this holds no sound that could be judged."""


def check_usable(path: str, *, frames: int, sample_rate_hz: int, peak: float) -> None:
    """The rules by which decoded audio is refused, in one place for all that decode.

    Args:
        path: for the message; a file that proves silent is opened once more to say why.
        frames: samples per channel that were decoded, at `sample_rate_hz`.
        peak: largest absolute value of the mono mix, as it is used: after resampling, where it was resampled.

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
        raise AudioError(path, Reason.SILENT, f"{path} {_why_silent(path)}: leave it out, or record it again.")


def _why_silent(path: str) -> str:
    channels = mono = 0.0
    try:
        with Decoding(Path(path)) as decoding:
            for frames in decoding.blocks():
                channels = max(channels, float(np.abs(frames).max(initial=0.0)))
                mono = max(mono, float(np.abs(to_mono(frames)).max(initial=0.0)))
    except AudioError:  # no file, but samples that somebody handed over under this name
        return "is silent from end to end"
    if mono >= SILENT_PEAK:
        return "is silent at the sample rate asked for (all of its sound lies above half of it)"
    if channels >= SILENT_PEAK:
        return "is silent once mixed to mono (its channels cancel out)"
    return "is silent from end to end"

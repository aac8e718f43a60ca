"""What a worker process does with one recording of an export. Few imports, so that a worker starts at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earmark.audio.signal import fit, skip_silence, windows
from earmark.data.spans import decode_spans
from earmark.features.reference import log_mel
from earmark.features.spec import FeatureSpec

Picture = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class PictureTask:
    """One recording: `spans` are its clips in seconds, NaN where open."""

    path: str
    spans: tuple[tuple[float, float], ...]
    spec: FeatureSpec


def pictures(task: PictureTask) -> list[list[tuple[float, Picture]]]:
    """For each clip its windows as (start in the recording in seconds, (channels, bands, frames) float32).

    A clip whose span lies outside the recording has none.

    Raises:
        AudioError: nothing usable in the recording.
    """
    spec = task.spec
    found = decode_spans(task.path, task.spans, spec.sample_rate_hz)
    result: list[list[tuple[float, Picture]]] = []
    for start, cut in zip(found.starts, found.clips, strict=True):
        if cut is None:
            result.append([])
            continue
        clip = cut
        if spec.skip_silence_db is not None:
            clip = skip_silence(clip, spec.sample_rate_hz, threshold_db=spec.skip_silence_db)
        clip = fit(clip, spec.n_samples, spec.padding)
        if spec.crop == "centre":
            first = (len(clip) - spec.n_samples) // 2
            starts = [first]
        else:
            starts = windows(len(clip), spec.n_samples, spec.n_samples).tolist()
        result.append(
            [
                ((start + first) / spec.sample_rate_hz, log_mel(clip[first : first + spec.n_samples], spec))
                for first in starts
            ]
        )
    return result

"""What a worker process does with one recording of an export. Few imports, so that a worker starts at once."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earmark.audio.examine import check_usable
from earmark.audio.read import read
from earmark.audio.signal import fit, resample, skip_silence, windows
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
    audio = read(task.path)
    peak = float(np.abs(audio.samples).max(initial=0.0))
    check_usable(task.path, frames=len(audio.samples), sample_rate_hz=audio.sample_rate_hz, peak=peak)
    samples = resample(audio.samples, audio.sample_rate_hz, spec.sample_rate_hz)
    result: list[list[tuple[float, Picture]]] = []
    for start_s, stop_s in task.spans:
        start = 0 if math.isnan(start_s) else math.floor(start_s * spec.sample_rate_hz + 0.5)
        stop = len(samples) if math.isnan(stop_s) else math.floor(stop_s * spec.sample_rate_hz + 0.5)
        clip = samples[start:stop]
        if not len(clip):
            result.append([])
            continue
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

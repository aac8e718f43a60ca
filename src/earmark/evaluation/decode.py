"""What a worker process does with one recording of an evaluation. Few imports, so that a worker starts at once."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from earmark.audio.examine import check_usable
from earmark.audio.hashing import audio_sha256
from earmark.audio.read import read
from earmark.audio.signal import resample
from earmark.types import Samples


@dataclass(frozen=True, slots=True)
class ClipTask:
    """One recording: `spans` are its clips in seconds, NaN where open; `sample_rate_hz` is what they come back at."""

    path: str
    spans: tuple[tuple[float, float], ...]
    sample_rate_hz: int


@dataclass(frozen=True, slots=True)
class DecodedClips:
    """`clips` in the order of the task's spans, None where the span lies outside the recording."""

    audio_sha256: str
    clips: tuple[Samples | None, ...]
    duration_s: float


def decode_clips(task: ClipTask) -> DecodedClips:
    """The whole recording once, then its clips, cut after resampling as the cache of prepared audio does.

    Raises:
        AudioError: nothing usable in it, by the same rules as in training.
    """
    audio = read(task.path)
    native, rate = audio.samples, audio.sample_rate_hz
    peak = float(np.abs(native).max(initial=0.0))
    check_usable(task.path, frames=len(native), sample_rate_hz=rate, peak=peak)
    samples = resample(native, rate, task.sample_rate_hz)
    clips: list[Samples | None] = []
    for start_s, stop_s in task.spans:
        start = 0 if math.isnan(start_s) else math.floor(start_s * task.sample_rate_hz + 0.5)
        stop = len(samples) if math.isnan(stop_s) else math.floor(stop_s * task.sample_rate_hz + 0.5)
        clip = samples[start:stop]
        clips.append(np.ascontiguousarray(clip) if len(clip) else None)
    return DecodedClips(audio_sha256(native, rate), tuple(clips), len(native) / rate)

"""What a worker process does with one recording of an evaluation. Few imports, so that a worker starts at once."""

from __future__ import annotations

from dataclasses import dataclass

from earmark.data.spans import decode_spans
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
    found = decode_spans(task.path, task.spans, task.sample_rate_hz)
    return DecodedClips(found.audio_sha256, found.clips, found.duration_s)

"""What a page shows of a clip, drawn in a worker process: sound, spectrogram as the model sees it, waveform.

Nothing of the web framework or the database is imported here: it would be in every worker.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from earmark.audio.read import read
from earmark.audio.signal import resample, to_mono
from earmark.audio.write import write
from earmark.features.mel import hz_to_mel
from earmark.features.reference import scaled_mel
from earmark.features.spec import FeatureSpec
from earmark.web import png

PEAKS = 800
"""Columns of a waveform."""

_MOST_COLUMNS = 2400


@dataclass(frozen=True, slots=True)
class Job:
    """A clip to draw.

    Attributes:
        path: of the recording, or of the written chunk.
        start_s, stop_s: of the clip in it; stop_s None: to the end.
        stem: of the files: audio.wav, picture.png and peaks.json are put after it.
    """

    path: Path
    start_s: float
    stop_s: float | None
    stem: Path
    front_end: FeatureSpec


def draw(job: Job) -> None:
    """Write the three files; each appears when it is whole.

    Raises:
        AudioError: the recording is gone, or cannot be decoded.
    """
    audio = read(job.path, start_s=job.start_s, stop_s=job.stop_s, mono=False)
    mono = to_mono(audio.samples)
    heard = audio.samples if audio.samples.shape[1] <= 2 else mono
    job.stem.parent.mkdir(parents=True, exist_ok=True)
    spec = job.front_end
    picture = picture_of(resample(mono, audio.sample_rate_hz, spec.sample_rate_hz), spec)
    _store(_file(job.stem, "picture.png"), picture)
    _store(_file(job.stem, "peaks.json"), json.dumps(peaks(mono), separators=(",", ":")).encode())
    write(_file(job.stem, "audio.wav"), heard, audio.sample_rate_hz)


def _file(stem: Path, kind: str) -> Path:
    return stem.with_name(f"{stem.name}.{kind}")


def picture_of(samples: npt.NDArray[np.float32], spec: FeatureSpec) -> bytes:
    """The spectrogram of mono samples at the front end's rate as a PNG: its bands as scaled, the highest on top.

    What comes after scaling (deltas, resize, statistics of a training) is left out: it shows nothing to the eye.
    """
    least = spec.n_fft + spec.hop_length
    if len(samples) < least:
        samples = np.pad(samples, (0, least - len(samples)))
    return png.encode(png.shades(scaled_mel(samples, spec), most_columns=_MOST_COLUMNS))


def peaks(samples: npt.NDArray[np.float32]) -> list[list[int]]:
    """[lowest, highest] of each of `PEAKS` spans (one a sample where there are fewer), as hundredths of full scale."""
    count = min(PEAKS, len(samples))
    starts = (np.arange(count) * len(samples)) // count
    low, high = np.minimum.reduceat(samples, starts), np.maximum.reduceat(samples, starts)
    pairs = np.round(100 * np.clip(np.stack([low, high], axis=1), -1, 1)).astype(int)
    return [[int(a), int(b)] for a, b in pairs]


def ticks(spec: FeatureSpec) -> list[tuple[str, float]]:
    """Frequencies to write beside a picture: (label, share of its height from the bottom)."""
    low, high = hz_to_mel([spec.fmin_hz, spec.upper_hz], spec.mel_scale)
    found: list[tuple[str, float]] = []
    for hz in (100, 250, 500, 1000, 2000, 4000, 8000, 16000):
        share = float((hz_to_mel(hz, spec.mel_scale) - low) / (high - low))
        if 0.02 < share < 0.98 and (not found or share - found[-1][1] > 0.08):
            found.append((f"{hz // 1000} kHz" if hz >= 1000 else f"{hz} Hz", share))
    return found


def _store(path: Path, data: bytes) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_bytes(data)
    partial.replace(path)

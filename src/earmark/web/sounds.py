"""What a page needs of a clip: its sound as WAV, its spectrogram as the model sees it, its waveform. Kept on disk.

A clip is decoded once for all three, a few at a time, and the files are kept in the workspace's `cache/web`.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from earmark.audio.read import read
from earmark.audio.signal import resample, to_mono
from earmark.audio.write import write
from earmark.catalog.database import Workspace
from earmark.catalog.pages import ClipInfo
from earmark.errors import EarmarkError
from earmark.features.mel import hz_to_mel
from earmark.features.reference import scaled_mel
from earmark.features.spec import FeatureSpec
from earmark.web import png
from earmark.web.settings import WebSettings

Kind = Literal["audio.wav", "picture.png", "peaks.json"]

PEAKS = 800
"""Columns of a waveform."""

_MOST_COLUMNS = 2400
_STRIPES = 64
_SWEEP_EVERY = 200  # clips decoded between two looks at how much is kept


class TooLongError(EarmarkError):
    """A clip that is too long to be shown."""


class Sounds:
    """The files of clips, made when they are first asked for."""

    def __init__(self, workspace: Workspace, settings: WebSettings) -> None:
        self._workspace, self._settings = workspace, settings
        self._folder = workspace.root / "cache" / "web"
        self._one_at_a_time = [threading.Lock() for _ in range(_STRIPES)]
        self._decoders = threading.BoundedSemaphore(settings.decoders)
        self._made = 0
        self._front_end = hashlib.sha256(settings.front_end.model_dump_json().encode()).hexdigest()[:12]

    def path(self, clip: ClipInfo, kind: Kind) -> Path:
        """A file of a clip.

        Raises:
            TooLongError: the clip is longer than the settings allow.
            AudioError: its recording is gone, or cannot be decoded.
        """
        longest_s = self._settings.longest_clip_s
        if clip.seconds > longest_s:
            raise TooLongError(
                f"clip {clip.clip_id} is {clip.seconds:.0f} s long, more than the {longest_s:.0f} s that a page shows: "
                "cut its recording with `earmark catalog add --chunk 5s`."
            )
        span = f"{clip.file_sha256}:{clip.start}:{clip.stop}"
        name = f"{hashlib.sha256(span.encode()).hexdigest()[:24]}-{self._front_end}"
        folder = self._folder / name[:2]
        wanted = folder / f"{name}.{kind}"
        with self._one_at_a_time[hash(name) % _STRIPES]:
            if not wanted.exists():
                with self._decoders:
                    self._make(clip, folder, name)
        os.utime(wanted)  # what is asked for stays
        return wanted

    def _make(self, clip: ClipInfo, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        if clip.file is not None:
            audio = read(self._workspace.path_of(clip.file), mono=False)
        else:
            rate = clip.sample_rate_hz
            start_s, stop_s = clip.start / rate, clip.stop / rate
            audio = read(self._workspace.path_of(clip.uri), start_s=start_s, stop_s=stop_s, mono=False)
        mono = to_mono(audio.samples)
        heard = audio.samples if audio.samples.shape[1] <= 2 else mono
        write(folder / f"{name}.audio.wav", heard, audio.sample_rate_hz)
        spec = self._settings.front_end
        picture = picture_of(resample(mono, audio.sample_rate_hz, spec.sample_rate_hz), spec)
        _store(folder / f"{name}.picture.png", picture)
        _store(folder / f"{name}.peaks.json", json.dumps(peaks(mono), separators=(",", ":")).encode())
        self._made += 1
        if self._made % _SWEEP_EVERY == 0:
            self._sweep()

    def _sweep(self) -> None:
        """Files that were asked for longest ago go, until nine tenths of the room are left."""
        files = [(path.stat(), path) for path in self._folder.rglob("*.*") if path.is_file()]
        kept = sum(stat.st_size for stat, _ in files)
        if kept <= self._settings.most_kept_bytes:
            return
        for stat, path in sorted(files, key=lambda pair: pair[0].st_mtime):
            path.unlink(missing_ok=True)
            kept -= stat.st_size
            if kept <= 0.9 * self._settings.most_kept_bytes:
                return


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
    partial = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    partial.write_bytes(data)
    partial.replace(path)

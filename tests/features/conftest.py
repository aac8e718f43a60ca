"""The front ends of the shipped recipes and of systems without one, and real clips to try them on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pytest
import soundfile
import soxr

from earmark.features.spec import FeatureSpec
from earmark.recipes import load_recipe, recipe_names

# Front ends of systems that no recipe is shipped for; those of the shipped recipes are taken from the recipes.
SYSTEMS: dict[str, dict[str, Any]] = {
    "default": {},
    "freesound2019": {
        "sample_rate_hz": 44_100, "clip_s": 2.0, "n_fft": 2560, "win_length": 1024, "hop_length": 690, "n_mels": 128,
        "fmin_hz": 20.0, "fmax_hz": 20_000.0, "mel_scale": "htk", "mel_norm": None, "top_db": 60.0,
        "normalise": "none", "skip_silence_db": 20.0, "deltas": 2,
    },
    "fma-genre": {
        "sample_rate_hz": 44_100, "clip_s": 3.0, "n_fft": 2048, "hop_length": 512, "n_mels": 128, "fmin_hz": 0.0,
        "fmax_hz": None, "normalise": "clip-z",
    },
    "freesound-tags": {
        "sample_rate_hz": 22_050, "clip_s": 10.0, "n_fft": 1024, "hop_length": 512, "n_mels": 96, "fmin_hz": 0.0,
        "fmax_hz": None, "power": 1, "scaling": "ln", "ln_offset": 2.0**-23, "crop": "energy", "patch_frames": 96,
        "patch_hop": 12, "padding": "noise", "normalise": "band-statistics",
    },
}  # fmt: skip
FRONT_ENDS: dict[str, FeatureSpec] = {
    **{name: load_recipe(name).front_end for name in recipe_names()},
    **{name: FeatureSpec(**fields) for name, fields in SYSTEMS.items()},
}

CLIPS = (
    "esc10/audio/*.ogg",
    "instruments/**/*.ogg",
    "sax_songs/**/*.ogg",
    "spoken_digits/**/*.wav",
    "drone_car_speech/**/*.ogg",
)


@pytest.fixture(params=sorted(FRONT_ENDS))
def spec(request: pytest.FixtureRequest) -> FeatureSpec:
    """Each front end in turn."""
    return FRONT_ENDS[request.param]


@pytest.fixture(scope="session")
def recordings(data_dir: Path) -> list[tuple[np.ndarray, int]]:
    """Six real recordings, mono, at their own rates; the last is a quiet copy of the first."""
    found: list[tuple[np.ndarray, int]] = []
    for pattern in CLIPS:
        path = sorted(data_dir.glob(pattern))[3]
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        found.append((samples.mean(axis=1), rate))
    found.append((found[0][0] * np.float32(1e-3), found[0][1]))
    return found


@pytest.fixture
def clips(spec: FeatureSpec, recordings: list[tuple[np.ndarray, int]]) -> np.ndarray:
    """(6, n_samples) float32: the recordings at the spec's rate, cut or looped to one clip."""
    rows = [np.resize(soxr.resample(x, rate, spec.sample_rate_hz), spec.n_samples) for x, rate in recordings]
    return np.stack(rows).astype(np.float32)


@pytest.fixture
def librosa_scaled(spec: FeatureSpec, clips: np.ndarray) -> np.ndarray:
    """(6, n_mels, frames): what librosa makes of the clips, up to and with the scaling."""
    pictures = []
    for samples in clips:
        bands = librosa.feature.melspectrogram(
            y=samples, sr=spec.sample_rate_hz, n_fft=spec.n_fft, hop_length=spec.hop_length,
            win_length=spec.win_length, window=spec.window, center=spec.centre, pad_mode=spec.pad_mode,
            power=float(spec.power), n_mels=spec.n_mels, fmin=spec.fmin_hz, fmax=spec.fmax_hz,
            htk=spec.mel_scale == "htk", norm=spec.mel_norm,
        )  # fmt: skip
        if spec.scaling == "ln":
            pictures.append(np.log(bands + spec.ln_offset))
        else:
            ref = np.max if spec.db_ref == "max" else 1.0
            pictures.append(librosa.power_to_db(bands, ref=ref, amin=spec.amin, top_db=spec.top_db))
    return np.stack(pictures)

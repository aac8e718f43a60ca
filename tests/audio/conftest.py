"""Sounds that the tests make themselves, in every format that can be encoded here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from encoded_sounds import FFMPEG, RATE, SOUNDFILE, encode, save, sound


@pytest.fixture(scope="session")
def formats(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Five seconds of one sound in every format."""
    folder = tmp_path_factory.mktemp("formats")
    made: dict[str, Path] = {}
    for name, (kind, coding) in SOUNDFILE.items():
        made[name] = save(folder / name, sound(5.0), RATE, kind, coding)
    for name, (container, codec, rate) in FFMPEG.items():
        made[name] = folder / name
        encode(made[name], sound(5.0, rate), container, codec, rate)
    return made


@pytest.fixture
def make_wav(tmp_path: Path) -> Callable[..., Path]:
    def make(name: str, samples: np.ndarray, rate: int = RATE, coding: str = "PCM_16") -> Path:
        return save(tmp_path / name, samples, rate, "WAV", coding)

    return make

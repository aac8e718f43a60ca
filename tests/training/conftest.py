"""A small real data set to train on: prepared once for all tests of a session."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from earmark import layouts
from earmark.data.prepare import prepare
from earmark.data.prepared import Prepared
from earmark.types import Vocabulary

CLASSES = ("Bass_drum", "Saxophone")


@pytest.fixture(scope="session")
def two_instruments(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """60 real recordings of two instruments, 16 kHz."""
    manifest = layouts.read(data_dir / "instruments")
    wanted = [i for i in range(len(manifest)) if manifest.labels_of(i)[0] in CLASSES]
    chosen = manifest.take(np.array(wanted))
    columns = [manifest.vocabulary.column(tag) for tag in CLASSES]
    chosen = replace(
        chosen,
        targets=chosen.targets[:, columns],
        weights=chosen.weights[:, columns],
        vocabulary=Vocabulary(CLASSES, "exclusive"),
    )
    cache = tmp_path_factory.mktemp("audio")
    return prepare(chosen, sample_rate_hz=16_000, cache_dir=cache, workers=2, timeout_s=60)


@pytest.fixture
def digits(data_dir: Path, tmp_path: Path) -> Path:
    """Ten recordings each of two digits by two speakers, 8 kHz, in a folder a digit."""
    for digit in "01":
        (tmp_path / "digits" / digit).mkdir(parents=True)
        for speaker in ("jackson", "theo"):
            for take in range(10):
                shutil.copy(data_dir / f"spoken_digits/{digit}_{speaker}_{take}.wav", tmp_path / "digits" / digit)
    return tmp_path / "digits"

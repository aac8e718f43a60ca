"""A small, real classifier for tests that need real embeddings: log band energies of ESC-10 clips and a linear net."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import soundfile
from sklearn.neural_network import MLPClassifier

from earmark.metrics.results import ClipPredictions
from earmark.types import Vocabulary

FRAME = 2048


def features(path: Path) -> np.ndarray:
    """(120,) mean, deviation and mean step of 40 log bands between 50 Hz and 16 kHz."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono = samples.mean(axis=1)
    frames = np.lib.stride_tricks.sliding_window_view(mono, FRAME)[:: FRAME // 2]
    power = np.abs(np.fft.rfft(frames * np.hanning(FRAME).astype(np.float32))) ** 2
    edges = np.unique(np.round(np.geomspace(50, 16_000, 41) * FRAME / rate).astype(int))
    bands = np.log(np.add.reduceat(power, edges, axis=1)[:, :-1] + 1e-6)
    bands = np.pad(bands, ((0, 0), (0, 40 - bands.shape[1])))
    return np.concatenate([bands.mean(0), bands.std(0), np.abs(np.diff(bands, axis=0)).mean(0)]).astype(np.float32)


def esc10(data_dir: Path, folds: tuple[int, ...] = (1, 2, 3)) -> tuple[np.ndarray, list[str], list[int], list[str]]:
    """Features (n, 120), categories, folds and source files (groups)."""
    with (data_dir / "esc10/meta/esc10.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if int(row["fold"]) in folds]
    found = np.stack([features(data_dir / "esc10/audio" / row["filename"]) for row in rows])
    return (
        found,
        [row["category"] for row in rows],
        [int(row["fold"]) for row in rows],
        [row["src_file"] for row in rows],
    )


class Net:
    """One hidden layer; its activations are the embedding."""

    def __init__(self, x: np.ndarray, labels: list[str], *, seed: int = 0) -> None:
        self.mean, self.spread = x.mean(0), x.std(0) + 1e-3
        self.net = MLPClassifier((64,), alpha=1e-2, max_iter=300, random_state=seed)
        self.net.fit((x - self.mean) / self.spread, labels)
        self.vocabulary = Vocabulary(tuple(str(tag) for tag in self.net.classes_), "exclusive")

    def predict(self, x: np.ndarray, labels: list[str], groups: list[str]) -> ClipPredictions:
        hidden = np.maximum((x - self.mean) / self.spread @ self.net.coefs_[0] + self.net.intercepts_[0], 0)
        targets = np.array([[tag == label for tag in self.vocabulary] for label in labels], dtype=np.float32)
        n = len(labels)
        return ClipPredictions(
            uris=[f"{i}.ogg" for i in range(n)],
            start_s=np.full(n, np.nan),
            stop_s=np.full(n, np.nan),
            groups=groups,
            logits=(hidden @ self.net.coefs_[1] + self.net.intercepts_[1]).astype(np.float32),
            embeddings=hidden.astype(np.float32),
            targets=targets,
            weights=np.ones_like(targets),
            vocabulary=self.vocabulary,
        )

from __future__ import annotations

import numpy as np
import pytest

from earmark.evaluation.calibrate import calibrate, probabilities_of
from earmark.evaluation.evaluate import evaluate
from earmark.metrics.results import ClipPredictions
from earmark.reports.content import ReportContent
from earmark.types import Samples, Vocabulary


def clips(kind: str, n: int, seed: int) -> ClipPredictions:
    rng = np.random.default_rng(seed)
    vocabulary = Vocabulary(("dog", "<b>cat</b>", "Größe"), kind)  # type: ignore[arg-type]
    if kind == "exclusive":
        targets = np.eye(3, dtype=np.float32)[rng.integers(0, 3, n)]
    else:
        targets = (rng.random((n, 3)) < 0.4).astype(np.float32)
    weights = np.ones_like(targets)
    weights[-1] = 0  # one clip that nobody labelled
    logits = (2 * targets + rng.normal(0, 1.5, (n, 3))).astype(np.float32)
    return ClipPredictions(
        uris=[f"/sounds/{kind}/clip {i}.wav" for i in range(n)],
        start_s=np.where(np.arange(n) % 2, 1.0, np.nan),
        stop_s=np.where(np.arange(n) % 2, 2.5, np.nan),
        groups=[str(i // 3) for i in range(n)],
        logits=logits,
        embeddings=logits,
        targets=targets,
        weights=weights,
        vocabulary=vocabulary,
    )


def tone(split: str, clip: int) -> tuple[Samples, int]:
    return (0.3 * np.sin(np.arange(8000) * (0.05 + 0.01 * clip))).astype(np.float32), 16_000


@pytest.fixture(params=["exclusive", "multilabel"])
def content(request: pytest.FixtureRequest) -> ReportContent:
    val, test = clips(request.param, 60, 0), clips(request.param, 90, 1)
    calibration, thresholds = calibrate(val)
    return ReportContent(
        title="A <model>",
        vocabulary=val.vocabulary,
        evaluations={
            name: evaluate(p, calibration, thresholds, resamples=50) for name, p in (("val", val), ("test", test))
        },
        predictions={"val": val, "test": test},
        probabilities={"val": probabilities_of(val, calibration), "test": probabilities_of(test, calibration)},
        history=[
            {"epoch": i, "train_loss": 1 / (i + 1), "val_loss": None, "val_accuracy": 0.5, "lr": 1e-3} for i in range(3)
        ],
        recipe_yaml="name: small-cnn\n",
        notes=["a.wav is in quarantine: silent."],
        provenance={"seed": 3, "versions": {"numpy": "2"}, "recipe": {"not": "shown"}},
        samples_of=tone,
        spectrogram_of=lambda split, clip: np.outer(np.arange(8), np.ones(10)).astype(np.float32),
    )

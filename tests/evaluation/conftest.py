from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from earmark.metrics.results import ClipPredictions
from earmark.types import Vocabulary


@pytest.fixture(scope="session")
def real() -> ModuleType:
    """The helper module beside this file (tests are no package)."""
    spec = importlib.util.spec_from_file_location("evaluation_real", Path(__file__).with_name("real.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Split:
    """Predictions of a net trained on folds 1 and 2 without `left_out`, on folds 2, 3 and the left-out clips."""

    def __init__(self, real: ModuleType, data_dir: Path, left_out: tuple[str, ...]) -> None:
        x, labels, folds, groups = real.esc10(data_dir)
        known = np.array([label not in left_out for label in labels])
        fold = np.array(folds)

        def of(rows: np.ndarray) -> ClipPredictions:
            at = np.flatnonzero(rows)
            return self.net.predict(x[at], [labels[i] for i in at], [groups[i] for i in at])

        train = known & (fold == 1)
        self.net = real.Net(x[train], [labels[i] for i in np.flatnonzero(train)])
        self.train, self.val, self.test = of(train), of(known & (fold == 2)), of(known & (fold == 3))
        self.left_out = of(~known)


@pytest.fixture(scope="session")
def split(real: ModuleType, data_dir: Path) -> Split:
    return Split(real, data_dir, ("rooster", "chainsaw", "sea_waves"))


@pytest.fixture
def multilabel() -> ClipPredictions:
    """400 clips, three tags (the third is unlabelled in half of them), ten clips a group."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (400, 3)).astype(np.float32)
    targets = (rng.random((400, 3)) < 1 / (1 + np.exp(-logits / 2))).astype(np.float32)
    weights = np.ones_like(targets)
    weights[::2, 2] = 0
    return ClipPredictions(
        uris=[f"{i}.wav" for i in range(400)],
        start_s=np.full(400, np.nan),
        stop_s=np.full(400, np.nan),
        groups=[str(i // 10) for i in range(400)],
        logits=logits,
        embeddings=logits,
        targets=targets,
        weights=weights,
        vocabulary=Vocabulary(("a", "b", "c"), "multilabel"),
    )

"""Sounds to prepare, and preparing them, for the tests of the store and of what lies on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from earmark.audio.write import write
from earmark.data.manifest import Item, Manifest, build
from earmark.data.prepare import prepare
from earmark.data.prepared import Prepared

RATE = 8000
HALF_STEP = 0.505  # of a quantiser's step; float32 arithmetic takes 0.005 of it


def tone(seed: int, seconds: float = 0.5, rate: int = RATE, peak: float = 0.5) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(int(seconds * rate)).astype(np.float32)
    return x * np.float32(peak / np.abs(x).max())


def sounds(folder: Path, n: int, **how: Any) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{i:03d}.wav" for i in range(n)]
    for i, path in enumerate(paths):
        write(path, tone(i, **how), how.get("rate", RATE))
    return paths


def manifest_of(paths: list[Path], root: Path, **spans: Any) -> Manifest:
    items = [Item(path, (("even", "odd")[i % 2],), **spans) for i, path in enumerate(paths)]
    return build(items, root=root, layout="folder", name="test")


def run(manifest: Manifest, cache: Path, **options: Any) -> Prepared:
    fixed = {"sample_rate_hz": RATE, "cache_dir": cache, "workers": 2, "timeout_s": 30.0}
    return prepare(manifest, **(fixed | options))

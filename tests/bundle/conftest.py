"""A header and a small model folder; the graph in it is not opened by these tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from earmark.bundle.load import Bundle
from earmark.bundle.save import write_bundle
from earmark.bundle.schema import Architecture, BundleHeader, Tags, Windows
from earmark.features.spec import FeatureSpec

SPEC = FeatureSpec(sample_rate_hz=8000, clip_s=0.5, n_fft=256, hop_length=128, n_mels=8, fmin_hz=50.0, fmax_hz=4000.0)
FILES: dict[str, Path | bytes] = {
    "model.onnx": b"graph",
    "weights.safetensors": b"weights",
    "report/metrics.json": b"{}",
    "README.md": b"# card",
}


def make_header(**changes: Any) -> BundleHeader:
    fields: dict[str, Any] = {
        "name": "toy",
        "vocabulary": Tags(tags=("dog", "cat"), kind="exclusive"),
        "front_end": SPEC,
        "windows": Windows(length_samples=4000, sample_rate_hz=8000),
        "architecture": Architecture(name="small-cnn", arguments={"width": 16}),
        "embedding_size": 4,
        **changes,
    }
    return BundleHeader(**fields)


@pytest.fixture
def header() -> Callable[..., BundleHeader]:
    """Builds a header; keyword arguments replace its fields."""
    return make_header


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return write_bundle(tmp_path / "model", make_header(), FILES)

"""A small real model: a graph that numpy can recompute, in a folder as training would write it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from earmark.bundle.load import Bundle
from earmark.bundle.save import write_bundle
from earmark.bundle.schema import Architecture, BundleHeader, Calibration, Tags, Windows
from earmark.features.spec import FeatureSpec

RATE = 8000
LENGTH = 4000  # half a second
FRAME = 400
TONES = {"low": 200.0, "mid": 800.0, "high": 2000.0}


@dataclass(frozen=True)
class Toy:
    """Power at three tones per frame of 400 samples, mean over frames, log = embedding; a linear layer on top."""

    bundle: Bundle
    cosines: np.ndarray  # (400, 3)
    sines: np.ndarray
    weights: np.ndarray  # (3, 3)
    bias: np.ndarray

    def by_numpy(self, windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(b, 4000) -> logits (b, 3), embeddings (b, 3), in float64."""
        frames = windows.astype(np.float64).reshape(len(windows), -1, FRAME)
        power = ((frames @ self.cosines) ** 2 + (frames @ self.sines) ** 2).mean(axis=1)
        embedding = np.log(power + 1e-3)
        return embedding @ self.weights + self.bias, embedding


def tone(hz: float, seconds: float, rate: int = RATE, level: float = 0.3) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def toy_arrays() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    time = np.arange(FRAME)[:, None] / RATE
    hz = np.array(list(TONES.values()))[None, :]
    weights = (np.eye(3) * 1.2 - 0.4).astype(np.float32)
    cosines, sines = (f(2 * np.pi * hz * time).astype(np.float32) / 20 for f in (np.cos, np.sin))
    return cosines, sines, weights, np.array([0.1, -0.2, 0.3], np.float32)


def toy_graph() -> bytes:
    from onnx import TensorProto, checker, helper, numpy_helper

    cosines, sines, weights, bias = toy_arrays()
    constants = {
        "shape": np.array([-1, LENGTH // FRAME, FRAME], np.int64),
        "cosines": cosines,
        "sines": sines,
        "floor": np.array(1e-3, np.float32),
        "weights": weights,
        "bias": bias,
    }
    nodes = [
        helper.make_node("Reshape", ["samples", "shape"], ["frames"]),
        helper.make_node("MatMul", ["frames", "cosines"], ["re"]),
        helper.make_node("MatMul", ["frames", "sines"], ["im"]),
        helper.make_node("Mul", ["re", "re"], ["re2"]),
        helper.make_node("Mul", ["im", "im"], ["im2"]),
        helper.make_node("Add", ["re2", "im2"], ["power"]),
        helper.make_node("ReduceMean", ["power"], ["mean"], axes=[1], keepdims=0),
        helper.make_node("Add", ["mean", "floor"], ["raised"]),
        helper.make_node("Log", ["raised"], ["embedding"]),
        helper.make_node("MatMul", ["embedding", "weights"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("samples", TensorProto.FLOAT, ["batch", LENGTH])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3]),
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", 3]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    checker.check_model(model)
    return model.SerializeToString()


def toy_header(**changes: Any) -> BundleHeader:
    fields: dict[str, Any] = {
        "name": "toy",
        "vocabulary": Tags(tags=tuple(TONES), kind="exclusive"),
        "front_end": FeatureSpec(
            sample_rate_hz=RATE, clip_s=0.5, n_fft=256, hop_length=128, n_mels=8, fmin_hz=50.0, fmax_hz=4000.0
        ),
        "windows": Windows(length_samples=LENGTH, sample_rate_hz=RATE, overlap=0.5),
        "architecture": Architecture(name="toy"),
        "embedding_size": 3,
        "calibration": Calibration.temperature(2.0),
        **changes,
    }
    return BundleHeader(**fields)


def write_toy(folder: Path, files: dict[str, bytes] | None = None, **changes: Any) -> Toy:
    bundle = write_bundle(folder, toy_header(**changes), {"model.onnx": toy_graph(), **(files or {})})
    return Toy(bundle, *toy_arrays())

"""Model folders with random weights, and recordings to tag: what a net says does not change how long it takes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile as sf
import torch
from torch import nn

from benchmarks.harness import WORK, data_dir
from earmark.audio.read import read
from earmark.bundle.export import export_onnx
from earmark.bundle.load import Bundle
from earmark.bundle.save import write_bundle
from earmark.bundle.schema import Architecture, BundleHeader, Tags, Windows
from earmark.features.spec import FeatureSpec
from earmark.features.torch import LogMel
from earmark.models import build
from earmark.recipes.load import load_recipe

N_TAGS = 10


@dataclass(frozen=True)
class RandomModel:
    """A model folder, the very net in it, for torch, and the statistics its front end normalises by."""

    bundle: Bundle
    net: nn.Module
    spec: FeatureSpec
    mean: np.ndarray
    std: np.ndarray


def random_model(name: str, widths: Sequence[int] | None = None) -> RandomModel:
    """The recipe `small-cnn` with random weights, exported through the gate that training uses.

    With `widths` one net of these instead of the recipe's.
    """
    recipe = load_recipe("small-cnn")
    spec, chosen = recipe.front_end, recipe.model
    arguments, members = (chosen.arguments, chosen.members) if widths is None else ({"widths": list(widths)}, 1)
    torch.manual_seed(0)
    net = build(chosen.name, arguments, n_tags=N_TAGS, shape=spec.shape(), members=members).eval()
    clips = np.random.default_rng(0).normal(0, 0.1, (4, spec.n_samples)).astype(np.float32)
    front_end = LogMel(spec)
    statistics = front_end.fit_statistics([torch.from_numpy(clips)])
    WORK.mkdir(parents=True, exist_ok=True)
    graph = WORK / f"{name}.onnx"
    export_onnx([(front_end, net)], graph, clips)
    header = BundleHeader(
        name=name,
        vocabulary=Tags(tags=tuple(f"tag{number}" for number in range(N_TAGS)), kind="exclusive"),
        front_end=spec,
        windows=Windows(
            length_samples=spec.n_samples,
            sample_rate_hz=spec.sample_rate_hz,
            padding=spec.padding,
            overlap=recipe.tagging.overlap,
        ),
        architecture=Architecture(name=chosen.name, arguments=arguments, members=members),
        embedding_size=members * arguments["widths"][-1],
    )
    bundle = write_bundle(WORK / f"bundle-{name}", header, {"model.onnx": graph}, replace=True)
    return RandomModel(bundle, net, spec, statistics.mean, statistics.std)


def net_of(milliseconds: float, name: str) -> RandomModel:
    """A wider `small-cnn` that takes onnxruntime about `milliseconds` for one window on this machine, on one core."""
    import onnxruntime as ort

    widths = load_recipe("small-cnn").model.arguments["widths"]
    factor = 1.0
    for _ in range(6):
        model = random_model(name, [8 * max(1, round(width * factor / 8)) for width in widths])
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        session = ort.InferenceSession(str(model.bundle.path / "model.onnx"), options)
        window = np.random.default_rng(0).normal(0, 0.1, (1, model.spec.n_samples)).astype(np.float32)
        times = []
        for _ in range(12):
            began = time.process_time()  # of one thread: whatever else the machine does stays out of it
            session.run(None, {"samples": window})
            times.append(1000 * (time.process_time() - began))
        found = float(np.min(times))
        if abs(found / milliseconds - 1) < 0.15:
            break
        factor *= (milliseconds / found) ** 0.6
    print(f"{name}: {found:.1f} ms a window, {model.bundle.header.architecture.arguments}")
    return model


def recording(seconds: float, suffix: str = ".ogg", *, rate_hz: int = 44_100, channels: int = 2) -> Path:
    """A recording of `seconds`, made of ESC-10's clips; kept in benchmarks/work."""
    path = WORK / f"recording-{seconds:g}s-{rate_hz}x{channels}{suffix}"
    if path.exists():
        return path
    WORK.mkdir(parents=True, exist_ok=True)
    names = sorted((data_dir() / "esc10/audio").glob("*.ogg"))[:60]
    clips = [read(name, sample_rate_hz=rate_hz).samples for name in names]
    partial = path.with_name(f"partial-{path.name}")
    left = round(seconds * rate_hz)
    with sf.SoundFile(partial, "w", rate_hz, channels) as file:
        while left > 0:
            for clip in clips:
                piece = clip[:left]
                file.write(np.stack([piece, 0.8 * piece][:channels], axis=1))
                left -= len(piece)
    partial.replace(path)
    return path

"""Model folders with random weights, and recordings to tag: what a net says does not change how long it takes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import soundfile as sf
import torch
from torch import nn

from benchmarks.harness import WORK, data_dir
from earmark.audio.read import read
from earmark.bundle.export import export_onnx, tagger_graph
from earmark.bundle.load import Bundle
from earmark.bundle.save import write_bundle
from earmark.bundle.schema import Architecture, BundleHeader, Tags, Windows
from earmark.features.spec import FeatureSpec
from earmark.features.torch import LogMel
from earmark.models import build
from earmark.recipes.load import load_recipe

N_TAGS = 10
SMALL = (32, 64, 128, 256)


@dataclass(frozen=True)
class RandomModel:
    """A model folder and the very net in it, for torch."""

    bundle: Bundle
    net: nn.Module
    spec: FeatureSpec


def random_model(name: str, widths: Sequence[int] = SMALL) -> RandomModel:
    """`small-cnn` with its recipe's front end and random weights, exported through the gate that training uses."""
    recipe = load_recipe("small-cnn")
    spec = recipe.front_end
    torch.manual_seed(0)
    net = build("small-cnn", {"widths": list(widths)}, n_tags=N_TAGS, shape=spec.shape()).eval()
    clips = np.random.default_rng(0).normal(0, 0.1, (4, spec.n_samples)).astype(np.float32)
    front_end = LogMel(spec)
    front_end.fit_statistics([torch.from_numpy(clips)])
    WORK.mkdir(parents=True, exist_ok=True)
    graph = WORK / f"{name}.onnx"
    export_onnx(tagger_graph([(front_end, net)]), graph, clips)
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
        architecture=Architecture(name="small-cnn", arguments={"widths": list(widths)}),
        embedding_size=widths[-1],
    )
    return RandomModel(write_bundle(WORK / f"bundle-{name}", header, {"model.onnx": graph}, replace=True), net, spec)


def net_of(milliseconds: float, name: str) -> RandomModel:
    """A wider `small-cnn` that takes onnxruntime about `milliseconds` for one window on this machine, on one core."""
    import onnxruntime as ort

    factor = 1.0
    for _ in range(6):
        model = random_model(name, [8 * max(1, round(width * factor / 8)) for width in SMALL])
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


def repeated(source: Path, times: int) -> Path:
    """An OGG that holds the packets of `source` again and again, without encoding them again."""
    path = source.with_name(f"{source.stem}-x{times}.ogg")
    if path.exists():
        return path
    partial = path.with_name(f"partial-{path.name}")
    with av.open(str(partial), "w", format="ogg") as out:
        with av.open(str(source)) as opened:
            stream = out.add_stream_from_template(opened.streams.audio[0])
        offset = 0
        for _ in range(times):
            end = offset
            with av.open(str(source)) as opened:
                for packet in opened.demux(opened.streams.audio[0]):
                    if packet.pts is None or packet.size == 0:
                        continue
                    packet.pts += offset
                    packet.dts = packet.pts
                    end = packet.pts + (packet.duration or 0)
                    packet.stream = stream
                    out.mux(packet)
            offset = end
    partial.replace(path)
    return path


def recording(seconds: float, suffix: str = ".ogg") -> Path:
    """A recording of about `seconds` at 44.1 kHz, stereo, made of ESC-10's clips; kept in benchmarks/work."""
    path = WORK / f"recording-{seconds:g}s{suffix}"
    if path.exists():
        return path
    WORK.mkdir(parents=True, exist_ok=True)
    clips = [
        read(clip, sample_rate_hz=44_100).samples for clip in sorted((data_dir() / "esc10/audio").glob("*.ogg"))[:60]
    ]
    partial = path.with_name(f"partial-{path.name}")
    written = 0
    with sf.SoundFile(partial, "w", 44_100, 2) as file:
        while written < seconds * 44_100:
            for clip in clips:
                piece = clip[: round(seconds * 44_100) - written]
                file.write(np.stack([piece, 0.8 * piece], axis=1))
                written += len(piece)
                if written >= seconds * 44_100:
                    break
    partial.replace(path)
    return path

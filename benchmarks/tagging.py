"""Tagging a 10-minute OGG and a 10-second file: python -m benchmarks.tagging

Baselines: the same net in torch eager on features by librosa, as a script would do it; and the two things that tagging
cannot do without, decoding with resampling and the net, each alone.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import librosa
import numpy as np
import torch

from benchmarks._random_bundle import RandomModel, net_of, random_model, recording
from benchmarks.harness import Figure, finish, median_ratio
from earmark.audio.read import stream
from earmark.audio.signal import windows
from earmark.settings import usable_cores
from earmark.tagging.many import tag_many
from earmark.tagging.tagger import Tagger

ROUNDS = 3

SCRIPT = """
import sys
import librosa, numpy as np, torch
from earmark.models import build
path, arguments = sys.argv[1], {"widths": [32, 64, 128, 256], "dropout": 0.2}
samples, rate = librosa.load(path, sr=32000)
net = build("small-cnn", arguments, n_tags=10, shape=(1, 64, 321), members=2).eval()
windows = [samples[i : i + 160000] for i in range(0, len(samples) - 160000 + 1, 80000)]
mels = [librosa.feature.melspectrogram(y=w, sr=32000, n_fft=1024, hop_length=500, n_mels=64, fmin=40, fmax=15200)
        for w in windows]
features = torch.from_numpy(np.log(np.stack(mels) + 1e-6)[:, None].astype(np.float32))
with torch.no_grad():
    print(torch.softmax(net(features)[0], dim=1).mean(dim=0).topk(3))
"""


def by_librosa_and_torch(model: RandomModel, path: Path) -> np.ndarray:
    """Load the file with librosa, features window by window, the net in torch eager, eight windows at once."""
    spec = model.spec
    samples, _ = librosa.load(path, sr=spec.sample_rate_hz)
    starts = windows(len(samples), spec.n_samples, model.bundle.header.windows.hop_samples())
    logits = []
    with torch.no_grad():
        for first in range(0, len(starts), 8):
            mels = [
                librosa.feature.melspectrogram(
                    y=samples[start : start + spec.n_samples],
                    sr=spec.sample_rate_hz,
                    n_fft=spec.n_fft,
                    hop_length=spec.hop_length,
                    n_mels=spec.n_mels,
                    fmin=spec.fmin_hz,
                    fmax=spec.upper_hz,
                )
                for start in starts[first : first + 8]
            ]
            features = (np.log(np.stack(mels)[:, None] + spec.ln_offset) - model.mean) / model.std
            logits.append(model.net(torch.from_numpy(features.astype(np.float32)))[0].numpy())
    return np.concatenate(logits)


def decode_alone(tagger: Tagger, path: Path) -> int:
    with stream(path, sample_rate_hz=tagger.sample_rate_hz) as blocks:
        return sum(len(block) for block in blocks)


def net_alone(tagger: Tagger, count: int) -> None:
    """model.onnx on as many windows as the recording has, in the tagger's own batches."""
    batch = np.random.default_rng(0).normal(0, 0.1, (tagger.batch_windows, tagger.window_samples)).astype(np.float32)
    for first in range(0, count, len(batch)):
        tagger.run(batch[: min(len(batch), count - first)])


def in_turns(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(-1, rounds):
        order = list(calls) if turn % 2 == 0 else list(reversed(calls))
        for name in order:
            began = time.perf_counter()
            calls[name]()
            if turn >= 0:
                times[name].append(time.perf_counter() - began)
    return times


def long_file(model: RandomModel, word: str, extra: dict[str, object]) -> list[Figure]:
    path = recording(600)
    tagger = Tagger(model.bundle)
    count = len(tagger.tag(path))
    times = in_turns(
        {
            "ours": lambda: tagger.tag(path),
            "librosa+torch": lambda: by_librosa_and_torch(model, path),
            "decode": lambda: decode_alone(tagger, path),
            "net": lambda: net_alone(tagger, count),
            "ours, decoded apart": lambda: list(tag_many(tagger, [str(path)])),
        },
        ROUNDS,
    )
    extra[word] = {"windows": count, "batch": tagger.batch_windows, **times}
    middle = {name: statistics.median(values) for name, values in times.items()}
    sums = [
        ours / (decode + net) for ours, decode, net in zip(times["ours"], times["decode"], times["net"], strict=True)
    ]
    note = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in middle.items())
    return [
        Figure(
            f"tagging-{word}-vs-librosa-torch",
            median_ratio(times["librosa+torch"], times["ours"]),
            2,
            "higher",
            "x",
            note,
        ),
        Figure(f"tagging-{word}-vs-sum-of-parts", statistics.median(sums), 1.15, "lower", "x"),
    ]


def short_file(model: RandomModel, extra: dict[str, object]) -> Figure:
    """Whole processes on a 10 s file."""
    path = str(recording(10, ".wav"))
    ours = [sys.executable, "-m", "earmark.cli.main", "tag", str(model.bundle.path), path, "--format", "csv"]
    script = [sys.executable, "-c", SCRIPT, path]
    times = in_turns(
        {
            "ours": lambda: subprocess.run(ours, check=True, capture_output=True),
            "script": lambda: subprocess.run(script, check=True, capture_output=True),
        },
        ROUNDS,
    )
    extra["process"] = times
    note = ", ".join(f"{name} {statistics.median(values):.2f} s" for name, values in times.items())
    return Figure("tagging-process-10s-file", median_ratio(times["script"], times["ours"]), 4, "higher", "x", note)


def main() -> None:
    torch.set_num_threads(usable_cores())
    small, large = random_model("small"), net_of(20.0, "large")
    extra: dict[str, object] = {}
    # the baseline asks the same question: its answer is ours
    path = recording(10, ".wav")
    difference = float(np.abs(Tagger(small.bundle).tag(path).logits - by_librosa_and_torch(small, path)).max())
    if not difference < 1e-3:
        raise SystemExit(f"the baseline's logits differ from ours by {difference:.2g}")
    extra["largest difference of a logit"] = difference
    figures = [*long_file(small, "small-cnn", extra), *long_file(large, "20ms-net", extra), short_file(small, extra)]
    finish(
        "tagging",
        figures,
        baseline="the same net in torch eager with librosa.load and librosa features; decode + resample alone plus "
        "model.onnx alone; a script on torch + librosa as a whole process",
        extra=extra,
    )


if __name__ == "__main__":
    main()

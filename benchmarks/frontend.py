"""The front end for a batch of 64 clips of 5 s, against librosa, against a bare rfft, and inside onnxruntime."""

from __future__ import annotations

import logging
import os
import statistics
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

from benchmarks.harness import Figure, alternate, data_dir, finish, median_ratio

os.environ.setdefault("OMP_NUM_THREADS", str(len(os.sched_getaffinity(0))))

import librosa
import numpy as np
import onnxruntime
import soundfile
import soxr
import torch
from torch import Tensor, nn

from earmark.features.spec import FeatureSpec
from earmark.features.torch import LogMel

BATCH = 64
SPECS = {
    "32kHz": FeatureSpec(),
    "44.1kHz": FeatureSpec(
        sample_rate_hz=44_100, n_fft=2048, hop_length=512, n_mels=128, fmin_hz=0.0, fmax_hz=None, normalise="clip-z"
    ),
}


class StftOp(nn.Module):
    """The plain way into a graph: torch.stft becomes ONNX's STFT operator."""

    def __init__(self, spec: FeatureSpec) -> None:
        super().__init__()
        self.spec = spec
        self.register_buffer("window", torch.hann_window(spec.n_fft))
        front_end = LogMel(spec)
        filters = torch.zeros(spec.n_mels, spec.n_bins)
        filters[:, front_end.first_bin : front_end.last_bin] = front_end.filters
        self.register_buffer("filters", filters)

    def forward(self, samples: Tensor) -> Tensor:
        spectrum = torch.stft(samples, self.spec.n_fft, self.spec.hop_length, window=self.window, return_complex=True)
        power = torch.view_as_real(spectrum).square().sum(-1)
        db = 10.0 * torch.log10(torch.matmul(self.filters, power).clamp_min(1e-10))
        return torch.maximum(db, db.amax(dim=(1, 2), keepdim=True) - 80.0)


def real_clips(spec: FeatureSpec) -> np.ndarray:
    """(BATCH, n_samples) float32 of ESC-10."""
    rows = []
    for path in sorted((data_dir() / "esc10").rglob("*.ogg"))[:BATCH]:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        rows.append(np.resize(soxr.resample(samples.mean(axis=1), rate, spec.sample_rate_hz), spec.n_samples))
    return np.stack(rows)


def with_librosa(clips: np.ndarray, spec: FeatureSpec) -> None:
    for samples in clips:
        mel = librosa.feature.melspectrogram(
            y=samples, sr=spec.sample_rate_hz, n_fft=spec.n_fft, hop_length=spec.hop_length, n_mels=spec.n_mels,
            fmin=spec.fmin_hz, fmax=spec.fmax_hz, pad_mode=spec.pad_mode,
        )  # fmt: skip
        librosa.power_to_db(mel, ref=1.0, top_db=spec.top_db)


def session(module: nn.Module, clips: np.ndarray, folder: Path, name: str) -> Callable[[np.ndarray], object]:
    path = folder / f"{name}.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        torch.onnx.export(
            module.eval(), (torch.from_numpy(clips[:2]),), path, input_names=["samples"], dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch")},), external_data=False, verbose=False,
        )  # fmt: skip
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    opened = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda x: opened.run(None, {"samples": x})


def main() -> None:
    figures: list[Figure] = []
    extra: dict[str, object] = {}
    for name, spec in SPECS.items():
        clips = real_clips(spec)
        batch = torch.from_numpy(clips)
        front_end = LogMel(spec)
        pad = spec.n_fft // 2
        frames = nn.functional.pad(batch[:, None], (pad, pad), mode="reflect")[:, 0].unfold(
            1, spec.n_fft, spec.hop_length
        )

        ours, theirs = alternate(
            lambda: front_end(batch), lambda: with_librosa(clips, spec), rounds=5  # noqa: B023
        )  # fmt: skip
        figures.append(Figure(f"frontend-{name}-vs-librosa", median_ratio(theirs, ours), 2.0, "higher", "x"))
        again, bare = alternate(lambda: front_end(batch), lambda: torch.fft.rfft(frames), rounds=9)  # noqa: B023
        figures.append(Figure(f"frontend-{name}-vs-bare-rfft", median_ratio(again, bare), 1.4, "lower", "x"))
        extra[name] = {"ours_s": ours, "librosa_s": theirs, "ours_again_s": again, "bare_rfft_s": bare}

    spec = SPECS["32kHz"]
    clips = real_clips(spec)
    eager = LogMel(spec)
    with tempfile.TemporaryDirectory() as folder:
        graph = session(eager.for_export(), clips, Path(folder), "ours")
        operator = session(StftOp(spec), clips, Path(folder), "stft")
        for size in (1, 8, 16, 32):
            x = clips[:size]
            ours, theirs = alternate(lambda: graph(x), lambda: operator(x), rounds=9)  # noqa: B023
            tensor = torch.from_numpy(x)
            _, in_torch = alternate(lambda: graph(x), lambda: eager(tensor), rounds=9)  # noqa: B023
            per_clip = {
                "graph_ms": 1000 * statistics.median(ours) / size,
                "stft_operator_ms": 1000 * statistics.median(theirs) / size,
                "torch_ms": 1000 * statistics.median(in_torch) / size,
            }
            extra[f"onnx-batch-{size}"] = per_clip
            note = ", ".join(f"{key} {value:.2f}" for key, value in per_clip.items())
            ratio = median_ratio(theirs, ours)
            figures.append(Figure(f"frontend-onnx-batch-{size}-vs-stft-operator", ratio, 2.0, "higher", "x", note))
    baseline = (
        "librosa.feature.melspectrogram + power_to_db clip by clip; torch.fft.rfft of the same frames as one float32 "
        "batch; the ONNX STFT operator under the same mel filters."
    )
    finish("frontend", figures, baseline=baseline, extra=extra)


if __name__ == "__main__":
    main()

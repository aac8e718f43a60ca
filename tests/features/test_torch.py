"""One test holds numpy, torch, librosa and the exported graph together on real clips, for every system's front end."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from earmark.errors import InputError
from earmark.features.reference import log_mel, scaled_mel
from earmark.features.spec import FeatureSpec
from earmark.features.statistics import BandStatistics
from earmark.features.torch import LogMel

DB_PER_NEPER = 20.0 / np.log(10.0)


def in_db(spec: FeatureSpec) -> float:
    """What a difference of scaled pictures is multiplied by to be in dB (ln is of a magnitude in its system)."""
    return DB_PER_NEPER if spec.scaling == "ln" else 1.0


def fitted(spec: FeatureSpec, clips: np.ndarray) -> LogMel:
    front_end = LogMel(spec)
    front_end.fit_statistics([torch.from_numpy(clips)])
    return front_end


def run_onnx(module: torch.nn.Module, clips: np.ndarray, path: Path) -> np.ndarray:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    batch = torch.export.Dim("batch")
    torch.onnx.export(
        module, (torch.from_numpy(clips[:2]),), path, input_names=["samples"], output_names=["picture"],
        dynamo=True, dynamic_shapes=({0: batch},), external_data=False, verbose=False,
    )  # fmt: skip
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {"samples": clips})[0]


def test_torch_and_numpy_are_librosa_within_1e_4_db(
    spec: FeatureSpec, clips: np.ndarray, librosa_scaled: np.ndarray
) -> None:
    reference = np.stack([scaled_mel(samples, spec) for samples in clips])
    ours = LogMel(spec).scaled_mel(torch.from_numpy(clips)).numpy()
    assert ours.shape == reference.shape == librosa_scaled.shape
    assert np.abs(reference - librosa_scaled).max() * in_db(spec) < 1e-4
    assert np.abs(ours - librosa_scaled).max() * in_db(spec) < 1e-4
    assert np.ptp(librosa_scaled[0]) > 5  # the clip is not silence, so the comparison says something


def test_torch_is_numpy_to_the_end(spec: FeatureSpec, clips: np.ndarray) -> None:
    front_end = fitted(spec, clips)
    pictures = front_end(torch.from_numpy(clips)).numpy()
    reference = np.stack([log_mel(samples, spec, front_end.statistics) for samples in clips])
    assert pictures.dtype == np.float32
    assert pictures.shape == (len(clips), *spec.shape())
    np.testing.assert_allclose(pictures, reference, atol=1e-4, rtol=0)


def test_onnxruntime_gives_the_same_picture(spec: FeatureSpec, clips: np.ndarray, tmp_path: Path) -> None:
    front_end = fitted(spec, clips)
    pictures = front_end(torch.from_numpy(clips)).numpy()
    exported = run_onnx(front_end.for_export(), clips, tmp_path / "front_end.onnx")
    assert exported.shape == pictures.shape
    if spec.scaling == "ln" and front_end.statistics is not None:
        # No top_db there, and the graph's float32 transform drowns what is 80 dB and more below the loudest: that part
        # is held to a looser bound.
        np.testing.assert_allclose(exported, pictures, atol=0.05, rtol=0)
        scaled = pictures * front_end.statistics.std + front_end.statistics.mean
        loud = scaled > scaled.max(axis=(1, 2, 3), keepdims=True) - 80.0 / DB_PER_NEPER
        assert loud.mean() > 0.5
        exported, pictures = exported[loud], pictures[loud]
    in_raw_db = spec.normalise == "none"
    np.testing.assert_allclose(exported, pictures, atol=3e-4 if in_raw_db else 1e-4, rtol=0)


def test_onnxruntime_normalises_a_large_picture_as_torch_does(
    recordings: list[tuple[np.ndarray, int]], tmp_path: Path
) -> None:
    """33,000 values of -80..0 dB, which one running float32 sum would be off by 1e-4 and more."""
    spec = FeatureSpec(
        sample_rate_hz=44_100, clip_s=3.0, n_fft=2048, hop_length=512, n_mels=128, fmin_hz=0.0, fmax_hz=None,
        db_ref="max", normalise="clip-z",
    )  # fmt: skip
    clips = np.stack([np.resize(samples, spec.n_samples) for samples, _ in recordings])
    front_end = LogMel(spec)
    exported = run_onnx(front_end.for_export(precise=True), clips, tmp_path / "front_end.onnx")
    np.testing.assert_allclose(exported, front_end(torch.from_numpy(clips)).numpy(), atol=2e-5, rtol=0)


@pytest.mark.parametrize(
    "fields",
    [
        {"hop_length": 441},  # shares no factor with n_fft
        {"n_fft": 1022, "win_length": 700, "hop_length": 301},
        {"centre": False},
        {"deltas": 1, "normalise": "clip-z"},
        {"crop": "energy", "patch_frames": 96, "deltas": 2},
        {"scaling": "none", "power": 1, "window": "hamming"},
        {"resize": (96, 256), "pad_mode": "constant", "clip_s": 1.0},
    ],
)
def test_odd_front_ends(fields: dict[str, object], recordings: list[tuple[np.ndarray, int]]) -> None:
    spec = FeatureSpec(**fields)  # type: ignore[arg-type]
    clips = np.stack([np.resize(samples, spec.n_samples) for samples, _ in recordings])
    front_end = fitted(spec, clips)
    pictures = front_end(torch.from_numpy(clips)).numpy()
    reference = np.stack([log_mel(samples, spec, front_end.statistics) for samples in clips])
    exportable = front_end.for_export()(torch.from_numpy(clips)).numpy()
    np.testing.assert_allclose(pictures, reference, atol=1e-4, rtol=0)
    assert exportable.shape == pictures.shape
    np.testing.assert_allclose(exportable, pictures, atol=3e-4, rtol=0)


def test_silence_is_finite(spec: FeatureSpec) -> None:
    silence = np.zeros((2, spec.n_samples), np.float32)
    front_end = LogMel(spec)
    for pictures in (front_end(torch.from_numpy(silence)), front_end.for_export()(torch.from_numpy(silence))):
        assert torch.isfinite(pictures).all()
        assert torch.allclose(pictures[0], torch.from_numpy(log_mel(silence[0], spec)), atol=1e-4)


def test_computes_in_float32_under_autocast_and_after_to_bfloat16() -> None:
    spec = FeatureSpec(deltas=2, normalise="clip-z")
    samples = torch.randn(2, spec.n_samples, generator=torch.Generator().manual_seed(0)) * 0.1
    expected = LogMel(spec)(samples)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under_autocast = LogMel(spec)(samples)
    assert under_autocast.dtype == torch.float32
    assert torch.equal(under_autocast, expected)
    assert torch.equal(LogMel(spec).to(torch.bfloat16)(samples), expected)


def test_keeps_full_precision_where_the_net_is_allowed_less() -> None:
    spec = FeatureSpec()
    samples = torch.randn(2, spec.n_samples, generator=torch.Generator().manual_seed(0)) * 0.1
    expected = LogMel(spec)(samples)
    torch.set_float32_matmul_precision("medium")
    try:
        assert torch.equal(LogMel(spec)(samples), expected)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")


def test_a_batch_larger_than_a_block_is_each_clip_alone() -> None:
    spec = FeatureSpec()
    samples = torch.randn(5, spec.n_samples, generator=torch.Generator().manual_seed(1)) * 0.1
    front_end = LogMel(spec)
    alone = torch.cat([front_end(clip[None]) for clip in samples])
    torch.testing.assert_close(front_end(samples), alone, atol=1e-5, rtol=0)


def test_other_lengths_than_the_clip() -> None:
    spec = FeatureSpec(resize=(32, 40))
    samples = np.random.default_rng(0).normal(0, 0.1, 40_001).astype(np.float32)
    picture = LogMel(spec)(torch.from_numpy(samples)[None])[0].numpy()
    assert picture.shape == (1, 32, 40)
    np.testing.assert_allclose(picture, log_mel(samples, spec), atol=1e-4, rtol=0)


def test_band_statistics_make_each_band_standard(recordings: list[tuple[np.ndarray, int]]) -> None:
    spec = FeatureSpec(deltas=1)
    clips = torch.from_numpy(np.stack([np.resize(samples, spec.n_samples) for samples, _ in recordings]))
    front_end = LogMel(spec)
    statistics = front_end.fit_statistics([clips[:4], clips[4:]])
    pictures = front_end(clips).double()
    assert statistics.mean.shape == (2, spec.n_mels, 1)
    assert pictures.mean(dim=(0, 3)).abs().max() < 1e-4
    assert (pictures.std(dim=(0, 3), correction=0) - 1).abs().max() < 1e-4


def test_statistics_travel_in_the_state_dict() -> None:
    spec = FeatureSpec(n_mels=4, normalise="band-statistics")
    statistics = BandStatistics(np.full((1, 4), -30.0), np.full((1, 4), 12.0))
    other = LogMel(spec)
    other.load_state_dict(LogMel(spec, statistics).state_dict())
    assert set(other.state_dict()) == {"finish.mean", "finish.std"}
    assert other.statistics is not None
    np.testing.assert_array_equal(other.statistics.mean, np.full((1, 4, 1), -30.0))


def test_no_gradient_flows_to_the_samples() -> None:
    spec = FeatureSpec()
    samples = torch.randn(1, spec.n_samples, requires_grad=True)
    assert not LogMel(spec)(samples).requires_grad


def test_refuses_what_is_not_a_batch() -> None:
    with pytest.raises(InputError, match=r"expected \(b, n\)"):
        LogMel(FeatureSpec())(torch.zeros(160_000))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_gives_the_same_picture(spec: FeatureSpec, clips: np.ndarray) -> None:
    front_end = fitted(spec, clips)
    expected = front_end(torch.from_numpy(clips))
    on_gpu = front_end.to("cuda")(torch.from_numpy(clips).to("cuda"))
    assert on_gpu.device.type == "cuda"
    torch.testing.assert_close(on_gpu.cpu(), expected, atol=1e-4, rtol=0)


def test_the_fast_form_for_training_is_off_by_less_than_anyone_hears(
    recordings: list[tuple[np.ndarray, int]],
) -> None:
    front_end = LogMel(FeatureSpec(normalise="none"))
    for samples, _ in recordings[:6]:
        clip = torch.from_numpy(np.resize(samples, 160_000).astype(np.float32))[None]
        worst = (front_end(clip, precise=False) - front_end(clip)).abs().max()
        assert 0 < float(worst) < 5e-3  # dB

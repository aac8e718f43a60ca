"""The gate between a trained net and its file: a wrong export form, seen by logits or by embeddings, makes no file."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from earmark.audio.read import read
from earmark.bundle.export import TOLERANCE, _write, disagreement, export_onnx, tagger_graph
from earmark.errors import ExportError
from earmark.features.spec import FeatureSpec
from earmark.features.torch import LogMel
from earmark.models import build

FIELDS = {"sample_rate_hz": 8000, "clip_s": 1.0, "n_fft": 256, "hop_length": 100, "n_mels": 16, "fmax_hz": 4000.0}
SPEC = FeatureSpec(**FIELDS)
LN_SPEC = FeatureSpec(**FIELDS, scaling="ln", ln_offset=1e-9)


class TwiceAsLoud(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, samples: Tensor) -> Tensor:
        return self.inner(2.0 * samples)


class WronglyExported(LogMel):
    """Right in training, and 6 dB off in the form that is exported."""

    def for_export(self, n_samples: int | None = None, *, precise: bool = False) -> nn.Module:
        return TwiceAsLoud(super().for_export(n_samples, precise=precise))


class OtherScale(nn.Module):
    """A net whose embedding is longer or shorter by a factor."""

    def __init__(self, net: nn.Module, factor: float) -> None:
        super().__init__()
        self.net = net
        self.factor = factor

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        logits, embedding = self.net(features)
        return logits, self.factor * embedding


@pytest.fixture(scope="module")
def clips(data_dir: Path) -> np.ndarray:
    """(4, 8000) float32: four spoken digits."""
    paths = sorted((data_dir / "spoken_digits").glob("*.wav"))[:200:50]
    return np.stack([np.resize(read(path, sample_rate_hz=8000).samples, 8000) for path in paths]).astype(np.float32)


def random_net() -> nn.Module:
    torch.manual_seed(0)
    return build("small-cnn", {"widths": [8, 8]}, n_tags=3, shape=SPEC.shape()).eval()


def test_a_right_export_agrees_with_the_trained_modules(clips: np.ndarray, tmp_path: Path) -> None:
    members = [(LogMel(SPEC), random_net()), (LogMel(SPEC), random_net())]
    apart = export_onnx(members, tmp_path / "model.onnx", clips)
    assert (tmp_path / "model.onnx").exists()
    assert max(astuple(apart)) <= TOLERANCE == 1e-4
    # of two nets that differ in the scale of their embedding alone, the logits say nothing
    for factor in (0.5, 1.001):
        others = [(front_end, OtherScale(net, factor)) for front_end, net in members]
        found = disagreement(others, tmp_path / "model.onnx", clips)
        assert found.logits <= TOLERANCE
        assert not found.accepted


@pytest.mark.parametrize(
    ("spec", "step"), [(SPEC, "report this"), (LN_SPEC, "front_end.ln_offset is as small as 1e-09")]
)
def test_a_wrong_export_form_makes_no_file(spec: FeatureSpec, step: str, clips: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(
        ExportError,
        match=rf"model\.onnx: .* differ in their logits by [\d.e-]+ and embeddings by [\d.e-]+ on 4 real .*{step}",
    ):
        export_onnx([(WronglyExported(spec), random_net())], tmp_path / "model.onnx", clips)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("factor", [1e-6, 1.0, 1e6])
def test_an_embedding_that_logits_do_not_show_is_gated_whatever_its_scale(
    factor: float, clips: np.ndarray, tmp_path: Path
) -> None:
    net = random_net()
    nn.init.zeros_(net.head.weight)  # type: ignore[union-attr, arg-type]
    members = [(WronglyExported(SPEC), OtherScale(net, factor))]
    with pytest.raises(ExportError, match=r"differ in their embeddings by 0\.\d+ on 4 real clips, at most 0\.0001"):
        export_onnx(members, tmp_path / "model.onnx", clips)
    assert list(tmp_path.iterdir()) == []


class FarBelow(nn.Module):
    """A net that makes much of bands far below the loudest: within bounds, five times their change."""

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        return torch.sin(5.0 * features[:, 0, -8:, ::5]).flatten(1), features.mean(dim=3)[:, 0]


def test_a_net_that_needs_it_gets_a_transform_in_float64(tmp_path: Path) -> None:
    """A low note with little above it: what a float32 transform leaves of its upper bands is not what they were."""
    spec = FeatureSpec(**FIELDS | {"n_fft": 1024}, db_ref="max")
    seconds, rng = np.arange(8000) / 8000, np.random.default_rng(0)
    notes = [np.sin(2 * np.pi * hz * seconds) + 3e-4 * rng.standard_normal(8000) for hz in (110.0, 220.0, 330.0)]
    clips = np.stack(notes).astype(np.float32)
    members = [(LogMel(spec), FarBelow())]
    found = export_onnx(members, tmp_path / "model.onnx", clips)
    assert found.accepted
    _write(tagger_graph(members), tmp_path / "fast.onnx", torch.from_numpy(clips[:2]))
    assert not disagreement(members, tmp_path / "fast.onnx", clips).accepted


def test_numbers_that_are_not_finite_are_no_agreement(clips: np.ndarray, tmp_path: Path) -> None:
    net = random_net()
    export_onnx([(LogMel(SPEC), net)], tmp_path / "model.onnx", clips)
    broken = random_net()
    nn.init.constant_(broken.head.bias, float("nan"))  # type: ignore[union-attr, arg-type]
    assert astuple(disagreement([(LogMel(SPEC), broken)], tmp_path / "model.onnx", clips)) == (np.inf, np.inf)


def test_a_large_logit_is_judged_by_its_size_and_a_small_one_by_its_neighbours(
    clips: np.ndarray, tmp_path: Path
) -> None:
    net = random_net()
    members = [(LogMel(SPEC), net)]
    with torch.no_grad():
        net.head.bias.copy_(torch.tensor([40.0, 0.0, 0.0]))  # type: ignore[union-attr, operator]
    export_onnx(members, tmp_path / "model.onnx", clips)
    for shift, accepted in (([0.0, 3e-3, 0.0], True), ([0.0, 5e-3, 0.0], False), ([3e-3, 0.0, 0.0], True)):
        with torch.no_grad():
            net.head.bias.copy_(torch.tensor([40.0, 0.0, 0.0]) + torch.tensor(shift))  # type: ignore[union-attr, operator]
        assert disagreement(members, tmp_path / "model.onnx", clips).accepted is accepted
    with torch.no_grad():
        net.head.bias.zero_()  # type: ignore[union-attr, operator]
    export_onnx(members, tmp_path / "model.onnx", clips)
    with torch.no_grad():
        net.head.bias.add_(3e-3)  # type: ignore[union-attr, operator]
    assert not disagreement(members, tmp_path / "model.onnx", clips).accepted

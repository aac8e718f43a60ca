from __future__ import annotations

import librosa
import numpy as np
import pytest
import torch

from earmark.features import mel


@pytest.mark.parametrize("scale", ["slaney", "htk"])
@pytest.mark.parametrize("norm", ["slaney", None])
@pytest.mark.parametrize(
    ("rate", "n_fft", "n_mels", "fmin", "fmax"), [(22_050, 2048, 512, 0, 11_025), (44_100, 2560, 128, 20, 20_000)]
)
@pytest.mark.filterwarnings("ignore:Empty filters")
def test_filters_are_librosas(
    scale: mel.MelScale, norm: mel.MelNorm, rate: int, n_fft: int, n_mels: int, fmin: float, fmax: float
) -> None:
    theirs = librosa.filters.mel(
        sr=rate, n_fft=n_fft, n_mels=n_mels, fmin=fmin, fmax=fmax, htk=scale == "htk", norm=norm, dtype=np.float64
    )
    ours = mel.mel_filters(rate, n_fft, n_mels, fmin, fmax, scale, norm)
    np.testing.assert_allclose(ours, theirs, atol=1e-12)
    empty = mel.empty_bands(rate, n_fft, n_mels, fmin, fmax, scale)
    assert empty == tuple(np.flatnonzero(theirs.max(axis=1) == 0))


def test_mel_scales_at_known_points() -> None:
    assert mel.hz_to_mel(1000.0, "slaney") == pytest.approx(15.0)
    assert mel.hz_to_mel(6400.0, "slaney") == pytest.approx(42.0)
    assert mel.hz_to_mel(700.0, "htk") == pytest.approx(2595 * np.log10(2))


@pytest.mark.parametrize("kind", ["hann", "hamming"])
@pytest.mark.parametrize(("length", "n_fft"), [(1024, 1024), (1024, 2560), (701, 1022)])
def test_windows_are_librosas(kind: str, length: int, n_fft: int) -> None:
    theirs = librosa.util.pad_center(librosa.filters.get_window(kind, length, fftbins=True), size=n_fft)
    np.testing.assert_allclose(mel.analysis_window(kind, length, n_fft), theirs, atol=1e-12)


@pytest.mark.parametrize(("size", "to"), [((512, 431), (128, 108)), ((128, 128), (256, 256)), ((64, 63), (64, 63))])
def test_resize_is_torchs_antialiased_bilinear(size: tuple[int, int], to: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).normal(size=size)
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(picture)[None, None], to, mode="bilinear", antialias=True, align_corners=False
    )[0, 0].numpy()
    ours = mel.resize_matrix(size[0], to[0]) @ picture @ mel.resize_matrix(size[1], to[1]).T
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_resize_leaves_a_constant_alone() -> None:
    np.testing.assert_allclose(mel.resize_matrix(431, 108).sum(axis=1), 1.0)
    np.testing.assert_array_equal(mel.resize_matrix(7, 7), np.eye(7))


def test_delta_of_a_straight_line_is_its_slope() -> None:
    rows = mel.delta_matrix(9, 1)
    np.testing.assert_allclose(rows @ (3.0 * np.arange(9) + 5), np.full(9, 3.0), atol=1e-12)
    curve = mel.delta_matrix(9, 2) @ (2.0 * np.arange(9) ** 2)
    np.testing.assert_allclose(curve, np.full(9, 4.0), atol=1e-10)

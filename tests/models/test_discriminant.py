"""The discriminant against scikit-learn, its statistics against scipy, and both on real pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.fft
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from earmark.audio.read import read
from earmark.bundle.export import disagreement, export_onnx, tagger_graph
from earmark.features.spec import FeatureSpec
from earmark.features.torch import LogMel
from earmark.models import build
from earmark.models.discriminant import (
    FURTHEST,
    PARTS,
    SHRINKAGES,
    Discriminant,
    PictureStatistics,
    WithDiscriminant,
    choose,
    group_parts,
    log_loss,
    solve,
)

SPEC = FeatureSpec(sample_rate_hz=32_000, clip_s=2.0, n_mels=32, scaling="ln", ln_offset=1e-6)
INSTRUMENTS = ("Cello", "Flute", "Snare_drum", "Saxophone")


@pytest.fixture(scope="module")
def heard(data_dir: Path) -> tuple[torch.Tensor, np.ndarray, LogMel]:
    """Samples (80, n) of real recordings of four instruments, their classes, and a front end."""
    clips, classes = [], []
    for number, name in enumerate(INSTRUMENTS):
        for path in sorted((data_dir / "instruments" / name).iterdir())[:20]:
            samples = read(path, sample_rate_hz=SPEC.sample_rate_hz).samples
            clips.append(np.resize(samples, SPEC.n_samples))
            classes.append(number)
    return torch.from_numpy(np.stack(clips).astype(np.float32)), np.array(classes), LogMel(SPEC)


@pytest.fixture(scope="module")
def pictures(heard: tuple[torch.Tensor, np.ndarray, LogMel]) -> torch.Tensor:
    samples, _, front_end = heard
    return front_end(samples)


def scattered(seed: int = 0, n: int = 90, d: int = 12, tags: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian clouds of unlike size whose pooled deviations are 1, so that both ways of shrinking agree."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(tags, size=n)
    classes[:tags] = np.arange(tags)
    points = rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + 2.0 * rng.normal(size=(tags, d))[classes]
    within = np.mean([points[classes == k].var(axis=0) for k in range(tags)], axis=0)
    return points / np.sqrt(within), classes


@pytest.mark.parametrize("shrinkage", SHRINKAGES)
def test_it_is_the_discriminant_of_scikit_learn(shrinkage: float) -> None:
    points, classes = scattered()
    witness = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage, priors=[1 / 3] * 3).fit(points, classes)
    weight, bias = solve(points, classes, np.ones(len(classes)), 3, [shrinkage])[0]
    ours = points @ weight.T + bias
    theirs = witness.decision_function(points)
    np.testing.assert_allclose(ours - ours[:, :1], theirs - theirs[:, :1], rtol=1e-6, atol=1e-6)


def test_a_window_of_twice_the_weight_counts_as_two() -> None:
    points, classes = scattered()
    weights = np.where(np.arange(len(classes)) % 3 == 0, 2.0, 1.0)
    twice = np.repeat(np.arange(len(classes)), weights.astype(int))
    once = solve(points, classes, weights, 3, [0.2])[0]
    doubled = solve(points[twice], classes[twice], np.ones(len(twice)), 3, [0.2])[0]
    for ours, expected in zip(once, doubled, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-9)


def test_a_tag_without_windows_is_never_said() -> None:
    points, classes = scattered()
    weight, bias = solve(points, classes, np.ones(len(classes)), 4, [0.2])[0]
    assert set((points @ weight.T + bias).argmax(axis=1)) <= {0, 1, 2}


def test_its_statistics_are_those_of_scipy_and_numpy(pictures: torch.Tensor) -> None:
    statistics = PictureStatistics(tuple(pictures.shape[1:]))  # type: ignore[arg-type]
    found = statistics(pictures).numpy()
    bands = pictures[:, 0].numpy().astype(np.float64)
    cepstrum = scipy.fft.dct(bands, axis=1, norm="ortho")
    frames = bands.shape[2]

    def spread(x: np.ndarray) -> np.ndarray:
        return np.asarray(np.log(x.std(axis=2) + 0.01))

    loud = np.exp(bands.mean(axis=1))
    loud /= loud.sum(axis=1, keepdims=True)
    expected = [
        spread(cepstrum),
        (cepstrum * loud[:, None]).sum(axis=2),
        cepstrum.max(axis=2),
        cepstrum.min(axis=2),
        *(cepstrum[:, :, frames * i // 3 : frames * (i + 1) // 3].mean(axis=2) for i in range(3)),
    ]
    for step in (1, 4, 16):
        expected.append(spread(bands[:, :, step:] - bands[:, :, :-step]))
        if step < 16:
            expected.append(spread(cepstrum[:, :, step:] - cepstrum[:, :, :-step]))
    rise = cepstrum[:, :, 2:] - cepstrum[:, :, :-2]
    expected.append((np.sign(rise) * rise**2).mean(axis=2) / (rise.var(axis=2) + 0.1))
    expected.append(np.diff(bands, axis=2).max(axis=2))
    np.testing.assert_allclose(found, np.concatenate(expected, axis=1), rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize("frames", [1, 2, 3, 5, 9, 40])
def test_it_takes_pictures_of_any_length(frames: int) -> None:
    statistics = PictureStatistics((1, 20, frames))(torch.randn(3, 1, 20, frames))
    assert statistics.shape[0] == 3
    assert torch.isfinite(statistics).all()


def test_it_tells_instruments_that_it_has_not_heard(
    heard: tuple[torch.Tensor, np.ndarray, LogMel], pictures: torch.Tensor
) -> None:
    _, classes, _ = heard
    held_out = np.arange(len(classes)) % 4 == 0
    model = Discriminant(4, tuple(pictures.shape[1:]))  # type: ignore[arg-type]
    before = model(pictures)
    torch.testing.assert_close(before, torch.full_like(before, -np.log(4.0)))  # all alike
    statistics = model.statistics(pictures).numpy().astype(np.float64)
    rows = np.flatnonzero(~held_out)
    shrinkage = model.learn(statistics[rows], classes[rows], np.ones(len(rows)), [str(row) for row in rows])
    assert shrinkage in SHRINKAGES
    found = model(pictures).numpy()
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1.0, rtol=1e-5)
    assert (found.argmax(axis=1) == classes)[held_out].mean() >= 0.7  # 20 clips; chance is 0.25
    # its probabilities are those of clips it has not heard, not of those it knows by heart
    assert log_loss(found[held_out], classes[held_out], np.ones(held_out.sum())) < 1.0


def test_a_sound_unlike_all_others_does_not_vote_loudest(pictures: torch.Tensor) -> None:
    model = Discriminant(2, tuple(pictures.shape[1:]))  # type: ignore[arg-type]
    statistics = model.statistics(pictures).numpy().astype(np.float64)
    classes = (np.arange(len(statistics)) % 2).astype(np.int64)
    model.learn(statistics, classes, np.ones(len(classes)), [str(i) for i in range(len(classes))])
    bound = float((model.weight[0] - model.weight[1]).abs().sum()) * FURTHEST + float(
        (model.bias[0] - model.bias[1]).abs()
    )
    found = model(pictures * 1000.0)
    assert torch.isfinite(found).all()
    assert float((found[:, 0] - found[:, 1]).abs().max()) <= bound * 1.001


def test_the_file_says_what_torch_says(
    heard: tuple[torch.Tensor, np.ndarray, LogMel], pictures: torch.Tensor, tmp_path: Path
) -> None:
    samples, classes, front_end = heard
    torch.manual_seed(0)
    shape = SPEC.shape()
    net = build("small-cnn", {"widths": [8, 8, 16, 16]}, n_tags=4, shape=shape, members=2).eval()
    model = Discriminant(4, shape)
    statistics = model.statistics(pictures).numpy().astype(np.float64)
    model.learn(statistics, classes, np.ones(len(classes)), [str(i) for i in range(len(classes))])
    whole = WithDiscriminant(net, model, 0.5).eval()
    with torch.no_grad():
        alone, embedding = net(pictures)
        logits, same = whole(pictures)
    torch.testing.assert_close(logits, alone + 0.5 * model(pictures))
    assert torch.equal(embedding, same)
    graph = tagger_graph([(front_end, whole)])
    export_onnx(graph, tmp_path / "model.onnx", samples[:8].numpy())
    assert disagreement(graph, tmp_path / "model.onnx", samples.numpy()) <= 1e-4


@given(st.lists(st.sampled_from("abcdefghij"), min_size=1, max_size=60))
@settings(max_examples=50)
def test_a_group_is_never_split(groups: list[str]) -> None:
    parts = group_parts(groups)
    assert len(parts) == len(groups)
    assert set(parts.tolist()) <= set(range(PARTS))
    for name in set(groups):
        assert len({int(part) for part, group in zip(parts, groups, strict=True) if group == name}) == 1


def test_a_tag_of_one_group_cannot_be_foretold() -> None:
    points, classes = scattered()
    alone = [f"{number}" if kind else "only" for number, kind in enumerate(classes)]
    assert choose(points, classes, np.ones(len(classes)), alone, 3) == (0.4, 0.1)


def test_what_is_chosen_foretells_best_among_all_shrinkages() -> None:
    points, classes = scattered(seed=3, n=60, d=40)
    groups = [str(i // 2) for i in range(len(classes))]
    weights = np.ones(len(classes))
    shrinkage, scale = choose(points, classes, weights, groups, 3)
    part = group_parts(groups)
    losses = {}
    for other in SHRINKAGES:
        scores = np.zeros((len(classes), 3))
        for number in range(PARTS):
            out = part == number
            rule = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=other, priors=[1 / 3] * 3)
            within = np.mean([points[~out][classes[~out] == k].var(axis=0) for k in range(3)], axis=0)
            rule.fit(points[~out] / np.sqrt(within), classes[~out])
            scores[out] = rule.decision_function(points[out] / np.sqrt(within))
        losses[other] = log_loss(scale * scores, classes, weights)
    assert min(losses, key=lambda key: losses[key]) == shrinkage

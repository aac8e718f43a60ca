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
from earmark.bundle.export import disagreement, export_onnx
from earmark.features.spec import FeatureSpec
from earmark.features.torch import LogMel
from earmark.models import build
from earmark.models.discriminant import (
    PARTS,
    SHRINKAGES,
    UNTESTED,
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


def test_what_never_varies_within_a_class_is_no_certain_proof() -> None:
    """One window a class: nothing is known of how they scatter."""
    points = np.random.default_rng(0).normal(size=(3, 12))
    weight, bias = solve(points, np.arange(3), np.ones(3), 3, [0.05])[0]
    assert np.abs(points @ weight.T + bias).max() < 1e5
    model = Discriminant(3, (1, 20, 40))
    pictures = torch.from_numpy(np.random.default_rng(1).normal(size=(3, 1, 20, 40)).astype(np.float32))
    statistics = model.statistics(pictures).numpy().astype(np.float64)
    assert model.learn(statistics, np.arange(3), np.ones(3), ["a", "b", "c"]) == UNTESTED[0]


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
    of_frames = PictureStatistics((1, 20, frames))
    statistics = of_frames(torch.randn(3, 1, 20, frames))
    longer = of_frames(torch.randn(3, 1, 20, 2 * frames))
    assert statistics.shape == longer.shape
    assert torch.isfinite(statistics).all()
    assert torch.isfinite(longer).all()


def test_a_picture_too_short_for_its_differences_is_refused() -> None:
    with pytest.raises(ValueError, match="pictures of 20 frames: expected 33 or more"):
        PictureStatistics((1, 20, 100))(torch.randn(3, 1, 20, 20))


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


@pytest.mark.parametrize("first", ["Bass_drum", "Double_bass", "Snare_drum"])
def test_classes_that_part_cleanly_do_not_outvote_the_nets(data_dir: Path, first: str) -> None:
    """However well two classes part: no more than some nats, of which a half counts, whatever is heard."""
    pair, front_end = (first, "Saxophone"), LogMel(SPEC)
    paths = [path for name in pair for path in sorted((data_dir / "instruments" / name).iterdir())[:20]]
    clips = [np.resize(read(path, sample_rate_hz=SPEC.sample_rate_hz).samples, SPEC.n_samples) for path in paths]
    pictures = front_end(torch.from_numpy(np.stack(clips).astype(np.float32)))
    model = Discriminant(2, tuple(pictures.shape[1:]))  # type: ignore[arg-type]
    statistics = model.statistics(pictures).numpy().astype(np.float64)
    classes = np.repeat(np.arange(2), 20)
    model.learn(statistics, classes, np.ones(40), [path.name for path in paths])
    strange = torch.stack([torch.zeros(SPEC.n_samples), 0.1 * torch.randn(SPEC.n_samples)])
    for heard in (pictures, front_end(strange), 1000.0 * pictures):
        found = model(heard)
        assert torch.isfinite(found).all()
        assert float((found[:, 0] - found[:, 1]).abs().max()) <= 20.0


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
    export_onnx([(front_end, whole)], tmp_path / "model.onnx", samples[:8].numpy())
    apart = disagreement([(front_end, whole)], tmp_path / "model.onnx", samples.numpy())
    assert apart.logits <= 1e-4
    assert apart.embedding <= 1e-4


@given(st.lists(st.tuples(st.sampled_from("abcdefghij"), st.integers(0, 2)), min_size=1, max_size=60))
@settings(max_examples=50)
def test_a_group_is_never_split(windows: list[tuple[str, int]]) -> None:
    groups = [group for group, _ in windows]
    parts = group_parts(groups, np.array([one for _, one in windows]))
    assert len(parts) == len(groups)
    assert set(parts.tolist()) <= set(range(PARTS))
    for name in set(groups):
        assert len({int(part) for part, group in zip(parts, groups, strict=True) if group == name}) == 1


def test_every_class_is_in_every_part_however_its_groups_are_named() -> None:
    groups = [f"{take:03d}-{'abcde'[one]}" for take in range(10) for one in range(5)]
    classes = np.tile(np.arange(5), 10)
    parts = group_parts(groups, classes)
    assert {(int(part), int(one)) for part, one in zip(parts, classes, strict=True)} == {
        (part, one) for part in range(PARTS) for one in range(5)
    }


def test_a_tag_of_one_group_cannot_be_foretold() -> None:
    points, classes = scattered()
    alone = [f"{number}" if kind else "only" for number, kind in enumerate(classes)]
    assert choose(points, classes, np.ones(len(classes)), alone, 3) == UNTESTED


def test_the_smoothed_loss_is_that_of_torch() -> None:
    scores = np.random.default_rng(0).normal(size=(20, 4)) * 5
    classes = np.arange(20) % 4
    for smoothing in (0.0, 0.01):
        expected = torch.nn.functional.cross_entropy(
            torch.from_numpy(scores), torch.from_numpy(classes), label_smoothing=smoothing
        )
        assert log_loss(scores, classes, np.ones(20), smoothing) == pytest.approx(float(expected), rel=1e-12)


def test_what_is_chosen_foretells_best_among_all_shrinkages_and_scales() -> None:
    points, classes = scattered(seed=3, n=60, d=40)
    groups = [str(i // 2) for i in range(len(classes))]
    part = group_parts(groups, classes)
    losses = {}
    for shrinkage in SHRINKAGES:
        scores = np.zeros((len(classes), 3))
        for number in range(PARTS):
            out = part == number
            rule = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage, priors=[1 / 3] * 3)
            within = np.mean([points[~out][classes[~out] == k].var(axis=0) for k in range(3)], axis=0)
            rule.fit(points[~out] / np.sqrt(within), classes[~out])
            scores[out] = rule.decision_function(points[out] / np.sqrt(within))
        for scale in np.geomspace(0.02, 2.0, 21):
            smoothed = torch.nn.functional.cross_entropy(
                torch.from_numpy(scale * scores), torch.from_numpy(classes), label_smoothing=0.01
            )
            losses[shrinkage, scale] = float(smoothed)
    found = choose(points, classes, np.ones(len(classes)), groups, 3)
    assert found == pytest.approx(min(losses, key=lambda key: losses[key]))

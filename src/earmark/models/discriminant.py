"""A linear discriminant of a picture's statistics, which votes beside a net.

A net of some hundred thousand weights that has heard a few hundred clips errs where the next one errs too. What errs
otherwise is a plain estimate from how each band of the picture is distributed over time: a Gaussian for each tag with
one covariance for all (Fisher 1936), shrunk towards the identity (Friedman 1989, "Regularized Discriminant Analysis").
It is fitted in closed form on unaltered clips, within seconds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

COEFFICIENTS = 32
"""Of the cosine transform over bands: the picture's cepstrum."""
STEPS = (1, 4, 16)
"""Frames between which a difference is taken."""
FURTHEST = 3.0
"""Standard deviations beyond which a statistic is not believed: a sound unlike all others shall not vote loudest."""
SHRINKAGES = (0.05, 0.1, 0.2, 0.4, 0.6, 0.8)
PARTS = 5
"""Of the groups, for choosing the shrinkage."""


class PictureStatistics(nn.Module):
    """(b, channels, bands, frames) -> (b, d): how the first channel's cepstrum and bands are distributed over time.

    Of the cepstrum: deviation, its mean where it is loud and in each third, extremes, size and skewness of its
    differences; of the bands: size of their differences and the steepest rise.

    Args:
        shape: (channels, bands, frames) of a picture.
    """

    transform: Tensor

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__()
        _, bands, frames = shape
        self.register_buffer("transform", torch.from_numpy(cosines(min(COEFFICIENTS, bands), bands)), persistent=False)
        self.steps = [step for step in STEPS if step < frames // 2]
        self.thirds = [frames * part // 3 for part in range(4)] if frames >= 3 else []

    def forward(self, pictures: Tensor) -> Tensor:
        bands = pictures[:, 0].float()  # (b, bands, frames)
        cepstrum = torch.matmul(self.transform, bands)
        level = bands.mean(dim=1, keepdim=True)
        loudness = torch.softmax(level, dim=2)
        found = [
            _log_deviation(cepstrum),
            (cepstrum * loudness).sum(dim=2),
            cepstrum.amax(dim=2),
            cepstrum.amin(dim=2),
        ]
        found += (
            [
                cepstrum[:, :, first:last].mean(dim=2)
                for first, last in zip(self.thirds[:-1], self.thirds[1:], strict=True)
            ]
            if self.thirds
            else []
        )
        for step in self.steps:
            found.append(_log_deviation(bands[:, :, step:] - bands[:, :, :-step]))
            if step != max(STEPS):
                found.append(_log_deviation(cepstrum[:, :, step:] - cepstrum[:, :, :-step]))
        if self.steps:
            rise = cepstrum[:, :, 2:] - cepstrum[:, :, :-2]
            found.append((rise * rise.abs()).mean(dim=2) / (_variance(rise) + 0.1))
            found.append((bands[:, :, 1:] - bands[:, :, :-1]).amax(dim=2))
        return torch.cat(found, dim=1)


def cosines(coefficients: int, bands: int) -> npt.NDArray[np.float32]:
    """(coefficients, bands): the orthonormal DCT-II."""
    k, n = np.arange(coefficients)[:, None], np.arange(bands)[None, :]
    rows = np.cos(np.pi * k * (2 * n + 1) / (2 * bands)) * math.sqrt(2 / bands)
    rows[0] /= math.sqrt(2)
    return rows.astype(np.float32)


def _variance(x: Tensor) -> Tensor:
    centred = x - x.mean(dim=2, keepdim=True)
    return (centred * centred).mean(dim=2)


def _log_deviation(x: Tensor) -> Tensor:
    return torch.log(torch.sqrt(_variance(x)) + 0.01)


class Discriminant(nn.Module):
    """Pictures -> log-probabilities (b, tags) of a shrunk linear discriminant; before `learn`, all alike."""

    mean: Tensor
    deviation: Tensor
    weight: Tensor
    bias: Tensor

    def __init__(self, n_tags: int, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.statistics = PictureStatistics(shape)
        with torch.no_grad():
            size = self.statistics(torch.zeros(1, *shape)).shape[1]
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("deviation", torch.ones(size))
        self.register_buffer("weight", torch.zeros(n_tags, size))
        self.register_buffer("bias", torch.zeros(n_tags))

    def learn(self, statistics: Floats, classes: Indices, weights: Floats, groups: Sequence[str]) -> float:
        """Set the weights from windows: (n, d), (n,), (n,) and n names of groups. The shrinkage that was chosen."""
        spread = statistics.std(axis=0)
        deviation = np.where(spread > 1e-9, spread, 1.0)
        mean = statistics.mean(axis=0)
        standard = np.clip((statistics - mean) / deviation, -FURTHEST, FURTHEST)
        n_tags = len(self.bias)
        shrinkage, scale = choose(standard, classes, weights, groups, n_tags)
        weight, bias = solve(standard, classes, weights, n_tags, [shrinkage])[0]
        for name, value in (
            ("mean", mean),
            ("deviation", deviation),
            ("weight", scale * weight),
            ("bias", scale * bias),
        ):
            getattr(self, name).copy_(torch.from_numpy(value))
        return shrinkage

    def forward(self, pictures: Tensor) -> Tensor:
        standard = (self.statistics(pictures) - self.mean) / self.deviation
        scores = torch.matmul(standard.clamp(-FURTHEST, FURTHEST), self.weight.T) + self.bias
        return torch.log_softmax(scores, dim=1)


class WithDiscriminant(nn.Module):
    """A net and a discriminant: logits are the net's plus `share` of the discriminant's log-probabilities.

    (b, channels, bands, frames) -> logits (b, tags), and the net's embedding (b, d).
    """

    def __init__(self, net: nn.Module, discriminant: Discriminant, share: float) -> None:
        super().__init__()
        self.net = net
        self.discriminant = discriminant
        self.share = share

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        logits, embedding = self.net(features)
        return logits + self.share * self.discriminant(features), embedding


Solution = tuple[Floats, Floats]


def solve(
    standard: Floats, classes: Indices, weights: Floats, n_tags: int, shrinkages: Sequence[float]
) -> list[Solution]:
    """For each shrinkage weights (n_tags, d) and biases (n_tags,) of the discriminant; priors are alike.

    Args:
        standard: (n, d), of about mean 0 and deviation 1.
        classes: (n,); a tag that is none of them gets a bias that never wins.
        weights: (n,) of the windows.
    """
    member = np.zeros((len(classes), n_tags))
    member[np.arange(len(classes)), classes] = weights
    mass = member.sum(axis=0)
    means = (member.T @ standard) / np.maximum(mass, 1e-12)[:, None]
    rest = standard - means[classes]
    # every class counts alike in the covariance, however many windows it has
    share = weights / np.maximum(mass[classes], 1e-12)
    covariance = (rest * share[:, None]).T @ rest / max(1, int((mass > 0).sum()))
    scale = np.sqrt(np.maximum(np.diag(covariance), 1e-12))
    values, vectors = np.linalg.eigh(covariance / scale / scale[:, None])
    projected = (means / scale) @ vectors
    found = []
    for shrinkage in shrinkages:
        weight = (projected / ((1 - shrinkage) * np.maximum(values, 0) + shrinkage)) @ vectors.T / scale
        bias = -0.5 * (weight * means).sum(axis=1)
        found.append((weight, np.where(mass > 0, bias, -1e3)))
    return found


def choose(
    standard: Floats, classes: Indices, weights: Floats, groups: Sequence[str], n_tags: int
) -> tuple[float, float]:
    """Shrinkage and scale of the scores that foretell groups not fitted on best, by their log-likelihood."""
    part = group_parts(groups)
    scores = np.zeros((len(SHRINKAGES), len(classes), n_tags))
    for number in np.unique(part):
        out = part == number
        if not np.isin(classes[out], classes[~out]).all():
            return 0.4, 0.1  # a tag of one group: what it is like elsewhere cannot be foretold
        for at, (weight, bias) in enumerate(solve(standard[~out], classes[~out], weights[~out], n_tags, SHRINKAGES)):
            scores[at, out] = standard[out] @ weight.T + bias
    scales = np.geomspace(0.02, 2.0, 21)
    losses = np.array([[log_loss(scale * one, classes, weights) for scale in scales] for one in scores])
    best, scale = np.unravel_index(losses.argmin(), losses.shape)
    return SHRINKAGES[best], float(scales[scale])


def group_parts(groups: Sequence[str]) -> Indices:
    """(n,): which of PARTS parts a window's group falls into; groups in the order of their names, dealt in turn."""
    _, number = np.unique(np.asarray(groups), return_inverse=True)
    return np.asarray(number % PARTS, np.int64)


def log_loss(scores: Floats, classes: Indices, weights: Floats) -> float:
    """Weighted mean of the negative log-probability of the right class."""
    shifted = scores - scores.max(axis=1, keepdims=True)
    right = shifted[np.arange(len(classes)), classes] - np.log(np.exp(shifted).sum(axis=1))
    return float(-(weights * right).sum() / weights.sum())

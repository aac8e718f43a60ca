"""A linear discriminant of a picture's statistics, which votes beside a net.

A net of some hundred thousand weights that has heard a few hundred clips errs where the next one errs too. What errs
otherwise is a plain estimate from how each band of the picture is distributed over time: a Gaussian for each tag with
one covariance for all (Fisher 1936), shrunk towards the identity (Friedman 1989, "Regularized Discriminant Analysis").
It is fitted in closed form on unaltered clips.
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
LEAST_DEVIATION = 0.05
"""Of a statistic within the classes, where 1 is its deviation over all: what never varies within one is no proof."""
SHRINKAGES = (0.05, 0.1, 0.2, 0.4, 0.6, 0.8)
SCALES = np.geomspace(0.02, 2.0, 21)
PARTS = 5
"""Of the groups, for choosing the shrinkage."""
UNTESTED = (0.4, 0.1)
"""Shrinkage and scale where a tag has one group, so that nothing can be held out."""
SMOOTHING = 0.01
"""Of the right answer when the scale is chosen: without it, classes that part cleanly would be told with certainty
without end, and the nets would have no say."""


class PictureStatistics(nn.Module):
    """(b, channels, bands, frames) -> (b, d): how the first channel's cepstrum and bands are distributed over time.

    Of the cepstrum: deviation, its mean where it is loud and in each third, extremes, size and skewness of its
    differences; of the bands: size of their differences and the steepest rise.

    Args:
        shape: (channels, bands, frames) of a picture. Others may have more frames, and fewer as long as each difference
            can still be taken.
    """

    transform: Tensor

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__()
        _, bands, frames = shape
        self.register_buffer("transform", torch.from_numpy(cosines(min(COEFFICIENTS, bands), bands)), persistent=False)
        self.steps = [step for step in STEPS if step < frames // 2]
        self.parts = 3 if frames >= 3 else 0

    def forward(self, pictures: Tensor) -> Tensor:
        bands = pictures[:, 0].float()  # (b, bands, frames)
        frames = bands.shape[2]
        least = max(2 * max(self.steps, default=0) + 1 if self.steps else 1, self.parts)
        if frames < least:
            raise ValueError(f"pictures of {frames} frames: expected {least} or more")
        cepstrum = torch.matmul(self.transform, bands)
        level = bands.mean(dim=1, keepdim=True)
        loudness = torch.softmax(level, dim=2)
        found = [
            _log_deviation(cepstrum),
            (cepstrum * loudness).sum(dim=2),
            cepstrum.amax(dim=2),
            cepstrum.amin(dim=2),
        ]
        for part in range(self.parts):
            first, last = frames * part // self.parts, frames * (part + 1) // self.parts
            found.append(cepstrum[:, :, first:last].mean(dim=2))
        for step in self.steps:
            found.append(_log_deviation(bands[:, :, step:] - bands[:, :, :-step]))
            if step != max(STEPS):  # so far apart, a cepstrum differs as much as it deviates, which is there already
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
        """Set the weights from windows: (n, d), (n,), (n,) and n names of groups. The shrinkage that was chosen.

        Every tag needs a window.
        """
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
        classes: (n,); every tag is one of them.
        weights: (n,) of the windows.
    """
    member = np.zeros((len(classes), n_tags))
    member[np.arange(len(classes)), classes] = weights
    mass = member.sum(axis=0)
    means = (member.T @ standard) / mass[:, None]
    rest = standard - means[classes]
    # every class counts alike in the covariance, however many windows it has
    covariance = (rest * (weights / mass[classes])[:, None]).T @ rest / n_tags
    scale = np.maximum(np.sqrt(np.diag(covariance)), LEAST_DEVIATION)
    values, vectors = np.linalg.eigh(covariance / scale / scale[:, None])
    projected = (means / scale) @ vectors
    found = []
    for shrinkage in shrinkages:
        weight = (projected / ((1 - shrinkage) * np.maximum(values, 0) + shrinkage)) @ vectors.T / scale
        found.append((weight, -0.5 * (weight * means).sum(axis=1)))
    return found


def choose(
    standard: Floats, classes: Indices, weights: Floats, groups: Sequence[str], n_tags: int
) -> tuple[float, float]:
    """Shrinkage and scale of the scores that foretell groups not fitted on best, by their log-likelihood; arguments as
    of `Discriminant.learn` and `solve`. UNTESTED where the groups of a tag cannot be parted."""
    part = group_parts(groups, classes)
    scores = np.zeros((len(SHRINKAGES), len(classes), n_tags))
    for number in np.unique(part):
        out = part == number
        if len(np.unique(classes[~out])) < n_tags:
            return UNTESTED
        for at, (weight, bias) in enumerate(solve(standard[~out], classes[~out], weights[~out], n_tags, SHRINKAGES)):
            scores[at, out] = standard[out] @ weight.T + bias
    losses = np.array([[log_loss(scale * one, classes, weights, SMOOTHING) for scale in SCALES] for one in scores])
    best, scale = np.unravel_index(losses.argmin(), losses.shape)
    return SHRINKAGES[best], float(SCALES[scale])


def group_parts(groups: Sequence[str], classes: Indices) -> Indices:
    """(n,): which of PARTS parts a window's group falls into; the groups of each class are dealt in turn."""
    names, first, number = np.unique(np.asarray(groups), return_index=True, return_inverse=True)
    order = np.lexsort((np.arange(len(names)), classes[first]))  # a class's groups one after another
    place = np.empty(len(names), np.int64)
    place[order] = np.arange(len(names)) % PARTS
    return np.asarray(place[number], np.int64)


def log_loss(scores: Floats, classes: Indices, weights: Floats, smoothing: float = 0.0) -> float:
    """Weighted mean of the negative log-probability of the right class, of which `smoothing` is shared among all."""
    shifted = scores - scores.max(axis=1, keepdims=True)
    known = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    right = (1.0 - smoothing) * known[np.arange(len(classes)), classes] + smoothing * known.mean(axis=1)
    return float(-(weights * right).sum() / weights.sum())

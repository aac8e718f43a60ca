"""From logits to probabilities that mean what they say, and figures of how far they do.

Pure numpy. A calibration is `temperature` (1,) or (tags,) and `bias` (0,) or (tags,): exclusive vocabularies use
softmax(z / T) with one temperature, multilabel ones sigmoid(z / T + b) tag by tag.

Sources: Guo et al., On calibration of modern neural networks, ICML 2017 (temperature, ECE); Platt 1999 and Lin, Lin
and Weng, A note on Platt's probabilistic outputs, 2007 (slope and bias, smoothed targets).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earmark.metrics.classification import Bools, Floats, Ints
from earmark.types import VocabularyKind

Logits = npt.NDArray[np.floating]
_Loss = Callable[[float], float]

TEMPERATURE_RANGE = (0.05, 20.0)  # what a fit may answer; a calibration set split without error would ask for 0
ENOUGH = 10  # a tag with fewer positives or fewer negatives shares its temperature with the other tags
N_BINS = 15
_TINY = 1e-12


def log_softmax(logits: Logits) -> Floats:
    """(n, tags) -> (n, tags) float64."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    result: Floats = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def sigmoid(logits: Logits) -> Floats:
    """Elementwise, float64, without overflow."""
    result: Floats = np.exp(-np.logaddexp(0.0, -logits.astype(np.float64)))
    return result


def probabilities(
    logits: Logits, kind: VocabularyKind, temperature: npt.ArrayLike = 1.0, bias: npt.ArrayLike = 0.0
) -> Floats:
    """Calibrated probabilities: (..., tags) float64; rows sum to 1 for an exclusive vocabulary.

    Args:
        logits: (..., tags).
        temperature: one for all tags, or (tags,); above 0.
        bias: one for all tags, or (tags,); multilabel only.
    """
    scaled = logits.astype(np.float64) / np.asarray(temperature, dtype=np.float64)
    if kind == "exclusive":
        return np.exp(log_softmax(scaled))
    offset = np.asarray(bias, dtype=np.float64)
    return sigmoid(scaled + offset) if offset.size else sigmoid(scaled)


@dataclass(frozen=True, slots=True)
class Scaling:
    """A fitted calibration: `temperature` (1,) or (tags,), `bias` (0,) or (tags,), and what was decided on the way."""

    temperature: tuple[float, ...]
    bias: tuple[float, ...]
    note: str


def fit_temperature(logits: Logits, true: Ints) -> Scaling:
    """One temperature for an exclusive vocabulary, from (n, tags) logits and (n,) class indices.

    Minimises the negative log likelihood, which is convex in 1/T, within TEMPERATURE_RANGE. The right class is given
    1 - 1/(n + 2) of the truth and the rest is shared out (Platt's smoothing for n clips), so a set split without
    error does not ask for endless confidence. If T = 1 has the better likelihood on these very clips, T is 1.
    """
    if not len(true):
        return Scaling((1.0,), (), "no labelled clip to calibrate on: temperature 1")
    n, tags = logits.shape
    truth = np.eye(tags)[true]
    smoothed = truth * (1 - 1 / (n + 2)) + (1 - truth) * (1 / (n + 2) / max(1, tags - 1))

    def loss(temperature: float, target: Floats) -> float:
        return float(-(target * log_softmax(logits / temperature)).sum(axis=1).mean())

    fitted = _minimise_over_temperature(lambda t: loss(t, smoothed))
    if not loss(fitted, truth) < loss(1.0, truth):
        return Scaling((1.0,), (), "temperature 1: no other was better on the calibration clips")
    return Scaling((fitted,), (), f"one temperature for all tags, fitted on {n} clips")


def fit_per_tag(logits: Logits, truth: Bools, mask: Bools | None = None) -> Scaling:
    """Temperature and bias per tag for a multilabel vocabulary, from (n, tags) logits and truth.

    A tag with fewer than ENOUGH labelled positives or negatives, or whose scores run the wrong way, takes the shared
    temperature (one fit over all labelled pairs) and no bias. No tag gets a calibration that is worse than the shared
    one, nor the shared one if that is worse than none, on the calibration clips.
    """
    labelled = np.ones_like(truth) if mask is None else mask
    tags = truth.shape[1]
    if not labelled.any():
        return Scaling((1.0,) * tags, (0.0,) * tags, "no labelled clip to calibrate on: temperature 1")
    shared = _minimise_over_temperature(
        lambda t: float(_bernoulli_loss(logits[labelled] / t, truth[labelled].astype(np.float64)).mean())
    )
    temperature, bias = np.ones(tags), np.zeros(tags)
    own = 0
    for tag in range(tags):
        rows = labelled[:, tag]
        z, y = logits[rows, tag].astype(np.float64), truth[rows, tag].astype(np.float64)
        if not len(y):
            temperature[tag] = shared
            continue
        options = [(1.0, 0.0), (shared, 0.0)]
        if min(y.sum(), (1 - y).sum()) >= ENOUGH and (platt := _fit_platt(z, y)) is not None:
            options.append(platt)
        losses = [float(_bernoulli_loss(z / t + b, y).mean()) for t, b in options]
        best = int(np.argmin(losses))
        own += best == 2
        temperature[tag], bias[tag] = options[best]
    note = f"{own} of {tags} tags have a temperature and bias of their own; the others share temperature {shared:.3g}"
    return Scaling(tuple(temperature.tolist()), tuple(bias.tolist()), note)


def negative_log_likelihood(probability: Floats, true: Ints) -> Floats:
    """-ln p(true class) of each clip: (n,), from (n, tags) probabilities."""
    own = np.take_along_axis(probability, true[:, None], axis=1)[:, 0]
    result: Floats = -np.log(np.clip(own, _TINY, 1.0))
    return result


def binary_log_loss(probability: Floats, truth: Bools) -> Floats:
    """-ln p(what is true) of each (clip, tag) pair, same shape."""
    p = np.clip(probability, _TINY, 1 - _TINY)
    result: Floats = -np.where(truth, np.log(p), np.log(1 - p))
    return result


def brier(probability: Floats, true: Ints) -> Floats:
    """Squared distance from the one-hot truth, summed over tags, of each clip: (n,) in 0..2 (Brier 1950)."""
    result: Floats = ((probability - np.eye(probability.shape[1])[true]) ** 2).sum(axis=1)
    return result


@dataclass(frozen=True, slots=True)
class Reliability:
    """Stated confidence against what happened, bin by bin; empty bins are left out."""

    confidence: Floats  # (bins,) mean stated probability
    frequency: Floats  # (bins,) how often it was so
    count: Ints  # (bins,)

    @property
    def ece(self) -> float:
        """Expected calibration error: mean |confidence - frequency| weighted by count; NaN without a clip."""
        if not self.count.sum():
            return float("nan")
        return float((np.abs(self.confidence - self.frequency) * self.count).sum() / self.count.sum())


def reliability(confidence: Floats, happened: Bools, n_bins: int = N_BINS, *, adaptive: bool = False) -> Reliability:
    """The reliability curve of (n,) stated probabilities.

    Bins are of equal width over 0..1, upper edge included, or with `adaptive` of equal count (ties stay together).
    """
    bins = bin_index(confidence, n_bins, adaptive=adaptive)
    count = np.bincount(bins, minlength=n_bins)
    used = count > 0
    stated = np.bincount(bins, weights=confidence, minlength=n_bins)[used] / count[used]
    came = np.bincount(bins, weights=happened.astype(np.float64), minlength=n_bins)[used] / count[used]
    return Reliability(stated, came, count[used].astype(np.int64))


def bin_index(confidence: Floats, n_bins: int = N_BINS, *, adaptive: bool = False) -> npt.NDArray[np.intp]:
    """The bin of each of (n,) probabilities, 0..n_bins-1."""
    if adaptive and len(confidence):
        edges = np.quantile(confidence, np.linspace(0, 1, n_bins + 1)[1:-1])
    else:
        edges = np.linspace(0, 1, n_bins + 1)[1:-1]
    return np.searchsorted(edges, confidence, side="left")


def _bernoulli_loss(z: Floats, y: Floats) -> Floats:
    result: Floats = np.logaddexp(0.0, z) - y * z
    return result


def _fit_platt(z: Floats, y: Floats) -> tuple[float, float] | None:
    """(temperature, bias) of one tag by Newton's method on smoothed targets; None where the slope is out of range."""
    positives = y.sum()
    negatives = len(y) - positives
    target = np.where(y > 0, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    centre, spread = z.mean(), max(float(z.std()), 1e-6)
    x = (z - centre) / spread
    theta = np.array([1.0, np.log((positives + 1) / (negatives + 1))])
    current = float(_bernoulli_loss(theta[0] * x + theta[1], target).sum())
    for _ in range(100):
        p = sigmoid(theta[0] * x + theta[1])
        gradient = np.array([((p - target) * x).sum(), (p - target).sum()])
        if np.abs(gradient).max() < 1e-8 * len(y):
            break
        w = p * (1 - p)
        cross = (w * x).sum()
        hessian = np.array([[(w * x * x).sum(), cross], [cross, w.sum()]]) + 1e-9 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        scale = 1.0
        while scale > 1e-10:
            trial = theta - scale * step
            value = float(_bernoulli_loss(trial[0] * x + trial[1], target).sum())
            if value < current - 1e-4 * scale * float(gradient @ step):
                break
            scale /= 2
        else:
            break
        theta, current = trial, value
    slope = theta[0] / spread
    if not 1 / TEMPERATURE_RANGE[1] <= slope <= 1 / TEMPERATURE_RANGE[0]:
        return None
    return float(1 / slope), float(theta[1] - slope * centre)


def _minimise_over_temperature(loss: _Loss) -> float:
    """Golden-section search for the temperature of least loss over ln T; the loss has one valley there."""
    ratio = (np.sqrt(5) - 1) / 2
    low, high = np.log(TEMPERATURE_RANGE[0]), np.log(TEMPERATURE_RANGE[1])
    a, b = high - ratio * (high - low), low + ratio * (high - low)
    loss_a, loss_b = loss(float(np.exp(a))), loss(float(np.exp(b)))
    while high - low > 1e-5:
        if loss_a <= loss_b:
            high, b, loss_b = b, a, loss_a
            a = high - ratio * (high - low)
            loss_a = loss(float(np.exp(a)))
        else:
            low, a, loss_a = a, b, loss_b
            b = low + ratio * (high - low)
            loss_b = loss(float(np.exp(b)))
    return float(np.exp((low + high) / 2))

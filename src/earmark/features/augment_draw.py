"""The random parameters of augmentation, drawn from an explicit generator into small frozen records.

`earmark.features.augment` applies them. A clip that its record leaves out passes unchanged.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Speed:
    """rates (b,): how many times faster each clip is played; above 1 it gets shorter and higher."""

    rates: Tensor


@dataclass(frozen=True, slots=True)
class Shift:
    """offsets (b,) int64: clip i starts this many samples later (negative: earlier)."""

    offsets: Tensor


@dataclass(frozen=True, slots=True)
class Gain:
    """factors (b,): what each clip is multiplied by; negative turns it upside down."""

    factors: Tensor


@dataclass(frozen=True, slots=True)
class Noise:
    """pool (m,), offsets (b,): clip i gets pool[offsets[i] : offsets[i] + n] at snr_db[i] (b,); inf adds nothing.

    One pool a batch, and spans of it, because drawing a normal number for every sample costs as much as the front end.
    """

    pool: Tensor
    offsets: Tensor
    snr_db: Tensor


@dataclass(frozen=True, slots=True)
class Background:
    """partners (b,) int64: whose sound is laid under clip i, at snr_db[i] (b,); inf lays nothing."""

    partners: Tensor
    snr_db: Tensor


@dataclass(frozen=True, slots=True)
class Mix:
    """partners (b,) int64, weights (b,) in 0..1: clip i becomes weights[i] of itself and the rest of its partner."""

    partners: Tensor
    weights: Tensor


@dataclass(frozen=True, slots=True)
class Cut:
    """partners, starts, widths (b,) int64: of clip i, widths[i] frames from starts[i] on are the partner's."""

    partners: Tensor
    starts: Tensor
    widths: Tensor


@dataclass(frozen=True, slots=True)
class Warp:
    """bands (b, bands), frames (b, frames) int64: from which band and which frame each of them is taken."""

    bands: Tensor
    frames: Tensor


@dataclass(frozen=True, slots=True)
class Masks:
    """starts (b, k), widths (b, k) int64: k hidden spans of one axis in each clip."""

    starts: Tensor
    widths: Tensor


@dataclass(frozen=True, slots=True)
class Equaliser:
    """gains (b, bands): what is added to each band, in the picture's units."""

    gains: Tensor


@dataclass(frozen=True, slots=True)
class Lighting:
    """brightness (b,) added, contrast (b,) multiplied around each clip's mean."""

    brightness: Tensor
    contrast: Tensor


# ------------------------------------------------------------------------------------------------ drawing


def _uniform(size: tuple[int, ...], low: float, high: float, generator: torch.Generator) -> Tensor:
    return torch.rand(size, generator=generator, device=generator.device) * (high - low) + low


def _chosen(batch: int, probability: float, generator: torch.Generator) -> Tensor:
    """(batch,) bool: rand is below 1, so probability 1 chooses all and 0 none."""
    return torch.rand(batch, generator=generator, device=generator.device) < probability


def _beta(batch: int, alpha: float, generator: torch.Generator) -> Tensor:
    # torch's public Beta takes no generator, so one number of ours seeds numpy's
    seed = int(torch.randint(2**62, (1,), generator=generator, device=generator.device))
    drawn = np.random.default_rng(seed).beta(alpha, alpha, batch).astype(np.float32)
    return torch.from_numpy(drawn).to(generator.device)


def _partners(batch: int, generator: torch.Generator) -> Tensor:
    return torch.randperm(batch, generator=generator, device=generator.device)


def draw_speed(batch: int, most: float, generator: torch.Generator) -> Speed:
    """Rates of 1 / (1 + most) .. 1 + most, as many slower as faster."""
    widest = math.log1p(most)
    return Speed(_uniform((batch,), -widest, widest, generator).exp())


def draw_shift(batch: int, n: int, fraction: float, generator: torch.Generator) -> Shift:
    """Offsets of up to `fraction` of n samples, either way."""
    return Shift((_uniform((batch,), -fraction, fraction, generator) * n).round().long())


def draw_gain(batch: int, db: float, polarity: bool, generator: torch.Generator) -> Gain:
    """Factors of -db..db; with `polarity` half of them negative."""
    factors = torch.pow(10.0, _uniform((batch,), -db, db, generator) / 20.0)
    sign = torch.where(_chosen(batch, 0.5, generator), -1.0, 1.0) if polarity else 1.0
    return Gain(factors * sign)


def draw_noise(
    batch: int, n: int, snr_db: tuple[float, float], probability: float, generator: torch.Generator
) -> Noise:
    """White noise of deviation 1; clips not chosen have an infinite ratio."""
    pool = torch.randn(2 * n, generator=generator, device=generator.device)
    offsets = torch.randint(n + 1, (batch,), generator=generator, device=generator.device)
    return Noise(pool, offsets, _ratios(batch, snr_db, probability, generator))


def draw_background(
    batch: int, snr_db: tuple[float, float], probability: float, generator: torch.Generator
) -> Background:
    return Background(_partners(batch, generator), _ratios(batch, snr_db, probability, generator))


def _ratios(batch: int, snr_db: tuple[float, float], probability: float, generator: torch.Generator) -> Tensor:
    drawn = _uniform((batch,), *snr_db, generator)
    return torch.where(_chosen(batch, probability, generator), drawn, torch.inf)


def draw_mix(batch: int, alpha: float, probability: float, generator: torch.Generator) -> Mix:
    """Weights of Beta(alpha, alpha); clips not chosen weigh 1."""
    weights = _beta(batch, alpha, generator)
    return Mix(_partners(batch, generator), torch.where(_chosen(batch, probability, generator), weights, 1.0))


def draw_cut(batch: int, frames: int, alpha: float, probability: float, generator: torch.Generator) -> Cut:
    """Spans of (1 - Beta(alpha, alpha)) of the frames, anywhere; clips not chosen have width 0."""
    widths = ((1.0 - _beta(batch, alpha, generator)) * frames).round().long()
    widths = torch.where(_chosen(batch, probability, generator), widths, 0)
    return Cut(_partners(batch, generator), _starts(widths, frames, generator), widths)


def draw_warp(
    batch: int, centres_hz: Tensor, frames: int, pitch: float, tempo: float, generator: torch.Generator
) -> Warp:
    """Frequencies times, and frames at, rates of 1 / (1 + most) .. 1 + most, from a frame anywhere.

    The nearest band and frame are taken, never a mean of two, which would smooth noise more than any recording does.
    `centres_hz` (bands,) is rising; what comes from above the highest band is that band.
    """
    rates = [_uniform((batch, 1), -math.log1p(most), math.log1p(most), generator).exp() for most in (pitch, tempo)]
    wanted = (centres_hz.to(generator.device) / rates[0]).contiguous()
    edges = (centres_hz[1:] + centres_hz[:-1]) / 2
    bands = torch.bucketize(wanted, edges.to(generator.device))
    first = _uniform((batch, 1), 0.0, float(frames), generator) if tempo else torch.zeros_like(rates[1])
    place = first + rates[1] * torch.arange(frames, device=generator.device)
    return Warp(bands, place.round().long() % frames)


def draw_masks(
    batch: int, size: int, count: int, widest: int, generator: torch.Generator, *, exact: bool = False
) -> Masks:
    """`count` spans a clip inside an axis of `size`, each of 0..widest places; `exact`: always the widest (<= size)."""
    widest = min(widest, size)
    lowest = widest if exact else 0
    widths = torch.randint(lowest, widest + 1, (batch, count), generator=generator, device=generator.device)
    return Masks(_starts(widths, size, generator), widths)


def _starts(widths: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Uniform over 0..size - width."""
    drawn = torch.rand(widths.shape, generator=generator, device=generator.device)
    return torch.minimum((drawn * (size - widths + 1)).long(), size - widths)


def draw_equaliser(batch: int, bands: int, most: float, points: int, generator: torch.Generator) -> Equaliser:
    """Gains of -most..most at `points` places spread over the bands (jittered), straight lines between them."""
    heights = _uniform((batch, points), -most, most, generator)
    place = torch.linspace(0, points - 1, bands, device=generator.device)
    # each clip bends its frequency axis a little, so that the corners do not always fall on the same bands
    bend = _uniform((batch, 1), -0.4, 0.4, generator)
    place = (place + bend * torch.sin(torch.pi * place / (points - 1))).clamp(0, points - 1)
    left = place.floor().long().clamp(max=points - 2)
    share = place - left
    return Equaliser(heights.gather(1, left) * (1 - share) + heights.gather(1, left + 1) * share)


def draw_lighting(batch: int, brightness: float, contrast: float, generator: torch.Generator) -> Lighting:
    return Lighting(
        _uniform((batch,), -brightness, brightness, generator),
        _uniform((batch,), 1.0 - contrast, 1.0 + contrast, generator),
    )

"""Random changes to training batches, on the device they lie on.

Each change is a pair: `draw_*` turns an explicit generator into a small frozen record of parameters, and a pure
function applies that record. A clip that its record leaves out passes unchanged. `augment_samples` and
`augment_pictures` string them together as an AugmentSpec says.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from earmark.errors import InputError
from earmark.features.augment_spec import AugmentSpec, MaskFill, TargetRule


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


# ------------------------------------------------------------------------------------------------ applying


def _along(values: Tensor, x: Tensor) -> Tensor:
    """(b,) to (b, 1, 1, ...) on the device of x."""
    return values.to(x.device).reshape(-1, *([1] * (x.ndim - 1)))


def change_speed(samples: Tensor, speed: Speed) -> Tensor:
    """(b, n): each clip at its rate, by straight lines between samples; repeated or cut to n again."""
    n = samples.shape[1]
    changed = torch.empty_like(samples)
    for row, (target, rate) in enumerate(zip(changed, speed.rates.tolist(), strict=True)):
        length = max(2, round(n / rate))
        played = F.interpolate(samples[row][None, None], size=length, mode="linear", align_corners=True)[0, 0]
        for start in range(0, n, length):
            target[start : start + length] = played[: n - start]
    return changed


def time_shift(samples: Tensor, shift: Shift, fill: Literal["roll", "zero"] = "roll") -> Tensor:
    """(b, n): each clip moved by its offset."""
    # Two block copies a clip: a gather would read an int64 index for every sample.
    moved = torch.zeros_like(samples) if fill == "zero" else torch.empty_like(samples)
    n = samples.shape[1]
    for row, (target, offset) in enumerate(zip(moved, shift.offsets.tolist(), strict=True)):
        source = samples[row]
        if fill == "zero" and abs(offset) >= n:
            continue
        ahead = offset % n
        if fill == "roll" or offset >= 0:
            target[ahead:] = source[: n - ahead]
        if fill == "roll" or offset < 0:
            target[:ahead] = source[n - ahead :]
    return moved


def gain(samples: Tensor, parameters: Gain) -> Tensor:
    """(b, n) times each clip's factor. Nothing is clipped: float samples may pass 1."""
    return samples * _along(parameters.factors, samples)


def add_noise(samples: Tensor, noise: Noise) -> Tensor:
    """(b, n) plus noise at each clip's ratio to the clip's own power (a silent clip stays silent)."""
    n = samples.shape[1]
    pool = noise.pool.to(samples.device)
    level = _level(samples, noise.snr_db)
    loud = torch.stack([pool[offset : offset + n] for offset in noise.offsets.tolist()])
    return torch.addcmul(samples, loud, level)


def add_background(samples: Tensor, background: Background) -> Tensor:
    """(b, n) plus each clip's partner, at the ratio of their powers."""
    partners = background.partners.to(samples.device)
    own = samples.square().mean(dim=1, keepdim=True).sqrt()
    scale = _level(samples, background.snr_db) / own[partners].clamp_min(1e-12)
    # a silent partner has nothing to give, however far it is turned up
    scale = torch.where(own[partners] > 1e-9, scale, 0.0)
    return torch.addcmul(samples, samples[partners], scale)


def _level(samples: Tensor, snr_db: Tensor) -> Tensor:
    """(b, 1): the deviation of what is added to each clip."""
    own = samples.square().mean(dim=1, keepdim=True).sqrt()
    return own * torch.pow(10.0, -_along(snr_db, samples) / 20.0)


def mix(x: Tensor, parameters: Mix) -> Tensor:
    """(b, ...) samples or pictures, each with its partner (mixup, Zhang et al. 2017)."""
    weights = _along(parameters.weights, x)
    return x * weights + x[parameters.partners.to(x.device)] * (1.0 - weights)


def mix_targets(targets: Tensor, parameters: Mix, rule: TargetRule = "soft") -> Tensor:
    """(b, tags) targets of mixed clips: `soft` is weighted like the sounds, `or` holds every tag of both.

    With `or` a clip of weight 1 keeps its own tags, one of weight 0 takes its partner's.
    """
    partners, weights = parameters.partners.to(targets.device), _along(parameters.weights, targets)
    other = targets[partners]
    if rule == "soft":
        return targets * weights + other * (1.0 - weights)
    return torch.maximum(torch.where(weights > 0, targets, 0.0), torch.where(weights < 1, other, 0.0))


def mix_weights(weights: Tensor, parameters: Mix) -> Tensor:
    """(b, tags) weights of mixed clips: as the sounds, but 0 (unlabelled) where either sound heard is unlabelled."""
    partners, share = parameters.partners.to(weights.device), _along(parameters.weights, weights)
    other = weights[partners]
    known = ((weights > 0) | (share == 0)) & ((other > 0) | (share == 1))
    return torch.where(known, weights * share + other * (1.0 - share), 0.0)


def cut(pictures: Tensor, parameters: Cut) -> Tensor:
    """(b, c, bands, frames): a span of frames of each clip is its partner's (CutMix, Yun et al. 2019)."""
    inside = _spans(parameters.starts[:, None], parameters.widths[:, None], pictures.shape[3], pictures.device)
    return torch.where(inside[:, None, None, :], pictures[parameters.partners.to(pictures.device)], pictures)


def cut_as_mix(parameters: Cut, frames: int) -> Mix:
    """The weights that the cut gives the targets."""
    return Mix(parameters.partners, 1.0 - parameters.widths.float() / frames)


def mask(pictures: Tensor, masks: Masks, axis: Literal["frames", "bands"], fill: MaskFill = "mean") -> Tensor:
    """(b, c, bands, frames) with the spans hidden, in all channels alike."""
    inside = _spans(masks.starts, masks.widths, pictures.shape[3 if axis == "frames" else 2], pictures.device)
    inside = inside[:, None, None, :] if axis == "frames" else inside[:, None, :, None]
    if fill == "zero":
        return pictures.masked_fill(inside, 0.0)
    every = (2, 3)
    value = pictures.mean(every, keepdim=True) if fill == "mean" else pictures.amin(every, keepdim=True)
    return torch.where(inside, value, pictures)


def _spans(starts: Tensor, widths: Tensor, size: int, device: torch.device) -> Tensor:
    """(b, k) spans to (b, size) bool: inside any of them."""
    place = torch.arange(size, device=device)
    starts, stops = starts.to(device)[:, :, None], (starts + widths).to(device)[:, :, None]
    return ((place >= starts) & (place < stops)).any(dim=1)


def equalise(pictures: Tensor, equaliser: Equaliser) -> Tensor:
    """(b, c, bands, frames) with each band of channel 0 moved; deltas do not see a constant, so they stay."""
    gains = equaliser.gains.to(pictures)[:, None, :, None]
    if pictures.shape[1] == 1:
        return pictures + gains
    return torch.cat([pictures[:, :1] + gains, pictures[:, 1:]], dim=1)


def light(pictures: Tensor, lighting: Lighting) -> Tensor:
    """(b, c, bands, frames) with another brightness and contrast."""
    mean = pictures.mean(dim=(1, 2, 3), keepdim=True)
    bright, contrast = _along(lighting.brightness, pictures), _along(lighting.contrast, pictures)
    return (pictures - mean) * contrast + (mean + bright)


# ------------------------------------------------------------------------------------------------ as a spec says


def augment_samples(
    samples: Tensor, targets: Tensor, weights: Tensor, spec: AugmentSpec, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Samples (b, n), targets and weights (b, tags) after everything that `spec` does to samples."""
    _check(samples, targets, weights)
    batch, n = samples.shape
    if spec.speed:
        samples = change_speed(samples, draw_speed(batch, spec.speed, generator))
    if spec.time_shift:
        samples = time_shift(samples, draw_shift(batch, n, spec.time_shift, generator), spec.time_shift_fill)
    if spec.polarity or spec.gain_db:
        samples = gain(samples, draw_gain(batch, spec.gain_db, spec.polarity, generator))
    if spec.background_snr_db is not None:
        drawn = draw_background(batch, spec.background_snr_db, spec.background_probability, generator)
        samples = add_background(samples, drawn)
    if spec.noise_snr_db is not None:
        samples = add_noise(samples, draw_noise(batch, n, spec.noise_snr_db, spec.noise_probability, generator))
    if spec.mixup_alpha and spec.mixup_on == "samples":
        mixed = draw_mix(batch, spec.mixup_alpha, spec.mixup_probability, generator)
        samples, weights = mix(samples, mixed), mix_weights(weights, mixed)
        targets = mix_targets(targets, mixed, spec.mixup_targets)
    return samples, targets, weights


def augment_pictures(
    pictures: Tensor, targets: Tensor, weights: Tensor, spec: AugmentSpec, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Pictures (b, channels, bands, frames), targets and weights (b, tags) after all that `spec` does to pictures."""
    _check(pictures, targets, weights)
    batch, _, bands, frames = pictures.shape
    if spec.mixup_alpha and spec.mixup_on == "pictures":
        mixed = draw_mix(batch, spec.mixup_alpha, spec.mixup_probability, generator)
        pictures, weights = mix(pictures, mixed), mix_weights(weights, mixed)
        targets = mix_targets(targets, mixed, spec.mixup_targets)
    if spec.cutmix_alpha:
        span = draw_cut(batch, frames, spec.cutmix_alpha, spec.cutmix_probability, generator)
        share = cut_as_mix(span, frames)
        pictures, weights = cut(pictures, span), mix_weights(weights, share)
        targets = mix_targets(targets, share, spec.mixup_targets)
    if spec.equaliser:
        drawn = draw_equaliser(batch, bands, spec.equaliser, spec.equaliser_points, generator)
        pictures = equalise(pictures, drawn)
    if spec.brightness or spec.contrast:
        pictures = light(pictures, draw_lighting(batch, spec.brightness, spec.contrast, generator))
    if spec.noise:
        white = torch.randn(pictures.shape, generator=generator, device=generator.device)
        pictures = pictures + spec.noise * white.to(pictures)
    exact = spec.mask_width == "exact"
    if spec.time_masks:
        masks = draw_masks(batch, frames, spec.time_masks, spec.time_mask_frames, generator, exact=exact)
        pictures = mask(pictures, masks, "frames", spec.mask_fill)
    if spec.band_masks:
        masks = draw_masks(batch, bands, spec.band_masks, spec.band_mask_bands, generator, exact=exact)
        pictures = mask(pictures, masks, "bands", spec.mask_fill)
    return pictures, targets, weights


def _check(x: Tensor, targets: Tensor, weights: Tensor) -> None:
    if x.ndim not in (2, 4) or targets.ndim != 2 or len(x) != len(targets) or weights.shape != targets.shape:
        raise InputError(
            f"augmentation got clips {tuple(x.shape)}, targets {tuple(targets.shape)} and weights "
            f"{tuple(weights.shape)}; expected (b, n) or (b, channels, bands, frames), and (b, tags) twice."
        )

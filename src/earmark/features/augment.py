"""Random changes to training batches, on the device they lie on.

Each change is a pair: `draw_*` (see `augment_draw.py`) turns an explicit generator into a small frozen record of
parameters, and a pure function here applies that record. `augment_samples` and `augment_pictures` string them together
as an AugmentSpec says.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from earmark.errors import InputError
from earmark.features.augment_draw import (
    Background,
    Cut,
    Equaliser,
    Gain,
    Lighting,
    Masks,
    Mix,
    Noise,
    Shift,
    Speed,
    Warp,
    draw_background,
    draw_cut,
    draw_equaliser,
    draw_gain,
    draw_lighting,
    draw_masks,
    draw_mix,
    draw_noise,
    draw_shift,
    draw_speed,
    draw_warp,
)
from earmark.features.augment_spec import AugmentSpec, MaskFill, TargetRule


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
    return torch.lerp(x[parameters.partners.to(x.device)], x, _along(parameters.weights, x))


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


def warp(pictures: Tensor, parameters: Warp) -> Tensor:
    """(b, c, bands, frames), each clip at its own pitch and tempo."""
    clip = torch.arange(len(pictures), device=pictures.device)[:, None, None]
    bands, frames = (index.to(pictures.device) for index in (parameters.bands, parameters.frames))
    # the indices stand around the channels, which therefore come out last
    return pictures[clip, :, bands[:, :, None], frames[:, None, :]].permute(0, 3, 1, 2)


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
    pictures: Tensor,
    targets: Tensor,
    weights: Tensor,
    spec: AugmentSpec,
    generator: torch.Generator,
    centres_hz: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Pictures (b, channels, bands, frames), targets and weights (b, tags) after all that `spec` does to pictures.

    `centres_hz` (bands,) says where the bands lie.
    """
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
    if spec.pitch or spec.tempo:
        pictures = warp(pictures, draw_warp(batch, centres_hz, frames, spec.pitch, spec.tempo, generator))
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

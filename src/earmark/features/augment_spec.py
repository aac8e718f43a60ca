"""AugmentSpec: which random changes training clips go through. Data only, so that recipes can hold it without torch."""

from __future__ import annotations

import difflib
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

MaskFill = Literal["zero", "mean", "min"]
TargetRule = Literal["soft", "or"]


class AugmentSpec(BaseModel):
    """Random changes to training clips, and to them only. An amount of 0 (or none) leaves that change out.

    First the samples are changed, in the order of the fields, then the pictures. Amounts on pictures are in the units
    the net sees: with band statistics or clip-z, 1 is one deviation, about 10-15 dB.

    Attributes:
        speed: samples: each clip is played faster or slower by up to this share, pitch and tempo together; what is then
            too short is repeated (Ko et al. 2015, "Audio Augmentation for Speech Recognition").
        time_shift: samples: each clip is moved by up to this fraction of its length, either way (0..1).
        time_shift_fill: what enters at the other end: `roll` (what left) or `zero`.
        polarity: samples: half of the clips are turned upside down.
        gain_db: samples: each clip is made louder or softer by up to this many dB.
        background_snr_db: samples: (low, high) in dB at which another clip of the batch is laid under a clip, whose
            targets stay as they were; null: never.
        background_probability: how many of the clips get that (0..1).
        noise_snr_db: samples: (low, high) signal-to-noise ratio in dB of added white noise; null: none.
        noise_probability: how many of the clips get that noise (0..1).
        mixup_alpha: a of Beta(a, a), from which the weight of a clip against its partner in the batch is drawn.
        mixup_probability: how many of the clips are mixed (0..1).
        mixup_on: `samples` or `pictures`.
        mixup_targets: `soft` (weighted as the sounds are) or `or` (multi-label: the tags of both are present).
        cutmix_alpha: pictures: as mixup_alpha, but the partner's share is a span of frames.
        cutmix_probability: how many of the clips get that (0..1).
        pitch: pictures: all frequencies of each clip are multiplied or divided by up to 1 + this, bands moving along
            the front end's scale (Jaitly & Hinton 2013, "Vocal Tract Length Perturbation").
        tempo: pictures: each clip runs faster or slower by up to this share at the same pitch, going round its end.
        equaliser: pictures: up to this much is added to or taken from each of `equaliser_points` bands, with straight
            lines between them: other microphones, other rooms.
        equaliser_points: bands that are moved independently, >= 2.
        brightness: pictures: up to this much is added to or taken from all of the picture.
        contrast: pictures: the distance from the mean is multiplied by 1 - contrast .. 1 + contrast.
        noise: pictures: deviation of added Gaussian noise.
        time_masks: pictures: how many spans of frames are hidden in each clip (SpecAugment, Park et al. 2019).
        time_mask_frames: the widest such span, in frames.
        band_masks: pictures: how many spans of mel bands are hidden in each clip.
        band_mask_bands: the widest such span, in bands.
        mask_width: `up-to` draws each span's width from 0 to the widest; `exact` always takes the widest.
        mask_fill: what hides them: `zero`, the clip's `mean` or its `min`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    speed: float = Field(0.0, ge=0, le=1)
    time_shift: float = Field(0.0, ge=0, le=1)
    time_shift_fill: Literal["roll", "zero"] = "roll"
    polarity: bool = False
    gain_db: float = Field(0.0, ge=0, le=60)
    background_snr_db: tuple[float, float] | None = None
    background_probability: float = Field(0.5, ge=0, le=1)
    noise_snr_db: tuple[float, float] | None = None
    noise_probability: float = Field(0.5, ge=0, le=1)
    mixup_alpha: float = Field(0.0, ge=0)
    mixup_probability: float = Field(1.0, ge=0, le=1)
    mixup_on: Literal["samples", "pictures"] = "samples"
    mixup_targets: TargetRule = "soft"
    cutmix_alpha: float = Field(0.0, ge=0)
    cutmix_probability: float = Field(0.5, ge=0, le=1)
    pitch: float = Field(0.0, ge=0, le=1)
    tempo: float = Field(0.0, ge=0, le=1)
    equaliser: float = Field(0.0, ge=0)
    equaliser_points: int = Field(4, ge=2)
    brightness: float = Field(0.0, ge=0)
    contrast: float = Field(0.0, ge=0, lt=1)
    noise: float = Field(0.0, ge=0)
    time_masks: int = Field(0, ge=0)
    time_mask_frames: int = Field(0, ge=0)
    band_masks: int = Field(0, ge=0)
    band_mask_bands: int = Field(0, ge=0)
    mask_width: Literal["up-to", "exact"] = "up-to"
    mask_fill: MaskFill = "mean"

    @model_validator(mode="before")
    @classmethod
    def _known_fields(cls, data: Any) -> Any:
        if isinstance(data, dict):
            for name in data:
                if name not in cls.model_fields:
                    near = difflib.get_close_matches(str(name), cls.model_fields, n=1, cutoff=0.5)
                    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(cls.model_fields)}."
                    raise ValueError(f"the augmentation has no field {name!r}; {hint}")
        return data

    @field_validator("noise_snr_db", "background_snr_db", mode="before")
    @classmethod
    def _pair_from_list(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    @model_validator(mode="after")
    def _possible(self) -> Self:
        for name in ("noise_snr_db", "background_snr_db"):
            pair = getattr(self, name)
            if pair is not None and pair[0] > pair[1]:
                raise ValueError(f"{name} is {list(pair)}, expected [low, high] with low at most high.")
        for count, width in (("time_masks", "time_mask_frames"), ("band_masks", "band_mask_bands")):
            if bool(getattr(self, count)) != bool(getattr(self, width)):
                raise ValueError(
                    f"{count} is {getattr(self, count)} and {width} {getattr(self, width)}: "
                    "either both are above 0 or neither."
                )
        return self

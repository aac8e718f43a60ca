"""FeatureSpec: the audio front end as data. What a net is fed, from samples to picture, in one frozen record.

The order of the steps is fixed:

    samples -> frames -> spectrum -> mel bands -> scaling -> deltas -> patch -> resize -> normalise
"""

from __future__ import annotations

import difflib
import logging
from functools import cached_property
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, field_validator, model_validator

from earmark.errors import InputError
from earmark.features.mel import MelNorm, MelScale, empty_bands

_log = logging.getLogger("earmark.features")

Window = Literal["hann", "hamming"]
Scaling = Literal["db", "ln", "none"]
Normalise = Literal["none", "clip-minmax", "clip-minmax-symmetric", "clip-z", "band-statistics"]
Padding = Literal["zero", "loop", "noise"]
Crop = Literal["cover", "centre", "energy"]

DELTA_WIDTH = 9
"""Frames that one delta is fitted over: `librosa.feature.delta`'s default."""


class FeatureSpec(BaseModel):
    """The front end of a tagger. Frozen; an unknown field is refused with the nearest right one.

    Attributes:
        sample_rate_hz: rate of the samples it is fed, > 0.
        clip_s: length of one window of audio in seconds; times the rate it must be a whole number of samples.
        n_fft: samples of one Fourier transform, even, >= 16.
        win_length: samples under the window, <= n_fft, centred in it (zeros on both sides, as in librosa);
            None means n_fft.
        hop_length: samples from one frame to the next, 1..win_length.
        window: `hann` or `hamming`, periodic.
        centre: frame t is centred on sample t * hop_length, the ends padded by n_fft // 2; else it starts there.
        pad_mode: what the ends are padded with: `reflect` or `constant` (zeros). Read with `centre` only.
        n_mels: mel bands, > 0.
        fmin_hz: lower edge of the first band, >= 0.
        fmax_hz: upper edge of the last, at most half the rate; None means half the rate.
        mel_scale: `slaney` (librosa's default) or `htk` (torchaudio's).
        mel_norm: `slaney` (each filter of equal area) or None (each of height 1).
        power: 2 squares the spectrum's magnitude before the bands are summed, 1 leaves it.
        scaling: `db`, `ln` or `none`.
        db_ref: 0 dB is `one` or the clip's loudest value (`max`).
        top_db: values further than this below the clip's loudest are raised to that floor; None leaves them. With
            `db` only (80 by default there).
        amin: the smallest power (`power: 2`) that `db` tells from nothing; of a magnitude (`power: 1`) its root.
        ln_offset: added before the logarithm of `ln`.
        deltas: 0, 1 (adds the slope in time as a second channel) or 2 (adds the curvature as a third);
            `librosa.feature.delta` of width 9, order 1 and 2.
        patch_frames: frames kept of a clip: the run of them with the highest energy, which is the largest sum of the
            scaled picture. With `crop: energy` only.
        patch_hop: frames between the starts that are tried for the patch: 0, patch_hop, 2 * patch_hop, ...
        resize: (bands, frames) of the picture after an anti-aliased linear resize; None leaves it.
        normalise: `none`; per clip and channel `clip-minmax` (0..1), `clip-minmax-symmetric` (-1..1) or `clip-z`
            (mean 0, deviation 1); `band-statistics`: per channel and band by mean and deviation over the training set.
        padding: what a recording shorter than the clip is filled with: `zero`, `loop` (itself again) or `noise`
            (very quiet, seeded).
        skip_silence_db: spans this far below the loudest are left out of the recording first; None keeps all.
        crop: how a recording longer than the clip is judged: `cover` (windows over all of it), `centre` (one window)
            or `energy` (windows over all of it, each reduced to its `patch_frames` loudest frames).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    sample_rate_hz: int = 32_000
    clip_s: float = 5.0
    n_fft: int = 1024
    win_length: int | None = None
    hop_length: int = 320
    window: Window = "hann"
    centre: bool = True
    pad_mode: Literal["reflect", "constant"] = "reflect"
    n_mels: int = 64
    fmin_hz: float = 50.0
    fmax_hz: float | None = 15_000.0
    mel_scale: MelScale = "slaney"
    mel_norm: MelNorm = "slaney"
    power: Literal[1, 2] = 2
    scaling: Scaling = "db"
    db_ref: Literal["one", "max"] = "one"
    top_db: float | None = 80.0
    amin: float = 1e-10
    ln_offset: float = 1e-10
    deltas: Literal[0, 1, 2] = 0
    patch_frames: int | None = None
    patch_hop: int = 1
    resize: tuple[int, int] | None = None
    normalise: Normalise = "band-statistics"
    padding: Padding = "zero"
    skip_silence_db: float | None = None
    crop: Crop = "cover"

    # ---------------------------------------------------------------- what is refused

    @model_validator(mode="before")
    @classmethod
    def _known_fields(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        for name in data:
            if name not in cls.model_fields:
                holding = [field for field in cls.model_fields if str(name) in field.split("_")]
                near = holding or difflib.get_close_matches(str(name), cls.model_fields, n=1, cutoff=0.5)
                hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(cls.model_fields)}."
                raise ValueError(f"the front end has no field {name!r}; {hint}")
        if data.get("scaling", "db") != "db" and "top_db" not in data:
            return {**data, "top_db": None}
        return data

    @field_validator("resize", mode="before")
    @classmethod
    def _resize_from_list(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    @field_validator(
        "sample_rate_hz",
        "clip_s",
        "hop_length",
        "n_mels",
        "amin",
        "patch_frames",
        "patch_hop",
        "skip_silence_db",
        "top_db",
    )
    @classmethod
    def _above_zero(cls, value: float | None, info: Any) -> float | None:
        if value is not None and not 0 < value < float("inf"):
            raise ValueError(f"{info.field_name} is {value}, expected a number above 0.")
        return value

    @model_validator(mode="after")
    def _possible(self) -> Self:
        for refuse in (self._refuse_frames, self._refuse_bands, self._refuse_scaling, self._refuse_shape):
            if refusal := refuse():
                raise ValueError(refusal)
        empty = self.empty_mel_bands
        if len(empty) == self.n_mels:
            raise ValueError(
                f"n_mels is {self.n_mels} and n_fft {self.n_fft}: no mel band holds a bin of the spectrum; "
                "raise n_fft or widen fmin_hz..fmax_hz."
            )
        if empty:
            _log.warning(
                "%d of %d mel bands hold no bin of the spectrum (n_fft %d at %d Hz) and stay at the floor: "
                "lower n_mels or raise n_fft",
                len(empty), self.n_mels, self.n_fft, self.sample_rate_hz,
            )  # fmt: skip
        return self

    def _refuse_frames(self) -> str | None:
        if self.n_fft < 16 or self.n_fft % 2:
            return f"n_fft is {self.n_fft}, expected an even number of samples of at least 16."
        if not 1 <= self.window_length <= self.n_fft:
            return f"win_length is {self.win_length}, expected 1..{self.n_fft} (n_fft)."
        if self.hop_length > self.window_length:
            return (
                f"hop_length is {self.hop_length} and win_length {self.window_length}: samples between two frames "
                f"would never be heard; expected hop_length of at most {self.window_length}."
            )
        exact = self.clip_s * self.sample_rate_hz
        if abs(exact - round(exact)) > 1e-6 * max(1.0, exact):
            nearest = round(exact) / self.sample_rate_hz
            return (
                f"clip_s is {self.clip_s}: at {self.sample_rate_hz} Hz that is {exact:.3f} samples, expected a whole "
                f"number; the nearest is clip_s: {nearest!r}."
            )
        try:
            self.n_frames(self.n_samples)
        except InputError as error:
            return str(error)
        return None

    def _refuse_bands(self) -> str | None:
        nyquist = self.sample_rate_hz / 2
        if self.fmax_hz is not None and self.fmax_hz > nyquist:
            return (
                f"fmax_hz is {self.fmax_hz:g}, expected at most {nyquist:g}, half of sample_rate_hz "
                f"{self.sample_rate_hz}; lower it or raise the rate."
            )
        if not 0 <= self.fmin_hz < self.upper_hz:
            return f"fmin_hz is {self.fmin_hz:g}, expected 0 or more and below fmax_hz {self.upper_hz:g}."
        return None

    def _refuse_scaling(self) -> str | None:
        if self.ln_offset < 0:
            return f"ln_offset is {self.ln_offset}, expected 0 or more."
        for name, where in (("top_db", "db"), ("amin", "db"), ("db_ref", "db"), ("ln_offset", "ln")):
            value = getattr(self, name)
            unset = None if name == "top_db" else type(self).model_fields[name].default
            if self.scaling != where and value != unset:
                return f"{name} is {value!r}, which only scaling: {where} reads; remove it (scaling is {self.scaling})."
        return None

    def _refuse_shape(self) -> str | None:
        frames = self.n_frames(self.n_samples)
        if (self.crop == "energy") != (self.patch_frames is not None):
            return (
                f"crop is {self.crop!r} and patch_frames {self.patch_frames}: crop: energy needs patch_frames, "
                "and nothing else reads it."
            )
        if self.patch_frames is None and self.patch_hop != 1:
            return f"patch_hop is {self.patch_hop}, which only patch_frames reads; remove it."
        if self.patch_frames is not None and self.patch_frames > frames:
            return f"patch_frames is {self.patch_frames}, expected at most {frames}, the frames of a clip."
        if self.deltas and frames < DELTA_WIDTH:
            return f"deltas is {self.deltas}: a clip of {frames} frames is too short, deltas need {DELTA_WIDTH}."
        if self.resize is not None and min(self.resize) < 1:
            return f"resize is {list(self.resize)}, expected (bands, frames), both above 0."
        return None

    # ---------------------------------------------------------------- what follows from the fields

    @property
    def n_samples(self) -> int:
        """Samples in one clip: clip_s * sample_rate_hz, exactly."""
        return round(self.clip_s * self.sample_rate_hz)

    @property
    def window_length(self) -> int:
        return self.n_fft if self.win_length is None else self.win_length

    @property
    def upper_hz(self) -> float:
        return self.sample_rate_hz / 2 if self.fmax_hz is None else self.fmax_hz

    @property
    def n_bins(self) -> int:
        """Bins of the one-sided spectrum: 1 + n_fft // 2."""
        return 1 + self.n_fft // 2

    @property
    def channels(self) -> int:
        """1, plus one for each order of deltas."""
        return 1 + self.deltas

    @property
    def bands(self) -> int:
        """Rows of the picture the net sees."""
        return self.n_mels if self.resize is None else self.resize[0]

    @cached_property
    def empty_mel_bands(self) -> tuple[int, ...]:
        """Indices of mel bands narrower than the spectrum's bins: they hold nothing, whatever the sound."""
        return empty_bands(self.sample_rate_hz, self.n_fft, self.n_mels, self.fmin_hz, self.upper_hz, self.mel_scale)

    def n_frames(self, n_samples: int) -> int:
        """Frames of the spectrum of `n_samples` samples, before patch and resize.

        Centred: 1 + n // hop. Else: 1 + (n - n_fft) // hop. What is left over at the end (fewer samples than a hop)
        opens no frame of its own.

        Raises:
            InputError: the clip is shorter than one frame needs.
        """
        if self.centre:
            least = self.n_fft // 2 + 1 if self.pad_mode == "reflect" else 1
            frames = 1 + n_samples // self.hop_length
        else:
            least = self.n_fft
            frames = 1 + (n_samples - self.n_fft) // self.hop_length
        if n_samples < least:
            raise InputError(
                f"a clip of {n_samples} samples is too short for n_fft {self.n_fft}: expected at least {least}; "
                "raise clip_s or lower n_fft."
            )
        return frames

    def shape(self, n_samples: int | None = None) -> tuple[int, int, int]:
        """(channels, bands, frames) of the picture of `n_samples` samples (None: of one clip)."""
        frames = self.n_frames(self.n_samples if n_samples is None else n_samples)
        if self.patch_frames is not None:
            if frames < self.patch_frames:
                raise InputError(f"{frames} frames are fewer than patch_frames {self.patch_frames}; feed longer audio.")
            frames = self.patch_frames
        if self.resize is not None:
            frames = self.resize[1]
        return self.channels, self.bands, frames

    def describe(self, n_samples: int | None = None) -> list[str]:
        """The shape after each step for `n_samples` samples (None: one clip), a line a step."""
        n = self.n_samples if n_samples is None else n_samples
        frames = self.n_frames(n)
        if self.centre:
            left = n - (frames - 1) * self.hop_length
            ends = (
                f"centred, {self.pad_mode} ends of {self.n_fft // 2}; the last frame is {left} samples before the end"
            )
        else:
            left = n - (frames - 1) * self.hop_length - self.n_fft
            ends = f"not centred; the last {left} samples are in no frame"
        hop = f"{self.hop_length} ({1000 * self.hop_length / self.sample_rate_hz:.1f} ms)"
        magnitude = "power" if self.power == 2 else "magnitude"
        band_range = f"{self.fmin_hz:g}-{self.upper_hz:g} Hz"
        norm = (self.mel_norm or "none") + (f", {len(self.empty_mel_bands)} empty" if self.empty_mel_bands else "")
        lines = [
            f"samples ({n},): {n / self.sample_rate_hz:g} s at {self.sample_rate_hz} Hz, float32",
            f"frames ({frames}, {self.n_fft}): {self.window} window of {self.window_length}, hop {hop}, {ends}",
            f"spectrum ({self.n_bins}, {frames}): {magnitude}, {self.sample_rate_hz / self.n_fft:.2f} Hz a bin",
            f"mel bands ({self.n_mels}, {frames}): {band_range}, {self.mel_scale} scale, norm {norm}",
        ]
        if self.scaling == "db":
            floor = "" if self.top_db is None else f", floor {self.top_db:g} dB below the loudest"
            reference = "1" if self.db_ref == "one" else "the clip's loudest value"
            lines.append(f"scaled ({self.n_mels}, {frames}): dB, 0 dB is {reference}{floor}")
        elif self.scaling == "ln":
            lines.append(f"scaled ({self.n_mels}, {frames}): ln(x + {self.ln_offset:g})")
        if self.deltas:
            lines.append(f"deltas ({self.channels}, {self.n_mels}, {frames}): width {DELTA_WIDTH}")
        if self.patch_frames is not None:
            frames = self.patch_frames
            lines.append(f"patch ({self.channels}, {self.n_mels}, {frames}): the frames with the highest energy")
        if self.resize is not None:
            lines.append(f"resized ({self.channels}, {self.resize[0]}, {self.resize[1]}): linear, anti-aliased")
        shape = ", ".join(str(size) for size in self.shape(n))
        lines.append(f"picture ({shape}): normalise {self.normalise}, float32")
        return lines

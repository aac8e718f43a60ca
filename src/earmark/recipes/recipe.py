"""A Recipe: everything a training decides before it sees the data, as strict YAML.

A field that does not exist, or a value that cannot be, stops the run before anything is prepared, and the message
names the field and the nearest right one.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from earmark.features.augment_spec import AugmentSpec
from earmark.features.spec import FeatureSpec
from earmark.types import VocabularyKind


class Strict(BaseModel):
    """Frozen, and a field nobody knows is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Adapt(Strict):
    """What the recipe takes from the data instead of from its front end.

    Attributes:
        clip_s: the clip becomes the data's 90th percentile of duration, at most the front end's `clip_s` and at least
            0.5 s, so that word-long clips are not padded ten times their length. Where the median lengths of two
            classes differ by more than a factor of 2, it becomes the shortest class's (at least 1 s): padding would
            otherwise tell the classes apart.
        sample_rate_hz: the rate becomes the highest of 8, 16 and 32 kHz (at most the front end's) at which hardly any
            file (10 %) would be resampled upwards. Nobody can then tell classes apart by the bandwidth of their
            files, and low-rate data trains faster. FFT, window and hop keep their length in time.
        recordings: where a tag is known from fewer than 10 recordings (groups) of its own, clips are filtered as by
            very unlike microphones (`augment.equaliser` at least 1.4), and no discriminant votes: both would otherwise
            take what marks the recordings for what marks the tag.
    """

    clip_s: bool = False
    sample_rate_hz: bool = False
    recordings: bool = False


class Cut(Strict):
    """How the data's clips become those that are learnt and judged.

    Attributes:
        chunks: clips longer than the front end's `clip_s` are cut into chunks of that length, one after another from
            the beginning, before anything is split. Each is a clip of its own with the tags, weight and group of what
            it was cut from: an epoch is a pass over all of them, and each is validated and tested by itself. Without
            it a clip is heard at one random place an epoch, and judged by the mean over windows that cover it.
        remainder_s: a remainder of at least so many seconds at a clip's end is a chunk too, filled up as
            `front_end.padding` says; a shorter one is dropped. A clip that is no longer than `clip_s` is always kept.
            Read with `chunks` only.
    """

    chunks: bool = False
    remainder_s: float = Field(default=0.5, gt=0)


class ModelChoice(Strict):
    """Attributes:

    name: of a net in `earmark.models`.
    arguments: its own; unknown ones are refused by the net.
    members: nets of this kind that learn side by side on the same batches and answer by the mean of their logits.
    discriminant: share of the vote of a linear discriminant of each window's statistics, fitted on the training clips:
        so many times its log-probabilities are added to the logits. 0 for none; only where one tag alone is right.
    """

    name: str
    arguments: dict[str, Any] = {}
    members: int = Field(default=1, ge=1, le=16)
    discriminant: float = Field(default=0.0, ge=0, le=10)


class Optimiser(Strict):
    """Attributes:

    name: Adam with L2 in the gradient, or AdamW with decoupled decay (norms and biases are not decayed).
    learning_rate: the peak.
    """

    name: Literal["adam", "adamw"] = "adamw"
    learning_rate: float = Field(default=2e-3, gt=0, le=1)
    weight_decay: float = Field(default=0.0, ge=0, le=1)
    gradient_clip: float | None = Field(default=None, gt=0)


class Schedule(Strict):
    """The learning rate over the run.

    Attributes:
        name: `constant`; `one-cycle` (up for `warmup` of the run, then down along a cosine); `flat-cosine` (the peak
            until 72 % of the run, then down along a cosine).
        warmup: share of the run spent rising.
    """

    name: Literal["constant", "one-cycle", "flat-cosine"] = "constant"
    warmup: float = Field(default=0.2, ge=0, lt=1)


class Loss(Strict):
    """Attributes:

    label_smoothing: moved from the target to all tags alike (exclusive vocabularies).
    """

    label_smoothing: float = Field(default=0.0, ge=0, lt=1)


class Training(Strict):
    """Attributes:

    epochs: passes over the training clips, or `auto`: as many as `audio_hours` (and 120,000 clips) allow, between 20
        and 400, or more where that makes fewer than 1000 steps.
    audio_hours: hours of sound that the net hears in all when `epochs` is `auto`.
    batch_size: clips a step.
    seed: the same seed on the same machine gives the same result.
    precision: `auto` is bfloat16 where the processor computes in it natively, else float32.
    average: decay of the moving average of weights that is evaluated and kept; 0 keeps the weights themselves.
    balance: `auto` draws rare classes as often as common ones once the largest has over 3 times the smallest's clips.
    checkpoint: `last`, or `best` by `monitor` on the validation split.
    monitor: what `best` and early stopping look at.
    patience: epochs without a better `monitor` before the run stops; None runs to the end.
    """

    epochs: int | Literal["auto"] = "auto"
    audio_hours: float = Field(default=60.0, gt=0)
    batch_size: int = Field(default=32, ge=2, le=4096)
    seed: int = Field(default=0, ge=0)
    precision: Literal["auto", "bf16", "float32"] = "auto"
    average: float = Field(default=0.0, ge=0, lt=1)
    balance: Literal["auto", "on", "off"] = "auto"
    checkpoint: Literal["last", "best"] = "best"
    monitor: Literal["loss", "accuracy", "macro_f1", "lwlrap"] = "loss"
    patience: int | None = Field(default=None, ge=1)

    @field_validator("balance", mode="before")
    @classmethod
    def _yaml_reads_on_and_off_as_truth(cls, value: Any) -> Any:
        return {True: "on", False: "off"}[value] if isinstance(value, bool) else value

    @model_validator(mode="after")
    def _epochs_are_a_number(self) -> Training:
        if isinstance(self.epochs, int) and self.epochs < 1:
            raise ValueError(f"epochs: {self.epochs}, expected at least 1")
        return self


class Split(Strict):
    """Attributes:

    val, test: shares of the clips, by group.
    seed: of the split; None uses the training's.
    """

    val: float = Field(default=0.15, ge=0, lt=0.9)
    test: float = Field(default=0.15, ge=0, lt=0.9)
    seed: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _something_is_left(self) -> Split:
        if self.val + self.test >= 0.95:
            raise ValueError(f"val {self.val} and test {self.test} leave nothing to train on")
        return self


class Guards(Strict):
    """Attributes:

    overfit_one_batch: before the run, a copy of the net must be able to learn one batch by heart.
    collapse: watch for constant outputs at the label prior's loss, and restart with a safer setting.
    restarts: how often.
    """

    overfit_one_batch: bool = True
    collapse: bool = True
    restarts: int = Field(default=4, ge=0, le=10)


class Tagging(Strict):
    """Attributes:

    overlap: share of a window that the next one repeats when a recording is longer than one window.
    """

    overlap: float = Field(default=0.5, ge=0, lt=1)


class Recipe(Strict):
    """One training, whole. `earmark recipes NAME` prints one; docs/recipes explains each field."""

    name: str
    summary: str = ""
    vocabulary: VocabularyKind | Literal["auto"] = "auto"
    front_end: FeatureSpec
    adapt: Adapt = Adapt()
    cut: Cut = Cut()
    model: ModelChoice
    augment: AugmentSpec = AugmentSpec()
    loss: Loss = Loss()
    optimiser: Optimiser = Optimiser()
    schedule: Schedule = Schedule()
    training: Training = Training()
    split: Split = Split()
    guards: Guards = Guards()
    tagging: Tagging = Tagging()

"""What `earmark.json` holds: everything about a model but its net's numbers. Strict: an unknown field is refused.

The file's bytes are canonical (sorted keys, two spaces, UTF-8, one newline at the end) and hold their own sha256, so
that a changed byte in the header is seen as surely as one in a file that it names. That sha256 is the bundle hash.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

from earmark.errors import BundleError
from earmark.features.spec import FeatureSpec
from earmark.types import Vocabulary, VocabularyKind

FORMAT_VERSION = 1
HEADER_NAME = "earmark.json"
MODEL_NAME = "model.onnx"
NET_NAME = "net.onnx"
WEIGHTS_NAME = "weights.safetensors"
SEEN_NAME = "seen.parquet"
REFERENCE_NAME = "reference.npz"
CARD_NAME = "README.md"
REPORT_FOLDER = "report"
MEMBERS_FOLDER = "members"

Array: TypeAlias = npt.NDArray[np.float32]
Padding: TypeAlias = Literal["zero", "loop", "noise"]

_SHA256 = re.compile(r"[0-9a-f]{64}")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Tags(_Part):
    """The vocabulary as it is written down: column i of the logits is `tags[i]`."""

    tags: tuple[str, ...] = Field(min_length=1)
    kind: VocabularyKind

    @model_validator(mode="after")
    def _each_tag_once(self) -> Tags:
        if len(set(self.tags)) != len(self.tags):
            raise ValueError("a tag stands twice")
        return self

    @classmethod
    def of(cls, vocabulary: Vocabulary) -> Tags:
        return cls(tags=vocabulary.tags, kind=vocabulary.kind)

    def vocabulary(self) -> Vocabulary:
        return Vocabulary(self.tags, self.kind)


class Windows(_Part):
    """What the net hears at once.

    Attributes:
        length_samples: of one window, at `sample_rate_hz`: the fixed n of the graph's input `samples` (batch, n).
        sample_rate_hz: what audio is resampled to before it is cut.
        padding: how a clip shorter than a window is filled up at its end, in training and in tagging alike.
        overlap: share of a window that the next one repeats, 0 <= overlap < 1, unless the caller chooses another.
    """

    length_samples: int = Field(gt=0)
    sample_rate_hz: int = Field(gt=0)
    padding: Padding = "zero"
    overlap: float = Field(default=0.0, ge=0.0, lt=1.0)

    @property
    def length_s(self) -> float:
        return self.length_samples / self.sample_rate_hz

    def hop_samples(self, overlap: float | None = None) -> int:
        """Samples from one window's start to the next: round((1 - overlap) * length), at least 1."""
        share = self.overlap if overlap is None else overlap
        return max(1, round((1.0 - share) * self.length_samples))


class Architecture(_Part):
    """The net, as `earmark.models.build` builds it again for the header's tags and the shape of its front end.

    Attributes:
        name: in `earmark.models`.
        arguments: what it is built with.
        members: how many of its kind answer as one.
        discriminant: share of the vote of a linear discriminant beside it; 0, as in headers without the field: none.
    """

    name: str
    arguments: dict[str, JsonValue] = {}
    members: int = Field(default=1, ge=1)
    discriminant: float = Field(default=0.0, ge=0.0)


class Calibration(_Part):
    """How logits become probabilities: z = scale * logit + bias, then softmax (exclusive) or sigmoid (multilabel).

    Attributes:
        kind: `none` (z = logit), `temperature` (one scale = 1 / T, no bias: Guo et al. 2017, "On Calibration of Modern
            Neural Networks") or `platt` (a scale and a bias, one for all tags or one a tag: Platt 1999).
        scale: one number, or one a tag; above 0.
        bias: none, one number, or one a tag.
    """

    kind: Literal["none", "temperature", "platt"] = "none"
    scale: tuple[float, ...] = ()
    bias: tuple[float, ...] = ()

    @model_validator(mode="after")
    def _numbers_fit_kind(self) -> Calibration:
        if self.kind == "none" and (self.scale or self.bias):
            raise ValueError("calibration 'none' takes neither scale nor bias")
        if self.kind == "temperature" and (not self.scale or any(self.bias)):
            raise ValueError("calibration 'temperature' takes a scale and no bias")
        if self.kind == "platt" and (not self.scale or not self.bias):
            raise ValueError("calibration 'platt' takes a scale and a bias")
        if any(value <= 0 for value in self.scale):
            raise ValueError("a calibration scale must be above 0, or it turns a tag's order round")
        return self

    @classmethod
    def temperature(cls, t: float) -> Calibration:
        """softmax(logits / t), or sigmoid(logits / t)."""
        return cls(kind="temperature", scale=(1.0 / t,))

    def apply(self, logits: npt.ArrayLike, kind: VocabularyKind) -> Array:
        """Probabilities in the shape of `logits` (..., tags): softmax over tags if `exclusive`, else a sigmoid each."""
        z: npt.NDArray[np.float64] = np.asarray(logits, np.float64)
        if self.scale:
            z = z * np.asarray(self.scale)
        if self.bias:
            z = z + np.asarray(self.bias)
        if kind == "exclusive":
            raised = np.exp(z - z.max(axis=-1, keepdims=True))
            return np.asarray(raised / raised.sum(axis=-1, keepdims=True), np.float32)
        # exp of a negative number only, so that no logit overflows
        small = np.exp(-np.abs(z))
        return np.where(z >= 0, 1.0 / (1.0 + small), small / (1.0 + small)).astype(np.float32)


class Refusal(_Part):
    """When a sound is none of those that the model was trained on.

    Attributes:
        threshold: windows whose `earmark.metrics.unknown.score` is above it count as unknown.
        false_refusals: share of held-out known clips that are refused, 0 to 1; of test clips if there are any.
        auroc: how well the score tells left-out classes from known ones, where that was measured.
        details: whatever else the method wrote down about itself.
    """

    threshold: float
    false_refusals: float | None = Field(default=None, ge=0.0, le=1.0)
    auroc: float | None = Field(default=None, ge=0.0, le=1.0)
    details: dict[str, JsonValue] = {}


class BundleHeader(_Part):
    """`earmark.json`.

    Attributes:
        format_version: of this layout; a larger one than FORMAT_VERSION is refused by name.
        name: what the model is called in reports and on its card.
        vocabulary: tags in the order of the logits' columns, and their kind.
        front_end: how the graph turns samples into features (inside the graph; here to be read and drawn).
        windows: what the net hears at once.
        architecture: the net and its arguments, to build it again and train it further.
        members: nets that the graph averages; above 1 their weights lie in members/0 .. members/k-1.
        embedding_size: d of the graph's output `embedding` (batch, d).
        calibration: how logits become probabilities.
        thresholds: probability from which a tag counts as heard. Tags left out: 0.5 (multilabel), or none (exclusive:
            the most probable tag counts).
        refusal: when a sound counts as unknown; None where that was not fitted.
        provenance: recipe, data fingerprint, versions, metrics, licence: how this model came to be.
        files: sha256 of every other file of the folder, by its path with forward slashes.
    """

    format_version: int = FORMAT_VERSION
    name: str
    vocabulary: Tags
    front_end: FeatureSpec
    windows: Windows
    architecture: Architecture
    members: int = Field(default=1, ge=1)
    embedding_size: int = Field(gt=0)
    calibration: Calibration = Calibration()
    thresholds: dict[str, float] = {}
    refusal: Refusal | None = None
    provenance: dict[str, JsonValue] = {}
    files: dict[str, str] = {}

    @field_validator("provenance", mode="before")
    @classmethod
    def _figures_without_nan(cls, provenance: Any) -> Any:
        return _without_nan(provenance)

    @field_validator("files")
    @classmethod
    def _safe_files(cls, files: dict[str, str]) -> dict[str, str]:
        for name, digest in files.items():
            check_file_name(name)
            if not _SHA256.fullmatch(digest):
                raise ValueError(f"{name}: {digest!r} is no sha256")
        return files

    @model_validator(mode="after")
    def _parts_agree(self) -> BundleHeader:
        tags = self.vocabulary.tags
        for tag, threshold in self.thresholds.items():
            if tag not in tags:
                raise ValueError(f"thresholds: {tag!r} is not in the vocabulary")
            if not 0.0 <= threshold <= 1.0:
                raise ValueError(f"thresholds: {tag!r} has {threshold}, expected 0 to 1")
        for what in ("scale", "bias"):
            count = len(getattr(self.calibration, what))
            if count not in (0, 1, len(tags)):
                raise ValueError(f"calibration.{what}: {count} numbers for {len(tags)} tags; expected 1 or {len(tags)}")
        if self.front_end.n_samples != self.windows.length_samples:
            raise ValueError(
                f"windows.length_samples is {self.windows.length_samples}, the front end's clip_s makes "
                f"{self.front_end.n_samples}; they must be equal"
            )
        if self.front_end.sample_rate_hz != self.windows.sample_rate_hz:
            raise ValueError(
                f"windows.sample_rate_hz is {self.windows.sample_rate_hz}, "
                f"front_end.sample_rate_hz is {self.front_end.sample_rate_hz}; they must be equal"
            )
        return self

    def probabilities(self, logits: npt.ArrayLike) -> Array:
        """Calibrated probabilities in the shape of `logits` (..., tags)."""
        return self.calibration.apply(logits, self.vocabulary.kind)

    def threshold_row(self) -> Array | None:
        """(tags,) thresholds for a multilabel model (0.5 where none was fitted); None for an exclusive one without."""
        if self.vocabulary.kind == "exclusive" and not self.thresholds:
            return None
        default = 0.5 if self.vocabulary.kind == "multilabel" else 0.0
        return np.array([self.thresholds.get(tag, default) for tag in self.vocabulary.tags], np.float32)

    def render(self) -> bytes:
        """The canonical bytes of `earmark.json`."""
        return render(self.model_dump(mode="json"))


def check_file_name(name: str) -> str:
    """`name` if it is a plain relative path that stays inside the folder, else ValueError."""
    parts = name.split("/")
    if name == HEADER_NAME:
        raise ValueError(f"files: {HEADER_NAME} cannot hold its own file hash")
    if any(part in ("", ".", "..") for part in parts) or any(c in name for c in "\\:\0") or not name.isprintable():
        raise ValueError(f"files: {name!r} is not a plain path inside the model folder")
    return name


def render(content: Mapping[str, Any]) -> bytes:
    """Header content (without its `sha256`) as the bytes of `earmark.json`, its own sha256 included."""
    digest = hashlib.sha256(_canonical(content)).hexdigest()
    return _canonical({**content, "sha256": digest})


def header_hash(data: bytes) -> str:
    """The bundle hash of the bytes of an `earmark.json`; BundleError if they are not what was written."""
    try:
        content = json.loads(data)
    except ValueError as error:
        raise BundleError(f"{HEADER_NAME}: not JSON ({error}); restore the model folder from a good copy.") from None
    claimed = content.get("sha256") if isinstance(content, dict) else None
    if not isinstance(claimed, str):
        raise BundleError(
            f"{HEADER_NAME}: no sha256 in it, so it is no header of a model folder, or was edited by hand."
        )
    try:
        same = render({key: value for key, value in content.items() if key != "sha256"}) == data
    except ValueError:  # NaN or Infinity, which json.loads takes and nothing of ours writes
        same = False
    if not same:
        raise BundleError(
            f"{HEADER_NAME}: changed since it was written (its sha256 does not match); restore the model folder from a "
            "good copy, or change it with earmark.bundle.save.update_bundle."
        )
    return claimed


def _without_nan(value: Any) -> Any:
    """A figure that could not be computed (a tag without clips) is null in JSON."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    return [_without_nan(item) for item in value] if isinstance(value, list | tuple) else value


def _canonical(content: Mapping[str, Any]) -> bytes:
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, sort_keys=True, indent=2)
    return (text + "\n").encode()

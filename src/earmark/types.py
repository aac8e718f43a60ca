"""The nouns that every room speaks in. Frozen, with units in the names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from earmark.errors import InputError

Samples: TypeAlias = npt.NDArray[np.float32]
"""Mono audio: shape (n,), float32, nominally within [-1, 1]."""

T = TypeVar("T")

VocabularyKind: TypeAlias = Literal["exclusive", "multilabel"]


class Verdict(StrEnum):
    """What became of a file that was opened."""

    READ = "read"
    PARTIAL = "partial"  # some of it decoded; the warning says how much
    QUARANTINED = "quarantined"


class Reason(StrEnum):
    """Why a file is in quarantine."""

    MISSING = "missing"
    EMPTY = "empty"  # no bytes, or a container that holds no sample
    NOT_AUDIO = "not-audio"
    UNSUPPORTED = "unsupported"  # a known format that no decoder here reads
    TOO_SHORT = "too-short"
    SILENT = "silent"
    NON_FINITE = "non-finite"
    TIMED_OUT = "timed-out"
    TOO_LARGE = "too-large"
    CRASHED = "crashed"  # the decoder died in its worker process


class LabelValue(StrEnum):
    """A person's answer for one tag of one clip (the Freesound annotator's scale plus `unsure`)."""

    PRESENT = "present"
    FOREGROUND = "foreground"
    BACKGROUND = "background"
    ABSENT = "absent"
    UNSURE = "unsure"

    @property
    def is_present(self) -> bool:
        return self in (LabelValue.PRESENT, LabelValue.FOREGROUND, LabelValue.BACKGROUND)


@dataclass(frozen=True, slots=True)
class Recording:
    """One audio file.

    Attributes:
        id: stable name within a manifest (its path relative to the data folder, with forward slashes).
        uri: where it lies.
        sha256: of the file's bytes, hex.
        sample_rate_hz: of the file, before any resampling.
        channels: in the file, before mixing to mono.
        duration_s: in seconds.
        format: container and codec as the decoder names them, e.g. `WAV/PCM_16`.
        group: what must never be split: song, artist, uploader, site. None means the recording itself.
    """

    id: str
    uri: str
    sha256: str
    sample_rate_hz: int
    channels: int
    duration_s: float
    format: str
    licence: str | None = None
    source: str | None = None
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Clip:
    """A span of a recording, in samples at the recording's own rate: start <= i < stop."""

    recording_id: str
    start: int
    stop: int
    sample_rate_hz: int

    @property
    def start_s(self) -> float:
        return self.start / self.sample_rate_hz

    @property
    def stop_s(self) -> float:
        return self.stop / self.sample_rate_hz

    @property
    def duration_s(self) -> float:
        return (self.stop - self.start) / self.sample_rate_hz


@dataclass(frozen=True, slots=True)
class Label:
    """One answer about one tag of one clip. Unlabelled is the lack of a Label, never `absent`."""

    clip: Clip
    tag: str
    value: LabelValue
    who: str
    when: str  # ISO 8601, UTC
    origin: Literal["person", "import", "correction"]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Ordered tags and their kind: the only map between tags and columns.

    `exclusive`: exactly one tag a clip (softmax). `multilabel`: any number of tags (sigmoid).
    """

    tags: tuple[str, ...]
    kind: VocabularyKind
    _index: dict[str, int] = field(init=False, repr=False, compare=False, hash=False)

    def __post_init__(self) -> None:
        index = {tag: column for column, tag in enumerate(self.tags)}
        if len(index) != len(self.tags):
            twice = sorted({tag for tag in self.tags if self.tags.count(tag) > 1})
            raise InputError(f"vocabulary: tag {twice[0]!r} stands twice; each tag may stand once, remove one.")
        object.__setattr__(self, "_index", index)

    def __len__(self) -> int:
        return len(self.tags)

    def __iter__(self) -> Iterator[str]:
        return iter(self.tags)

    def column(self, tag: str) -> int:
        """The column of `tag`; InputError names the nearest known tag."""
        try:
            return self._index[tag]
        except KeyError:
            import difflib

            near = difflib.get_close_matches(tag, self.tags, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(self.tags[:8])}"
            raise InputError(f"tag {tag!r} is not in the vocabulary of {len(self.tags)} tags{hint}") from None


@dataclass(frozen=True, slots=True)
class Prediction:
    """A bundle's answer for one span: every tag's raw logit and calibrated probability."""

    recording: str
    start_s: float
    stop_s: float
    bundle_hash: str
    logits: npt.NDArray[np.float32]  # (tags,)
    probabilities: npt.NDArray[np.float32]  # (tags,)


class Progress(Protocol):
    """What long work reports to. The command line draws it; a library caller may leave it out."""

    def start(self, task: str, total: int | None, unit: str) -> None:
        """A new piece of work of `total` `unit`s (None: not known) begins; it replaces the one before."""

    def advance(self, n: float = 1, note: str = "") -> None:
        """`n` more units are done; `note` is shown beside the bar (loss, metric, clips/s)."""

    def stop(self) -> None:
        """The piece of work is over, finished or not."""


class Quiet:
    """A Progress that shows nothing."""

    def start(self, task: str, total: int | None, unit: str) -> None:
        pass

    def advance(self, n: float = 1, note: str = "") -> None:
        pass

    def stop(self) -> None:
        pass

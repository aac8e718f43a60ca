"""What an evaluation looks at and what it finds: the nouns shared by evaluation and reports."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from earmark.errors import InputError
from earmark.metrics.classification import Bools, Floats, Ints
from earmark.types import Vocabulary


@dataclass(frozen=True, eq=False)
class WindowAnswers:
    """A model's answers for windows of some clips, the windows of a clip together and the clips in order.

    Attributes:
        clip: (w,) int64, ascending: the clip that each window is of; every clip has at least one.
        logits: (w, tags) float32, raw.
        embeddings: (w, d) float32.
    """

    clip: Ints
    logits: npt.NDArray[np.float32]
    embeddings: npt.NDArray[np.float32]

    def take(self, clips: Ints) -> WindowAnswers:
        """The windows of `clips`, which are numbered 0, 1, ... in that order."""
        first = np.searchsorted(self.clip, clips, side="left")
        counts = np.searchsorted(self.clip, clips, side="right") - first
        rows = np.repeat(first - np.append(0, np.cumsum(counts)[:-1]), counts) + np.arange(counts.sum())
        return WindowAnswers(np.repeat(np.arange(len(clips)), counts), self.logits[rows], self.embeddings[rows])


@dataclass(frozen=True, eq=False)
class ClipPredictions:
    """A model's answers for n clips, beside what is true of them.

    Attributes:
        uris: of the recordings.
        start_s, stop_s: (n,) the clips' spans in seconds; NaN: from the beginning, to the end.
        groups: what must not be split; intervals draw these again.
        logits: (n, tags) float32, raw; mean over the windows of the clip.
        embeddings: (n, d) float32; likewise.
        targets: (n, tags) float32, 1 where the tag is heard.
        weights: (n, tags) float32; 0 where the tag is unlabelled: such a pair counts nowhere.
        vocabulary: the model's.
        windows: the answers behind the means, of all windows or of some spread over the clip; None where a clip is
            one window.
    """

    uris: list[str]
    start_s: Floats
    stop_s: Floats
    groups: list[str]
    logits: npt.NDArray[np.float32]
    embeddings: npt.NDArray[np.float32]
    targets: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float32]
    vocabulary: Vocabulary
    windows: WindowAnswers | None = None

    def __post_init__(self) -> None:
        shape = (len(self.uris), len(self.vocabulary))
        for name in ("logits", "targets", "weights"):
            if getattr(self, name).shape != shape:
                raise InputError(f"predictions: {name} has shape {getattr(self, name).shape}, expected {shape}.")
        if not np.isfinite(self.logits).all():
            bad = self.uris[int(np.flatnonzero(~np.isfinite(self.logits).all(axis=1))[0])]
            raise InputError(f"{bad}: the model answers with NaN or infinity; train again or look at the recording.")

    def __len__(self) -> int:
        return len(self.uris)

    @property
    def is_exclusive(self) -> bool:
        return self.vocabulary.kind == "exclusive"

    @property
    def heard(self) -> WindowAnswers:
        """The windows, or the clips where each is one window."""
        return self.windows or WindowAnswers(np.arange(len(self)), self.logits, self.embeddings)

    @property
    def truth(self) -> Bools:
        """(n, tags) True where the tag is known to be heard."""
        result: Bools = (self.targets > 0.5) & self.mask
        return result

    @property
    def mask(self) -> Bools:
        """(n, tags) True where the tag is labelled."""
        result: Bools = self.weights > 0
        return result

    @property
    def classes(self) -> Ints:
        """(n,) the class of each clip of an exclusive vocabulary; InputError where a clip has none."""
        truth = self.truth
        if (truth.sum(axis=1) != 1).any():
            bad = self.uris[int(np.flatnonzero(truth.sum(axis=1) != 1)[0])]
            raise InputError(f"{bad}: expected exactly one label for an exclusive vocabulary; see `labelled()`.")
        found: Ints = truth.argmax(axis=1).astype(np.int64)
        return found

    def labelled(self) -> ClipPredictions:
        """Without the clips that have no label at all (exclusive: no class; multilabel: every tag unlabelled)."""
        kept = self.truth.any(axis=1) if self.is_exclusive else self.mask.any(axis=1)
        return self if kept.all() else self.take(np.flatnonzero(kept))

    def take(self, indices: npt.NDArray[np.intp]) -> ClipPredictions:
        """The clips `indices`, in that order."""
        rows = np.asarray(indices, dtype=np.int64)
        return ClipPredictions(
            uris=[self.uris[i] for i in rows],
            start_s=self.start_s[rows],
            stop_s=self.stop_s[rows],
            groups=[self.groups[i] for i in rows],
            logits=self.logits[rows],
            embeddings=self.embeddings[rows],
            targets=self.targets[rows],
            weights=self.weights[rows],
            vocabulary=self.vocabulary,
            windows=None if self.windows is None else self.windows.take(rows),
        )


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Figures of a model on one set of clips.

    Attributes:
        tags: in the order of the columns.
        kind: of the vocabulary.
        clips, groups: how many were judged.
        metrics: name -> value; NaN where the figure does not exist on these clips.
        intervals: name -> (low, high), 95 % over groups; None where there is none.
        per_tag: one dict a tag: tag, precision, recall, specificity, f1, support, roc_auc, average_precision,
            threshold; NaN where a figure does not exist.
        confusion: (tags, tags), row = true; exclusive vocabularies only.
        reliability: confidence, frequency, count: lists, bin by bin.
        predicted: (n, tags) True where the tag was said.
        unknown: how many unknown sounds were judged and what became of them; empty where refusal was not judged.
        notes: what a reader must know about these figures.
    """

    tags: tuple[str, ...]
    kind: str
    clips: int
    groups: int
    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float] | None]
    per_tag: list[dict[str, Any]]
    confusion: Ints | None
    reliability: dict[str, list[float]]
    predicted: Bools
    unknown: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As JSON takes it: NaN becomes None, arrays lists; `predicted` is left out (it is in predictions.parquet)."""
        result: dict[str, Any] = plain(
            {
                "clips": self.clips,
                "groups": self.groups,
                "kind": self.kind,
                "tags": self.tags,
                "metrics": self.metrics,
                "intervals": self.intervals,
                "per_tag": self.per_tag,
                "confusion": self.confusion,
                "reliability": self.reliability,
                "unknown": self.unknown,
                "notes": self.notes,
            }
        )
        return result


def plain(value: Any) -> Any:
    """`value` with dicts, lists, str, int, finite float, bool and None only."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value

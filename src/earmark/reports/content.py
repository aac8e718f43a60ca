"""What a report tells, gathered by whoever trained or evaluated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from earmark.metrics.results import ClipPredictions, Evaluation
from earmark.types import Samples, Vocabulary


@dataclass(frozen=True, eq=False)
class ReportContent:
    """Attributes:

    title: of the page, e.g. the model's name.
    vocabulary: the model's.
    evaluations: split ("val", "test", or any name) -> figures; at least one.
    predictions: the same splits -> the clips behind them.
    probabilities: the same splits -> (n, tags) calibrated, of the same clips.
    history: one dict an epoch (see `plots.history_figure`); empty where nothing was trained.
    fold_histories: the same of each fold, where `history` is their mean; empty without folds.
    recipe_yaml: the recipe as it ran; "" leaves the section out.
    data_table: per tag and split (see `tables.data_table`); None leaves it out.
    notes: what a reader must know first: leaks that were allowed, partial files, quarantine, balancing.
    provenance: name -> value: versions, seed, device, data fingerprint, time.
    samples_of: (split, clip) -> (samples, rate) to hear a mistake; None: no players.
    spectrogram_of: (split, clip) -> (bands, frames) to see it; None: no pictures.
    """

    title: str
    vocabulary: Vocabulary
    evaluations: Mapping[str, Evaluation]
    predictions: Mapping[str, ClipPredictions]
    probabilities: Mapping[str, npt.NDArray[np.floating[Any]]]
    history: Sequence[Mapping[str, Any]] = ()
    fold_histories: Sequence[Sequence[Mapping[str, Any]]] = ()
    recipe_yaml: str = ""
    data_table: pd.DataFrame | None = None
    notes: Sequence[str] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    samples_of: Callable[[str, int], tuple[Samples, int]] | None = None
    spectrogram_of: Callable[[str, int], npt.NDArray[np.floating[Any]]] | None = None

    @property
    def main_split(self) -> str:
        """What the report is about first: all folds, else the test clips, else validation, else whatever there is."""
        for name in ("folds", "test", "val"):
            if name in self.evaluations:
                return name
        return next(iter(self.evaluations))


@dataclass(frozen=True, slots=True)
class Mistake:
    """A clip (exclusive) or a (clip, tag) pair (multilabel) that the model got wrong, surest first.

    Attributes:
        clip: its index in the predictions.
        true: what it is; for a pair: the tag, or "not TAG".
        said: what the model said.
        confidence: of the wrong answer, 0..1.
    """

    clip: int
    true: str
    said: str
    confidence: float


def worst_mistakes(
    clips: ClipPredictions, evaluation: Evaluation, probability: npt.NDArray[np.floating[Any]], n: int = 12
) -> list[Mistake]:
    """The `n` mistakes the model was surest of, at most one a clip.

    Args:
        clips: labelled clips, in the order of `evaluation.predicted` and `probability`.
    """
    tags = clips.vocabulary.tags
    if clips.is_exclusive:
        true, said = clips.classes, evaluation.predicted.argmax(axis=1)
        wrong = np.flatnonzero(true != said)
        rows = wrong[np.argsort(-probability[wrong, said[wrong]], kind="stable")][:n]
        return [Mistake(int(i), tags[true[i]], tags[said[i]], float(probability[i, said[i]])) for i in rows]
    truth, given = clips.truth, evaluation.predicted
    wrong_pairs = (truth != given) & clips.mask
    confidence = np.where(wrong_pairs, np.where(truth, 1 - probability, probability), -1.0)
    column = confidence.argmax(axis=1)
    best = confidence.max(axis=1)
    rows = np.argsort(-best, kind="stable")[:n]
    found = []
    for i in rows[best[rows] >= 0]:
        tag = tags[column[i]]
        missed = bool(truth[i, column[i]])
        found.append(Mistake(int(i), tag if missed else f"not {tag}", f"not {tag}" if missed else tag, float(best[i])))
    return found

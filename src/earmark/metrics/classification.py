"""Counts of right and wrong answers, and the figures made of them. Pure numpy; held against scikit-learn by test.

Every function takes `counts`: how often each clip stands in each of `b` samples of the data, shape (b, n). None means
the data itself, once. It is what makes a bootstrap over groups one matrix product instead of a thousand loops.

Exclusive vocabularies speak in class indices (n,). Multilabel ones speak in truth and decision tables (n, tags) with a
mask (n, tags) of the pairs that are labelled: an unlabelled pair counts nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Tally:
    """Right and wrong answers per sample of the data and tag, each (b, tags), as counts of (clip, tag) pairs."""

    true_positive: Floats
    false_positive: Floats
    false_negative: Floats
    true_negative: Floats

    @property
    def support(self) -> Floats:
        """Positives in the data: (b, tags)."""
        return self.true_positive + self.false_negative

    @property
    def precision(self) -> Floats:
        """Of the clips given this tag, the part that has it; 0 where the tag was never given (as scikit-learn does)."""
        return _ratio(self.true_positive, self.true_positive + self.false_positive, empty=0.0)

    @property
    def recall(self) -> Floats:
        """Of the clips that have this tag, the part that was given it; 0 where no clip has it."""
        return _ratio(self.true_positive, self.support, empty=0.0)

    @property
    def specificity(self) -> Floats:
        """Of the clips without this tag, the part that was not given it; NaN where every clip has it."""
        return _ratio(self.true_negative, self.true_negative + self.false_positive)

    @property
    def f1(self) -> Floats:
        """Harmonic mean of precision and recall; 0 where the tag is neither in the data nor ever given."""
        return _ratio(
            2 * self.true_positive, 2 * self.true_positive + self.false_positive + self.false_negative, empty=0.0
        )

    @property
    def occurs(self) -> Bools:
        """Tags that are in the data or were given at least once: (b, tags). The macro means run over these."""
        return (self.support + self.false_positive) > 0


def tally_exclusive(true: Ints, predicted: Ints, n_classes: int, counts: Floats | None = None) -> Tally:
    """Tally of class indices `true` and `predicted`, both (n,) in 0..n_classes-1."""
    counts = _counts(counts, len(true))
    truth = np.eye(n_classes)[true]
    decision = np.eye(n_classes)[predicted]
    return _tally(truth, decision, None, counts)


def tally_multilabel(truth: Bools, decision: Bools, mask: Bools | None = None, counts: Floats | None = None) -> Tally:
    """Tally of `truth` and `decision`, both (n, tags); pairs outside `mask` count nowhere."""
    counts = _counts(counts, len(truth))
    return _tally(truth.astype(np.float64), decision.astype(np.float64), mask, counts)


def _tally(truth: Floats, decision: Floats, mask: Bools | None, counts: Floats) -> Tally:
    labelled = np.ones_like(truth) if mask is None else mask.astype(np.float64)
    true_positive = counts @ (truth * decision * labelled)
    positives = counts @ (truth * labelled)
    given = counts @ (decision * labelled)
    total = counts @ labelled
    return Tally(
        true_positive=true_positive,
        false_positive=given - true_positive,
        false_negative=positives - true_positive,
        true_negative=total - positives - given + true_positive,
    )


def confusion_matrix(true: Ints, predicted: Ints, n_classes: int) -> Ints:
    """(n_classes, n_classes): row = true class, column = predicted class."""
    flat = np.bincount(true * n_classes + predicted, minlength=n_classes * n_classes)
    return flat.reshape(n_classes, n_classes).astype(np.int64)


def accuracy(true: Ints, predicted: Ints, counts: Floats | None = None) -> Floats:
    """The part of the clips given the right class: (b,); NaN where a sample holds no clip."""
    counts = _counts(counts, len(true))
    return _ratio(counts @ (true == predicted).astype(np.float64), counts.sum(axis=1))


def subset_accuracy(truth: Bools, decision: Bools, mask: Bools | None = None, counts: Floats | None = None) -> Floats:
    """The part of the clips whose labelled tags are all decided right: (b,). Clips without labels are left out."""
    counts = _counts(counts, len(truth))
    labelled = np.ones_like(truth) if mask is None else mask
    right = ((truth == decision) | ~labelled).all(axis=1)
    counts_clips = counts * labelled.any(axis=1)
    return _ratio(counts_clips @ right.astype(np.float64), counts_clips.sum(axis=1))


def balanced_accuracy(tally: Tally, *, exclusive: bool) -> Floats:
    """Accuracy that owes nothing to class sizes: (b,).

    Exclusive: mean recall over the classes that are in the data. Multilabel: mean over the tags that have both
    positives and negatives of (recall + specificity) / 2. Other classes and tags are left out.
    """
    recall = _ratio(tally.true_positive, tally.support)
    if exclusive:
        return nan_mean(recall)
    return nan_mean((recall + tally.specificity) / 2)


def macro_f1(tally: Tally, in_data: Bools | None = None) -> Floats:
    """Mean F1 over the tags that are in the data or were given at least once (scikit-learn's default): (b,).

    Args:
        in_data: (tags,) True where the whole data has the tag. A resample that lost all its clips then leaves it out,
            where it would otherwise count as an F1 of 0 and drag the interval down.
    """
    lost = np.zeros_like(tally.occurs) if in_data is None else (tally.support == 0) & in_data
    return nan_mean(np.where(tally.occurs & ~lost, tally.f1, np.nan))


def micro_f1(tally: Tally) -> Floats:
    """F1 of all (clip, tag) pairs pooled: (b,)."""
    pooled = Tally(
        *(
            part.sum(axis=1, keepdims=True)
            for part in (tally.true_positive, tally.false_positive, tally.false_negative, tally.true_negative)
        )
    )
    return np.where(pooled.occurs, pooled.f1, np.nan)[:, 0]


def top_k_accuracy(true: Ints, scores: npt.NDArray[np.floating], k: int, counts: Floats | None = None) -> Floats:
    """The part of the clips whose true class is among the `k` best scored: (b,). Ties count against the true class."""
    own = np.take_along_axis(scores, true[:, None], axis=1)
    others_at_or_above = (scores >= own).sum(axis=1) - 1
    counts = _counts(counts, len(true))
    return _ratio(counts @ (others_at_or_above < k).astype(np.float64), counts.sum(axis=1))


def largest_confusions(confusion: Ints, n: int = 5) -> list[tuple[int, int, int]]:
    """The `n` largest off-diagonal cells as (true, predicted, clips), largest first; cells of 0 are left out."""
    off = confusion.copy()
    np.fill_diagonal(off, 0)
    order = np.argsort(-off, axis=None, kind="stable")[:n]
    cells = [(int(i // len(off)), int(i % len(off)), int(off.flat[i])) for i in order]
    return [cell for cell in cells if cell[2] > 0]


def nan_mean(values: Floats) -> Floats:
    """Mean along the last axis of the values that are not NaN; NaN (and no warning) where all are."""
    known = ~np.isnan(values)
    return _ratio(np.where(known, values, 0.0).sum(axis=-1), known.sum(axis=-1).astype(np.float64))


def _counts(counts: Floats | None, n: int) -> Floats:
    return np.ones((1, n)) if counts is None else counts


def _ratio(top: Floats, bottom: Floats, *, empty: float = np.nan) -> Floats:
    """top / bottom with `empty` where bottom is 0."""
    result = np.full(np.broadcast(top, bottom).shape, empty, dtype=np.float64)
    np.divide(top, bottom, out=result, where=bottom > 0)
    return result

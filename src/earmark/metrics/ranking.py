"""Figures that look at the order of the scores and need no threshold. Pure numpy; held against scikit-learn by test.

`counts` (b, n) is how often each clip stands in each of `b` samples of the data, as in `classification`; a tag with no
positive or no negative has no ROC-AUC, and one with no positive no average precision: those are NaN, and the macro
means leave them out.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from earmark.metrics.classification import Bools, Floats, nan_mean

Scores = npt.NDArray[np.floating]

_BLOCK = 4_000_000  # numbers in one (b, n) work array: at most 32 MB


def roc_auc(truth: Bools, scores: Scores, mask: Bools | None = None, counts: Floats | None = None) -> Floats:
    """Area under the ROC curve per tag: (b, tags). Tied scores count half.

    Args:
        truth: (n, tags), or (n,) for one tag.
        scores: same shape; any monotone scale.
        mask: same shape; pairs that are False count nowhere.
        counts: (b, n).
    """
    return roc_auc_and_average_precision(truth, scores, mask, counts)[0]


def average_precision(truth: Bools, scores: Scores, mask: Bools | None = None, counts: Floats | None = None) -> Floats:
    """Sum over thresholds of (recall step) x (precision), without interpolation, per tag: (b, tags).

    Tied scores form one threshold, as in scikit-learn's `average_precision_score`. Arguments as for `roc_auc`.
    """
    return roc_auc_and_average_precision(truth, scores, mask, counts)[1]


def roc_auc_and_average_precision(
    truth: Bools, scores: Scores, mask: Bools | None = None, counts: Floats | None = None
) -> tuple[Floats, Floats]:
    """Both at the cost of one: the clips are sorted once, and only the positives are looked at after that."""
    if truth.ndim == 1:
        truth, scores = truth[:, None], scores[:, None]
        mask = None if mask is None else mask[:, None]
    n, tags = truth.shape
    counts = np.ones((1, n)) if counts is None else counts
    auc = np.full((len(counts), tags), np.nan)
    precision = np.full((len(counts), tags), np.nan)
    step = max(1, _BLOCK // max(1, n))
    for tag in range(tags):
        rows = np.arange(n) if mask is None else np.flatnonzero(mask[:, tag])
        order = rows[np.argsort(-scores[rows, tag], kind="stable")]
        if not truth[order, tag].any():
            continue
        for start in range(0, len(counts), step):
            block = slice(start, start + step)
            auc[block, tag], precision[block, tag] = _one_tag(
                truth[order, tag], scores[order, tag], counts[block][:, order]
            )
    return auc, precision


def _one_tag(truth: Bools, scores: Scores, counts: Floats) -> tuple[Floats, Floats]:
    """ROC-AUC and average precision (b,) of clips sorted by falling score; `counts` (b, n) in the same order."""
    last_of_tie = np.flatnonzero(np.append(scores[1:] != scores[:-1], True))
    positives = np.flatnonzero(truth)
    tie = np.searchsorted(last_of_tie, positives)
    stop = last_of_tie[tie] + 1  # clips scored at or above each positive are order[:stop]
    start = np.append(0, last_of_tie + 1)[tie]  # clips scored above it are order[:start]

    above = np.concatenate([np.zeros((len(counts), 1)), np.cumsum(counts, axis=1)], axis=1)
    weight = counts[:, positives].astype(np.float64)
    true_above = np.concatenate([np.zeros((len(counts), 1)), np.cumsum(weight, axis=1)], axis=1)
    true_at_stop = true_above[:, np.searchsorted(positives, stop)]
    true_at_start = true_above[:, np.searchsorted(positives, start)]
    all_at_stop, all_at_start = above[:, stop], above[:, start]

    n_positive = weight.sum(axis=1)
    n_negative = above[:, -1] - n_positive
    false_at_stop, false_at_start = all_at_stop - true_at_stop, all_at_start - true_at_start
    won = (weight * (n_negative[:, None] - (false_at_stop + false_at_start) / 2)).sum(axis=1)
    auc = np.full(len(counts), np.nan)
    np.divide(won, n_positive * n_negative, out=auc, where=(n_positive > 0) & (n_negative > 0))

    step_precision = np.zeros_like(weight)
    np.divide(true_at_stop, all_at_stop, out=step_precision, where=all_at_stop > 0)
    precision = np.full(len(counts), np.nan)
    np.divide((weight * step_precision).sum(axis=1), n_positive, out=precision, where=n_positive > 0)
    return auc, precision


def macro(per_tag: Floats) -> Floats:
    """Mean over the tags that have a value: (b,)."""
    return nan_mean(per_tag)


def micro_roc_auc(truth: Bools, scores: Scores, mask: Bools | None = None) -> float:
    """ROC-AUC of all labelled (clip, tag) pairs pooled."""
    kept = np.ones_like(truth) if mask is None else mask
    return float(roc_auc(truth[kept], scores[kept])[0, 0])


def micro_average_precision(truth: Bools, scores: Scores, mask: Bools | None = None) -> float:
    """Average precision of all labelled (clip, tag) pairs pooled."""
    kept = np.ones_like(truth) if mask is None else mask
    return float(average_precision(truth[kept], scores[kept])[0, 0])


def lwlrap(truth: Bools, scores: Scores, mask: Bools | None = None, counts: Floats | None = None) -> Floats:
    """Label-weighted label-ranking average precision: (b,); NaN where no clip has a label.

    For each clip the labelled tags are ranked by score. Prec(clip, tag) of a true tag is the number of true tags
    ranked at or above it, divided by its rank; the figure is the mean over all (clip, true tag) pairs, so clips with
    no true tag are left out. Tied tags share the worst rank among them. Equals scikit-learn's
    `label_ranking_average_precision_score` with `sample_weight` = number of labels.

    Source: Fonseca et al., Audio tagging with noisy labels and minimal supervision, DCASE 2019.
    """
    labelled = np.ones_like(truth) if mask is None else mask
    true = truth & labelled
    sums = np.zeros(len(truth))
    for clip in np.flatnonzero(true.any(axis=1)):
        row, is_true = scores[clip], true[clip]
        everyone = np.sort(-row[labelled[clip]])
        relevant = np.sort(-row[is_true])
        own = -row[is_true]
        rank = np.searchsorted(everyone, own, side="right")
        true_at_or_above = np.searchsorted(relevant, own, side="right")
        sums[clip] = (true_at_or_above / rank).sum()
    counts = np.ones((1, len(truth))) if counts is None else counts
    pairs = counts @ true.sum(axis=1).astype(np.float64)
    result = np.full(len(counts), np.nan)
    np.divide(counts @ sums, pairs, out=result, where=pairs > 0)
    return result

"""The probability from which a tag counts as said: multilabel only (an exclusive vocabulary says its best tag)."""

from __future__ import annotations

import numpy as np

from earmark.metrics.classification import Bools, Floats

PRIOR_POSITIVES = 10.0  # a tag with this many positives is drawn half way to the common threshold


def best_f1_threshold(truth: Bools, probability: Floats) -> float:
    """The threshold t that maximises the F1 of `probability >= t`: both (n,).

    It lies midway between two neighbouring probabilities; of equally good ones the highest is taken, so a tag is not
    said without need. 0.5 where there is no positive.
    """
    if not truth.any():
        return 0.5
    order = np.argsort(-probability, kind="stable")
    p, y = probability[order], truth[order].astype(np.float64)
    last_of_tie = np.append(p[1:] != p[:-1], True)
    given = np.arange(1, len(p) + 1)
    f1 = np.where(last_of_tie, 2 * np.cumsum(y) / (given + y.sum()), -1.0)
    best = int(np.argmax(f1))
    below = p[best + 1] if best + 1 < len(p) else 0.0
    return float((p[best] + below) / 2)


def per_tag_thresholds(truth: Bools, probability: Floats, mask: Bools | None = None) -> tuple[float, ...]:
    """A threshold per tag, from (n, tags) truth and calibrated probabilities of validation clips.

    Each tag's best-F1 threshold is drawn towards the common one (best F1 over all labelled pairs) by
    PRIOR_POSITIVES / (positives + PRIOR_POSITIVES), because the best threshold of three positives is mostly luck.
    """
    labelled = np.ones_like(truth) if mask is None else mask
    if not labelled.any():
        return (0.5,) * int(truth.shape[1])
    common = best_f1_threshold(truth[labelled], probability[labelled])
    result: list[float] = []
    for tag in range(truth.shape[1]):
        rows = labelled[:, tag]
        positives = float(truth[rows, tag].sum())
        own = best_f1_threshold(truth[rows, tag], probability[rows, tag]) if positives else common
        result.append(float((positives * own + PRIOR_POSITIVES * common) / (positives + PRIOR_POSITIVES)))
    return tuple(result)

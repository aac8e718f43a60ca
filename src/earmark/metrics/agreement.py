"""How well people agree: Krippendorff's alpha and Cohen's kappa, for answers without an order. Pure numpy.

Alpha takes any number of people and answers that are missing, and is what a whole task is judged by; kappa compares two
series of answers, and is what one person is judged by against the consensus of the others.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from earmark.metrics.classification import Floats, Ints


def count_values(units: Ints, values: Ints, n_units: int, n_values: int) -> Ints:
    """How often each unit was given each value: (n_units, n_values).

    Args:
        units, values: one answer each, (m,), in 0..n_units-1 and 0..n_values-1; who answered does not matter.
    """
    flat = np.bincount(np.asarray(units) * n_values + np.asarray(values), minlength=n_units * n_values)
    return flat.reshape(n_units, n_values).astype(np.int64)


def krippendorff_alpha(counts: npt.NDArray[np.integer]) -> float:
    """Krippendorff's alpha for nominal data: 1 is full agreement, 0 what chance gives, below 0 worse than chance.

    1 - observed / expected disagreement. A unit that fewer than two people answered can be paired with nothing and
    counts nowhere, so answers may be missing.
    Source: K. Krippendorff, Computing Krippendorff's Alpha-Reliability, 2011, section C.

    Args:
        counts: (units, values), how many people gave each unit each value.

    Returns:
        NaN where no unit has two answers, and where all answers are one value: agreement on a thing that never varies
        says nothing of whether people could tell.
    """
    paired = np.asarray(counts, dtype=np.float64)
    answers = paired.sum(axis=1)
    paired, answers = paired[answers >= 2], answers[answers >= 2]
    totals = paired.sum(axis=0)
    n = totals.sum()
    expected = n * n - (totals * totals).sum()
    if expected == 0:  # no pair at all, or one value only
        return math.nan
    observed = ((answers * answers - (paired * paired).sum(axis=1)) / (answers - 1)).sum()
    return float(1 - (n - 1) * observed / expected)


def cohen_kappa(a: Ints, b: Ints, n_values: int) -> float:
    """Cohen's kappa of two series of answers to the same units: agreement beyond what their shares of values give.

    Source: J. Cohen, A coefficient of agreement for nominal scales, 1960.

    Args:
        a, b: (m,) in 0..n_values-1.

    Returns:
        -1 to 1; NaN where there is no unit, or where both use one and the same value only.
    """
    table: Floats = np.zeros((n_values, n_values))
    np.add.at(table, (np.asarray(a, dtype=np.int64), np.asarray(b, dtype=np.int64)), 1)
    n = table.sum()
    if n == 0:
        return math.nan
    chance = float((table.sum(axis=0) * table.sum(axis=1)).sum()) / (n * n)
    if chance == 1:
        return math.nan
    return float((np.trace(table) / n - chance) / (1 - chance))

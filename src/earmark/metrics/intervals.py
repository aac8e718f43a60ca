"""95 % intervals by bootstrap over groups.

Clips of one recording, artist or site are right and wrong together, so it is groups that are drawn again, never clips:
an interval over clips would be too narrow. Percentile bootstrap (Efron and Tibshirani, An Introduction to the
Bootstrap, 1993, chapter 13).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from earmark.metrics.classification import Floats

RESAMPLES = 1000
FEW_GROUPS = 10  # below this many groups the intervals are given but called unreliable


def group_counts(groups: Sequence[str], n_resamples: int = RESAMPLES, *, seed: int = 0) -> Floats:
    """How often each clip stands in each resample: (n_resamples, n) float32.

    As many groups as there are are drawn with replacement; every clip of a drawn group comes along.
    """
    return np.concatenate(list(group_counts_in_blocks(groups, n_resamples, seed=seed)))


def group_counts_in_blocks(
    groups: Sequence[str], n_resamples: int = RESAMPLES, *, seed: int = 0, numbers: int = 4_000_000
) -> Iterator[Floats]:
    """`group_counts` a few resamples at a time: at most `numbers` numbers in a block (but at least one resample)."""
    names, index = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=n_resamples)
    step = max(1, numbers // max(1, len(index)))
    for start in range(0, n_resamples, step):
        yield drawn[start : start + step].astype(np.float32)[:, index]


def n_groups(groups: Sequence[str]) -> int:
    return len(set(groups))


def interval(values: Floats, level: float = 0.95) -> tuple[float, float] | None:
    """The central `level` of a figure's values over the resamples.

    Resamples where the figure does not exist (NaN: a tag that lost all its positives) are left out; None where fewer
    than half are left, because the rest would be a chosen few.
    """
    known = values[~np.isnan(values)]
    if not len(values) or 2 * len(known) < len(values):
        return None
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def largest_error_rate(groups_without_error: int, level: float = 0.95) -> float:
    """The error rate that would show no error in this many independent groups with probability 1 - level.

    A bootstrap of answers that are all right gives [1, 1], which promises too much; this is the "rule of three".
    """
    return float(1 - (1 - level) ** (1 / groups_without_error))

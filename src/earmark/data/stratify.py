"""Dividing groups of clips among parts so that every part has its share of every label: pure numpy.

Iterative stratification (Sechidis, Tsoumakas, Vlahavas, "On the Stratification of Multi-Label Data", ECML PKDD 2011)
deals out examples, the rarest label first, each to the part that lacks that label most. Here whole groups are dealt
out, the largest first, and then moved and exchanged one at a time for as long as that brings the parts nearer to their
shares; of several such attempts the best is kept.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_ABSENT = 10.0  # what a part without a label it could have costs; shares alone cost less than 1 a part
_ATTEMPTS = 8
_WORK = 1_200  # groups looked at over all attempts; a large set balances well at the first
_EXCHANGES = 300  # up to so many groups pairs are exchanged too
_GOOD = 1e-4  # a cost below this is balance to within 1 % of the shares: no further attempt


def divide(label_counts: Floats, sizes: Floats, fractions: Floats, *, seed: int, ranked: bool) -> Ints:
    """The part of each group.

    Args:
        label_counts: (groups, labels), clips of each label in each group.
        sizes: (groups,), clips in each group.
        fractions: (parts,), what share of the clips each part should get; they sum to 1.
        ranked: the parts stand in the order of their claim on a label that has fewer groups than there are parts.

    Returns:
        (groups,) int64, 0 <= part < parts. The same arguments give the same answer.
    """
    rng = np.random.default_rng(seed)
    problem = _Problem(label_counts, sizes, fractions, ranked=ranked)
    attempts = max(1, min(_ATTEMPTS, _WORK // max(1, len(sizes))))
    best: Ints | None = None
    best_cost = np.inf
    for _ in range(attempts):
        parts = problem.deal(rng)
        problem.improve(parts, rng)
        cost = problem.cost(parts)
        if cost < best_cost - 1e-12:
            best, best_cost = parts, cost
        if best_cost < _GOOD:
            break
    assert best is not None
    return best


class _Problem:
    """What is to be divided, and what a division costs."""

    def __init__(self, label_counts: Floats, sizes: Floats, fractions: Floats, *, ranked: bool) -> None:
        groups, parts = len(sizes), len(fractions)
        occurs = label_counts.sum(axis=0) > 0
        # the number of clips is one more label, which every group has: last column
        self.counts: Floats = np.column_stack([label_counts[:, occurs], sizes]).astype(np.float64)
        totals = self.counts.sum(axis=0)
        self.want: Floats = fractions[:, None] * totals
        # squared distance to the share, relative to the share: 1 is a part that has nothing of a label
        labels = max(1, self.counts.shape[1] - 1)
        self.weight: Floats = 1.0 / np.maximum(self.want * totals, 1e-12)
        self.weight[:, :-1] /= labels
        n_groups = (self.counts > 0).sum(axis=0)
        rank = np.arange(parts)[:, None] if ranked else np.zeros((parts, 1))
        limit = n_groups if ranked else np.where(n_groups >= parts, 1, 0)
        self.required: npt.NDArray[np.bool_] = rank < limit
        self.required[:, -1] = groups >= parts

    def part_cost(self, have: Floats, part: int | slice) -> Floats:
        """Cost of parts that have `have` (..., labels) of each label."""
        share = (self.weight[part] * (have - self.want[part]) ** 2).sum(axis=-1)
        absent = (self.required[part] & (have < 0.5)).sum(axis=-1)
        return np.asarray(share + _ABSENT * absent, dtype=np.float64)

    def have(self, parts: Ints) -> Floats:
        have = np.zeros_like(self.want)
        np.add.at(have, parts, self.counts)
        return have

    def cost(self, parts: Ints) -> float:
        return float(self.part_cost(self.have(parts), slice(None)).sum())

    def deal(self, rng: np.random.Generator) -> Ints:
        """Iterative stratification over groups: the label with the fewest groups left first."""
        counts, labels = self.counts, self.counts.shape[1]
        parts = np.full(len(counts), -1, dtype=np.int64)
        lacking = self.want.copy()
        absent = self.required.copy()
        shuffled = rng.permutation(len(counts))
        while (parts < 0).any():
            left = ((counts > 0) & (parts < 0)[:, None]).sum(axis=0)
            left[-1] = len(counts) + 1 if left[:-1].any() else left[-1]  # the clip count itself comes last
            label = int(np.where(left > 0, left, np.iinfo(np.int64).max).argmin())
            waiting = [g for g in shuffled if parts[g] < 0 and counts[g, label] > 0]
            waiting.sort(key=lambda g: -counts[g, label])
            for taken, g in enumerate(waiting):
                need = lacking[:, label].copy()
                bare = absent[:, label]
                if bare.any() and bare.sum() >= len(waiting) - taken:
                    need[~bare] = -np.inf  # the last groups go where the label would be absent otherwise
                best = np.flatnonzero(need >= need.max() - 1e-9)
                if len(best) > 1:
                    room = lacking[best, labels - 1]
                    best = best[room >= room.max() - 1e-9]
                part = int(best[rng.integers(len(best))])
                parts[g] = part
                lacking[part] -= counts[g]
                absent[part] &= counts[g] == 0
        return parts

    def improve(self, parts: Ints, rng: np.random.Generator) -> None:
        """Move single groups, then exchange pairs, while that lowers the cost; in place."""
        have = self.have(parts)
        for _ in range(20):
            moved = self._moves(parts, have, rng)
            if not moved and not (len(parts) <= _EXCHANGES and self._exchanges(parts, have, rng)):
                return

    def _moves(self, parts: Ints, have: Floats, rng: np.random.Generator) -> bool:
        moved = False
        cost = self.part_cost(have, slice(None))
        for g in rng.permutation(len(parts)):
            source, c = int(parts[g]), self.counts[g]
            joined = self.part_cost(have + c, slice(None))
            gain = cost + cost[source] - joined - float(self.part_cost(have[source] - c, source))
            gain[source] = 0.0
            target = int(gain.argmax())
            if gain[target] > 1e-9:
                parts[g], moved = target, True
                have[source] -= c
                have[target] += c
                cost = self.part_cost(have, slice(None))
        return moved

    def _exchanges(self, parts: Ints, have: Floats, rng: np.random.Generator) -> bool:
        moved = False
        for g in rng.permutation(len(parts)):
            source = int(parts[g])
            before = self.part_cost(have, slice(None))
            delta = self.counts - self.counts[g]  # what `source` gains by each exchange
            mine = before[source] - self.part_cost(have[source] + delta, source)
            theirs = before[parts] - self._each_cost(have[parts] - delta, parts)
            gain = np.where(parts == source, 0.0, mine + theirs)
            other = int(gain.argmax())
            if gain[other] > 1e-9:
                target = int(parts[other])
                have[source] += delta[other]
                have[target] -= delta[other]
                parts[g], parts[other], moved = target, source, True
        return moved

    def _each_cost(self, have: Floats, parts: Ints) -> Floats:
        share = (self.weight[parts] * (have - self.want[parts]) ** 2).sum(axis=-1)
        absent = (self.required[parts] & (have < 0.5)).sum(axis=-1)
        return np.asarray(share + _ABSENT * absent, dtype=np.float64)

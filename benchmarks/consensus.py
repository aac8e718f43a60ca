"""What the consensus is worth when some people answer at random, or always wrongly on purpose.

Simulated: 20 people label 1000 clips as foreground, background or absent (25, 25 and 50 %). Each honest person is right
on a share of clips of their own, 85 to 98 %, and else names one of the other values. Clips go to `overlap` people at
random. 30 % of the people answer by a die (all values alike), or 10 % are hostile: wrong on every clip. One clip in
twenty is gold: its answer is known, so it teaches who is reliable; it is not judged. Every seed draws people, clips and
answers anew, and each bad crowd is compared with the same crowd in which everybody is honest.

Each overlap is reckoned in three ways: by majority, by Dawid-Skene with everybody's answers, and as the catalog does
it: people whom its rule (`earmark.catalog.trust`, the same code) finds no better than chance carry no weight, and the
places of their answers are given to others (`earmark catalog queue --reopen`), until every clip has its overlap of
answers that count. How many honest people the rule sets aside, and how many bad ones it does not, is kept beside.

    python -m benchmarks.consensus
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from benchmarks.harness import ROOT, Figure, finish
from earmark.catalog.consensus import Answers, Method, believe, dawid_skene
from earmark.catalog.trust import Tag, judge, of_people

Crowd = Literal["honest", "random", "hostile"]

N_CLIPS, N_PEOPLE, N_VALUES = 1000, 20, 3
SHARES = (0.25, 0.25, 0.5)
HONEST = (0.85, 0.98)
GOLD = 0.05
BAD: dict[Crowd, float] = {"honest": 0.0, "random": 0.3, "hostile": 0.1}
SEEDS = 100
PICTURE = ROOT / "docs" / "images" / "consensus.svg"


@dataclass(frozen=True)
class Labelling:
    """One simulated round: who would say what, and what is true. `said` is (clips, people), value indices."""

    true: npt.NDArray[np.int64]
    said: npt.NDArray[np.int64]
    order: npt.NDArray[np.int64]  # (clips, people): whom the queue asks first
    gold: npt.NDArray[np.bool_]
    bad: npt.NDArray[np.bool_]

    @property
    def known(self) -> npt.NDArray[np.int64]:
        return np.where(self.gold, self.true, -1)


def draw(seed: int, crowd: Crowd) -> Labelling:
    """People, clips and all the answers that could be given; crowds of one seed differ in the bad people alone."""
    rng = np.random.default_rng(seed)
    true = rng.choice(N_VALUES, N_CLIPS, p=SHARES)
    skill = rng.uniform(*HONEST, N_PEOPLE)
    order = rng.random((N_CLIPS, N_PEOPLE)).argsort(axis=1)
    gold = rng.random(N_CLIPS) < GOLD
    wrong = (true[:, None] + rng.integers(1, N_VALUES, (N_CLIPS, N_PEOPLE))) % N_VALUES
    said = np.where(rng.random((N_CLIPS, N_PEOPLE)) < skill, true[:, None], wrong)
    bad = rng.permutation(N_PEOPLE)[: round(BAD[crowd] * N_PEOPLE)]
    dice = rng.integers(0, N_VALUES, (N_CLIPS, N_PEOPLE))
    said[:, bad] = (dice if crowd == "random" else wrong)[:, bad]
    return Labelling(true, said, order, gold, np.isin(np.arange(N_PEOPLE), bad))


def answers(labelling: Labelling, overlap: int, aside: npt.NDArray[np.bool_] | None = None) -> Answers:
    """What the queue gathers, clip by clip: people are asked in its order until `overlap` of them count.

    Who was asked before they were set aside has answered; that answer stays, and takes no place.
    """
    out = np.zeros(N_PEOPLE, dtype=bool) if aside is None else aside
    counts = ~out[labelling.order]
    first = np.arange(N_PEOPLE)[None, :] < overlap
    asked = first | (counts & (np.cumsum(counts, axis=1) <= overlap))
    clips, place = np.nonzero(asked)
    people = labelling.order[clips, place]
    return Answers(clips, people, labelling.said[clips, people], N_CLIPS, N_PEOPLE, N_VALUES)


def accuracy(labelling: Labelling, overlap: int, method: Method) -> float:
    """Share of the clips that are not gold whose consensus is right."""
    return _right(labelling, believe(answers(labelling, overlap), method, labelling.known).best)


@dataclass(frozen=True)
class Trusted:
    """accuracy; again: share of labels given again; honest_out, bad_in: people whom the rule mistakes."""

    accuracy: float
    again: float
    honest_out: int
    bad_in: int


def accuracy_trusted(labelling: Labelling, overlap: int) -> Trusted:
    """As the catalog does it, once its queue is empty."""
    aside = np.zeros(N_PEOPLE, dtype=bool)
    while True:
        given = answers(labelling, overlap, aside)
        found = judge([Tag(given, labelling.known)], N_PEOPLE).aside
        if not (found & ~aside).any():
            break
        aside |= found
    right = _right(labelling, dawid_skene(of_people(given, ~aside), labelling.known).best)
    again = (len(given.values) - N_CLIPS * overlap) / (N_CLIPS * overlap)
    return Trusted(right, again, int((aside & ~labelling.bad).sum()), int((labelling.bad & ~aside).sum()))


def _right(labelling: Labelling, best: npt.NDArray[np.int64]) -> float:
    return float((best == labelling.true)[~labelling.gold].mean())


Way: TypeAlias = Literal["majority", "dawid-skene", "trusted"]


def falls(crowd: Crowd, overlap: int, way: Way, seeds: int) -> npt.NDArray[np.float64]:
    """(seeds, 2): accuracy of the honest crowd and of this one, in per cent."""
    rows = []
    for seed in range(seeds):
        both = draw(seed, "honest"), draw(seed, crowd)
        if way == "trusted":
            rows.append([accuracy_trusted(one, overlap).accuracy for one in both])
        else:
            rows.append([accuracy(one, overlap, way) for one in both])
    return 100 * np.array(rows)


def mistakes(crowd: Crowd, overlap: int, seeds: int) -> dict[str, float]:
    """Over all seeds: share of honest people set aside, of bad ones who were not, and of labels given again."""
    found = [accuracy_trusted(draw(seed, crowd), overlap) for seed in range(seeds)]
    n_bad = round(BAD[crowd] * N_PEOPLE)
    return {
        "honest_set_aside": sum(one.honest_out for one in found) / (seeds * (N_PEOPLE - n_bad)),
        "bad_not_found": sum(one.bad_in for one in found) / (seeds * n_bad) if n_bad else 0.0,
        "labels_given_again": sum(one.again for one in found) / seeds,
    }


def main() -> None:
    figures, table = [], []
    ways: tuple[Way, ...] = ("majority", "dawid-skene", "trusted")
    crowds: tuple[tuple[Crowd, float], ...] = (("random", 2.0), ("hostile", 1.0))
    for overlap in (2, 3, 5, 7):
        for way in ways:
            for crowd, limit in crowds:
                pairs = falls(crowd, overlap, way, SEEDS)
                fall = pairs[:, 0] - pairs[:, 1]
                low, high = np.quantile(fall, [0.025, 0.975])
                row = {"overlap": overlap, "method": way, "crowd": crowd, "honest": pairs[:, 0].mean()}
                row |= {"accuracy": pairs[:, 1].mean(), "fall": fall.mean(), "low": low, "high": high}
                table.append(row)
                if way == "trusted" and overlap <= 5:
                    name = f"consensus-fall-{crowd}-overlap-{overlap}"
                    note = f"95 % of seeds {low:.2f} to {high:.2f}; honest {pairs[:, 0].mean():.2f} %"
                    figures.append(Figure(name, float(fall.mean()), limit, "lower", " points", note))
    all_crowds: tuple[Crowd, ...] = ("honest", "random", "hostile")
    rule = {
        f"{crowd}, overlap {overlap}": mistakes(crowd, overlap, SEEDS) for crowd in all_crowds for overlap in (2, 3, 5)
    }
    worst = max(one["honest_set_aside"] for one in rule.values())
    figures.append(Figure("consensus-honest-set-aside", 100 * worst, 1.0, "lower", " %", "the worst of nine cases"))
    _draw(table)
    finish(
        "consensus",
        figures,
        baseline="the same people, clips and overlap with everybody honest",
        extra={"seeds": SEEDS, "table": table, "rule": rule},
    )


def _draw(table: list[dict[str, Any]]) -> None:
    """Accuracy against overlap, a panel a crowd."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "consensus"
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(9, 3.4), sharey=True)
    titles = {"random": "30 % of people answer at random", "hostile": "10 % of people are hostile"}
    for panel, (crowd, title) in zip(panels, titles.items(), strict=True):
        for method, label in (
            ("majority", "majority"),
            ("dawid-skene", "Dawid-Skene"),
            ("trusted", "the catalog: who is no better than chance set aside"),
        ):
            rows = [row for row in table if row["method"] == method and row["crowd"] == crowd]
            panel.plot([row["overlap"] for row in rows], [row["accuracy"] for row in rows], marker="o", label=label)
        rows = [row for row in table if row["method"] == "dawid-skene" and row["crowd"] == crowd]
        panel.plot(
            [row["overlap"] for row in rows],
            [row["honest"] for row in rows],
            color="black",
            linestyle=":",
            label="Dawid-Skene, everybody honest",
        )
        panel.set_title(title, fontsize=10)
        panel.set_xlabel("overlap: people a clip")
        panel.set_xticks([2, 3, 5, 7])
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("consensus accuracy (%)")
    panels[1].legend(fontsize=8, loc="lower right")
    figure.tight_layout()
    figure.savefig(PICTURE, metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    main()

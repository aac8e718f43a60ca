"""What the consensus is worth when some people answer at random, or always wrongly on purpose.

Simulated: 20 people label 1000 clips as foreground, background or absent (25, 25 and 50 %). Each honest person is right
on a share of clips of their own, 85 to 98 %, and else names one of the other values. Clips go to `overlap` people at
random. 30 % of the people answer by a die (all values alike), or 10 % are hostile: wrong on every clip. One clip in
twenty is gold: its answer is known, so it teaches who is reliable; it is not judged. Every seed draws people, clips and
answers anew, and each bad crowd is compared with the same crowd in which everybody is honest.

"Set aside" is what an admin does with people who prove to know nothing: their answers are dropped, and their places
given to others, who answer until every clip has its overlap again.

    python -m benchmarks.consensus
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from benchmarks.harness import ROOT, Figure, finish
from earmark.catalog.consensus import Answers, Method, believe, dawid_skene, unskilled

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
    return Labelling(true, said, order, gold)


def answers(labelling: Labelling, overlap: int, aside: npt.NDArray[np.bool_] | None = None) -> Answers:
    """The first `overlap` people of each clip's order who are not set aside."""
    out = np.zeros(N_PEOPLE, dtype=bool) if aside is None else aside
    may = ~out[labelling.order]
    asked = may & (np.cumsum(may, axis=1) <= overlap)
    clips, place = np.nonzero(asked)
    people = labelling.order[clips, place]
    return Answers(clips, people, labelling.said[clips, people], N_CLIPS, N_PEOPLE, N_VALUES)


def accuracy(labelling: Labelling, overlap: int, method: Method) -> float:
    """Share of the clips that are not gold whose consensus is right."""
    return _right(labelling, believe(answers(labelling, overlap), method, labelling.known).best)


def accuracy_set_aside(labelling: Labelling, overlap: int) -> tuple[float, float]:
    """As `accuracy` by Dawid-Skene once the unskilled are set aside; and the share of labels given again for it."""
    aside = np.zeros(N_PEOPLE, dtype=bool)
    dropped = 0
    while True:
        given = answers(labelling, overlap, aside)
        beliefs = dawid_skene(given, labelling.known)
        found = unskilled(given, beliefs) & ~aside
        if not found.any():
            return _right(labelling, beliefs.best), dropped / (N_CLIPS * overlap)
        dropped += int(found[given.annotators].sum())
        aside |= found


def _right(labelling: Labelling, best: npt.NDArray[np.int64]) -> float:
    return float((best == labelling.true)[~labelling.gold].mean())


def falls(crowd: Crowd, overlap: int, method: Method | Literal["set aside"], seeds: int) -> npt.NDArray[np.float64]:
    """(seeds, 2): accuracy of the honest crowd and of this one, in per cent."""
    rows = []
    for seed in range(seeds):
        good, bad = draw(seed, "honest"), draw(seed, crowd)
        if method == "set aside":
            pair = accuracy_set_aside(good, overlap)[0], accuracy_set_aside(bad, overlap)[0]
        else:
            pair = accuracy(good, overlap, method), accuracy(bad, overlap, method)
        rows.append(pair)
    return 100 * np.array(rows)


def main() -> None:
    figures, table = [], []
    for overlap in (2, 3, 5, 7):
        for method in ("majority", "dawid-skene", "set aside"):
            for crowd, limit in (("random", 2.0), ("hostile", 1.0)):
                pairs = falls(crowd, overlap, method, SEEDS)  # type: ignore[arg-type]
                fall = pairs[:, 0] - pairs[:, 1]
                low, high = np.quantile(fall, [0.025, 0.975])
                row = {"overlap": overlap, "method": method, "crowd": crowd, "honest": pairs[:, 0].mean()}
                row |= {"accuracy": pairs[:, 1].mean(), "fall": fall.mean(), "low": low, "high": high}
                table.append(row)
                if (method, overlap) in (("dawid-skene", 5), ("set aside", 2), ("set aside", 3)):
                    name = f"consensus-fall-{crowd}-{'aside-' if method == 'set aside' else ''}overlap-{overlap}"
                    note = f"95 % of seeds {low:.2f} to {high:.2f}; honest {pairs[:, 0].mean():.2f} %"
                    figures.append(Figure(name, float(fall.mean()), limit, "lower", " points", note))
    again = np.mean([accuracy_set_aside(draw(seed, "random"), 2)[1] for seed in range(SEEDS)])
    _draw(table)
    finish(
        "consensus",
        figures,
        baseline="the same people, clips and overlap with everybody honest",
        extra={"seeds": SEEDS, "table": table, "labels_given_again_at_overlap_2": again},
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
            ("set aside", "Dawid-Skene, the unskilled set aside"),
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

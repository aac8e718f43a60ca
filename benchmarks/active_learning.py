"""How many labels a queue by uncertainty saves, against one in random order, for the same accuracy.

Notes of nine instruments and recordings of ten (sax or not) are added to a catalog. A simulated labeller who is always
right answers what the queue hands out, in rounds; after each round a model is trained on what is labelled
(`catalog:sax`), judged on clips that are never labelled, and, for uncertainty, asked to order the queue. The first
round is random in both. Every seed draws the test clips by note or recording, the first labels and the nets anew.

    python -m benchmarks.active_learning [--seeds N]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.harness import ROOT, WORK, Figure, data_dir, finish
from earmark.settings import keep_freed_memory, limit_native_threads

limit_native_threads()
keep_freed_memory()

FOLDERS = ("notes", "instruments")
NOTE = r"^([a-z_]+_[A-G]s?\d)_"  # the note's recordings at several loudnesses and lengths stay together
SEEDS = 6
LABELS = (24, 40, 60, 90, 130, 190)
STEPS = 240  # of training, the same for every round
TEST = 0.4
WHERE = "sax=present vs absent"
POLICIES = ("random", "uncertainty")
PICTURE = ROOT / "docs" / "images" / "active-learning.svg"
FOLDER = WORK / "active_learning"


def labelled(policy: str, seed: int) -> list[float]:
    """Balanced accuracy after each round; kept, so that a run that is stopped goes on where it was."""
    from earmark.catalog.adding import add
    from earmark.catalog.database import Workspace
    from earmark.catalog.ordering import set_policy
    from earmark.catalog.people import add_person
    from earmark.catalog.tasks import add_clips_to_task, new_task
    from earmark.tagging.tagger import load
    from earmark.tagging.uncertainty import score_queue

    kept = FOLDER / f"{policy}-{seed}.json"
    if kept.exists():
        found: list[float] = json.loads(kept.read_text(encoding="utf-8"))
        return found
    place = FOLDER / f"{policy}-{seed}"
    shutil.rmtree(place, ignore_errors=True)
    workspace = Workspace.init(place)
    accuracy = []
    with workspace.catalog() as catalog:
        folders = [data_dir() / name for name in FOLDERS]
        add(workspace, catalog, folders, group_by=[NOTE], workers=2, timeout_s=60)
        pool, test = _parted(catalog, seed)
        labeller = add_person(catalog, "labeller", role="annotator")
        for task, clips in (("sax", pool), ("judge", test)):
            new_task(catalog, task, ["sax"], overlap=1, policy="random", seed=seed)
            add_clips_to_task(catalog, task, clips)
        _answer(catalog, "judge", labeller.id, len(test))
        done = 0
        for labels in LABELS:
            _answer(catalog, "sax", labeller.id, labels - done)
            done = labels
            model = _train(place, f"{labels}", labels, seed)
            accuracy.append(_judge(place, model))
            if policy == "uncertainty":
                score_queue(workspace, catalog, "sax", load(model), workers=2, timeout_s=60)
                set_policy(catalog, "sax", "uncertainty")
            shutil.rmtree(model)
            print(f"{policy} {seed}: {labels} labels {accuracy[-1]:.3f}", flush=True)
    kept.write_text(json.dumps(accuracy), encoding="utf-8")
    shutil.rmtree(place)
    return accuracy


def _is_sax(uri: str) -> bool:
    return Path(uri).parent.name.lower() == "saxophone"


def _parted(catalog: Any, seed: int) -> tuple[list[int], list[int]]:
    """Clips to label, and clips to judge by: whole groups, a share of sax and of the rest each."""
    import sqlalchemy as sa

    from earmark.catalog.tables import Clip, Recording

    query = sa.select(Clip.id, Recording.uri, sa.func.coalesce(Recording.group_name, Recording.uri))
    with catalog.read() as connection:
        rows = connection.execute(query.join(Recording, Clip.recording_id == Recording.id).order_by(Clip.id)).all()
    rng = random.Random(seed)
    test: set[str] = set()
    for sax in (True, False):
        groups = sorted({group for _, uri, group in rows if _is_sax(uri) == sax})
        test |= set(rng.sample(groups, round(TEST * len(groups))))
    return [clip for clip, _, group in rows if group not in test], [clip for clip, _, group in rows if group in test]


def _answer(catalog: Any, task: str, person: int, count: int) -> None:
    """The next clips of the queue, answered as their folders say."""
    from earmark.catalog.labelling import submit
    from earmark.catalog.queueing import next_clips

    for _ in range(count):
        (held,) = next_clips(catalog, task, person)
        value = "present" if _is_sax(held.uri) else "absent"
        submit(catalog, held.token, {"sax": value}, annotator_id=person)


def _train(place: Path, name: str, labels: int, seed: int) -> Path:
    from earmark.recipes import load_recipe
    from earmark.training.run import train

    recipe = load_recipe(
        "small-cnn",
        [
            f"training.epochs={max(1, STEPS // max(1, labels // 16))}",
            "training.batch_size=16",
            f"training.seed={seed}",
            "model.members=1",
            "guards.overfit_one_batch=false",
            "split.val=0.0",
            "split.test=0.0",
        ],
    )
    return _in(place, lambda: train(Path(f"catalog:sax?{WHERE}"), place / name, recipe=recipe).out)


def _judge(place: Path, model: Path) -> float:
    from earmark.evaluation.run import evaluate_model

    judged, _ = _in(place, lambda: evaluate_model(model, Path(f"catalog:judge?{WHERE}")))
    return float(judged.evaluation.metrics["balanced_accuracy"])


def _in(folder: Path, work: Any) -> Any:
    here = Path.cwd()
    os.chdir(folder)  # a task is that of the workspace one is in
    try:
        return work()
    finally:
        os.chdir(here)


def needed(curve: npt.NDArray[np.float64], accuracy: float) -> float:
    """Labels after which a curve first reaches an accuracy, by straight lines; the last number where it never does."""
    best = np.maximum.accumulate(curve)
    if best[0] >= accuracy:
        return float(LABELS[0])
    for left in range(len(LABELS) - 1):
        if best[left + 1] >= accuracy:
            share = (accuracy - best[left]) / (best[left + 1] - best[left])
            return float(LABELS[left] + share * (LABELS[left + 1] - LABELS[left]))
    return float(LABELS[-1])


def saved(curves: dict[str, npt.NDArray[np.float64]], chosen: Sequence[int]) -> float:
    """The share of labels saved at the accuracy that random order has in the end; mean curves of some seeds."""
    mean = {policy: curves[policy][list(chosen)].mean(axis=0) for policy in POLICIES}
    accuracy = float(mean["random"].max())
    return 1.0 - needed(mean["uncertainty"], accuracy) / needed(mean["random"], accuracy)


def draw(curves: dict[str, npt.NDArray[np.float64]]) -> None:
    import matplotlib.pyplot as plt

    plt.rcParams["svg.hashsalt"] = "earmark"
    figure, axes = plt.subplots(figsize=(6, 3.4), layout="constrained")
    for policy, colour in zip(POLICIES, ("#8a8d91", "#0b6e6e"), strict=True):
        mean, deviation = curves[policy].mean(axis=0), curves[policy].std(axis=0, ddof=1)
        half = 1.96 * deviation / np.sqrt(len(curves[policy]))
        axes.fill_between(LABELS, mean - half, mean + half, color=colour, alpha=0.18, lw=0)
        axes.plot(LABELS, mean, color=colour, marker="o", label=policy)
    axes.set_xlabel("labels")
    axes.set_ylabel("balanced accuracy, sax or not")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    figure.savefig(PICTURE, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    seeds = range(parser.parse_args().seeds)
    FOLDER.mkdir(parents=True, exist_ok=True)
    curves = {policy: np.array([labelled(policy, seed) for seed in seeds]) for policy in POLICIES}
    draw(curves)
    rng = np.random.default_rng(0)
    drawn = [saved(curves, rng.integers(0, len(seeds), len(seeds)).tolist()) for _ in range(2000)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    ends = {policy: curves[policy][:, -1].mean() for policy in POLICIES}
    note = f"95 % {low:.2f} to {high:.2f} over {len(seeds)} seeds; at {LABELS[-1]} labels random {ends['random']:.3f}, "
    finish(
        "active_learning",
        [
            Figure(
                "labels-saved",
                saved(curves, list(seeds)),
                0.0,
                "higher",
                note=note + f"uncertainty {ends['uncertainty']:.3f}",
            )
        ],
        baseline="the same clips, labeller and training, queue in random order",
        extra={"labels": LABELS, "curves": {policy: curve.tolist() for policy, curve in curves.items()}},
    )


if __name__ == "__main__":
    main()

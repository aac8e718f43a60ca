"""Training speed: `earmark train` against a plain loop with a DataLoader over compressed .npz pictures in float32.

The same net, the same clips, the same batch size. Ours computes the front end and its augmentation anew for every
batch; the plain loop loads finished pictures and augments nothing. Two nets: the default, which was drawn to be cheap,
and four plain convolutions on large pictures, as the published classifiers have them.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.harness import ROOT, Figure, data_dir, finish
from earmark.settings import keep_freed_memory, limit_native_threads, load_settings

limit_native_threads()
keep_freed_memory()

import numpy as np  # noqa: E402 - the thread pools read the environment when they are imported
import torch  # noqa: E402
from torch.utils.data import DataLoader, Dataset  # noqa: E402

from earmark.models import build  # noqa: E402
from earmark.recipes import Recipe, load_recipe  # noqa: E402
from earmark.training.device import choose_device  # noqa: E402
from earmark.training.feeding import Task, clip_batches  # noqa: E402
from earmark.training.fit import fit, fitted_front_end  # noqa: E402
from earmark.training.plan import Plan, make_plan  # noqa: E402

ROUNDS = 5
TARGET = 3.0


class Pictures(Dataset[tuple[torch.Tensor, int]]):
    """A picture a file, as the published systems keep them."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        with np.load(self.paths[i]) as found:
            return torch.from_numpy(found["mel"]), int(found["label"])


def write_pictures(plan: Plan, rows: np.ndarray, folder: Path) -> list[Path]:
    task = Task(plan.prepared, rows, rows[:0], plan.recipe, 0, folder)
    front_end = fitted_front_end(task)
    batches = clip_batches(plan.prepared, plan.recipe)
    paths = []
    for row in rows:
        picture = front_end(torch.from_numpy(batches.crops(np.array([row]), np.random.default_rng(0))))[0].numpy()
        paths.append(folder / f"{row}.npz")
        np.savez_compressed(paths[-1], mel=picture, label=plan.manifest.class_indices()[row])
    return paths


def plain_loop(paths: list[Path], recipe: Recipe, n_tags: int, workers: int) -> float:
    """Clips a second of one epoch, after a warm-up batch."""
    torch.manual_seed(0)
    chosen, shape = recipe.model, recipe.front_end.shape()
    net = build(chosen.name, chosen.arguments, n_tags=n_tags, shape=shape, members=chosen.members)
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3)
    loader = DataLoader(Pictures(paths), recipe.training.batch_size, shuffle=True, drop_last=True, num_workers=workers)
    started, clips = 0.0, 0
    for number, (pictures, labels) in enumerate(loader):
        if number == 1:
            started = time.perf_counter()
        logits = net(pictures)[0].reshape(-1, n_tags)  # of all members, one after another
        loss = torch.nn.functional.cross_entropy(logits, labels.repeat(chosen.members))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        clips += len(labels) if number else 0
    return clips / (time.perf_counter() - started)


def ours(plan: Plan, rows: np.ndarray, recipe: Recipe, folder: Path) -> float:
    """Clips a second of the second epoch of a real training."""
    task = Task(plan.prepared, rows, rows[:0], recipe, 0, folder)
    return fit(task, choose_device("cpu", recipe.training.precision)).clips_per_s


def compare(name: str, recipe: Recipe) -> tuple[Figure, dict[str, list[float]]]:
    """One recipe's figure, and every round of each side in clips a second."""
    plan = make_plan(data_dir() / "esc10", recipe, settings=load_settings())
    rows = plan.rows("train")
    n_tags = len(plan.manifest.vocabulary)
    speeds: dict[str, list[float]] = {"plain, 0 workers": [], "plain, 2 workers": [], "ours": []}
    with tempfile.TemporaryDirectory() as folder:
        paths = write_pictures(plan, rows, Path(folder))
        for turn in range(ROUNDS):
            speeds["plain, 0 workers"].append(plain_loop(paths, plan.recipe, n_tags, 0))
            speeds["plain, 2 workers"].append(plain_loop(paths, plan.recipe, n_tags, 2))
            speeds["ours"].append(ours(plan, rows, plan.recipe, Path(folder) / f"run-{turn}"))
            told = ", ".join(f"{side} {values[-1]:.1f}" for side, values in speeds.items())
            print(f"{name}, round {turn + 1}: {told} clips/s", flush=True)
    mine = statistics.median(speeds["ours"])
    plain = max(statistics.median(values) for side, values in speeds.items() if side != "ours")
    note = f"{mine:.0f} against {plain:.0f} clips/s"
    return Figure(f"training-{name}", mine / plain, TARGET, "higher", unit="x", note=note), speeds


def main() -> None:
    short = ["training.epochs=2", "guards.overfit_one_batch=false"]
    # the published recipe as anybody would run it today: what the processor has, and batches as large as ours
    today = ["training.precision=auto", "training.batch_size=32"]
    recipes = {
        "default-net": load_recipe("small-cnn", short),
        "four-convolutions": load_recipe(str(ROOT / "benchmarks" / "recipes" / "genre-slices.yaml"), [*short, *today]),
    }
    found = {name: compare(name, recipe) for name, recipe in recipes.items()}
    finish(
        "training",
        [figure for figure, _ in found.values()],
        baseline="plain float32 loop, DataLoader over .npz with 0 or 2 workers, whichever is faster",
        extra={name: speeds for name, (_, speeds) in found.items()},
    )


if __name__ == "__main__":
    main()

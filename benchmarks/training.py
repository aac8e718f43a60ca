"""Training speed: `earmark train` against a plain loop with a DataLoader over compressed .npz pictures in float32.

The same net, the same clips, the same batch size. Ours computes the front end and its augmentation anew for every
batch; the plain loop loads finished pictures and augments nothing. Three nets: the default, which was drawn to be
cheap, and four convolutions of two published classifiers, narrow ones on large pictures and wide ones on small. Those
two are written here as torch's tutorials write them, layer after layer.
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
from torch import nn  # noqa: E402
from torch.utils.data import DataLoader, Dataset  # noqa: E402

from earmark.models import build  # noqa: E402
from earmark.recipes import Recipe, load_recipe  # noqa: E402
from earmark.training.device import choose_device  # noqa: E402
from earmark.training.feeding import Task, clip_batches  # noqa: E402
from earmark.training.fit import fit, fitted_front_end  # noqa: E402
from earmark.training.plan import Plan, make_plan  # noqa: E402

ROUNDS = 3
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


def plain_net(recipe: Recipe, n_tags: int) -> nn.Module:
    """The recipe's net, logits alone; the published ones layer by layer, with as many weights."""
    chosen, (channels, bands, frames) = recipe.model, recipe.front_end.shape()
    ours = build(chosen.name, chosen.arguments, n_tags=n_tags, shape=(channels, bands, frames), members=chosen.members)
    if chosen.name not in ("conv-flat", "conv-wide"):
        return ours
    wide = chosen.name == "conv-wide"
    widths, layers = chosen.arguments["widths"], list[nn.Module]()
    for place, width in enumerate(widths):
        pool = 3 if wide and place == len(widths) - 1 else 2
        bands, frames = bands // pool, frames // pool
        layers.append(nn.Conv2d(widths[place - 1] if place else channels, width, 3, padding=1))
        layers += [nn.BatchNorm2d(width)] if wide else []
        layers += [nn.ReLU(), nn.MaxPool2d(pool), nn.Dropout(chosen.arguments["dropout"])]
    hidden = chosen.arguments["hidden"]
    layers += [nn.Flatten(), nn.Linear(widths[-1] * bands * frames, hidden), nn.ReLU(), nn.Linear(hidden, n_tags)]
    net = nn.Sequential(*layers)
    assert sum(p.numel() for p in net.parameters()) == sum(p.numel() for p in ours.parameters())
    return net


def plain_loop(paths: list[Path], recipe: Recipe, n_tags: int, workers: int) -> float:
    """Clips a second of the second epoch."""
    torch.manual_seed(0)
    net = plain_net(recipe, n_tags)
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3)
    loader = DataLoader(Pictures(paths), recipe.training.batch_size, shuffle=True, drop_last=True, num_workers=workers)
    speed = 0.0
    for _ in range(2):
        started = time.perf_counter()
        for pictures, labels in loader:
            found = net(pictures)
            logits = (found[0] if isinstance(found, tuple) else found).reshape(-1, n_tags)  # one member after another
            loss = nn.functional.cross_entropy(logits, labels.repeat(recipe.model.members))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        speed = len(loader) * recipe.training.batch_size / (time.perf_counter() - started)
    return speed


def ours(plan: Plan, rows: np.ndarray, recipe: Recipe, folder: Path) -> float:
    """Clips a second of a real training's last epoch: the first touch memory that the others find again."""
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
    short = ["training.epochs=4", "guards.overfit_one_batch=false"]
    # the published recipe as anybody would run it today: what the processor has, and batches as large as ours
    today = ["training.precision=auto", "training.batch_size=32"]
    folder = ROOT / "benchmarks" / "recipes"
    recipes = {
        "default-net": load_recipe("small-cnn", short),
        "four-convolutions": load_recipe(str(folder / "genre-slices.yaml"), [*short, *today]),
        "four-wide-convolutions": load_recipe(str(folder / "wide-patches.yaml"), [*short, *today]),
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

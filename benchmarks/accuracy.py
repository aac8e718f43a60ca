"""Cross-validated accuracy of the default recipe and of two published ones, on real data sets.

Every recipe is judged by the same grouped folds and may train for at most six minutes a fold on two cores. The
published ones, whose handful of epochs was meant for sets of their own size, hear as many hours of sound as fit in
that. A run that is stopped goes on where it was; what is finished is kept in benchmarks/work/accuracy.

    python -m benchmarks.accuracy [SET ...] [--recipe NAME ...] [--again]
"""

from __future__ import annotations

import argparse
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness import ROOT, WORK, Figure, data_dir, finish
from earmark.recipes import Recipe, load_recipe, render_recipe
from earmark.settings import keep_freed_memory, limit_native_threads

limit_native_threads()
keep_freed_memory()

SECONDS_A_FOLD = 360.0


@dataclass(frozen=True)
class Set:
    """A data set, how it is grouped, how it is folded, and the accuracy to reach."""

    folder: str
    folds: int
    target: float
    group_by: tuple[str, ...] = ()


SETS = {
    "drone_car_speech": Set(
        "drone_car_speech",
        5,
        0.98,
        ("drone=^(B_S2_D1|Membo_0|Membo_1|Membo_2|extra_membo_D2)", r"car=(\d+)", r"speech=^(\d\d)"),
    ),
    "esc10": Set("esc10", 4, 0.94),
    "instruments": Set("instruments", 5, 0.90),
    "spoken_digits": Set("spoken_digits", 3, 0.90, (r"^\d_([a-z]+)_",)),
}

RECIPES = {
    "small-cnn": "small-cnn",
    "system-2": "drone-car-speech",
    "system-4": str(ROOT / "benchmarks" / "recipes" / "genre-slices.yaml"),
}


def source(chosen: Set) -> Path:
    """The folder; the digits, which lie flat with their labels in their names, by a manifest of ours."""
    folder = data_dir() / chosen.folder
    if chosen.folder != "spoken_digits":
        return folder
    table = WORK / "accuracy" / "spoken_digits.csv"
    table.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{path},{path.name[0]}" for path in sorted(folder.glob("*.wav"))]
    table.write_text("\n".join(["path,labels", *lines, ""]), encoding="utf-8")
    return table


# Hours of sound that a published recipe hears of a fold: well within SECONDS_A_FOLD on two cores.
HOURS = {"system-2": 40.0, "system-4": 12.0}


def recipe_of(name: str) -> Recipe:
    """The recipe; a published one with as many epochs as its hours hold."""
    if name not in HOURS:
        return load_recipe(RECIPES[name])
    return load_recipe(RECIPES[name], ["training.epochs=auto", f"training.audio_hours={HOURS[name]}"])


def run(name: str, recipe_name: str, *, again: bool) -> dict[str, Any]:
    """One recipe on one set: figures kept by the text of the recipe, so that a changed one is run anew."""
    from earmark.training.run import train

    chosen = SETS[name]
    recipe = recipe_of(recipe_name)
    key = hashlib.sha256(render_recipe(recipe).encode()).hexdigest()[:12]
    kept = WORK / "accuracy" / f"{name}-{recipe_name}-{key}.json"
    if kept.exists() and not again:
        found: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
        return found
    out = WORK / "accuracy" / f"{name}-{recipe_name}-{key}"
    out.parent.mkdir(parents=True, exist_ok=True)
    result = train(
        source(chosen),
        out,
        recipe=recipe,
        group_by=chosen.group_by,
        folds=chosen.folds,
        ensemble=False,
        fresh=again,
    )
    evaluation = result.evaluations["folds"].to_json()
    found = {
        "accuracy": evaluation["metrics"]["accuracy"],
        "interval": evaluation["intervals"]["accuracy"],
        "balanced_accuracy": evaluation["metrics"]["balanced_accuracy"],
        "macro_f1": evaluation["metrics"]["macro_f1"],
        "ece": evaluation["metrics"]["ece"],
        "folds": [metrics["accuracy"] for metrics in result.fold_metrics],
        "seconds": [round(fitted.seconds, 1) for fitted in result.fitted],
        "clips": evaluation["clips"],
        "groups": evaluation["groups"],
        "device": result.device,
        "notes": result.notes,
    }
    kept.write_text(json.dumps(found, indent=2), encoding="utf-8")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="*", default=list(SETS), metavar="SET", help=", ".join(SETS))
    parser.add_argument("--recipe", nargs="*", default=list(RECIPES), choices=RECIPES)
    parser.add_argument("--again", action="store_true", help="run anew what is finished")
    arguments = parser.parse_args()
    figures: list[Figure] = []
    table: dict[str, dict[str, Any]] = {}
    for name in arguments.sets:
        for recipe_name in arguments.recipe:
            found = run(name, recipe_name, again=arguments.again)
            table.setdefault(name, {})[recipe_name] = found
            low, high = found["interval"] or (float("nan"), float("nan"))
            by_fold = " ".join(f"{value:.3f}" for value in found["folds"])
            note = f"95 % {low:.3f}-{high:.3f} over {found['groups']} groups; by fold {by_fold}"
            print(f"{name:<18} {recipe_name:<10} {found['accuracy']:.4f}  {note}", flush=True)
            if recipe_name == "small-cnn":
                slowest = max(found["seconds"])
                figures.append(Figure(f"{name}-accuracy", found["accuracy"], SETS[name].target, "higher", note=note))
                figures.append(Figure(f"{name}-slowest-fold", slowest, SECONDS_A_FOLD, "lower", unit="s"))
    finish(
        "accuracy",
        figures,
        baseline="the drone/car/speech and the genre recipe to the letter, same folds, within the same six minutes"
        if len(arguments.recipe) > 1
        else "none in this run",
        extra={"table": table},
    )


if __name__ == "__main__":
    main()

"""Sax or not sax in songs: the published detector to the letter beside our default, through the catalog.

`sax_songs` is copied into a folder per artist, added in clips of 5 s (`earmark catalog add --chunk 5s --group-by`), and
labelled from its table of intervals as people were asked to: a sax that sounds at least half of a clip is in the
foreground, one that sounds less in the background, which is left out as that system did. The set is balanced and
frozen; five folds by artist. Beside it: that system's recipe at three resolutions of its picture, and its accuracy
against the number of labelled clips that it is trained on, of the same test clips.

    python -m benchmarks.sax [sides] [resolutions] [labels]      (all three, if none is named)
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import ROOT, WORK, Figure, data_dir, finish
from earmark.settings import keep_freed_memory, limit_native_threads

limit_native_threads()
keep_freed_memory()

CHUNK_S = 5.0
FOLDS = 5
TARGET = 0.85
PUBLISHED = 0.771  # that system's own figure, on its own songs, split by chunk
RESOLUTIONS = ((64, 54), (128, 108), (256, 216))
LABELS = (25, 50, 100, 200, 400)
PICTURE = ROOT / "docs" / "images" / "sax-labels.svg"
FOLDER = WORK / "sax"


def earmark(*arguments: str) -> dict[str, Any]:
    """One command in the workspace, and its answer."""
    command = [sys.executable, "-m", "earmark", *arguments, "--json"]
    done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"earmark {' '.join(arguments)}: {done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def workspace() -> None:
    """A catalog of the songs, labelled, with the frozen set `balanced`; made once."""
    if (FOLDER / "ready").exists():
        return
    shutil.rmtree(FOLDER, ignore_errors=True)
    source = data_dir() / "sax_songs"
    with (source / "songs.csv").open(encoding="utf-8") as file:
        songs = list(csv.DictReader(file))
    artists = sorted({song["artist_or_source"] for song in songs})
    for song in songs:
        song["uri"] = f"songs/{artists.index(song['artist_or_source']):02d}/{song['file']}"
        (FOLDER / song["uri"]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(next(source.rglob(song["file"])), FOLDER / song["uri"])
    earmark("catalog", "init")
    earmark("catalog", "add", "songs", "--chunk", f"{CHUNK_S:g}s", "--group-by", r"^(\d\d)/")
    earmark("catalog", "task", "new", "sax", "--tags", "sax", "--scale", "foreground,background,absent")
    _label(songs, source / "sax_intervals.csv")
    earmark("catalog", "import", "labels.csv", "--task", "sax", "--as", "composer")
    earmark("catalog", "freeze", "sax", "balanced", "--where", "sax=foreground vs absent", "--balanced")
    (FOLDER / "ready").touch()


def _label(songs: list[dict[str, str]], table: Path) -> None:
    """An answer a clip: how much of it a sax sounds in."""
    spans: dict[str, list[tuple[float, float]]] = {}
    with table.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            spans.setdefault(row["file"], []).append((float(row["start"]), float(row["end"])))
    with (FOLDER / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["recording", "start_s", "stop_s", "sax"])
        for song in songs:
            for number in range(int(float(song["duration"]) // CHUNK_S)):
                start, stop = number * CHUNK_S, (number + 1) * CHUNK_S
                heard = sum(max(0.0, min(stop, b) - max(start, a)) for a, b in spans.get(song["file"], []))
                share = heard / CHUNK_S
                value = "foreground" if share >= 0.5 else "background" if share > 0 else "absent"
                writer.writerow([song["uri"], start, stop, value])


def manifest() -> Any:
    from earmark import layouts

    here = Path.cwd()
    os.chdir(FOLDER)  # a task is that of the workspace one is in
    try:
        return layouts.read(Path("catalog:sax@balanced"))
    finally:
        os.chdir(here)


def judge(recipe_name: str, *overrides: str) -> dict[str, Any]:
    """Five folds of one recipe; kept by its text."""
    import hashlib

    from earmark.recipes import load_recipe, render_recipe
    from earmark.training.run import train

    recipe = load_recipe(recipe_name, list(overrides))
    key = hashlib.sha256(render_recipe(recipe).encode()).hexdigest()[:12]
    kept = FOLDER / f"{recipe_name}-{key}.json"
    if kept.exists():
        found: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
        return found
    result = train(
        Path("catalog:sax@balanced"),
        FOLDER / f"{recipe_name}-{key}",
        recipe=recipe,
        manifest=manifest(),
        folds=FOLDS,
        ensemble=False,
    )
    found = {**_figures(result.evaluations["folds"].to_json()), "seconds": [f.seconds for f in result.fitted]}
    found["folds"] = [metrics["accuracy"] for metrics in result.fold_metrics]
    kept.write_text(json.dumps(found, indent=2), encoding="utf-8")
    return found


def _figures(evaluation: dict[str, Any]) -> dict[str, Any]:
    (sax,) = (row for row in evaluation["per_tag"] if row["tag"] == "sax")
    return {
        "accuracy": evaluation["metrics"]["accuracy"],
        "interval": evaluation["intervals"]["accuracy"],
        "recall": sax["recall"],
        "specificity": sax["specificity"],
        "clips": evaluation["clips"],
        "groups": evaluation["groups"],
    }


def by_labels(recipe_name: str) -> list[dict[str, Any]]:
    """Accuracy of the clips of each fold, after training on some of the other folds' clips, as many of each class."""
    from earmark.data.splits import folds as folded
    from earmark.recipes import load_recipe
    from earmark.training.run import train

    whole = folded(manifest(), FOLDS)
    classes = whole.class_indices()
    curve = []
    for clips in LABELS:
        kept = FOLDER / f"labels-{recipe_name}-{clips}.json"
        if not kept.exists():
            scores = []
            for fold in sorted(set(whole.rows["fold"])):
                test = np.flatnonzero(whole.rows["fold"] == fold)
                rest = np.random.default_rng(int(fold)).permutation(np.flatnonzero(whole.rows["fold"] != fold))
                some = np.concatenate([rest[classes[rest] == c][: clips // 2] for c in (0, 1)])
                part = whole.take(np.concatenate([some, test]))
                split = ["train"] * len(some) + ["test"] * len(test)
                out = FOLDER / f"labels-{clips}-{fold}"
                result = train(
                    Path("catalog:sax@balanced"),
                    out,
                    recipe=load_recipe(recipe_name),
                    manifest=part.with_rows(split=split),
                    replace_model=True,
                )
                scores.append(result.evaluations["test"].metrics["accuracy"])
                shutil.rmtree(out)
            kept.write_text(json.dumps(scores), encoding="utf-8")
        scores = json.loads(kept.read_text(encoding="utf-8"))
        curve.append({"labels": clips, "accuracy": float(np.mean(scores)), "folds": scores})
        print(f"{recipe_name}, {clips} labels: {curve[-1]['accuracy']:.3f}", flush=True)
    return curve


def draw(curves: dict[str, list[dict[str, Any]]]) -> None:
    import matplotlib.pyplot as plt

    plt.rcParams["svg.hashsalt"] = "earmark"
    figure, axes = plt.subplots(figsize=(6, 3.4), layout="constrained")
    for (name, curve), colour in zip(curves.items(), ("#0b6e6e", "#c8553d"), strict=False):
        labels = [point["labels"] for point in curve]
        axes.plot(labels, [point["accuracy"] for point in curve], color=colour, label=name, marker="o")
        for point in curve:
            axes.scatter([point["labels"]] * len(point["folds"]), point["folds"], s=9, color=colour, alpha=0.4)
    axes.set_xscale("log", base=2)
    axes.set_xticks(LABELS, [str(clips) for clips in LABELS])
    axes.set_xlabel("labelled clips of 5 s")
    axes.set_ylabel("accuracy, by artist")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    figure.savefig(PICTURE, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=["sides", "resolutions", "labels"])
    parts = parser.parse_args().parts
    workspace()
    sides: dict[str, dict[str, Any]] = {}
    figures = []
    if "sides" in parts:
        for name in ("sax", "small-cnn"):
            sides[name] = found = judge(name)
            low, high = found["interval"] or (float("nan"), float("nan"))
            note = (
                f"95 % {low:.3f}-{high:.3f} over {found['groups']} artists, recall {found['recall']:.3f}, "
                f"specificity {found['specificity']:.3f}; by fold {' '.join(f'{f:.3f}' for f in found['folds'])}"
            )
            print(f"{name}: {found['accuracy']:.3f}  {note}", flush=True)
        best = sides["small-cnn"]
        figures.append(Figure("sax-accuracy", best["accuracy"], TARGET, "higher", note=note))
    resolutions = {}
    if "resolutions" in parts:
        for bands, frames in RESOLUTIONS:
            found = judge("sax", f"front_end.resize=[{bands}, {frames}]")
            resolutions[f"{bands} x {frames}"] = found
            print(f"sax at {bands} x {frames}: {found['accuracy']:.3f}", flush=True)
    curves = {}
    if "labels" in parts:
        curves = {name: by_labels(name) for name in ("sax", "small-cnn")}
        draw(curves)
    finish(
        "sax",
        figures,
        baseline=f"the published detector to the letter, same folds ({PUBLISHED} on its own songs, split by chunk)",
        extra={"sides": sides, "resolutions": resolutions, "labels": curves},
    )


if __name__ == "__main__":
    main()

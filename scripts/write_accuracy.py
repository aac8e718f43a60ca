"""Write docs/accuracy.md from the last cross-validations that `benchmarks/accuracy.py` kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "accuracy.md"

SETS = {
    "drone_car_speech": "drones, cars and speech, grouped by recording and speaker",
    "esc10": "ESC-10: ten kinds of everyday sound, 5 s each, by its own folds",
    "instruments": "ten instruments, single notes and short phrases",
    "spoken_digits": "the digits 0-9 by six speakers, two of whom are left out at a time",
}
RECIPES = {
    "small-cnn": "[small-cnn](recipes/small-cnn.md)",
    "system-2": "[drone-car-speech](recipes/drone-car-speech.md)",
    "system-4": "a published genre classifier",
}
HEAD = """# How good it is

Cross-validated accuracy on real sets, each recipe at its defaults: no clip, recording, speaker or copy of what is
judged was heard in training, no epoch or threshold was chosen by it, and each net is judged as the model file that
Earmark writes. In brackets the 95 % interval over groups (recordings or speakers, whichever must not be split): sets of
some hundred clips leave it wide, and two trainings of the same recipe differ by a point or two. The settings of
`small-cnn` were chosen with these sets in view: on sounds of your own expect a little less, and believe the report of
your own training.

"""
TAIL = """
The two published recipes hear as many hours of sound as fit into the same six minutes a fold on two processor cores.
They were made for one set each, and keep to the letter what they had: `drone-car-speech` learns 2 s at 16 kHz with
23,000 weights, the genre classifier 3 s at 44.1 kHz.

`make bench-accuracy` gets the figures again, within hours. This page is written by `scripts/write_accuracy.py` from
what it keeps in `benchmarks/results/accuracy.json`, where each fold is, too.
"""


def cell(found: dict[str, Any] | None) -> str:
    if found is None:
        return "not run"
    low, high = found["interval"]
    return f"{found['accuracy']:.3f} ({low:.3f}-{high:.3f})"


def page() -> str:
    kept = (ROOT / "benchmarks" / "results" / "accuracy.json").read_text(encoding="utf-8")
    table = json.loads(kept)["extra"]["table"]
    lines = [f"| set | {' | '.join(RECIPES.values())} |", "| --- " * (1 + len(RECIPES)) + "|"]
    for name, what in SETS.items():
        row = [cell(table.get(name, {}).get(recipe)) for recipe in RECIPES]
        lines.append(f"| {what} | {' | '.join(row)} |")
    return HEAD + "\n".join(lines) + "\n" + TAIL


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

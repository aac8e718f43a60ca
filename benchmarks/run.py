"""Run a set of benchmarks, each in its own process, and end with the lines of all: python -m benchmarks.run speed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

from benchmarks.harness import RESULTS, ROOT, Figure

NOT_BENCHMARKS = ("__init__", "harness", "run")


def names(kind: str) -> list[str]:
    """The benchmarks of a kind: `accuracy` (benchmarks/accuracy*.py) or `speed` (all others, helpers `_*.py` aside)."""
    stems = sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py"))
    found = [stem for stem in stems if stem not in NOT_BENCHMARKS and not stem.startswith("_")]
    return [stem for stem in found if stem.startswith("accuracy") == (kind == "accuracy")]


def lines(name: str) -> list[str]:
    """The lines of one benchmark's kept result."""
    document = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    figures = [{key: value for key, value in figure.items() if key != "reached"} for figure in document["figures"]]
    return [Figure(**{**figure, "value": _number(figure["value"])}).line() for figure in figures]


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def main(kind: str) -> int:
    """Run them all, whatever fails; 1 if any of them broke (a figure that falls short breaks nothing)."""
    collected: list[str] = []
    broken: list[str] = []
    environment = {**os.environ, "OMP_WAIT_POLICY": "passive"}
    for name in names(kind):
        print(f"== {name}", flush=True)
        started = time.time()
        done = subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], cwd=ROOT, env=environment, check=False)
        result = RESULTS / f"{name}.json"
        if done.returncode != 0 or not result.exists() or result.stat().st_mtime < started:
            broken.append(name)
        else:
            collected += lines(name)
    print("== all figures: name value target ok|short")
    print("\n".join(collected))
    for name in broken:
        print(f"{name}: ended with an error or kept no result", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    if sys.argv[1:] not in (["speed"], ["accuracy"]):
        sys.exit("usage: python -m benchmarks.run speed|accuracy")
    sys.exit(main(sys.argv[1]))

"""How soon the command answers: python -m benchmarks.start"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

from benchmarks._random_bundle import random_model, recording
from benchmarks.harness import Figure, finish

ROUNDS = 9
WATCHED = ("torch", "lightning", "pandas", "pyarrow", "matplotlib", "sklearn", "librosa", "rich")


def run(command: list[str]) -> tuple[float, float]:
    """CPU seconds (user + system, children included) and wall seconds of a command."""
    began, before = time.perf_counter(), os.times()
    subprocess.run(command, check=True, capture_output=True)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return cpu, time.perf_counter() - began


def imported(command: list[str]) -> list[str]:
    """Which of WATCHED a command imports."""
    done = subprocess.run([command[0], "-X", "importtime", *command[1:]], check=True, capture_output=True, text=True)
    modules = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    return sorted(modules & set(WATCHED))


def main() -> None:
    earmark = [sys.executable, "-m", "earmark.cli.main"]
    tag = [*earmark, "tag", str(random_model("small").bundle.path), str(recording(10, ".wav")), "--format", "csv"]
    times = [run([*earmark, "--help"]) for _ in range(ROUNDS)]
    tagging = [run(tag) for _ in range(ROUNDS)]
    found = imported(tag)
    finish(
        "start",
        [
            Figure("start-help-cpu", statistics.median(cpu for cpu, _ in times), 0.3, "lower", "s"),
            Figure(
                "start-tag-imports-torch",
                float("torch" in found),
                0,
                "lower",
                note=f"imports {found or 'none'} of {WATCHED}",
            ),
        ],
        baseline="none: `earmark --help` by itself",
        extra={
            "help": times,
            "tag_10s_file": tagging,
            "help_imports": imported([*earmark, "--help"]),
            "tag_imports": found,
        },
    )


if __name__ == "__main__":
    main()

"""Memory while tagging a 15-hour file against a 10-minute one: python -m benchmarks.memory

Each file is tagged by `earmark tag` in a process of its own; what counts is the peak of resident memory of that process
and of its decoder child, summed (PSS would share the libraries between the two; this does not flatter).
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

from benchmarks._random_bundle import random_model, recording
from benchmarks.harness import WORK, Figure, finish

HOURS = 15


def resident_kb(pid: int) -> int:
    """Resident memory of a process now; 0 once it is gone."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


def children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
    except OSError:
        return []


def peak_mb(command: list[str]) -> tuple[float, float]:
    """Peak resident memory of a command and its children, and the seconds that it took."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak = 0
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.02):
            pids = [process.pid, *children(process.pid)]
            peak = max(peak, sum(resident_kb(pid) for pid in pids))

    watcher = threading.Thread(target=watch)
    watcher.start()
    code = process.wait()
    done.set()
    watcher.join()
    if code:
        sys.exit(f"{' '.join(command)} ended with {code}")
    return peak / 1024, time.perf_counter() - began


def main() -> None:
    model = random_model("small")
    peaks: dict[str, list[float]] = {"10 min": [], f"{HOURS} h": []}
    seconds: dict[str, float] = {}
    # mono at 22.05 kHz and no overlap, so that 15 hours are encoded and tagged within minutes
    short, long = (recording(length, rate_hz=22_050, channels=1) for length in (600.0, HOURS * 3600.0))
    for name, path in (("10 min", short), (f"{HOURS} h", long), ("10 min", short)):
        out = WORK / "memory.csv"
        command = [sys.executable, "-m", "earmark.cli.main", "tag", str(model.bundle.path), str(path)]
        peak, took = peak_mb([*command, "--overlap", "0", "--restart", "--out", str(out)])
        peaks[name].append(peak)
        seconds[name] = took
        heard = float(out.read_text(encoding="utf-8").splitlines()[-1].split(",")[2])
        if abs(heard - (600.0 if path == short else HOURS * 3600.0)) > 1:
            sys.exit(f"{path}: tagged up to {heard} s only")
        print(f"{path.name}: {peak:.0f} MB at most, {took:.0f} s", flush=True)
    ratio = max(peaks[f"{HOURS} h"]) / min(peaks["10 min"])
    finish(
        "memory",
        [Figure("memory-15h-vs-10min", ratio, 1.2, "lower", "x")],
        baseline="the same command on a 10-minute file; resident memory of the command and its decoder, at their peak",
        extra={"peaks_mb": peaks, "seconds": seconds},
    )


if __name__ == "__main__":
    main()

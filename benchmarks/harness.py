"""What every benchmark shares: fair timing, where the recordings are, and how a figure is printed and kept.

A benchmark compares ours (`a`) with a baseline (`b`) in one process, in turns, and reports medians, so that whatever
else the machine does falls on both. It ends with `finish(...)`, which prints one line a figure,

    name value target ok|short

and writes benchmarks/results/NAME.json. From the repository root: `python -m benchmarks.NAME`.
"""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import json
import math
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

# Before torch or onnxruntime is imported: a spinning thread pool slows a shared machine many times.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
WORK = ROOT / "benchmarks" / "work"
"""Scratch space for benchmarks, ignored by git."""

PACKAGES = ("earmark", "numpy", "torch", "lightning", "onnxruntime", "onnx", "soundfile", "av", "soxr", "librosa")


def data_dir() -> Path:
    """The folder of real recordings: EARMARK_TEST_DATA, else ../shared/data beside the checkout. Exits if absent."""
    path = Path(os.environ.get("EARMARK_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not path.is_dir():
        sys.exit(f"no real recordings at {path}: set EARMARK_TEST_DATA to run this benchmark")
    return path


@dataclass(frozen=True)
class Figure:
    """One measured figure against its target.

    Attributes:
        name: one word, e.g. `prepare-wall-ratio`.
        value: as measured.
        target: what it should reach.
        better: whether more or less is better.
        unit: e.g. `x`, `s`, `MB`; empty for a plain ratio or a score.
        note: anything a reader needs, such as an interval: printed after the verdict.
    """

    name: str
    value: float
    target: float
    better: Literal["higher", "lower"]
    unit: str = ""
    note: str = ""

    @property
    def reached(self) -> bool:
        """NaN never reaches a target."""
        return self.value >= self.target if self.better == "higher" else self.value <= self.target

    def line(self) -> str:
        """`name value target ok|short`, then the note if there is one."""
        verdict = "ok" if self.reached else "short"
        text = f"{self.name} {_short(self.value)}{self.unit} {_short(self.target)}{self.unit} {verdict}"
        return f"{text}  # {self.note}" if self.note else text


def finish(
    name: str,
    figures: Sequence[Figure],
    *,
    baseline: str,
    extra: dict[str, Any] | None = None,
    results: Path = RESULTS,
) -> None:
    """Print one line a figure and keep everything in `results`/NAME.json (default: benchmarks/results).

    Args:
        name: of the benchmark, which is also the name of its file.
        figures: what was measured.
        baseline: in one sentence, what the figures are measured against.
        extra: anything else worth keeping, as JSON: raw times, sizes, per-fold scores.
        results: the folder to write to.
    """
    document = {
        "name": name,
        "figures": [{**_json_safe(asdict(figure)), "reached": figure.reached} for figure in figures],
        "baseline": baseline,
        "extra": _json_safe(extra or {}),
        "versions": versions(),
        "processor": processor(),
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
    }
    results.mkdir(parents=True, exist_ok=True)
    path = results / f"{name}.json"
    partial = path.with_suffix(".json.partial")
    partial.write_text(json.dumps(document, indent=2, allow_nan=False, default=str) + "\n", encoding="utf-8")
    partial.replace(path)
    for figure in figures:
        print(figure.line(), flush=True)


def alternate(
    a: Callable[[], object], b: Callable[[], object], *, rounds: int = 5, warmup: int = 1
) -> tuple[list[float], list[float]]:
    """Wall seconds of `a` and of `b`, called in turns: a b, b a, a b, ... after `warmup` unmeasured pairs."""
    return _in_turns(a, b, time.perf_counter, rounds, warmup)


def cpu_alternate(
    a: Callable[[], object], b: Callable[[], object], *, rounds: int = 5, warmup: int = 1
) -> tuple[list[float], list[float]]:
    """User + system CPU seconds of `a` and of `b` in turns, threads included.

    Child processes count once they have ended and been waited for, so a pool must be shut down within the call.
    """
    return _in_turns(a, b, cpu_seconds, rounds, warmup)


def cpu_seconds() -> float:
    """User + system seconds of this process and of its ended children so far."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def median_ratio(baseline: Sequence[float], ours: Sequence[float]) -> float:
    """median(baseline) / median(ours): how many times faster ours is (of two lists of seconds)."""
    return statistics.median(baseline) / statistics.median(ours)


def versions() -> dict[str, str]:
    """Python and the packages that decide the figures, those that are installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def processor() -> str:
    """The processor's name and how many cores this process may use."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{name}, {cores} cores"


def _in_turns(
    a: Callable[[], object], b: Callable[[], object], clock: Callable[[], float], rounds: int, warmup: int
) -> tuple[list[float], list[float]]:
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(-warmup, rounds):
        # who goes first changes every round, so neither always finds the caches warm
        for which in (0, 1) if turn % 2 == 0 else (1, 0):
            started = clock()
            (a, b)[which]()
            seconds = clock() - started
            if turn >= 0:
                times[which].append(seconds)
    return times


def _short(value: float) -> str:
    return f"{value:.4g}"


def _json_safe(value: Any) -> Any:
    """JSON has no NaN and no infinity: they become null."""
    if isinstance(value, dict):
        return {str(key): _json_safe(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json_safe(item) for item in value]
    if hasattr(value, "tolist"):
        return _json_safe(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value

"""The benchmark harness: turns, medians, and what is printed and kept."""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks import harness, run  # noqa: E402


@pytest.mark.parametrize(
    ("figure", "line"),
    [
        (harness.Figure("prepare-ratio", 3.61234, 3.5, "higher", "x"), "prepare-ratio 3.612x 3.5x ok"),
        (harness.Figure("prepare-ratio", 3.4, 3.5, "higher"), "prepare-ratio 3.4 3.5 short"),
        (harness.Figure("help-cpu", 0.21, 0.3, "lower", "s"), "help-cpu 0.21s 0.3s ok"),
        (harness.Figure("help-cpu", 0.31, 0.3, "lower", "s"), "help-cpu 0.31s 0.3s short"),
        (harness.Figure("accuracy", 0.98, 0.98, "higher", note="0.95-1.00"), "accuracy 0.98 0.98 ok  # 0.95-1.00"),
        (harness.Figure("nothing", math.nan, 1.0, "lower"), "nothing nan 1 short"),
    ],
)
def test_a_figure_is_one_line(figure: harness.Figure, line: str) -> None:
    assert figure.line() == line


def test_finish_prints_the_lines_and_keeps_everything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures = [harness.Figure("a", 2.0, 1.0, "higher"), harness.Figure("b", math.inf, 1.0, "lower")]
    harness.finish("bench", figures, baseline="a loop", extra={"seconds": [1.0, math.nan]}, results=tmp_path)
    assert capsys.readouterr().out == "a 2 1 ok\nb inf 1 short\n"
    kept = json.loads((tmp_path / "bench.json").read_text(encoding="utf-8"))
    assert [(figure["name"], figure["value"], figure["reached"]) for figure in kept["figures"]] == [
        ("a", 2.0, True),
        ("b", None, False),
    ]
    assert kept["baseline"] == "a loop"
    assert kept["extra"] == {"seconds": [1.0, None]}
    assert "numpy" in kept["versions"]
    assert kept["processor"]


def test_run_collects_the_lines_that_were_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    harness.finish("bench", [harness.Figure("a", 2.0, 1.0, "higher", note="n")], baseline="b", results=tmp_path)
    monkeypatch.setattr(run, "RESULTS", tmp_path)
    assert run.lines("bench") == ["a 2 1 ok  # n"]


def test_two_are_timed_in_turns_and_who_begins_changes() -> None:
    calls: list[str] = []
    a, b = harness.alternate(lambda: calls.append("a"), lambda: calls.append("b"), rounds=3, warmup=1)
    assert "".join(calls) == "ba" + "ab" + "ba" + "ab"
    assert (len(a), len(b)) == (3, 3)


def test_wall_and_cpu_seconds_are_told_apart() -> None:
    asleep, busy = harness.cpu_alternate(lambda: time.sleep(0.05), lambda: sum(range(1_000_000)), rounds=3)
    assert sum(asleep) < sum(busy)
    wall, _ = harness.alternate(lambda: time.sleep(0.05), lambda: None, rounds=2, warmup=0)
    assert all(0.05 <= seconds < 1.0 for seconds in wall)


def test_median_ratio_is_how_many_times_faster_ours_is() -> None:
    assert harness.median_ratio([10.0, 100.0, 8.0], [5.0, 2.0, 4.0]) == 2.5

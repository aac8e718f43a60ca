"""Progress in a log file: plain lines every half minute, by a clock that the tests turn."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from earmark.cli.console import Console
from earmark.cli.log_lines import LogLines


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def told(capsys: pytest.CaptureFixture[str]) -> list[str]:
    out, err = capsys.readouterr()
    assert out == ""
    assert "\r" not in err
    assert "\x1b" not in err
    return err.splitlines()


def test_a_line_each_half_minute_says_what_how_far_how_fast_and_how_long(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    lines = LogLines(clock=clock)
    lines.start("training", 5000, "steps")
    for step in range(1, 721):
        clock.now += 0.125
        lines.advance(1, f"epoch 1/2 loss {1 - step / 1000:.3f}")
    assert told(capsys) == [
        "training: 240/5,000 steps (4%), 8.0/s, 0:09:55 left, epoch 1/2 loss 0.760",
        "training: 480/5,000 steps (9%), 8.0/s, 0:09:25 left, epoch 1/2 loss 0.520",
        "training: 720/5,000 steps (14%), 8.0/s, 0:08:55 left, epoch 1/2 loss 0.280",
    ]


def test_a_job_that_is_over_before_the_first_line_has_none(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    lines = LogLines(clock=clock)
    lines.start("read", 3, "files")
    for _ in range(3):
        clock.now += 9.9
        lines.advance()
    lines.stop()
    clock.now += 60
    lines.advance()  # of nothing that goes on
    assert told(capsys) == []


def test_many_short_pieces_of_work_are_told_like_a_long_one(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    lines = LogLines(clock=clock)
    for number in range(8):
        lines.start(f"convert {number}.wav", 10, "s")
        for _ in range(2):
            clock.now += 5
            lines.advance(5)
        lines.stop()
    assert told(capsys) == [
        "convert 2.wav: 10/10 s (100%), 1.0/s, 0:00:00 left",
        "convert 5.wav: 10/10 s (100%), 1.0/s, 0:00:00 left",
    ]


def test_what_an_earlier_run_had_done_is_no_rate(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    lines = LogLines(clock=clock)
    lines.start("training", 10_000, "steps")
    lines.advance(9_000)
    clock.now += 40
    lines.advance(20)
    assert told(capsys) == ["training: 9,020/10,000 steps (90%), 0.5/s, 0:32:40 left"]


def test_an_end_that_is_not_known_a_slow_unit_and_a_name_that_is_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    lines = LogLines(clock=clock)
    lines.start("tagging", None, "files")
    clock.now += 45
    lines.advance(3, note="a\rb\x1b[2K\n\udcff.wav")
    assert told(capsys) == ["tagging: 3 files, 0.067/s, a b [2K \\xff.wav"]


def test_a_stderr_that_is_gone_does_not_cost_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    lines = LogLines(clock=clock)
    lines.start("training", 2, "steps")
    clock.now += 60
    full = open("/dev/full", "w", encoding="utf-8")  # noqa: SIM115 - to close it is what fails
    monkeypatch.setattr(sys, "stderr", full)
    lines.advance()
    monkeypatch.undo()
    with pytest.raises(OSError, match="No space left"):
        full.close()


@pytest.mark.parametrize("as_json", [False, True])
def test_a_command_whose_stderr_is_no_terminal_logs_there(as_json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    lines: Any = Console(as_json=as_json).progress()
    assert isinstance(lines, LogLines)
    lines._every_s = 0.0
    lines.start("export", 2, "clips")
    lines.advance()
    assert told(capsys) == ["export: 1/2 clips (50%)"]

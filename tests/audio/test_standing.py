"""Workers that stay: one that dies, hangs or swells costs its own answer, and the next is given by another."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from earmark.audio.standing import Workers
from earmark.errors import AudioError, BusyError, CacheError, InputError
from earmark.types import Reason

# The work has to be importable by a fresh interpreter, so it is a module of its own.
WORK = """
import os, signal, time
from earmark.errors import AudioError, CacheError

def work(what):
    if what == "abort":
        os.abort()
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "sleep":
        time.sleep(1000)
    if what == "refuse":
        raise AudioError("x.wav", "silent", "x.wav is silent")
    if what == "raise":
        raise ZeroDivisionError("by nought")
    if what == "disk":
        raise CacheError("the disk is full")
    if what == "pid":
        time.sleep(0.1)
        return os.getpid()
    return what * 2
"""

Making = Callable[..., Workers[Any, Any]]


@pytest.fixture
def making(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Making]:
    (tmp_path / "standing_work.py").write_text(WORK)
    monkeypatch.syspath_prepend(str(tmp_path))
    import standing_work

    assert isinstance(standing_work, ModuleType)
    made: list[Workers[Any, Any]] = []

    def make(**settings: Any) -> Workers[Any, Any]:
        made.append(Workers(standing_work.work, **{"most": 1, "timeout_s": 30.0, "wait_s": 30.0, **settings}))
        return made[-1]

    yield make
    for workers in made:
        workers.close()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


def test_one_worker_serves_again_and_again_and_is_another_process(making: Making) -> None:
    workers = making()
    workers.warm()
    first, second = workers.run("a.wav", "pid"), workers.run("b.wav", "pid")
    assert first == second != os.getpid()
    assert workers.run("c.wav", 21) == 42


@pytest.mark.parametrize(
    ("what", "reason", "words"),
    [
        ("abort", Reason.CRASHED, "made its decoder fail (signal SIGABRT)"),
        ("kill", Reason.CRASHED, "killed from outside (signal SIGKILL)"),
        ("sleep", Reason.TIMED_OUT, "took longer than 1 s"),
        ("raise", Reason.CRASHED, "Earmark itself failed on it (ZeroDivisionError: by nought)"),
        ("refuse", Reason.SILENT, "x.wav is silent"),
    ],
)
def test_what_goes_wrong_costs_its_own_answer(making: Making, what: str, reason: Reason, words: str) -> None:
    workers = making(timeout_s=1.0)
    with pytest.raises(AudioError) as refused:
        workers.run("x.wav", what)
    assert refused.value.reason == reason
    assert words in str(refused.value)
    assert workers.run("y.wav", 4) == 8


def test_an_error_that_is_not_of_the_file_is_raised_as_it_is(making: Making) -> None:
    with pytest.raises(CacheError, match="the disk is full"):
        making().run("x.wav", "disk")


def test_threads_share_the_workers(making: Making) -> None:
    workers = making(most=2)
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(workers.run("x.wav", "pid"))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 6
    assert len(set(found)) == 2


def test_who_waits_too_long_is_told_to_come_again(making: Making) -> None:
    workers = making(wait_s=0.2, timeout_s=60.0)

    def sleep() -> None:
        with pytest.raises(AudioError):
            workers.run("x.wav", "sleep")

    held = threading.Thread(target=sleep)
    held.start()
    time.sleep(1.0)
    with pytest.raises(BusyError, match="try again"):
        workers.run("y.wav", 1)
    workers.close()  # which ends the one that sleeps
    held.join(30)
    assert not held.is_alive()


def test_nothing_is_left_after_the_end(making: Making) -> None:
    workers = making()
    pid = workers.run("x.wav", "pid")
    workers.close()
    assert not _is_alive(pid)
    with pytest.raises(BusyError, match="stopping"):
        workers.run("x.wav", 1)


def test_no_workers_make_no_sense(making: Making) -> None:
    with pytest.raises(InputError, match="expected both above 0"):
        making(most=0)

"""A worker that crashes, hangs, swells or raises costs its own item, and no process is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from earmark.audio.pool import Outcome, map_files
from earmark.errors import AudioError, CacheError, InputError
from earmark.types import Reason

# The work has to be importable by a fresh interpreter, so it is a module of its own.
HOSTILE = """
import os, signal, time
import numpy as np
from earmark.errors import AudioError, CacheError

def work(what):
    if what == "abort":
        os.abort()
    if what == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "sleep":
        time.sleep(1000)
    if what == "swell":
        hoard = []
        while True:
            hoard.append(np.ones(8_000_000))
    if what == "refuse":
        raise AudioError("x.wav", "silent", "x.wav is silent")
    if what == "raise":
        raise ZeroDivisionError("by nought")
    if what == "disk":
        raise CacheError("the disk is full")
    if what == "unsendable":
        return lambda: None
    if what == "pid":
        time.sleep(0.02)
        return os.getpid()
    if isinstance(what, tuple):
        return np.full(what[1], what[0], dtype=np.float32)
    return what * 2
"""


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    (tmp_path / "hostile_work.py").write_text(HOSTILE)
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("hostile_work", None)
    import hostile_work  # type: ignore[import-not-found]

    return hostile_work


def run(hostile: ModuleType, arguments: list[object], **options: object) -> list[Outcome[object]]:
    items = [(f"{index}.wav", argument) for index, argument in enumerate(arguments)]
    settings: dict[str, object] = {"workers": 2, "timeout_s": 20.0, **options}
    outcomes = list(map_files(hostile.work, items, **settings))
    return sorted(outcomes, key=lambda outcome: outcome.index)


def test_every_item_has_one_outcome_with_its_own_value(hostile):
    outcomes = run(hostile, list(range(200)))
    assert [(o.index, o.path, o.value, o.error) for o in outcomes] == [(i, f"{i}.wav", 2 * i, None) for i in range(200)]


def test_hostile_items_cost_only_themselves(hostile):
    bad = {3: "abort", 5: "segfault", 8: "sleep", 11: "swell", 13: "refuse", 17: "raise", 19: "unsendable", 21: "abort"}
    arguments = [bad.get(i, i) for i in range(30)]
    # only the sleeper is given little time: on a busy machine the others may need more than that
    limits = [1.5 if argument == "sleep" else 60.0 for argument in arguments]
    outcomes = run(hostile, arguments, timeout_s=limits, memory_limit=600 << 20)
    assert [o.index for o in outcomes] == list(range(30))
    reasons = {o.index: o.error.reason for o in outcomes if o.error is not None}
    assert reasons == {
        3: Reason.CRASHED,
        5: Reason.CRASHED,
        8: Reason.TIMED_OUT,
        11: Reason.TOO_LARGE,
        13: Reason.SILENT,
        17: Reason.CRASHED,
        19: Reason.CRASHED,
        21: Reason.CRASHED,
    }
    assert all(o.value == 2 * o.index for o in outcomes if o.error is None)
    assert "SIGABRT" in str(outcomes[3].error)
    assert "SIGSEGV" in str(outcomes[5].error)
    assert "1.5 s" in str(outcomes[8].error)
    assert "decoder fail" in str(outcomes[5].error)
    assert "ZeroDivisionError: by nought" in str(outcomes[17].error)
    assert "Earmark itself failed on it" in str(outcomes[17].error)  # a bug of ours is no fault of the file
    assert outcomes[8].error is not None
    assert outcomes[8].error.path == "8.wav"


def test_a_worker_killed_from_outside_is_not_the_files_fault(hostile):
    outcomes = run(hostile, [1, "kill", 3])
    assert [o.value for o in outcomes] == [2, None, 6]
    assert "killed from outside" in str(outcomes[1].error)
    assert "damaged" not in str(outcomes[1].error)


def test_the_last_item_may_be_the_one_that_dies(hostile):
    outcomes = run(hostile, [1, 2, "abort"], workers=1)
    assert [o.value for o in outcomes] == [2, 4, None]


def test_only_crashes(hostile):
    outcomes = run(hostile, ["abort"] * 6)
    assert [o.error.reason if o.error else None for o in outcomes] == [Reason.CRASHED] * 6


def test_large_arrays_come_back_whole(hostile):
    outcomes = run(hostile, [(k, 2_000_000) for k in range(6)])
    for k, outcome in enumerate(outcomes):
        assert isinstance(outcome.value, np.ndarray)
        assert outcome.value.shape == (2_000_000,)
        assert (outcome.value == k).all()


def test_lent_arrays_hold_until_the_next_outcome_whatever_dies_meanwhile(hostile):
    arguments: list[object] = [(k, 30_000 if k % 5 else 300_000) for k in range(200)]
    for k in (17, 18, 90):
        arguments[k] = "abort"
    items = [(str(k), argument) for k, argument in enumerate(arguments)]
    died = set()
    for outcome in map_files(hostile.work, items, workers=3, timeout_s=60, lend_bytes=150_000):
        if outcome.value is None:
            died.add(outcome.index)
            continue
        time.sleep(0.001)  # the workers go on meanwhile
        assert outcome.value.shape == (arguments[outcome.index][1],)  # type: ignore[index]
        assert (outcome.value == outcome.index).all()
    assert died == {17, 18, 90}


def test_a_caller_that_takes_its_time_makes_no_item_overdue(hostile):
    waited = 0
    for outcome in map_files(hostile.work, [(str(k), "pid") for k in range(8)], workers=2, timeout_s=1.0):
        assert outcome.error is None
        if waited < 2:
            waited += 1
            time.sleep(1.5)
    assert waited == 2


def test_large_arguments_do_not_lock_both_ends(hostile):
    items = [(f"{k}", (k, 1_000_000 + k)) for k in range(4)] + [("p", "x" * 3_000_000) for _ in range(20)]
    outcomes = list(map_files(hostile.work, items, workers=2, timeout_s=20))
    assert len(outcomes) == 24
    assert all(o.error is None for o in outcomes)


def test_an_error_that_is_no_files_fault_ends_the_run(hostile):
    with pytest.raises(CacheError, match="the disk is full"):
        run(hostile, [1, "disk", 3])


def test_work_of_the_running_script_is_refused():
    def work(argument: object) -> object:
        return argument

    work.__module__ = "__main__"
    with pytest.raises(InputError, match="imported"):
        list(map_files(work, [("a", 1)], workers=1, timeout_s=1))


def test_nothing_is_started_for_no_items(hostile):
    assert run(hostile, []) == []


def test_workers_are_reused_and_bounded(hostile):
    outcomes = run(hostile, ["pid"] * 30, workers=2)
    assert 1 <= len({o.value for o in outcomes}) <= 2
    assert os.getpid() not in {o.value for o in outcomes}


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().split()[2] != "Z"


def gone(pids: list[int]) -> bool:
    for _ in range(100):
        if not any(alive(pid) for pid in pids):
            return True
        time.sleep(0.05)
    return False


def test_closing_the_iterator_ends_the_workers(hostile):
    outcomes = map_files(hostile.work, [(str(k), "pid") for k in range(20)], workers=2, timeout_s=20)
    pids = [next(outcomes).value for _ in range(4)]
    outcomes.close()  # type: ignore[attr-defined]
    assert gone(list(set(pids)))


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_caller_that_is_stopped_leaves_no_process(hostile, tmp_path, how):
    script = textwrap.dedent(
        """
        import sys
        import hostile_work
        from earmark.audio.pool import map_files
        items = [("a", "pid"), ("b", "pid"), ("c", "pid"), ("d", "sleep"), ("e", "sleep")]
        for outcome in map_files(hostile_work.work, items, workers=2, timeout_s=500):
            print(outcome.value, flush=True)
        """
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    caller = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment)
    assert caller.stdout is not None
    pids = [int(caller.stdout.readline()) for _ in range(3)]
    time.sleep(0.2)  # both workers now sleep
    caller.send_signal(how)
    caller.wait(timeout=10)
    assert gone(pids)


def test_errors_survive_the_way_between_processes(hostile):
    (outcome,) = run(hostile, ["refuse"])
    assert isinstance(outcome.error, AudioError)
    assert (outcome.error.path, outcome.error.reason, str(outcome.error)) == ("x.wav", "silent", "x.wav is silent")

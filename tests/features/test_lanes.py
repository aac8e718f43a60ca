import os
import sys
import threading
import time
from collections.abc import Iterator

import pytest
import torch

from earmark.features import lanes
from earmark.features.lanes import in_lanes, lanes_for


@pytest.fixture(params=[1, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_every_piece_is_worked_on_once(threads: int) -> None:
    seen = [0] * 10

    def work(first: int, last: int) -> None:
        for i in range(first, last):
            seen[i] += 1

    in_lanes(work, 10)
    assert seen == [1] * 10
    in_lanes(work, 0)
    assert seen == [1] * 10


def test_lanes_compute_alone_and_the_caller_keeps_its_threads(threads: int) -> None:
    found: dict[int, int] = {}

    def work(first: int, last: int) -> None:
        found[first] = torch.get_num_threads()

    in_lanes(work, 6)
    assert torch.get_num_threads() == threads
    assert found == {1: {0: 1}, 3: {0: 1, 2: 1, 4: 1}}[threads]


def test_threads_started_later_have_as_many_as_before() -> None:
    in_lanes(lambda first, last: None, 6)
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert found == [torch.get_num_threads()]


def test_never_more_lanes_than_pieces(threads: int) -> None:
    assert lanes_for(0) == lanes_for(1) == 1
    assert lanes_for(2) == min(2, threads)


def test_an_error_is_raised_where_the_work_was_asked_for(threads: int) -> None:
    def work(first: int, last: int) -> None:
        raise ZeroDivisionError(f"{first}")

    with pytest.raises(ZeroDivisionError, match="0"):
        in_lanes(work, 4)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_lanes_of_its_own() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        in_lanes(lambda first, last: None, 2)
        child = os.fork()
        if child == 0:
            seen: list[int] = []
            in_lanes(lambda first, last: seen.append(first), 2)
            os._exit(7 if sorted(seen) == [0, 1] else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    finally:
        torch.set_num_threads(before)


def test_a_pool_that_grows_does_what_it_was_given() -> None:
    """Threads that need ever more lanes, while others hand theirs over."""
    before, interval, errors = torch.get_num_threads(), sys.getswitchinterval(), list[RuntimeError]()
    stop = time.monotonic() + 1.0

    def often(count: int) -> None:
        torch.set_num_threads(count)
        while time.monotonic() < stop:
            try:
                in_lanes(lambda first, last: None, count)
            except RuntimeError as error:
                errors.append(error)

    threads = [threading.Thread(target=often, args=(count,)) for count in (2, 3, 4)]
    sys.setswitchinterval(1e-6)  # or the moment between two steps would be met once in a million
    try:
        for thread in threads:
            thread.start()
        while time.monotonic() < stop:
            time.sleep(0.002)
            lanes._pool._lanes = 0  # so that the next one makes it grow again
    finally:
        for thread in threads:
            thread.join()
        sys.setswitchinterval(interval)
        torch.set_num_threads(before)
    assert errors == []


def test_work_in_a_lane_may_ask_for_lanes(threads: int) -> None:
    seen: list[tuple[int, int]] = []

    def outer(first: int, last: int) -> None:
        torch.set_num_threads(3)  # even where a lane is told that it may have more
        for piece in range(first, last):
            in_lanes(lambda a, b, piece=piece: seen.append((piece, b - a)), 5)  # type: ignore[misc]
        torch.set_num_threads(1)

    in_lanes(outer, 6)
    torch.set_num_threads(threads)
    pieces = {piece: sum(n for p, n in seen if p == piece) for piece in range(6)}
    assert pieces == dict.fromkeys(range(6), 5)


def test_nothing_is_written_any_more_once_an_error_is_raised() -> None:
    before, late = torch.get_num_threads(), list[int]()
    torch.set_num_threads(2)

    def work(first: int, last: int) -> None:
        if first == 0:
            raise ZeroDivisionError
        time.sleep(0.2)
        late.append(first)

    try:
        with pytest.raises(ZeroDivisionError):
            in_lanes(work, 2)
        assert late == [1]
    finally:
        torch.set_num_threads(before)


def test_threads_that_cannot_be_had_are_an_error_and_hold_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[threading.Thread] = []
    start = threading.Thread.start

    def scarce(thread: threading.Thread) -> None:
        if len(begun) == 2:
            raise RuntimeError("can't start new thread")
        begun.append(thread)
        start(thread)

    before = torch.get_num_threads()
    pool = lanes._Pool()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", scarce)
        with pytest.raises(RuntimeError, match="new thread"):
            pool.submit(lambda lane: None, 4)
    for thread in begun:
        thread.join(timeout=10)
    assert [thread.is_alive() for thread in begun] == [False, False]
    assert torch.get_num_threads() == before
    done: list[int] = []
    for future in pool.submit(done.append, 2):
        future.result(timeout=10)
    assert sorted(done) == [0, 1]

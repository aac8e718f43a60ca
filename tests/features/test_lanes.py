import os
import threading
from collections.abc import Iterator

import pytest
import torch

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

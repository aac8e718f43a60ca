"""Values arrive whole, lent or sent; what does not fit a place is sent; a closed end is noticed."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from earmark.audio.channel import AHEAD, Channel, Lent, pack

PLACE = 1 << 16
needs_memfd = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="lending needs memfd_create (Linux)")


@pytest.fixture
def lent() -> Iterator[Lent]:
    memory = Lent.make(3, PLACE)
    yield memory
    memory.close()


def ends(lent: Lent, worker: int = 0) -> tuple[Channel, Channel]:
    """(the caller's, the worker's)"""
    a, b = socket.socketpair()
    return (
        Channel(a.detach(), lent.places(worker)),
        Channel(b.detach(), lent.places(worker, write=True)),
    )


def passed(value: Any, lent: Lent, place: int | None = None) -> Any:
    ours, theirs = ends(lent)
    sender = threading.Thread(target=theirs.send, args=(value,), kwargs={"place": place})
    sender.start()
    got = ours.recv()
    sender.join()
    ours.close()
    theirs.close()
    return got


ARRAYS = [np.arange(1000, dtype="<i2"), np.linspace(0, 1, 77, dtype=np.float32).reshape(7, 11), np.arange(3.0)]


@needs_memfd
@pytest.mark.parametrize("place", range(AHEAD))
def test_lent_arrays_arrive_whole_and_cannot_be_written(lent: Lent, place: int) -> None:
    text, *arrays = passed(("words", *ARRAYS), lent, place)
    assert text == "words"
    for got, sent in zip(arrays, ARRAYS, strict=True):
        assert got.dtype == sent.dtype
        assert np.array_equal(got, sent)
        assert got.ctypes.data % 64 == 0
        with pytest.raises(ValueError, match="read-only"):
            got[0] = 0


@needs_memfd
def test_a_lent_array_is_the_memory_itself_and_the_other_place_leaves_it_alone(lent: Lent) -> None:
    ours, theirs = ends(lent, worker=2)
    theirs.send(np.full(10, 1), place=0)
    first = ours.recv()
    theirs.send(np.full(10, 2), place=1)
    second = ours.recv()
    assert (first.tolist(), second.tolist()) == ([1] * 10, [2] * 10)
    theirs.send(np.full(10, 3), place=0)
    ours.recv()
    assert first.tolist() == [3] * 10
    assert second.tolist() == [2] * 10
    for other in (0, 1):
        assert not any(any(place) for place in lent.places(other))


@pytest.mark.parametrize("place", [None, 0])
def test_what_does_not_fit_a_place_is_sent_and_is_the_receivers_own(lent: Lent, place: int | None) -> None:
    sent = np.arange(PLACE, dtype=np.float64)
    got = passed([sent, ARRAYS[0]], lent, place)
    assert np.array_equal(got[0], sent)
    assert np.array_equal(got[1], ARRAYS[0])
    got[0][0] = 7.0


def test_without_shared_memory_everything_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create", raising=False)
    none = Lent.make(2, PLACE)
    assert none.places(0) == []
    assert np.array_equal(passed(ARRAYS[0], none, 0), ARRAYS[0])


def test_none_is_made_for_no_bytes() -> None:
    assert Lent.make(2, 0).fd == -1


@pytest.mark.parametrize("keep", [0, 5, 40])
def test_an_end_that_closes_in_the_middle_of_a_value_is_noticed(lent: Lent, keep: int) -> None:
    ours, theirs = ends(lent)
    theirs.write(pack("x" * 100)[:keep])
    theirs.close()
    with pytest.raises(EOFError):
        ours.recv()
    ours.close()


def test_what_cannot_be_pickled_sends_nothing(lent: Lent) -> None:
    ours, theirs = ends(lent)
    with pytest.raises(Exception, match="pickle"):
        theirs.send((np.zeros(3), lambda: None), place=0)
    theirs.send("after")
    assert ours.recv() == "after"
    ours.close()
    theirs.close()

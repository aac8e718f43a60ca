from __future__ import annotations

import threading
import time

import pytest

from earmark.tagging.prefetch import prefetch


def test_items_come_in_order():
    assert list(prefetch(range(1000))) == list(range(1000))
    assert list(prefetch([])) == []


def test_the_thread_is_ahead_but_not_by_much():
    made = []

    def items():
        for number in range(100):
            made.append(number)
            yield number

    ahead = prefetch(items(), depth=3)
    next(ahead)
    time.sleep(0.3)
    assert 2 <= len(made) <= 6
    ahead.close()


def test_errors_are_raised_here_after_what_came_before_them():
    def items():
        yield 1
        raise ValueError("broken")

    ahead = prefetch(items())
    assert next(ahead) == 1
    with pytest.raises(ValueError, match="broken"):
        next(ahead)


def test_stopping_early_ends_the_thread_and_closes_the_source():
    closed = threading.Event()

    def items():
        try:
            while True:
                yield 0
        finally:
            closed.set()

    before = threading.active_count()
    ahead = prefetch(items())
    next(ahead)
    ahead.close()
    assert closed.is_set()
    assert threading.active_count() == before

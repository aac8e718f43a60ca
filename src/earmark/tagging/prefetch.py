"""Run an iterator in a thread, a few items ahead, so that decoding goes on while the net computes."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def prefetch(items: Iterable[T], depth: int = 12) -> Iterator[T]:
    """The items in order, made in a thread that is at most `depth` ahead. Its exceptions are raised here.

    A caller that stops early ends the thread at its next item, and the items' own clean-up runs in the thread.
    """
    ready: queue.Queue[tuple[T | None, BaseException | None, bool]] = queue.Queue(maxsize=depth)
    stopped = threading.Event()

    def put(entry: tuple[T | None, BaseException | None, bool]) -> bool:
        while not stopped.is_set():
            try:
                ready.put(entry, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        source = iter(items)
        try:
            for item in source:
                if not put((item, None, False)):
                    return
            put((None, None, True))
        except BaseException as error:  # handed on, whatever it is, to where somebody can act on it
            put((None, error, True))
        finally:
            close = getattr(source, "close", None)
            if close is not None:
                close()

    thread = threading.Thread(target=work, name="earmark-decode", daemon=True)
    thread.start()
    try:
        while True:
            item, error, over = ready.get()
            if error is not None:
                raise error
            if over:
                return
            yield item  # type: ignore[misc]  # None only where over
    finally:
        stopped.set()
        thread.join()

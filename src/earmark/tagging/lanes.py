"""Threads that each take the next piece of work and do it with a decoder of their own, all by one net."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Generic, TypeVar

from earmark.tagging.decoder import Decoder

Item = TypeVar("Item")
Done = TypeVar("Done")

_JOIN_S = 2.0


class Lanes(Generic[Item, Done]):
    """Results come in the order in which they are done; `stop` has to be called at the end, however it comes.

    Args:
        work: what is done with an item; what it raises ends the run, and is raised in the caller's thread.
        items: taken as they are needed, one thread at a time.
        timeout_s: of the decoders, for the next block.
        first: a decoder that is already running, to save the moment that its start takes; closed at the end.
    """

    def __init__(
        self,
        work: Callable[[Item, Decoder], Done],
        items: Iterator[Item],
        *,
        timeout_s: float,
        first: Decoder | None = None,
    ) -> None:
        self._work, self._items, self._timeout_s = work, items, timeout_s
        self._idle = [] if first is None else [first]  # decoders that no lane has taken yet
        self._decoders = list(self._idle)
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []
        # bounded: whoever writes the results slows the lanes down rather than filling the memory
        self._results: queue.Queue[tuple[Done] | BaseException | None] = queue.Queue(maxsize=64)

    def run(self, workers: int) -> Iterator[Done]:
        for _ in range(workers):
            thread = threading.Thread(target=self._lane, name="earmark-lane", daemon=True)
            thread.start()
            self._threads.append(thread)
        running = len(self._threads)
        while running:
            result = self._results.get()
            if result is None:
                running -= 1
            elif isinstance(result, BaseException):
                raise result
            else:
                yield result[0]

    def stop(self) -> None:
        """End threads and decoders, wherever they are."""
        self._stopped.set()
        for decoder in list(self._decoders):
            decoder.kill()  # a lane that waits for a hung decoder stops waiting
        self._join()
        for decoder in self._decoders:
            decoder.close()

    def _join(self) -> None:
        # a lane that waits for the next name on stdin cannot be woken; it is a daemon, and ends with the process
        deadline = time.monotonic() + _JOIN_S
        for thread in self._threads:
            while thread.is_alive() and time.monotonic() < deadline:
                while not self._results.empty():  # a lane may be waiting for room
                    self._results.get_nowait()
                thread.join(timeout=0.05)

    def _lane(self) -> None:
        try:
            decoder: Decoder | None = None
            while (item := self._next()) is not None:
                decoder = decoder or self._decoder()
                self._results.put((self._work(item[0], decoder),))
            self._results.put(None)
        except BaseException as error:  # a full disk, no memory: raised in the caller's thread, where it belongs
            self._results.put(error)

    def _next(self) -> tuple[Item] | None:
        with self._lock:
            if self._stopped.is_set():
                return None
            for item in self._items:
                return (item,)
            return None

    def _decoder(self) -> Decoder:
        """Only lanes that have something to decode start a process for it."""
        with suppress(IndexError):
            return self._idle.pop()
        decoder = Decoder(self._timeout_s)
        self._decoders.append(decoder)
        return decoder

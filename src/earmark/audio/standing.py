"""A few worker processes that stay: for a server, which decodes one file now and another one later.

As `earmark.audio.pool`, of which it is made: a decoder that crashes, hangs or fills the memory costs that one answer,
and another worker takes its place within milliseconds.
"""

from __future__ import annotations

import contextlib
import select
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from earmark.audio.channel import Channel, Lent, pack
from earmark.audio.pool import Template, failure, how_it_died, kill, our_failure, resident_bytes, share_of_memory
from earmark.errors import BusyError, InputError
from earmark.types import Reason

A = TypeVar("A")
T = TypeVar("T")

_LOOK_S = 0.2  # between two looks at a worker's memory


@dataclass(slots=True)
class _Worker:
    number: int
    pid: int
    channel: Channel


class Workers(Generic[A, T]):
    """Processes that do one kind of work, for as long as this object lives; `run` may be called from any thread.

    The first of them starts with the first work, or with `warm`.

    Args:
        work: a function at the top of an importable module (not of the script being run).
        most: processes, > 0.
        timeout_s: for one piece of work, > 0.
        wait_s: for a process that is free.
    """

    def __init__(self, work: Callable[[A], T], *, most: int, timeout_s: float, wait_s: float) -> None:
        if most < 1 or timeout_s <= 0:
            raise InputError(f"most={most}, timeout_s={timeout_s}: expected both above 0.")
        self._work, self._timeout_s, self._wait_s = work, timeout_s, wait_s
        self._limit = share_of_memory(most)
        self._places = threading.BoundedSemaphore(most)
        self._lock = threading.Lock()  # of all that follows, and of talking to the template
        self._template: Template | None = None
        self._idle: list[_Worker] = []
        self._started = 0
        self._closed = False
        self._end: Callable[[], object] | None = None

    def warm(self) -> None:
        """Start a worker, so that the first work need not wait for one."""
        with self._lock:
            if not self._idle and not self._closed:
                self._idle.append(self._fork())

    def run(self, path: str, argument: A) -> T:
        """`work(argument)` in a process of its own.

        Args:
            path: of the file, for messages.

        Raises:
            AudioError: the work's own; or CRASHED, TIMED_OUT, TOO_LARGE where its process did not live to answer.
            BusyError: no process came free within `wait_s`.
            EarmarkError: the work's own.
        """
        if not self._places.acquire(timeout=self._wait_s):
            raise BusyError("other sounds are being read: try again in a moment.")
        try:
            with self._lock:
                if self._closed:
                    raise BusyError("the server is stopping.")
                worker = self._idle.pop() if self._idle else self._fork()
            value: T = self._ask(worker, path, argument)
            return value
        finally:
            self._places.release()

    def _ask(self, worker: _Worker, path: str, argument: A) -> Any:
        ending: Reason | None = None
        until = time.monotonic() + self._timeout_s
        try:
            worker.channel.write(pack((0, self._timeout_s, self._work, argument)))
            while not select.select([worker.channel], [], [], _LOOK_S)[0]:
                if time.monotonic() > until:
                    ending = Reason.TIMED_OUT
                elif resident_bytes(worker.pid) > self._limit:
                    ending = Reason.TOO_LARGE
                if ending is not None:
                    kill(worker.pid)
                    break
            _, kind, value = worker.channel.recv()
        except (EOFError, OSError):
            raise self._bury(worker, path, ending) from None
        except BaseException:
            self._bury(worker, path, ending)
            raise
        with self._lock:
            self._idle.append(worker)
        if kind == "value":
            return value
        if kind in ("stop", "refused"):
            raise value
        if kind == "memory":
            raise failure(path, Reason.TOO_LARGE, self._timeout_s, self._limit)
        raise our_failure(path, str(value))

    def _bury(self, worker: _Worker, path: str, ending: Reason | None) -> Exception:
        kill(worker.pid)
        worker.channel.close()
        status = 0
        with self._lock, contextlib.suppress(OSError, ValueError):  # the template may be gone with all of us
            if self._template is not None:
                status = self._template.wait(worker.pid)
        return how_it_died(path, status, ending, self._timeout_s, self._limit)

    def _fork(self) -> _Worker:
        if self._template is None:
            self._template = Template(self._work.__module__, self._limit, Lent(-1, 0))
            self._end = weakref.finalize(self, self._template.end)  # also where nobody closes us
        self._started += 1
        return _Worker(self._started, *self._template.fork(self._started))

    def close(self) -> None:
        """End all of them; work under way breaks off."""
        with self._lock:
            self._closed = True
            for worker in self._idle:
                worker.channel.close()
            self._idle.clear()
            if self._end is not None:
                self._end()

"""Work on a CPU split over a few threads, each of which computes alone.

torch's own threads meet after every operation, and what they work on between two meetings has outgrown their caches
when it is large enough to be worth a meeting. Here a thread takes whole clips and does every step of each while it
lies in its own cache: the front end takes half the time. The threads share nothing, so a result does not depend on how
many there are.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

import torch

# Between two operations a thread holds the interpreter, so that more of them would wait for each other.
_MOST = 8


class _Pool:
    """Threads in which torch computes single-threaded; made when first needed, and anew in a forked child."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew, as in a forked child: its parent's threads do not exist there."""
        self._lock = threading.Lock()
        self._executor: ThreadPoolExecutor | None = None
        self._lanes = 0
        self._inside = threading.local()

    @property
    def inside(self) -> bool:
        """Whether this thread is a lane: work that it would wait for might wait for it."""
        return getattr(self._inside, "lane", False)

    def submit(self, run: Callable[[int], None], lanes: int) -> list[Future[None]]:
        """`run(0)` .. `run(lanes - 1)`, each in a thread of its own."""
        with self._lock:  # until all are handed over: another thread that needs more lanes lets these ones go
            if self._executor is None or self._lanes < lanes:
                executor = self._started(lanes)
                if self._executor is not None:
                    self._executor.shutdown(wait=False)  # what was handed over is still done
                self._executor, self._lanes = executor, lanes
            return [self._executor.submit(run, lane) for lane in range(lanes)]

    def _started(self, lanes: int) -> ThreadPoolExecutor:
        threads = torch.get_num_threads()
        ready = threading.Barrier(lanes + 1)

        def alone() -> None:
            self._inside.lane = True
            torch.get_num_threads()  # a thread takes the common number the first time it needs one, so let it be now
            torch.set_num_threads(1)

        executor = ThreadPoolExecutor(lanes, "earmark-lane", initializer=alone)
        try:
            for _ in range(lanes):
                executor.submit(ready.wait)
            ready.wait()
        except BaseException:  # Ctrl-C, or no more threads are to be had: those that wait would wait for ever
            ready.abort()
            executor.shutdown(wait=False)
            raise
        finally:
            # the number is each thread's own, but it is also what threads started later begin with
            torch.set_num_threads(threads)
        return executor


_pool = _Pool()
os.register_at_fork(after_in_child=_pool.forget)


def lanes_for(pieces: int) -> int:
    """How many threads are worth while for so many pieces of work."""
    return max(1, min(torch.get_num_threads(), pieces, _MOST))


def in_lanes(work: Callable[[int, int], None], pieces: int) -> None:
    """`work(first, last)` for consecutive runs of 0 .. pieces - 1, a run a thread; in this thread with one lane,
    or where this is a lane already.

    Gradients are not recorded in the threads. The first error of a thread is raised here.
    """
    lanes = lanes_for(pieces)
    if lanes == 1 or _pool.inside:
        work(0, pieces)
        return
    edges = [pieces * lane // lanes for lane in range(lanes + 1)]

    def run(lane: int) -> None:
        with torch.no_grad():  # said for each thread apart
            work(edges[lane], edges[lane + 1])

    futures = _pool.submit(run, lanes)
    wait(futures)  # all of them: what they write into is the caller's, who may let it go when this raises
    for future in futures:
        future.result()

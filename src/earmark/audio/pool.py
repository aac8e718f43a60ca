"""Work over many files in worker processes: a decoder that crashes, hangs or fills the memory costs only its file."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from earmark.audio.channel import AHEAD, Channel, Lent, pack
from earmark.errors import AudioError, EarmarkError, InputError
from earmark.types import Progress, Quiet, Reason

T = TypeVar("T")

MEMORY_LIMIT = 4 << 30
"""Bytes of memory that one worker may take at most; less where the machine has less to share out."""

_POLL_S = 0.2  # between two looks at the workers' memory
_SHORT_WORK_S = 0.05  # work shorter than this is handed out one ahead, so that no worker waits for the caller
_KILLED = "signal SIGKILL"  # no decoder does that to itself
_SMALL_ARGUMENT = 1 << 14  # bytes that a socket surely takes without anybody reading


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """What became of one item.

    Attributes:
        index: of the item in the sequence given.
        path: as given.
        value: what the work returned; None where it failed.
        error: why it failed: the work's own AudioError, or CRASHED, TIMED_OUT, TOO_LARGE.
    """

    index: int
    path: str
    value: T | None
    error: AudioError | None


def map_files(
    work: Callable[[Any], T],
    items: Sequence[tuple[str, Any]],
    *,
    workers: int,
    timeout_s: float | Sequence[float],
    progress: Progress | None = None,
    memory_limit: int | None = None,
    lend_bytes: int = 0,
) -> Generator[Outcome[T], None, None]:
    """`work(argument)` for each (path, argument), in worker processes; outcomes come as they finish.

    Each item has one outcome. Where the work raises AudioError, that is its error; any other EarmarkError (a full
    disk) ends the run and is raised here; any other exception, a worker that dies, one that takes longer than
    `timeout_s` and one that takes more memory than its share each become an AudioError of that item alone, and the
    worker is replaced. The message says whether the file, Earmark or somebody outside is the likely cause. Closing the
    iterator, Ctrl-C, or the end of this process ends all workers.

    Args:
        work: a function at the top of an importable module (not of the script being run).
        items: path (for messages) and what `work` is called with.
        workers: processes, > 0.
        timeout_s: for one item, > 0; or one for each item (`time_limits`).
        progress: told of each file that is done.
        memory_limit: bytes a worker may take; default `MEMORY_LIMIT`, or an equal share of the machine's memory.
        lend_bytes: above 0, arrays of up to so many bytes in a value may be lent (`earmark.audio.channel`), which is
            cheaper: they are read-only and hold only until the next outcome is asked for.
    """
    timeouts = [timeout_s] * len(items) if isinstance(timeout_s, int | float) else list(timeout_s)
    if workers < 1 or len(timeouts) != len(items) or not all(limit > 0 for limit in timeouts):
        raise InputError(f"workers={workers}, timeout_s={timeout_s}: expected both above 0, one time limit an item.")
    if getattr(work, "__module__", "__main__") == "__main__":
        raise InputError(f"{work!r} cannot run in a worker: define it in a module that can be imported.")
    if not items:
        return
    progress = progress or Quiet()
    workers = min(workers, len(items))
    limit = memory_limit or share_of_memory(workers)
    run = _Run(work, items, timeouts, limit, Lent.make(workers, lend_bytes))
    progress.start("read", len(items), "files")
    try:
        run.start(workers)
        for outcome in run.outcomes():
            progress.advance(1)
            yield outcome
    finally:
        run.end()
        progress.stop()


def time_limits(paths: Sequence[str], base_s: float, *, per_mb_s: float = 5.0) -> list[float]:
    """A time limit for each file: `base_s`, and `per_mb_s` for each MB of it, so that a night's recording has its time.

    5 s a MB allows for a decoder at 25 times real time and a file of 64 kbit/s.
    """
    limits = []
    for path in paths:
        try:
            size = os.stat(path).st_size
        except OSError:
            size = 0
        limits.append(base_s + per_mb_s * size / 1e6)
    return limits


@dataclass(slots=True, eq=False)
class _Worker:
    number: int  # of its places in the shared memory
    pid: int
    channel: Channel
    held: deque[int] = field(default_factory=deque)  # items handed over, the first of them in work
    began: float = 0.0  # when the first of them was begun, or later
    ending: Reason | None = None  # why it was killed


class _Run:
    """One map_files: the template process, the workers, and who holds what."""

    def __init__(
        self,
        work: Callable[[Any], Any],
        items: Sequence[tuple[str, Any]],
        timeouts: list[float],
        limit: int,
        lent: Lent,
    ) -> None:
        self._work = work
        self._items = items
        self._timeouts = timeouts
        self._limit = limit
        self._queue = deque(range(len(items)))
        self._left = len(items)
        self._workers: list[_Worker] = []
        self._selector = selectors.DefaultSelector()
        self._looked = time.monotonic()
        self._mean_s = 1.0
        self._lent = lent
        self._template = Template(work.__module__, limit, lent)

    def start(self, workers: int) -> None:
        for number in range(workers):
            self._fork(number)

    def _fork(self, number: int) -> None:
        worker = _Worker(number, *self._template.fork(number))
        self._workers.append(worker)
        self._selector.register(worker.channel, selectors.EVENT_READ, worker)

    def outcomes(self) -> Iterator[Outcome[Any]]:
        while self._left:
            self._hand_out()
            ready = [key.data for key, _ in self._selector.select(_POLL_S)]
            # before the caller is given anything: results that wait while he takes his time are not overdue
            self._end_the_overdue(but=ready)
            for worker in ready:
                outcome = self._collect(worker)
                if outcome is not None:
                    self._left -= 1
                    yield outcome

    def _hand_out(self) -> None:
        ahead = AHEAD if self._mean_s < _SHORT_WORK_S else 1
        for depth in range(ahead):
            for worker in self._workers:
                if not self._queue:
                    return
                if len(worker.held) != depth:
                    continue
                index = self._queue[0]
                message = pack((index, self._timeouts[index], self._work, self._items[index][1]))
                if depth and len(message) > _SMALL_ARGUMENT:
                    continue  # both ends could wait for the other to read
                self._queue.popleft()
                worker.held.append(index)
                if depth == 0:
                    worker.began = time.monotonic()
                with contextlib.suppress(OSError):  # it may be dead, which the next look at its channel finds
                    worker.channel.write(message)

    def _collect(self, worker: _Worker) -> Outcome[Any] | None:
        try:
            index, kind, value = worker.channel.recv()
        except (EOFError, OSError):
            return self._bury(worker)
        if kind == "broken":
            raise InputError(f"{self._work!r} cannot be used in a worker process: {value}.")
        now = time.monotonic()
        self._mean_s += 0.2 * (now - worker.began - self._mean_s)
        worker.held.popleft()
        worker.began = now
        path = self._items[index][0]
        if kind == "value":
            return Outcome(index, path, value, None)
        if kind == "stop":
            raise value
        if kind == "refused":
            return Outcome(index, path, None, value)
        if kind == "memory":
            return Outcome(index, path, None, failure(path, Reason.TOO_LARGE, self._timeouts[index], self._limit))
        return Outcome(index, path, None, our_failure(path, value))

    def _bury(self, worker: _Worker) -> Outcome[Any] | None:
        """A dead worker: its first item is at fault, the others go back, and another worker takes its place."""
        self._leave(worker)
        status = self._template.wait(worker.pid)
        held = list(worker.held)
        self._queue.extendleft(reversed(held[1:]))
        if self._queue or not self._workers:
            self._fork(worker.number)
        if not held:
            return None
        path = self._items[held[0]][0]
        error = how_it_died(path, status, worker.ending, self._timeouts[held[0]], self._limit)
        return Outcome(held[0], path, None, error)

    def _leave(self, worker: _Worker) -> None:
        self._selector.unregister(worker.channel)
        worker.channel.close()
        self._workers.remove(worker)

    def _end_the_overdue(self, but: list[_Worker]) -> None:
        """Every `_POLL_S`, a look at those that work; `but` have something to say first."""
        now = time.monotonic()
        if now < self._looked + _POLL_S:
            return
        self._looked = now
        for worker in self._workers:
            if not worker.held or worker in but:
                continue
            if now > worker.began + self._timeouts[worker.held[0]]:
                self._kill(worker, Reason.TIMED_OUT)
            elif resident_bytes(worker.pid) > self._limit:
                self._kill(worker, Reason.TOO_LARGE)

    def _kill(self, worker: _Worker, reason: Reason) -> None:
        if worker.ending is None:
            worker.ending = reason
            kill(worker.pid)

    def end(self) -> None:
        """Ends every worker and the template; nothing of this run is left."""
        for worker in list(self._workers):
            kill(worker.pid)
            self._leave(worker)
        self._selector.close()
        self._lent.close()
        self._template.end()


class Template:
    """The process that workers are forked from; see `earmark.audio.worker`.

    Args:
        module: of the work.
        limit: bytes of memory that one worker may take.
    """

    def __init__(self, module: str, limit: int, lent: Lent) -> None:
        self._lent = lent
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        code = (
            f"import sys; sys.path[:] = {sys.path!r}\n"
            "from earmark.audio.worker import Lent, template\n"
            f"template({theirs.fileno()}, {module!r}, {limit}, Lent({lent.fd}, {lent.place_bytes}))"
        )
        fds = [fd for fd in (theirs.fileno(), lent.fd) if fd >= 0]
        # a session of its own: a Ctrl-C in the terminal reaches the caller, who then ends the workers
        self._process = subprocess.Popen(
            [sys.executable, "-c", code], pass_fds=fds, stdin=subprocess.DEVNULL, start_new_session=True
        )
        theirs.close()

    def fork(self, number: int) -> tuple[int, Channel]:
        """A new worker's process id, and the channel to it; EarmarkError where none can be started."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                socket.send_fds(self._control, [b"fork %d" % number], [theirs.fileno()])
                pid = int(self._control.recv(64) or b"0")
            except OSError:
                pid = 0
        if pid <= 0:
            ours.close()
            raise EarmarkError("the worker processes cannot be started: see the messages above; is memory left?")
        return pid, Channel(ours.detach(), self._lent.places(number))

    def wait(self, pid: int) -> int:
        """The exit status, as `os.waitpid` gives it, of a worker that is dead or about to be."""
        self._control.send(f"wait {pid}".encode())
        return int(self._control.recv(64) or b"0")

    def end(self) -> None:
        """Ends it and every worker that is left."""
        self._control.close()  # on which the template ends
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def how_it_died(path: str, status: int, ending: Reason | None, timeout_s: float, limit: int) -> AudioError:
    """The error of a file whose worker is dead.

    Args:
        status: as `Template.wait` gives it.
        ending: why we killed it, if we did.
    """
    number = status & 0x7F
    reason = ending or (Reason.TIMED_OUT if number == signal.SIGALRM else Reason.CRASHED)
    words = f"signal {signal.Signals(number).name}" if number else f"exit status {status >> 8}"
    return failure(path, reason, timeout_s, limit, words)


def our_failure(path: str, said: str) -> AudioError:
    """Of a work that raised what it never should."""
    message = (
        f"{path} was not decoded: Earmark itself failed on it ({said}), which says nothing about the file; "
        "`earmark doctor` checks the installation."
    )
    return AudioError(path, Reason.CRASHED, message)


def failure(path: str, reason: Reason, timeout_s: float, limit: int, words: str = "") -> AudioError:
    """TIMED_OUT, TOO_LARGE or CRASHED as one sentence; words: how the worker ended."""
    if reason is Reason.TIMED_OUT:
        message = f"{path} took longer than {timeout_s:g} s: it may be crafted or damaged; remove it."
    elif reason is Reason.TOO_LARGE:
        message = (
            f"{path} needed more than the {limit / 2**30:.1f} GiB that one file may take: cut it into shorter files."
        )
    elif words == _KILLED:
        message = (
            f"{path} was not decoded: its worker process was killed from outside ({words}), most often because "
            "the machine ran out of memory; run this again with fewer workers (EARMARK_WORKERS)."
        )
    else:
        message = f"{path} made its decoder fail ({words}): it may be crafted or damaged; remove it."
    return AudioError(path, reason, message)


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def resident_bytes(pid: int) -> int:
    """Memory in use by a process; 0 where the system does not tell (only Linux has /proc)."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0


def share_of_memory(workers: int) -> int:
    """Bytes that each of so many workers may take."""
    return min(MEMORY_LIMIT, _machine_memory() // (workers + 1))


def _machine_memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return 8 << 30

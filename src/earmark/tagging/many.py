"""Many recordings at once: each decoded in a process of its own lane, all by one net."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from earmark.errors import AudioError
from earmark.settings import check_seconds, load_settings
from earmark.tagging.decoder import Decoder
from earmark.tagging.scores import Scores
from earmark.tagging.tagger import Tagger, checked
from earmark.types import Samples

_JOIN_S = 2.0

Heard = Callable[[str, float, float | None], None]
"""Called with a path, seconds of it just heard, and its duration where the file says it; from any thread."""


@dataclass(frozen=True, slots=True)
class Tagged:
    """What became of one recording: scores, or an error that says why there are none."""

    path: str
    scores: Scores | None
    error: AudioError | None


def tag_many(
    tagger: Tagger,
    paths: Iterable[str],
    *,
    overlap: float | None = None,
    workers: int | None = None,
    timeout_s: float | None = None,
    first: Decoder | None = None,
    heard: Heard | None = None,
) -> Generator[Tagged]:
    """Tag recordings, in the order in which they are done. The numbers are those of `Tagger.tag`.

    A file is decoded in another process, in blocks. One that crashes or hangs the decoder costs only itself. Memory
    grows neither with the number of files nor with their length.

    Args:
        tagger: does the tagging.
        paths: of recordings; taken as they are needed, so a generator of a million is welcome.
        overlap: as in `Tagger.tag`.
        workers: recordings at once; default: EARMARK_WORKERS, else the cores this process may use.
        timeout_s: for the next block of a file; default: EARMARK_DECODE_TIMEOUT, else 60.
        first: a decoder that is already running, to save the moment that its start takes; closed at the end.
        heard: told of every block.
    """
    settings = load_settings()
    limit = settings.decode_timeout_s if timeout_s is None else check_seconds("timeout_s", timeout_s)
    lanes = _Lanes(tagger, iter(paths), overlap, heard, limit, first)
    try:
        yield from lanes.run(workers or settings.workers)
    finally:
        lanes.stop()


class _Lanes:
    """Threads that each take the next path, hear it through their own decoder, and hand in the result."""

    def __init__(
        self,
        tagger: Tagger,
        paths: Iterator[str],
        overlap: float | None,
        heard: Heard | None,
        timeout_s: float,
        first: Decoder | None,
    ) -> None:
        self._tagger, self._paths, self._overlap, self._heard = tagger, paths, overlap, heard
        self._timeout_s = timeout_s
        self._idle = [] if first is None else [first]  # decoders that no lane has taken yet
        self._decoders = list(self._idle)
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []
        # bounded: whoever writes the results slows the lanes down rather than filling the memory
        self._results: queue.Queue[Tagged | BaseException | None] = queue.Queue(maxsize=64)

    def run(self, workers: int) -> Iterator[Tagged]:
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
                yield result

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
            while (path := self._next()) is not None:
                decoder = decoder or self._decoder()
                self._results.put(self._tag(path, decoder))
            self._results.put(None)
        except BaseException as error:  # a full disk, no memory: raised in the caller's thread, where it belongs
            self._results.put(error)

    def _next(self) -> str | None:
        with self._lock:
            return None if self._stopped.is_set() else next(self._paths, None)

    def _decoder(self) -> Decoder:
        """Only lanes that have something to decode start a process for it."""
        with suppress(IndexError):
            return self._idle.pop()
        decoder = Decoder(self._timeout_s)
        self._decoders.append(decoder)
        return decoder

    def _tag(self, path: str, decoder: Decoder) -> Tagged:
        try:
            blocks = checked(path, self._listening(path, decoder), self._tagger.sample_rate_hz)
            scores = self._tagger.tag_blocks(path, blocks, overlap=self._overlap)
        except AudioError as error:
            return Tagged(path, None, error)
        return Tagged(path, replace(scores, warning=decoder.warning), None)

    def _listening(self, path: str, decoder: Decoder) -> Iterator[Samples]:
        for block in decoder.blocks(path, self._tagger.sample_rate_hz):
            yield block
            if self._heard is not None:
                self._heard(path, len(block) / self._tagger.sample_rate_hz, decoder.duration_s)

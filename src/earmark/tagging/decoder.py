"""Decode audio in a process of its own, so that a file which crashes or hangs a decoder costs only itself.

The child (`serve`) reads one JSON request a line on its stdin and answers on a pipe with framed messages: information,
blocks of float32 samples, then an end or an error. It decodes file after file, ahead of the parent by what the pipe
holds, and ends when its stdin closes. It imports neither onnxruntime nor anything else of the tagger.
"""

from __future__ import annotations

import json
import os
import select
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import suppress
from types import TracebackType
from typing import IO, Any, Self

import numpy as np

from earmark.errors import AudioError
from earmark.types import Reason, Samples

_HEAD = struct.Struct("<cQ")  # kind of message, bytes that follow
_INFO, _BLOCK, _END, _ERROR = b"I", b"B", b"E", b"X"
_MEMORY_BYTES = 2 << 30  # private memory of the child: a file that wants more is refused, and the machine lives on
BLOCK_S = 2.0
"""Seconds of a block, here and in `Tagger.tag`: the same blocks, so the same bits; short, so that nobody waits long for
the interpreter while a block is resampled."""
# one core a lane is enough for numpy there, and must be said before it is imported
_SERVE = """
from earmark.settings import limit_native_threads
limit_native_threads(1)
from earmark.tagging.decoder import serve
serve()
"""


class Decoder:
    """One child that decodes, started at once, and again after a file that killed it.

    Args:
        timeout_s: how long the child may take for the next block (2 s of audio) before its file is given up.
        code: what the child runs.
    """

    def __init__(self, timeout_s: float, code: str = _SERVE) -> None:
        self.timeout_s = timeout_s
        self._code = f"import sys; sys.path[:] = {sys.path!r}\n{code}"
        self.warning: str | None = None
        self.duration_s: float | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._start()

    def blocks(self, path: str, sample_rate_hz: int) -> Generator[Samples]:
        """Mono blocks (n,) of the file at `sample_rate_hz`. `duration_s` is set before the first
        (None where the file does not say), `warning` after the last.

        Raises:
            AudioError: as `earmark.audio.read.stream` does; CRASHED or TIMED_OUT where the child had to be given up.
        """
        self.warning = self.duration_s = None
        request = json.dumps({"path": path, "sample_rate_hz": sample_rate_hz}).encode() + b"\n"
        finished = False
        try:
            self._send(request)
            while True:
                kind, payload = self._receive(path)
                if kind == _BLOCK:
                    yield np.frombuffer(payload, np.float32)
                    continue
                content = json.loads(payload)
                if kind == _INFO:
                    self.duration_s = content["duration_s"]
                    continue
                finished = True
                if kind == _ERROR:
                    raise AudioError(path, content["reason"], content["message"])
                self.warning = content["warning"]
                return
        finally:
            if not finished:  # crashed, hung, or the caller lost interest: what is in the pipe is of no use
                self.close()

    def kill(self) -> None:
        """End the child from any thread: whoever waits for a block gets AudioError CRASHED."""
        child = self._child
        if child is not None:
            child.kill()

    def close(self) -> None:
        """End the child and tidy up. The next `blocks` starts another."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    with suppress(OSError):
                        pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _start(self) -> subprocess.Popen[bytes]:
        self._child = subprocess.Popen(
            [sys.executable, "-c", self._code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # decoders print about broken files; the verdict says it in one sentence
            start_new_session=True,  # Ctrl-C is for the parent, which then ends its children
        )
        return self._child

    def _send(self, request: bytes) -> None:
        for _ in range(2):
            child = self._child or self._start()
            assert child.stdin is not None
            try:
                child.stdin.write(request)
                child.stdin.flush()
                return
            except BrokenPipeError:  # it died while it had nothing to do; a fresh one gets one chance
                self.close()

    def _receive(self, path: str) -> tuple[bytes, bytearray]:
        child = self._child
        if child is None or child.stdout is None:
            raise AudioError(path, Reason.CRASHED, f"{path}: the decoder process could not be started.")
        deadline = time.monotonic() + self.timeout_s
        head = self._exactly(child.stdout, _HEAD.size, deadline, path)
        kind, size = _HEAD.unpack(head)
        return kind, self._exactly(child.stdout, size, deadline, path)

    def _exactly(self, pipe: IO[bytes], size: int, deadline: float, path: str) -> bytearray:
        descriptor = pipe.fileno()
        data = bytearray(size)
        view, got = memoryview(data), 0
        while got < size:
            ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise AudioError(
                    path,
                    Reason.TIMED_OUT,
                    f"{path}: the decoder gave nothing for {self.timeout_s:g} s; convert the file with another "
                    "program, or raise EARMARK_DECODE_TIMEOUT if the disk is slow.",
                )
            n = os.readv(descriptor, [view[got:]])
            if n == 0:
                raise AudioError(
                    path, Reason.CRASHED, f"{path}: the decoder crashed on it; the file is broken, convert it anew."
                )
            got += n
        return data


def serve() -> None:
    """The child: answer requests until stdin closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what native code prints on stdout must not reach the pipe
    _limit_memory()
    _end_with_parent()
    from earmark.audio.read import stream

    with suppress(BrokenPipeError):
        for line in sys.stdin.buffer:
            request = json.loads(line)
            path = request["path"]
            try:
                with stream(path, sample_rate_hz=request["sample_rate_hz"], block_s=BLOCK_S) as blocks:
                    _answer(out, _INFO, json.dumps({"duration_s": blocks.info.duration_s}).encode())
                    for block in blocks:
                        _answer(out, _BLOCK, np.ascontiguousarray(block, np.float32).tobytes())
                    warning = blocks.warning
                _answer(out, _END, json.dumps({"warning": warning}).encode())
            except AudioError as error:
                _answer(out, _ERROR, json.dumps({"reason": str(error.reason), "message": str(error)}).encode())
            except MemoryError:
                message = f"{path}: decoding it takes more than {_MEMORY_BYTES >> 30} GB of memory; cut it into pieces."
                _answer(out, _ERROR, json.dumps({"reason": Reason.TOO_LARGE, "message": message}).encode())


def _answer(out: Any, kind: bytes, payload: bytes) -> None:
    view = memoryview(_HEAD.pack(kind, len(payload)) + payload)
    while view:
        view = view[out.write(view) :]


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # not a POSIX system: no limit to set
        return
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    limit = _MEMORY_BYTES if hard == resource.RLIM_INFINITY else min(hard, _MEMORY_BYTES)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _end_with_parent() -> None:
    """A child that hangs in a decoder never reads that its stdin was closed, so a thread watches for the parent."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()

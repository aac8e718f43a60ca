"""What `earmark.audio.pool` and its workers say to each other: values over a socket, large arrays in shared memory.

A clip's samples are the bulk of what comes back from a worker. Sent over a socket they are copied four times on their
way, which costs a tenth of the time it takes to decode them. So a worker may lend them: it puts them into memory that
both processes have mapped, and the value that arrives holds views of it. That memory has `AHEAD` places for each
worker, used in turn; a place is written again only when the worker takes up the item after next, which it is not given
before the caller has asked for another outcome. Where the system has no anonymous shared memory (all but Linux), and
for what is too large for a place, everything goes over the socket.
"""

from __future__ import annotations

import io
import mmap
import os
import struct
from collections.abc import Callable
from multiprocessing.reduction import ForkingPickler
from typing import Any

AHEAD = 2
"""Items that a worker holds at most: the one it works on and the next. So many places it needs to lend from."""

_HEAD = struct.Struct("<QIB")  # bytes of the pickle; how many buffers lie beside it; in which place
_LENGTH = struct.Struct("<Q")
_ALIGNED = 64  # where a buffer in a place begins, in bytes, for arrays of any type


class Lent:
    """Shared memory of all workers of one run: `AHEAD` places of `place_bytes` for each.

    Attributes:
        fd: of the memory, for the template process; -1 where there is none.
        place_bytes: whole pages.
    """

    def __init__(self, fd: int, place_bytes: int) -> None:
        self.fd = fd
        self.place_bytes = place_bytes

    @classmethod
    def make(cls, workers: int, place_bytes: int) -> Lent:
        """Memory for `workers`, which takes room only as it is used; none for 0 bytes or where the system has none."""
        pages = -(-place_bytes // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY
        if not pages or not hasattr(os, "memfd_create"):
            return cls(-1, 0)
        try:
            fd = os.memfd_create("earmark")
        except OSError:  # forbidden here
            return cls(-1, 0)
        os.truncate(fd, workers * AHEAD * pages)
        return cls(fd, pages)

    def places(self, worker: int, *, write: bool = False) -> list[memoryview]:
        """The places of one worker, counted from 0; an empty list where there is no shared memory."""
        if self.fd < 0:
            return []
        size = AHEAD * self.place_bytes
        access = mmap.ACCESS_WRITE if write else mmap.ACCESS_READ
        view = memoryview(mmap.mmap(self.fd, size, access=access, offset=worker * size))
        return [view[start : start + self.place_bytes] for start in range(0, size, self.place_bytes)]

    def close(self) -> None:
        """Give up the descriptor; what was mapped stays for as long as somebody holds a view of it."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class Channel:
    """One end of a stream socket between the caller and a worker. Values are pickled, as `multiprocessing` does."""

    def __init__(self, fd: int, places: list[memoryview]) -> None:
        self._fd = fd
        self._places = places

    def fileno(self) -> int:
        return self._fd

    def close(self) -> None:
        os.close(self._fd)

    def send(self, value: Any, *, place: int | None = None) -> None:
        """Send `value`; with `place`, its arrays are lent in that place where they fit.

        Raises whatever pickling raises, before a byte is sent; OSError where nobody is at the other end.
        """
        self.write(self._lend(value, place) if place is not None and self._places else pack(value))

    def write(self, message: memoryview) -> None:
        """Send what `pack` made."""
        while len(message):
            message = message[os.write(self._fd, message) :]

    def recv(self) -> Any:
        """The next value; EOFError where the other end is closed, also in the middle of a value."""
        length, n_buffers, place = _HEAD.unpack(self._read(_HEAD.size))
        message = memoryview(self._read(length + _LENGTH.size * n_buffers))
        buffers, start = [], 0
        for (size,) in _LENGTH.iter_unpack(message[length:]):
            buffers.append(self._places[place][start : start + size])
            start += _aligned(size)
        return ForkingPickler.loads(message[:length], buffers=buffers)

    def _lend(self, value: Any, place: int) -> memoryview:
        picked: list[Any] = []
        file = _pickled(value, picked.append)
        length = file.tell() - _HEAD.size
        room, start = self._places[place], 0
        for raw in (buffer.raw() for buffer in picked):
            if start + len(raw) > len(room):
                return pack(value)
            room[start : start + len(raw)] = raw
            start += _aligned(len(raw))
            file.write(_LENGTH.pack(len(raw)))
        return _headed(file, length, len(picked), place)

    def _read(self, n: int) -> bytes | bytearray:
        first = os.read(self._fd, n)
        if len(first) == n:
            return first
        whole = bytearray(n)
        whole[: len(first)] = first
        done = got = len(first)
        while done < n:
            if not got:
                raise EOFError("the other end of the channel is closed")
            got = os.readv(self._fd, [memoryview(whole)[done:]])
            done += got
        return whole


def pack(value: Any) -> memoryview:
    """The message that carries `value` and needs no shared memory."""
    file = _pickled(value)
    return _headed(file, file.tell() - _HEAD.size, 0, 0)


def _pickled(value: Any, keep_beside: Callable[[Any], None] | None = None) -> io.BytesIO:
    file = io.BytesIO()
    file.write(bytes(_HEAD.size))
    ForkingPickler(file, 5, True, keep_beside).dump(value)
    return file


def _headed(file: io.BytesIO, length: int, n_buffers: int, place: int) -> memoryview:
    message = file.getbuffer()
    _HEAD.pack_into(message, 0, length, n_buffers, place)
    return message


def _aligned(size: int) -> int:
    return -(-size // _ALIGNED) * _ALIGNED

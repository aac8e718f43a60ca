"""From what was typed (files, folders, globs, a list on stdin) to paths of recordings, one at a time."""

from __future__ import annotations

import glob
import io
import os
import select
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from earmark.audio.find import walk_audio
from earmark.errors import AudioError, InputError
from earmark.tagging.journal import PathSet
from earmark.types import Reason

_READ = 65_536
_MOST_AHEAD = 1 << 22  # bytes of a list that are read before they are needed, to know its end: some 50,000 paths


class Readable(Protocol):
    def read(self, size: int, /) -> bytes:
        """At most `size` bytes, what is there; none at the end."""


class Listing:
    """A list of paths on a file descriptor, read as it comes.

    Args:
        descriptor: e.g. 0. Unbuffered: a thread that waits on a buffered stdin holds a lock, and Ctrl-C would end in a
            fatal error.

    Raises:
        InputError: here and in `read` and `whole`: it is closed, a folder, or cannot be read.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._ahead = io.BytesIO()
        with _told():
            self._is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)

    def read(self, size: int, /) -> bytes:
        """What is there, waited for where there is nothing; empty at the end."""
        return self._ahead.read(size) or self._read(size)

    def _read(self, size: int) -> bytes:
        with _told():
            while True:
                try:
                    return os.read(self._descriptor, size)
                except BlockingIOError:  # whoever shares it with us has made it so
                    select.select([self._descriptor], [], [])

    def whole(self) -> Readable | None:
        """All that is still to be read, to be read twice; None where the list is not over yet, or very long.

        A file is read anew. Of a pipe, what is there is read now, without waiting for more.
        """
        if self._is_file:
            return _Again(self._descriptor, os.lseek(self._descriptor, 0, os.SEEK_CUR))
        there = bytearray()
        over = False
        while not over and len(there) < _MOST_AHEAD and select.select([self._descriptor], [], [], 0)[0]:
            chunk = self._read(_READ)
            there += chunk
            over = not chunk
        self._ahead = io.BytesIO(bytes(there))
        return io.BytesIO(bytes(there)) if over else None


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error)
        raise InputError(f"-: the list on stdin cannot be read ({why}); give one path a line: ls *.wav | ...") from None


class _Again:
    """A file from `offset` on, without moving where others read."""

    def __init__(self, descriptor: int, offset: int) -> None:
        self._descriptor, self._offset = descriptor, offset

    def read(self, size: int, /) -> bytes:
        chunk = os.pread(self._descriptor, size, self._offset)
        self._offset += len(chunk)
        return chunk


def expand(
    inputs: Iterable[str], listing: Readable | None = None, *, zero_separated: bool = False
) -> Iterator[str | AudioError]:
    """Paths of recordings in the order given; within a folder or a pattern, sorted.

    An input in which nothing is found (a folder without audio, a pattern that matches nothing) is given as an
    AudioError MISSING in its place, so that it costs only itself.

    Args:
        inputs: files (taken as they are, audio or not: reading them gives the verdict), folders (searched for audio by
            suffix, all the way down), glob patterns (`**` goes down), or `-` for the list on `listing`.
        listing: where `-` reads from: one path a line.
        zero_separated: paths of the list end with NUL instead (`find -print0`).

    Raises:
        InputError: `-` without a `listing`; a task of the catalog.
    """
    for text in inputs:
        if text == "-":
            if listing is None:
                raise InputError("-: no list of paths to read from.")
            yield from _listed(listing, b"\0" if zero_separated else b"\n")
            continue
        if os.path.isdir(text):
            yield from _found(text)
        elif text.startswith("catalog:") and not os.path.exists(text):
            raise InputError(
                f"{text}: labelled clips of the catalog, and what is tagged are files and folders; give those, or see "
                "what a model makes of labelled clips with `earmark evaluate`."
            )
        elif not os.path.exists(text) and glob.has_magic(text):
            yield from _matched(text)
        else:
            yield text


def count_files(
    inputs: Sequence[str],
    done: PathSet | None = None,
    listing: Listing | None = None,
    *,
    zero_separated: bool = False,
) -> int | None:
    """How many recordings of `inputs` are not in `done`, each counted once; None where a list is not over yet.

    Folders are walked for it, and a list is read: that takes seconds for a million files, and without it nobody knows
    the time left. The list can be read as before afterwards.
    """
    again = None
    if "-" in inputs:
        again = listing.whole() if listing is not None else None
        if again is None:
            return None
    seen = PathSet()
    had = done or PathSet()
    paths = expand(inputs, again, zero_separated=zero_separated)
    return sum(isinstance(path, str) and seen.add(path) and path not in had for path in paths)


def _found(folder: str) -> Iterator[str | AudioError]:
    empty = True
    try:
        for path in walk_audio(folder):
            empty = False
            yield str(path)
    except InputError as error:  # it cannot be listed; what was found before stands
        yield AudioError(folder, Reason.MISSING, str(error))
        return
    if empty:
        yield _nothing(folder, "no audio file in it; expected WAV, FLAC, OGG, MP3, M4A and the like.")


def _nothing(text: str, why: str) -> AudioError:
    return AudioError(text, Reason.MISSING, f"{text}: {why}")


def _matched(pattern: str) -> Iterator[str | AudioError]:
    names = sorted(glob.iglob(pattern, recursive=True))
    if not names:
        yield _nothing(pattern, "no such file, and as a pattern it matches none.")
    for name in names:
        if not os.path.isdir(name):
            yield name
            continue
        # of many folders that match, some may well hold no sound
        yield from (path for path in _found(name) if isinstance(path, str))


def _listed(listing: Readable, separator: bytes) -> Iterator[str]:
    rest = b""
    while chunk := listing.read(_READ):
        *names, rest = (rest + chunk).split(separator)
        yield from _named(names, separator)
    yield from _named([rest], separator)


def _named(names: Iterable[bytes], separator: bytes) -> Iterator[str]:
    for name in names:
        plain = name.rstrip(b"\r") if separator == b"\n" else name
        if plain:
            yield os.fsdecode(plain)

"""From what was typed (files, folders, globs, a list on stdin) to paths of recordings, one at a time."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

from earmark.audio.find import walk_audio
from earmark.errors import AudioError, InputError
from earmark.tagging.journal import PathSet
from earmark.types import Reason


def expand(
    inputs: Iterable[str], listing: BinaryIO | None = None, *, zero_separated: bool = False
) -> Iterator[str | AudioError]:
    """Paths of recordings in the order given; within a folder or a pattern, sorted.

    An input in which nothing is found (a folder without audio, a pattern that matches nothing) is given as an
    AudioError MISSING in its place, so that it costs only itself.

    Args:
        inputs: files (taken as they are, audio or not: reading them gives the verdict), folders (searched for audio by
            suffix, all the way down), glob patterns (`**` goes down), or `-` for the list on `listing`.
        listing: where `-` reads from, unbuffered (what is there is taken, not waited upon): one path a line.
        zero_separated: paths of the list end with NUL instead (`find -print0`).

    Raises:
        InputError: `-` without a `listing`.
    """
    for text in inputs:
        if text == "-":
            if listing is None:
                raise InputError("-: no list of paths to read from.")
            yield from _listed(listing, b"\0" if zero_separated else b"\n")
            continue
        if os.path.isdir(text):
            yield from _found(text)
        elif not os.path.exists(text) and glob.has_magic(text):
            yield from _matched(text)
        else:
            yield text


def count_files(inputs: Sequence[str], done: PathSet | None = None) -> int | None:
    """How many recordings of `inputs` are not in `done`, each counted once; None where a list is still to be read.

    Folders are walked for it: that takes seconds for a million files, and without it nobody knows the time left.
    """
    if "-" in inputs:
        return None
    seen = PathSet()
    had = done or PathSet()
    return sum(isinstance(path, str) and seen.add(path) and path not in had for path in expand(inputs))


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


def _listed(listing: BinaryIO, separator: bytes) -> Iterator[str]:
    rest = b""
    while chunk := listing.read(65_536):
        *names, rest = (rest + chunk).split(separator)
        yield from _named(names, separator)
    yield from _named([rest], separator)


def _named(names: Iterable[bytes], separator: bytes) -> Iterator[str]:
    for name in names:
        plain = name.rstrip(b"\r") if separator == b"\n" else name
        if plain:
            yield os.fsdecode(plain)

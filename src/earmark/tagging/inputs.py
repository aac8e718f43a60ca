"""From what was typed (files, folders, globs, a list on stdin) to paths of recordings, one at a time."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

from earmark.audio.find import looks_like_audio
from earmark.errors import InputError


def expand(inputs: Iterable[str], listing: BinaryIO | None = None, *, zero_separated: bool = False) -> Iterator[str]:
    """Paths of recordings in the order given; within a folder or a glob, sorted.

    Args:
        inputs: files (taken as they are, audio or not: reading them gives the verdict), folders (searched for audio by
            suffix, all the way down), glob patterns (`**` goes down), or `-` for the list on `listing`.
        listing: where `-` reads from, unbuffered (what is there is taken, not waited upon): one path a line.
        zero_separated: paths of the list end with NUL instead (`find -print0`).

    Raises:
        InputError: a folder without audio, or a pattern that matches nothing.
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


def count_files(inputs: Sequence[str]) -> int | None:
    """How many recordings `expand` will give, where that can be known without looking into folders and lists."""
    plain = all(text != "-" and not os.path.isdir(text) and os.path.exists(text) for text in inputs)
    return len(inputs) if plain else None


def _found(folder: str) -> Iterator[str]:
    empty = True
    for name in _walk(folder):
        empty = False
        yield name
    if empty:
        raise InputError(f"{folder}: no audio file in it; expected WAV, FLAC, OGG, MP3, M4A and the like.")


def _walk(folder: str) -> Iterator[str]:
    """What `earmark.audio.find.find_audio` finds, folder by folder: a list of a million paths is never made."""
    seen: set[tuple[int, int]] = set()
    for place, folders, files in os.walk(folder, followlinks=True, onerror=_refuse):
        status = os.stat(place)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        files.sort()
        for name in files:
            if not name.startswith(".") and looks_like_audio(name):
                yield os.path.join(place, name)


def _refuse(error: OSError) -> None:
    raise InputError(f"{error.filename}: cannot be listed ({error.strerror}); check its permissions.") from None


def _matched(pattern: str) -> Iterator[str]:
    empty = True
    for name in sorted(glob.iglob(pattern, recursive=True)):
        empty = False
        if os.path.isdir(name):
            yield from _walk(name)
        else:
            yield name
    if empty:
        raise InputError(f"{pattern}: no such file, and as a pattern it matches none.")


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

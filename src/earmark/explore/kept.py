"""What was measured of a file is kept in the cache folder, so that a look that was stopped goes on where it was.

    CACHE_DIR/inspect/<what was looked at, hashed>-<how it was measured, hashed>.rows

A line a file, appended in one piece: crc32 in hex, then JSON of path, size, time of change and the figures. Each begins
with a line break, so one that a kill or a full disk cut short spoils no other. Two processes may append to one file:
they measure the same. A line counts only where path, size and time of change are today's.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import os
import time
import uuid
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from earmark import __version__
from earmark.explore.measure import MEASURES, Measured

LIMIT_BYTES = 2**32
"""Of all that is kept; what was not used for longest goes first. A file takes 0.4 kB, and a second of it 0.33 kB."""

_NAMES = [field.name for field in fields(Measured)]
_log = logging.getLogger(__name__)


class Kept:
    """Rows measured before, and a place for those to come. A cache that fails is told once, and costs nothing else.

    Args:
        cache_dir: Earmark's cache folder; None keeps nothing.
        root: what is looked at.
        paths: the files it consists of, absolute.
        limit_bytes: see LIMIT_BYTES.

    Attributes:
        rows: by path, what is known and kept.
    """

    def __init__(self, cache_dir: Path | None, root: Path, paths: list[str], limit_bytes: int = LIMIT_BYTES) -> None:
        self._now = {path: stamp for path in paths if (stamp := _stamp(path)) is not None}
        self._limit = limit_bytes
        self._file = -1
        self.rows: dict[str, Measured] = {}
        self._lines = 0
        if cache_dir is None:
            return
        how = json.dumps([1, __version__, MEASURES, _NAMES])
        name = f"{_short(os.path.abspath(root))}-{_short(how)}.rows"
        self._path = cache_dir / "inspect" / name
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            os.utime(self._path)
            for path, stamp, found in _read(self._path):
                self._lines += 1
                if self._now.get(path) == stamp:
                    self.rows[path] = found
            self._bytes = os.fstat(self._file).st_size
        except OSError as error:
            self._give_up(error)

    def add(self, path: str, found: Measured) -> None:
        """A file that was measured now; it is in `rows` once the next run will know it."""
        if path not in self._now or self._file < 0:
            return
        line = _line(path, self._now[path], found)
        if self._bytes + len(line) > self._limit:
            return
        try:
            whole = os.write(self._file, line) == len(line)
        except OSError as error:
            self._give_up(error)
            return
        self._bytes += len(line)
        self._lines += 1
        if whole:
            self.rows[path] = found

    def tidy(self) -> None:
        """After a whole look: drop lines of files that changed or are gone, and what was not used for longest."""
        if self._file < 0:
            return
        with suppress(OSError):
            if self._lines > 2 * len(self.rows) + 100:
                self._rewrite()
            kept = sorted(
                ((file.stat(), file) for file in self._path.parent.iterdir()), key=lambda one: one[0].st_mtime
            )
            total = sum(stat.st_size for stat, _ in kept)
            for stat, file in kept:
                if total <= self._limit:
                    break
                file.unlink(missing_ok=True)
                total -= stat.st_size

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _rewrite(self) -> None:
        whole = self._path.with_name(f"{self._path.name}.{uuid.uuid4().hex}.tmp")
        try:
            with whole.open("wb") as file:
                for path, found in self.rows.items():
                    file.write(_line(path, self._now[path], found))
            whole.replace(self._path)
        finally:
            whole.unlink(missing_ok=True)

    def _give_up(self, error: OSError) -> None:
        self.close()
        _log.warning("%s: %s; what is measured is not kept for the next run.", self._path, error.strerror or error)


def bytes_kept(cache_dir: Path) -> int:
    """What lies in the cache folder."""
    return sum(file.stat().st_size for file in _files(cache_dir))


def forget(cache_dir: Path, *, unused_for_days: float) -> int:
    """Drop what was not used for so long; a look that is going on keeps its own. Gives the bytes freed."""
    limit = time.time() - 86400 * unused_for_days
    freed = 0
    for file in _files(cache_dir):
        with suppress(OSError):
            stat = file.stat()
            if stat.st_mtime <= limit:
                file.unlink()
                freed += stat.st_size
    return freed


def _files(cache_dir: Path) -> list[Path]:
    return sorted((cache_dir / "inspect").glob("*.rows"))


def _stamp(path: str) -> tuple[int, int] | None:
    """Size and time of change."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_size, found.st_mtime_ns


def _short(text: str) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:16]


def _line(path: str, stamp: tuple[int, int], found: Measured) -> bytes:
    values = asdict(found) | {"fingerprint": base64.b64encode(found.fingerprint).decode("ascii")}
    # of a name that is no UTF-8, JSON's own escapes keep the bytes
    text = json.dumps([path, *stamp, *(values[name] for name in _NAMES)]).encode("ascii")
    return b"\n%08x %b" % (zlib.crc32(text), text)


def _read(path: Path) -> Iterator[tuple[str, tuple[int, int], Measured]]:
    """The whole lines; any other was cut short."""
    with path.open("rb") as file:
        for line in file:
            check, _, text = line.rstrip(b"\n").partition(b" ")
            if check != b"%08x" % zlib.crc32(text):
                continue
            name, size, changed, *values = json.loads(text)
            of: dict[str, Any] = dict(zip(_NAMES, values, strict=True))
            of["fingerprint"] = base64.b64decode(of["fingerprint"])
            yield name, (size, changed), Measured(**of)

"""What a batch has done so far, beside its output, so that a run which was killed goes on where it stopped.

`OUT.journal` is a text file of one JSON object a line. The first names the model and the options; every other names one
recording and the size that the output had once its rows were in it. The output is flushed to the disk before the lines
that speak of it, so whatever lies beyond the last line's size was being written when the run stopped, and is cut off.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from earmark.errors import InputError

_COMMIT_S = 1.0  # at most this much work is lost to a kill
_COMMIT_FILES = 256


class PathSet:
    """Paths that were seen, at eight bytes each: their 64-bit hashes, most of them in a sorted array.

    Two paths share a hash with probability n * n / 3.7e19: 3e-8 for a million paths.
    """

    def __init__(self) -> None:
        self._sorted = np.empty(0, np.uint64)
        self._recent: set[int] = set()

    def add(self, path: str) -> bool:
        """Whether `path` is new; from now on it is not."""
        key = self._key(path)
        if self._has(key):
            return False
        self._recent.add(key)
        if len(self._recent) >= 65_536:
            recent = np.frombuffer(array("Q", self._recent), np.uint64)
            self._sorted = np.sort(np.concatenate([self._sorted, recent]))
            self._recent = set()
        return True

    def __contains__(self, path: str) -> bool:
        return self._has(self._key(path))

    def __len__(self) -> int:
        return len(self._sorted) + len(self._recent)

    def _has(self, key: int) -> bool:
        if key in self._recent:
            return True
        at = int(np.searchsorted(self._sorted, np.uint64(key)))
        return at < len(self._sorted) and int(self._sorted[at]) == key

    @staticmethod
    def _key(path: str) -> int:
        # `./a.wav` and `a.wav` are one file
        name = os.fsencode(os.path.abspath(path))
        return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "big")


class JournaledFile:
    """An output file that only grows, and its journal.

    `done` holds what earlier runs had done when this one began.

    Args:
        path: the output; the journal lies beside it as `NAME.journal`.
        header: what the output begins with (the head line of a CSV), or nothing.
        options: what must be the same for a run to go on: the model's hash and everything that shapes a row.
        restart: forget what was done, and write anew.

    Raises:
        InputError: an output without a journal stands there, or its journal is of another model or other options.
    """

    def __init__(self, path: Path, header: bytes, options: Mapping[str, Any], *, restart: bool = False) -> None:
        self.path = path
        self.journal_path = path.with_name(path.name + ".journal")
        self.done = PathSet()
        self._pending: list[dict[str, Any]] = []
        self._committed_at = time.monotonic()
        self._end = 0
        if restart:
            self.journal_path.unlink(missing_ok=True)
            path.unlink(missing_ok=True)
        keep = self._read(options)
        try:
            self._journal = _open(self.journal_path, keep)
            self._file = _open(path, self._end)
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror}); choose another --out.") from None
        if keep == 0:
            self._journal.write(_line({"earmark-tag": 1, **options}))
            self._file.write(header)
            self._end = len(header)
            self._pending.append({"end": self._end})
            self.commit()

    def add(self, path: str, data: bytes) -> None:
        """A recording's rows, written once and for all."""
        self._file.write(data)
        self._end += len(data)
        self._pending.append({"path": path, "end": self._end})
        if len(self._pending) >= _COMMIT_FILES or time.monotonic() - self._committed_at > _COMMIT_S:
            self.commit()

    def commit(self) -> None:
        """Rows to the disk, then the lines that vouch for them."""
        if self._pending:
            _sync(self._file)
            self._journal.write(b"".join(_line(entry) for entry in self._pending))
            _sync(self._journal)
            self._pending = []
        self._committed_at = time.monotonic()

    def close(self) -> None:
        self.commit()
        self._file.close()
        self._journal.close()

    def _read(self, options: Mapping[str, Any]) -> int:
        """Take up what the journal says; returns how many of its bytes are whole lines (0: begin anew)."""
        if not self.journal_path.exists():
            if self.path.exists() and self.path.stat().st_size:
                raise InputError(
                    f"{self.path}: stands there already and has no journal to go on from; "
                    "choose another --out, or --restart to write it anew."
                )
            return 0
        size = self.path.stat().st_size if self.path.exists() else 0
        whole = 0
        with self.journal_path.open("rb") as file:
            for number, line in enumerate(file):
                entry = _parsed(line)
                if entry is None or (number and entry["end"] > size):  # torn by a kill, or the output is behind it
                    break
                if number == 0:
                    self._check(entry, options)
                else:
                    self._end = entry["end"]
                    if "path" in entry:
                        self.done.add(entry["path"])
                whole += len(line)
        # a journal of which not even the first entry is whole begins anew
        return whole if self._end or len(self.done) else 0

    def _check(self, entry: dict[str, Any], options: Mapping[str, Any]) -> None:
        before = {key: value for key, value in entry.items() if key != "earmark-tag"}
        now = json.loads(json.dumps(dict(options)))
        for key in sorted({*before, *now}):
            if before.get(key) != now.get(key):
                raise InputError(
                    f"{self.path}: was begun with {key} {_show(before.get(key))}, now it is {_show(now.get(key))}; "
                    "go on with the same, choose another --out, or --restart to write it anew."
                )


def _open(path: Path, keep: int) -> BinaryIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("r+b" if path.exists() else "w+b")
    file.truncate(keep)
    file.seek(keep)
    return file


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _line(entry: Mapping[str, Any]) -> bytes:
    # ASCII, so that a path which is not UTF-8 (surrogates) survives
    return json.dumps(entry).encode("ascii") + b"\n"


def _parsed(line: bytes) -> dict[str, Any] | None:
    if not line.endswith(b"\n"):
        return None
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None


def _show(value: Any) -> str:
    text = json.dumps(value)
    return text[1:13] + "…" if isinstance(value, str) and len(value) == 64 else text

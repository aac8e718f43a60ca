"""What a batch has done so far, beside its output, so that a run which was killed goes on where it stopped.

`OUT.journal` is a text file of one JSON object a line. The first names the model and the options; every other names one
recording and the size that the output had once its rows were in it. The output is flushed to the disk before the lines
that speak of it, so whatever lies beyond the last line's size was being written when the run stopped, and is cut off.
A run holds a lock on its journal, so that two with the same output do not mix their rows.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from array import array
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from earmark.errors import EarmarkError, InputError

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
        InputError: an output without a journal stands there, its journal is of another model or other options, another
            run is writing to it, or it cannot be written.
    """

    def __init__(self, path: Path, header: bytes, options: Mapping[str, Any], *, restart: bool = False) -> None:
        self.path = path
        self.journal_path = path.with_name(path.name + ".journal")
        self.done = PathSet()
        self._pending: list[dict[str, Any]] = []
        self._committed_at = time.monotonic()
        self._end = 0
        self._failed = False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._journal, is_new = _own(self.journal_path)
        except OSError as error:
            raise self._refused(error) from None
        try:
            if restart:
                self._journal.truncate(0)
            keep = self._read(options, may_begin=restart or not is_new)
            self._file = path.open("r+b" if path.exists() else "w+b")
            for file, size in ((self._journal, keep), (self._file, self._end)):
                file.truncate(size)
                file.seek(size)
        except (OSError, InputError) as error:
            if is_new:
                self.journal_path.unlink()
            self._journal.close()
            if isinstance(error, OSError):
                raise self._refused(error) from None
            raise
        if keep == 0:
            try:
                self._journal.write(_line({"earmark-tag": 1, **options}))
                self._file.write(header)
            except OSError as error:
                raise self._broken(error) from None
            self._end = len(header)
            self._pending.append({"end": self._end})
            self.commit()

    def add(self, path: str, data: bytes) -> None:
        """A recording's rows, written once and for all."""
        try:
            self._file.write(data)
        except OSError as error:
            raise self._broken(error) from None
        self._end += len(data)
        self._pending.append({"path": path, "end": self._end})
        if len(self._pending) >= _COMMIT_FILES or time.monotonic() - self._committed_at > _COMMIT_S:
            self.commit()

    def commit(self) -> None:
        """Rows to the disk, then the lines that vouch for them.

        Raises:
            EarmarkError: the disk is full, or fails. What was committed before is safe.
        """
        if self._pending:
            try:
                _sync(self._file)
                self._journal.write(b"".join(_line(entry) for entry in self._pending))
                _sync(self._journal)
            except OSError as error:
                raise self._broken(error) from None
            self._pending = []
        self._committed_at = time.monotonic()

    def close(self) -> None:
        """Commit what is pending, unless the disk has failed before, and let go of the files."""
        try:
            if not self._failed:
                self.commit()
        finally:
            for file in (self._file, self._journal):
                with suppress(OSError):  # of what a failed disk did not take, the error is already on its way
                    file.close()

    def _read(self, options: Mapping[str, Any], *, may_begin: bool) -> int:
        """Take up what the journal says; returns how many of its bytes are whole lines (0: begin anew)."""
        size = self.path.stat().st_size if self.path.exists() else 0
        if size and not may_begin:
            raise InputError(
                f"{self.path}: stands there already and has no journal to go on from; "
                "choose another --out, or --restart to write it anew."
            )
        whole = 0
        self._journal.seek(0)
        for number, line in enumerate(self._journal):
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

    def _refused(self, error: OSError) -> InputError:
        blocked = isinstance(error, (FileExistsError, NotADirectoryError))
        why = "a file stands where its folder should be" if blocked else error.strerror or str(error)
        return InputError(f"{self.path}: cannot be written ({why}); choose another --out.")

    def _broken(self, error: OSError) -> EarmarkError:
        self._failed = True
        return cannot_write(self.path, error)

    def _check(self, entry: dict[str, Any], options: Mapping[str, Any]) -> None:
        before = {key: value for key, value in entry.items() if key != "earmark-tag"}
        now = json.loads(json.dumps(dict(options)))
        for key in sorted({*before, *now}):
            if before.get(key) != now.get(key):
                raise InputError(
                    f"{self.path}: was begun with {key} {_show(before.get(key))}, now it is {_show(now.get(key))}; "
                    "go on with the same, choose another --out, or --restart to write it anew."
                )


def cannot_write(path: Path, error: OSError) -> EarmarkError:
    """The sentence for a disk that takes no more in the middle of the work."""
    why = error.strerror or str(error)
    return EarmarkError(
        f"{path}: cannot be written ({why}); what is done is kept: free some space or mend the disk, and run the same "
        "command again to go on."
    )


def _own(path: Path) -> tuple[BinaryIO, bool]:
    """The journal at `path`, ours alone until it is closed or this process ends; and whether it is new."""
    try:
        descriptor, is_new = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666), True
    except FileExistsError:
        descriptor, is_new = os.open(path, os.O_RDWR), False
    file = os.fdopen(descriptor, "r+b")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise InputError(
            f"{path.with_suffix('')}: another run is writing to it; wait for its end, or choose another --out."
        ) from None
    return file, is_new


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

"""Shards and journals: what makes the store of prepared audio survive kill -9, a full disk and two writers at once.

A shard is a file of nothing but int16 samples, little endian. A journal holds one line for each thing learnt, each line
with its own checksum. A writer owns one shard and one journal (an flock on each says so), and a row reaches the journal
only after its samples are safely on disk: whatever moment a process dies, every row that can be read is whole, and what
was not finished is merely bytes in a shard that no row names.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import uuid
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from earmark.errors import CacheError

SHARD_BYTES = 256 * 2**20
COMMIT_BYTES = 32 * 2**20
"""Appended bytes after which a writer syncs: at most this much work is done again after a kill."""


OpenFile: TypeAlias = Callable[[Path, str], IO[bytes]]

ROOM_FOR_ROWS = 2**16
"""Bytes that a journal's own file takes on a file system of large blocks."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One recording in the store.

    Attributes:
        file_sha256: of the file's bytes; with the store's rate, the key.
        shard: file name of the shard.
        offset: of its first sample in the shard, in samples.
        n_samples: at the store's rate.
        scale: float32 sample = int16 sample * scale; peak / 32767, so a quiet recording loses nothing.
        crc32: of its int16 bytes.
        file_bytes: size of the file it came from.
        audio_sha256: see `earmark.audio.hashing`.
        sample_rate_hz, channels, duration_s, format: of the file.
        peak: largest absolute sample of the prepared (mono, resampled) signal.
        rms_db: of the prepared signal, dB re full scale.
        warning: what was lost where only a part could be decoded; empty otherwise.
    """

    file_sha256: str
    shard: str
    offset: int
    n_samples: int
    scale: float
    crc32: int
    file_bytes: int
    audio_sha256: str
    sample_rate_hz: int
    channels: int
    duration_s: float
    format: str
    peak: float
    rms_db: float
    warning: str


@dataclass(frozen=True, slots=True)
class SeenFile:
    """What is known of a path as it was at one size and time of change: its content, or why it is in quarantine."""

    path: str
    size: int
    mtime_ns: int
    file_sha256: str = ""
    reason: str = ""
    message: str = ""


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file at `path`; the system drops it if this process dies. CacheError: it cannot be opened."""
    try:
        opened = path.open("a")
    except OSError as error:
        raise CacheError(
            f"{path.parent}: the cache folder cannot be written ({error.strerror}); make it writable or name another "
            "with EARMARK_CACHE_DIR."
        ) from error
    with opened as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def try_lock(file: IO[Any]) -> bool:
    """Own `file` unless a living process does."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def remove(path: Path) -> None:
    """CacheError where that cannot be."""
    try:
        path.unlink()
    except OSError as error:
        raise CacheError(f"{path}: cannot be removed ({error.strerror}); make the folder writable.") from error


def is_idle(path: Path) -> bool:
    """Whether no living writer owns the shard or journal at `path`."""
    with path.open("rb") as file:
        return try_lock(file)


def sync_folder(folder: Path) -> None:
    """Make created, renamed and removed names in `folder` lasting."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


# ---------------------------------------------------------------------------------------------------------- journals


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def journal_line(row: Entry | SeenFile) -> bytes:
    """`crc32 json\\n`: the checksum covers the JSON, so a torn line is known for what it is."""
    fields = {name: getattr(row, name) for name in row.__slots__}
    text = _encode([type(row).__name__, fields]).encode("utf-8", "surrogateescape")
    return b"%08x %s\n" % (zlib.crc32(text), text)


def read_journal(data: bytes) -> Iterator[Entry | SeenFile]:
    """Rows of a journal, up to the first line that is torn; a kill can only tear the last."""
    for line in data.split(b"\n")[:-1]:  # what follows the last newline was never finished
        if len(line) < 10 or line[8:9] != b" ":
            return
        text = line[9:]
        if line[:8] != b"%08x" % zlib.crc32(text):
            return
        kind, fields = json.loads(text.decode("utf-8", "surrogateescape"))
        row_type = Entry if kind == "Entry" else SeenFile
        yield row_type(**{name: fields[name] for name in row_type.__slots__})


# ------------------------------------------------------------------------------------------------------------ writing


class ShardWriter:
    """Appends recordings for one process. Use as a context manager: leaving it commits, also after Ctrl-C.

    Args:
        folder: the store's folder; holds `shards/` and `journals/`.
        shard_bytes: a shard past this size is left for a new one (one recording is never cut in two).
        open_file: opens a file for unbuffered appending; a test hands in a full disk here.
    """

    def __init__(
        self,
        folder: Path,
        *,
        shard_bytes: int = SHARD_BYTES,
        commit_bytes: int = COMMIT_BYTES,
        open_file: OpenFile | None = None,
    ) -> None:
        self._folder = folder
        self._shard_bytes = shard_bytes
        self._commit_bytes = commit_bytes
        self._open = open_file or _unbuffered
        self._pending: list[Entry | SeenFile] = []
        self._pending_bytes = 0
        self._shard: IO[bytes] | None = None
        self._shard_path = folder
        self._end = 0  # bytes written to the shard
        self._safe_end = 0  # bytes of it that committed rows name
        self._journal: IO[bytes] | None = None
        self.journal_path = folder / "journals" / f"{uuid.uuid4().hex}.jsonl"
        self.committed = 0  # recordings

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            with contextlib.suppress(CacheError) if error else contextlib.nullcontext():
                self.commit()
        finally:
            for file in (self._shard, self._journal):
                if file is not None:
                    file.close()

    def append(self, pcm: Iterable[bytes | memoryview]) -> tuple[str, int]:
        """Write one recording's int16 bytes, given in blocks; returns (shard name, offset in samples).

        The recording is not in the store before `record` names it and `commit` has passed.

        Raises:
            CacheError: it could not be written; what was recorded before is committed, the half is cut off.
        """
        start = None
        try:
            shard = self._open_shard()
            start = self._end
            for block in pcm:
                _write_all(shard, block)
                self._end += len(block)
        except OSError as error:
            raise self._failed(error, start) from error
        self._pending_bytes += self._end - start
        return self._shard_path.name, start // 2

    def record(self, row: Entry | SeenFile) -> None:
        """Note a row; it counts after the next commit, which comes by itself after every `commit_bytes`."""
        self._pending.append(row)
        if self._pending_bytes >= self._commit_bytes:
            self.commit()

    def commit(self) -> None:
        """Samples to disk first, then the rows that name them."""
        if not self._pending:
            return
        try:
            if self._shard is not None and self._end > self._safe_end:
                os.fsync(self._shard.fileno())
            journal = self._open_journal()
            before = os.fstat(journal.fileno()).st_size
            try:
                _write_all(journal, b"".join(journal_line(row) for row in self._pending))
                os.fsync(journal.fileno())
            except OSError:
                os.truncate(self.journal_path, before)
                raise
        except CacheError:  # not even the lock can be had
            self._pending, self._pending_bytes = [], 0
            raise
        except OSError as error:
            self._pending, self._pending_bytes = [], 0
            raise self._failed(error, self._safe_end) from error
        self.committed += sum(isinstance(row, Entry) for row in self._pending)
        self._pending, self._pending_bytes = [], 0
        self._safe_end = self._end

    def _open_shard(self) -> IO[bytes]:
        if self._shard is not None and self._end >= self._shard_bytes:
            self.commit()
            self._shard.close()
            self._shard = None
        if self._shard is None:
            with locked(self._folder / "lock"):
                self._shard, self._shard_path = self._claim_shard()
            self._end = self._safe_end = self._shard.seek(0, os.SEEK_END)
            if self._end % 2:  # the tail of a killed writer
                _write_all(self._shard, b"\0")
                self._end += 1
        return self._shard

    def _claim_shard(self) -> tuple[IO[bytes], Path]:
        """A shard with room that no living writer owns, else a new one. Under the store's lock, so none is pruned."""
        for path in sorted((self._folder / "shards").glob("*.i16")):
            if path.stat().st_size < self._shard_bytes // 2:
                file = self._open(path, "ab")
                if try_lock(file):
                    return file, path
                file.close()
        path = self._folder / "shards" / f"{uuid.uuid4().hex}.i16"
        file = self._open(path, "ab")
        try_lock(file)
        sync_folder(path.parent)
        return file, path

    def _open_journal(self) -> IO[bytes]:
        if self._journal is None:
            with locked(self._folder / "lock"):  # so that nobody takes it for a dead one before it is locked
                self._journal = self._open(self.journal_path, "ab")
                try_lock(self._journal)
            sync_folder(self.journal_path.parent)
        return self._journal

    def _failed(self, error: OSError, whole: int | None) -> CacheError:
        """Cut the shard back to the `whole` bytes that are recorded, commit these, and say what happened."""
        if self._shard is not None and whole is not None:
            whole = self._give_up_for_rows(whole) if is_disk_full(error) else whole
            os.truncate(self._shard_path, min(whole, self._shard_path.stat().st_size))
            self._end = whole
        with contextlib.suppress(CacheError):
            self.commit()
        if is_disk_full(error):
            return disk_full(self._folder)
        return CacheError(
            f"{self._folder}: prepared audio cannot be written ({error.strerror or error}); what was finished is kept; "
            "make the folder writable or name another with EARMARK_CACHE_DIR."
        )

    def _give_up_for_rows(self, whole: int) -> int:
        """On a full disk the last recordings make room for the rows of the others; returns the bytes that stay."""
        wanted = whole - sum(len(journal_line(row)) for row in self._pending) - ROOM_FOR_ROWS
        while self._pending and whole > max(wanted, self._safe_end):
            row = self._pending.pop()
            if isinstance(row, Entry):
                whole = 2 * row.offset
        return whole


def _unbuffered(path: Path, mode: str) -> IO[bytes]:
    return path.open(mode, buffering=0)


def _write_all(file: IO[bytes], data: bytes | memoryview) -> None:
    """All of it: an unbuffered write may take only a part, as it does on a disk that is nearly full."""
    view = memoryview(data)
    while len(view):
        view = view[file.write(view) :]


class DiskFull(CacheError):  # noqa: N818 - what happened, said plainly
    """No room for prepared audio; what was committed is whole."""


def disk_full(folder: Path | str) -> DiskFull:
    """The one sentence for it."""
    return DiskFull(f"{folder}: the disk is full; free some space or name another folder with EARMARK_CACHE_DIR.")


def is_disk_full(error: OSError) -> bool:
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


# ------------------------------------------------------------------------------------------------------------ reading


def map_shard(path: Path) -> npt.NDArray[np.int16]:
    """The samples of a shard, (n,) int16, mapped and not read; n counts whole samples."""
    n = path.stat().st_size // 2
    if n == 0:
        return np.zeros(0, np.int16)
    # a plain array over the map: slicing it is several times faster than slicing np.memmap
    return np.asarray(np.memmap(path, dtype="<i2", mode="r", shape=(n,)))

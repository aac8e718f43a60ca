"""The store of prepared audio: one folder a sample rate, shared by every run on this machine.

    CACHE_DIR/audio/16000/
      index.parquet     one row a recording: content hash, shard, offset, scale, checksum, what the file was
      files.parquet     path, size, time of change -> content hash, or the reason for quarantine
      fingerprints-*.parquet  content hash -> words, for finding copies; computed when first asked for
      journals/*.jsonl  rows of writers that are at work or were killed; merged into the two tables later
      shards/*.i16      int16 samples, little endian, nothing else
      uses/*.parquet    which recordings each data folder used, and when: what `earmark cache prune` goes by
      lock              held while the tables are rewritten

A reader looks at the journals first and at the tables after, and a row in a table wins: a journal that vanishes in
between has by then been merged into the tables.
"""

from __future__ import annotations

import datetime as dt
import os
import time
import uuid
import zlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from earmark.audio.fingerprint import BANDS, HOP, RATE_HZ, WINDOW
from earmark.data.shards import (
    SHARD_BYTES,
    Entry,
    OpenFile,
    SeenFile,
    ShardWriter,
    is_idle,
    locked,
    map_shard,
    read_journal,
    remove,
    sync_folder,
    try_lock,
)
from earmark.data.tables import read_rows, replace_table, write_rows
from earmark.data.uses import DataSet, Note, read_notes, write_note
from earmark.errors import CacheError
from earmark.types import Progress, Quiet

SPILL_S = 600.0
"""A spill file is written all the time; one that was not for so long belongs to a run that was killed."""
FINGERPRINTS = f"fingerprints-{RATE_HZ}-{WINDOW}-{HOP}-{BANDS}.parquet"
"""Named by how they are made, so that old ones are not compared with new ones."""


@dataclass(frozen=True, slots=True)
class Use:
    """A data folder that used a store: its path, recordings, their prepared bytes, and when last (UTC)."""

    root: str
    name: str
    recordings: int
    bytes: int
    used_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Checked:
    """What `Store.verify` found: recordings in the store, and those dropped because their bytes are gone or changed."""

    entries: int
    damaged: int


@dataclass(frozen=True, slots=True)
class Pruned:
    """What `Store.prune` did."""

    entries_dropped: int
    entries_kept: int
    bytes_freed: int


class Store:
    """Prepared audio of one sample rate.

    Args:
        cache_dir: Earmark's cache folder.
        sample_rate_hz: of everything in it.
        shard_bytes: size past which a new shard is begun.
    """

    def __init__(self, cache_dir: Path, sample_rate_hz: int, *, shard_bytes: int = SHARD_BYTES) -> None:
        self.folder = Path(cache_dir) / "audio" / str(sample_rate_hz)
        self.sample_rate_hz = sample_rate_hz
        self._shard_bytes = shard_bytes
        self._maps: dict[str, npt.NDArray[np.int16]] = {}
        self.entries: dict[str, Entry] = {}  # by file_sha256
        self.files: dict[str, SeenFile] = {}  # by path
        try:
            for name in ("shards", "journals", "uses"):
                (self.folder / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CacheError(
                f"{self.folder}: the cache folder cannot be made ({error.strerror}); name another with "
                "EARMARK_CACHE_DIR."
            ) from error
        self.refresh()

    @classmethod
    def existing(cls, cache_dir: Path) -> list[Store]:
        """Every store under `cache_dir`, by rate."""
        folder = Path(cache_dir) / "audio"
        rates = sorted(int(path.name) for path in folder.glob("*") if path.name.isdigit()) if folder.is_dir() else []
        return [cls(cache_dir, rate) for rate in rates]

    # ------------------------------------------------------------------------------------------------------- reading

    def refresh(self) -> None:
        """Read what all writers have committed so far, and drop rows whose samples are not there in full."""
        rows: list[Entry | SeenFile] = [row for path in self._journals() for row in read_journal(_bytes_of(path))]
        rows += read_rows(self.folder / "index.parquet", Entry)
        rows += read_rows(self.folder / "files.parquet", SeenFile)
        self.entries, self.files = {}, {}
        sizes: dict[str, int] = {}
        for row in rows:
            if isinstance(row, SeenFile):
                self.files[row.path] = row
                continue
            if row.shard not in sizes:
                path = self.folder / "shards" / row.shard
                sizes[row.shard] = path.stat().st_size if path.exists() else -1
            if 2 * (row.offset + row.n_samples) <= sizes[row.shard]:
                self.entries[row.file_sha256] = row

    def shard(self, name: str) -> npt.NDArray[np.int16]:
        """A whole shard, (n,) int16, mapped; it stays readable even when it is removed later."""
        try:
            return map_shard(self.folder / "shards" / name)
        except FileNotFoundError as error:
            raise CacheError(
                f"{self.folder / 'shards' / name}: this shard was removed while it was about to be read; "
                "run the same command again."
            ) from error

    def pcm(self, entry: Entry) -> npt.NDArray[np.int16]:
        """The recording's samples, (n_samples,) int16, a view of the mapped shard."""
        stop = entry.offset + entry.n_samples
        if entry.shard not in self._maps or len(self._maps[entry.shard]) < stop:
            self._maps[entry.shard] = self.shard(entry.shard)
        return self._maps[entry.shard][entry.offset : stop]

    def seen(self, path: str, stat: os.stat_result) -> SeenFile | None:
        """What is known of the file at `path`, if it has not changed since."""
        row = self.files.get(path)
        if row is None or (row.size, row.mtime_ns) != (stat.st_size, stat.st_mtime_ns):
            return None
        return row

    @property
    def bytes_on_disk(self) -> int:
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())

    @property
    def has_journals(self) -> bool:
        """Whether there are rows that are not in the tables yet."""
        return bool(self._journals())

    # ------------------------------------------------------------------------------------------------------- writing

    def writer(self, *, open_file: OpenFile | None = None) -> ShardWriter:
        """A writer of this process's own; call `merge` once it is closed."""
        return ShardWriter(self.folder, shard_bytes=self._shard_bytes, open_file=open_file)

    def merge(self) -> None:
        """Bring the journals of finished and of killed writers into the tables."""
        with locked(self.folder / "lock"):
            self._merge()
        self.refresh()

    def _merge(self) -> None:
        for stale in self.folder.glob("*.tmp"):  # of a merge that was killed
            stale.unlink()
        done: list[Path] = []
        for path in self._journals():
            with path.open("rb") as file:
                if try_lock(file):
                    done.append(path)
        if not done:
            return
        rows = [row for path in done for row in read_journal(path.read_bytes())]
        entries = {row.file_sha256: row for row in rows if isinstance(row, Entry)}
        entries |= {row.file_sha256: row for row in read_rows(self.folder / "index.parquet", Entry)}
        files = {row.path: row for row in read_rows(self.folder / "files.parquet", SeenFile)}
        files |= {row.path: row for row in rows if isinstance(row, SeenFile)}  # here the newer word counts
        self._write_tables(entries.values(), files.values())
        for path in done:
            path.unlink()

    def _write_tables(self, entries: Iterable[Entry], files: Iterable[SeenFile]) -> None:
        # the index first: a path that names content not in the index is merely prepared again
        write_rows(self.folder / "index.parquet", entries, Entry)
        write_rows(self.folder / "files.parquet", files, SeenFile)

    def fingerprints(self) -> dict[str, bytes]:
        """What `keep_fingerprints` kept, by file_sha256; made by the fingerprint in use now."""
        path = self.folder / FINGERPRINTS
        if not path.exists():
            return {}
        table = pq.read_table(path)
        return dict(zip(table.column("file_sha256").to_pylist(), table.column("words").to_pylist(), strict=True))

    def keep_fingerprints(self, found: Mapping[str, bytes]) -> None:
        """Add fingerprints (uint32, little endian) to those kept; those of recordings no longer here go."""
        with locked(self.folder / "lock"):
            kept = self.fingerprints() | dict(found)
            kept = {key: words for key, words in kept.items() if key in self.entries}
            columns = [pa.array(list(kept), pa.string()), pa.array(list(kept.values()), pa.binary())]
            replace_table(self.folder / FINGERPRINTS, pa.table(columns, names=["file_sha256", "words"]))

    def note_use(self, root: Path, name: str, hashes: Iterable[str], *, part: str = "") -> None:
        """Remember that the data `name` from the folder `root`, or a part of them, use these recordings now."""
        write_note(self.folder / "uses", root, name, hashes, part)

    # ---------------------------------------------------------------------------------------------------- housekeeping

    def uses(self) -> list[Use]:
        """Data folders that used this store, latest first."""
        found = []
        for note in read_notes(self.folder / "uses"):
            size = sum(2 * self.entries[key].n_samples for key in note.keys if key in self.entries)
            found.append(Use(note.root, note.name, len(note.keys), size, note.used_at))
        return found

    def only_of(self, data: DataSet) -> list[Entry] | None:
        """Recordings that `data` used and no other data did; None where `data` never used this store."""
        notes = read_notes(self.folder / "uses")
        if not any(data.is_of(note) for note in notes):
            return None
        own, others = (_keys(note for note in notes if data.is_of(note) is of) for of in (True, False))
        return [self.entries[key] for key in sorted(own - others) if key in self.entries]

    def verify(self, progress: Progress | None = None) -> Checked:
        """Compare every recording with its checksum; drop the damaged, so that the next run prepares them anew."""
        progress = Quiet() if progress is None else progress
        with locked(self.folder / "lock"):
            self._merge()
            self.refresh()
            entries = {row.file_sha256: row for row in read_rows(self.folder / "index.parquet", Entry)}
            good = []
            for row in entries.values():
                if row.file_sha256 in self.entries and self.is_whole(row):
                    good.append(row)
                progress.advance(1)
            damaged = len(entries) - len(good)
            if damaged:
                self._write_tables(good, self.files.values())
        self.refresh()
        return Checked(len(entries), damaged)

    def drop(self, keys: Collection[str]) -> None:
        """Forget these recordings, so that the next look decodes them anew; their bytes stay until they are pruned."""
        with locked(self.folder / "lock"):
            self._merge()
            self.refresh()
            rows = (row for row in read_rows(self.folder / "index.parquet", Entry) if row.file_sha256 not in keys)
            self._write_tables(rows, self.files.values())
        self.refresh()

    def is_whole(self, entry: Entry) -> bool:
        """Whether the recording's samples have the checksum that was noted when they were written."""
        return zlib.crc32(self.pcm(entry).data) == entry.crc32

    def prune(self, *, unused_for_days: float = 30.0, everything: bool = False, data: DataSet | None = None) -> Pruned:
        """Drop recordings that no data folder used within `unused_for_days`, or all, or those that only `data` used.

        With `data` it is also forgotten which files of their folder are broken. Shards that a living writer owns stay.
        A training that has mapped a shard keeps it until it ends, whatever is removed here; the tables are replaced
        before any shard is removed.

        Raises:
            CacheError: the store cannot be written.
        """
        if everything:
            return self._clear()
        before = self.bytes_on_disk
        limit = dt.datetime.now(dt.UTC) - dt.timedelta(days=unused_for_days)
        with locked(self.folder / "lock"):
            self._merge()
            self.refresh()
            tabled = list(read_rows(self.folder / "index.parquet", Entry))
            idle = {path.name: path for path in (self.folder / "shards").glob("*.i16") if is_idle(path)}
            notes = read_notes(self.folder / "uses")
            stale = [note for note in notes if (data.is_of(note) if data else note.used_at < limit)]
            wanted = _keys(note for note in notes if note not in stale)
            if data:
                wanted |= {row.file_sha256 for row in tabled} - _keys(stale)
            kept = [row for row in tabled if row.shard not in idle or row.file_sha256 in wanted]
            kept, fresh = self._compact(kept, idle)
            kept_hashes = {row.file_sha256 for row in kept}
            files = [
                row
                for row in self.files.values()
                if row.file_sha256 in kept_hashes or (row.reason and not (data and data.holds(row.path)))
            ]
            self._write_tables(kept, files)
            for name, path in idle.items():
                if name not in {row.shard for row in kept} | fresh:
                    remove(path)
            for note in stale:
                remove(note.path)
            sync_folder(self.folder / "shards")
        self._maps.clear()
        self.refresh()
        return Pruned(len(tabled) - len(kept), len(kept), max(0, before - self.bytes_on_disk))

    def _clear(self) -> Pruned:
        """Drop everything but what lies in a living writer's shard.

        It has to help where the disk is full, so it makes room before it writes, and mostly writes nothing. A row whose
        shard is gone counts as no row: whatever moment this is stopped at, what is left is whole.
        """
        before, n = self.bytes_on_disk, len(self.entries)
        with locked(self.folder / "lock"):
            self.refresh()
            idle = {path.name: path for path in (self.folder / "shards").glob("*.i16") if is_idle(path)}
            spilt = [
                path
                for path in (self.folder / "spill").rglob("*")
                if path.is_file() and time.time() - path.stat().st_mtime > SPILL_S
            ]
            waste = [path for name in ("fingerprints*", "uses/*.parquet", "*.tmp") for path in self.folder.glob(name)]
            for path in [*idle.values(), *spilt, *waste]:
                remove(path)
            kept = [row for row in self.entries.values() if row.shard not in idle]
            hashes = {row.file_sha256 for row in kept}
            journals = [path for path in self._journals() if is_idle(path)]
            if kept:
                self._write_tables(kept, [row for row in self.files.values() if row.file_sha256 in hashes])
            else:
                journals += self.folder.glob("*.parquet")
            for path in journals:
                remove(path)
            sync_folder(self.folder / "shards")
        self._maps.clear()
        self.refresh()
        return Pruned(n - len(self.entries), len(self.entries), max(0, before - self.bytes_on_disk))

    def _compact(self, kept: list[Entry], idle: dict[str, Path]) -> tuple[list[Entry], set[str]]:
        """Move what is kept out of shards that are mostly waste; returns the rows and the names of new shards."""
        used: dict[str, int] = {}
        for row in kept:
            used[row.shard] = used.get(row.shard, 0) + 2 * row.n_samples
        waste = {name for name, path in idle.items() if used.get(name, 0) * 2 < path.stat().st_size}
        moving = [row for row in kept if row.shard in waste]
        if not moving:
            return kept, set()
        path = self.folder / "shards" / f"{uuid.uuid4().hex}.i16"
        moved: list[Entry] = []
        try:
            with path.open("wb") as file:
                for row in moving:
                    offset = file.tell() // 2
                    file.write(self.pcm(row).data)
                    moved.append(_at(row, path.name, offset))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            path.unlink()
            raise CacheError(
                f"{self.folder}: pruning needs room for what is kept ({error.strerror}); nothing was changed; "
                "free some space or use --all."
            ) from error
        sync_folder(path.parent)
        return [row for row in kept if row.shard not in waste] + moved, {path.name}

    def _journals(self) -> list[Path]:
        return sorted((self.folder / "journals").glob("*.jsonl"))


def _keys(notes: Iterable[Note]) -> set[str]:
    return {key for note in notes for key in note.keys}


def _at(row: Entry, shard: str, offset: int) -> Entry:
    values = {field.name: getattr(row, field.name) for field in fields(Entry)}
    return Entry(**{**values, "shard": shard, "offset": offset})


def _bytes_of(path: Path) -> bytes:
    """A journal's bytes; none where it has just been merged into the tables, which are read after it."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""

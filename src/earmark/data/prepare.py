"""From a manifest to samples that can be sliced: decode every recording once, in parallel, into the store."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import time
from collections.abc import Generator, Iterable
from pathlib import Path

from earmark.audio.pool import Outcome, map_files, time_limits
from earmark.data.checking import compare
from earmark.data.decode import Decoded, Job, decode, hash_file
from earmark.data.housekeeping import size_words
from earmark.data.manifest import Manifest
from earmark.data.prepared import Prepared, Quarantined
from earmark.data.shards import SHARD_BYTES, DiskFull, Entry, OpenFile, SeenFile, ShardWriter
from earmark.data.store import Store
from earmark.errors import AudioError, CacheError
from earmark.settings import keep_freed_memory
from earmark.types import Progress, Quiet, Reason

LARGE_FILE_BYTES = 32 * 2**20
"""Files past this size are decoded last."""
LASTING = frozenset(
    (Reason.EMPTY, Reason.NOT_AUDIO, Reason.UNSUPPORTED, Reason.TOO_SHORT, Reason.SILENT, Reason.NON_FINITE)
)
"""What is true of a file's bytes and is remembered. That a worker died, was slow or ran out of memory may be due to
what else the machine was doing, so such a file is tried again in the next run."""
SURE_BYTES_PER_FILE_BYTE = 0.05
"""Prepared bytes that a byte of any file comes to at the least (24-bit stereo at 192 kHz, down to 16 kHz, is 0.03)."""
LEND_BYTES = 8 * 2**20
"""Samples of up to so many bytes (two minutes at 32 kHz) come from the workers in shared memory, longer ones through a
socket. Room is taken only by what is used: twice the longest such recording for each worker."""
SPILL_KEPT_S = 86400.0
ESTIMATE_FROM = 16  # files after which the rest is estimated from what those became

_log = logging.getLogger("earmark.data")


def prepare(
    manifest: Manifest,
    *,
    sample_rate_hz: int,
    cache_dir: Path,
    workers: int,
    timeout_s: float,
    progress: Progress | None = None,
    retry: bool = False,
    part: str = "",
    shard_bytes: int = SHARD_BYTES,
    open_file: OpenFile | None = None,
) -> Prepared:
    """Decode what is not in the store yet or is damaged there, and give back samples to slice.

    Safe to kill at any moment and to run in several processes at once: what was finished is not done again.

    Args:
        manifest: clips; rows whose recording is in quarantine are dropped from the result and listed in it.
        sample_rate_hz: of the prepared audio.
        cache_dir: Earmark's cache folder.
        workers: processes that decode.
        timeout_s: for a small file; larger ones get more (`earmark.audio.pool.time_limits`).
        progress: told one `file` at a time.
        retry: decode files again that an earlier run found to hold nothing usable.
        part: which part of its data the manifest is, where a run prepares several: each has a note of its own of what
            was used, which the next manifest of the same part replaces.
        shard_bytes: size past which a new shard is begun.
        open_file: see `earmark.data.shards.ShardWriter`.

    Raises:
        CacheError: the disk is full or the store cannot be written; nothing half-written stays.
    """
    progress = Quiet() if progress is None else progress
    store = Store(cache_dir, sample_rate_hz, shard_bytes=shard_bytes)
    uris = list(dict.fromkeys(manifest.rows["uri"]))
    bad: dict[str, Quarantined] = {}
    failed: dict[str, Quarantined] = {}  # in this run, for reasons that are not remembered
    keys: dict[str, str] = {}  # uri -> file_sha256
    fresh: set[str] = set()
    sound: frozenset[str] = frozenset()
    for attempt in range(3):  # again only where another process pruned the store meanwhile, or a copy is damaged
        with store.writer(open_file=open_file) as writer:
            todo = _look_up(store, writer, uris, keys, bad, failed, retry=retry and attempt == 0)
            if todo:
                _fill(store, writer, todo, keys, bad, workers=workers, timeout_s=timeout_s, progress=progress)
            failed = {uri: item for uri, item in bad.items() if item.reason not in LASTING}
            try:
                writer.commit()
                store.note_use(manifest.root, manifest.name, keys.values(), part=part)
                if store.has_journals:  # ours, or those of a run that was killed
                    store.merge()
            except CacheError as error:
                if todo:
                    raise
                _log.warning("%s Everything was prepared before, so this run goes on.", error)
        fresh |= {keys[uri] for uri, _ in todo if uri in keys}
        if all(key in store.entries for key in keys.values()):
            compared = compare(store, set(keys.values()) - fresh - sound, workers=workers)
            sound |= compared.sound
            if not compared.damaged:
                break
            damaged = [uri for uri, key in keys.items() if key in compared.damaged]
            more = f"; so are those of {len(damaged) - 1} more" if len(damaged) > 1 else ""
            _log.warning("%s: its prepared copy is damaged on disk and is made anew%s.", damaged[0], more)
            store.drop(compared.damaged)
    else:
        raise CacheError(
            f"{store.folder}: prepared audio keeps vanishing or changing; stop what prunes it, or name a folder on "
            "another disk with EARMARK_CACHE_DIR, then run this again."
        )
    warned = [store.entries[key] for key in dict.fromkeys(keys.values()) if store.entries[key].warning]
    for entry in warned[:5]:
        _log.warning("%s", entry.warning)
    if len(warned) > 5:
        _log.warning("%d more files decoded only in part; `earmark inspect` lists them.", len(warned) - 5)
    if bad:
        _log.warning(
            "left out: %d of %d files, which cannot be used (%s); `earmark inspect` says why for each.",
            len(bad), len(uris), _tally(item.reason for item in bad.values()),
        )  # fmt: skip
        # what inspect may not find again
        for item in list(failed.values())[:5]:
            _log.warning("%s", item.message)
    return Prepared.of(manifest, store, keys, list(bad.values()), sound=sound)


def _look_up(
    store: Store,
    writer: ShardWriter,
    uris: list[str],
    keys: dict[str, str],
    bad: dict[str, Quarantined],
    failed: dict[str, Quarantined],
    *,
    retry: bool,
) -> list[tuple[str, int]]:
    """Sort the files into known (`keys`), known bad (`bad`) and, returned, yet to decode: (uri, bytes)."""
    keys.clear()
    bad.clear()
    sizes = {entry.file_bytes for entry in store.entries.values()}
    todo: list[tuple[str, int]] = []
    for uri in uris:
        try:
            stat = os.stat(uri)
        except OSError as error:
            message = f"{uri}: cannot be opened ({error.strerror}); check the path and its rights."
            bad[uri] = Quarantined(uri, Reason.MISSING, message)
            continue
        if uri in failed:
            bad[uri] = failed[uri]
            continue
        seen = store.seen(uri, stat)
        if seen is not None and seen.reason:
            if not retry and seen.reason in LASTING:
                bad[uri] = Quarantined(uri, Reason(seen.reason), seen.message)
                continue
        elif seen is not None and seen.file_sha256 in store.entries:
            keys[uri] = seen.file_sha256
            continue
        elif stat.st_size in sizes and (key := _hash_or_none(uri)) in store.entries:
            # moved or copied: same size as something in the store, so its hash is worth a look before it is decoded
            assert key is not None
            keys[uri] = key
            writer.record(SeenFile(uri, stat.st_size, stat.st_mtime_ns, key))
            continue
        todo.append((uri, stat.st_size))
    return todo


def _fill(
    store: Store,
    writer: ShardWriter,
    todo: list[tuple[str, int]],
    keys: dict[str, str],
    bad: dict[str, Quarantined],
    *,
    workers: int,
    timeout_s: float,
    progress: Progress,
) -> None:
    """Decode `todo` in worker processes and append what comes back."""
    keep_freed_memory()
    room = _Room(store.folder, todo)
    spill = _spill_folder(store.folder / "spill")
    outcomes = _outcomes(todo, store, spill, workers=workers, timeout_s=timeout_s)
    progress.start("Preparing audio", len(todo), "file")
    try:
        for outcome in outcomes:
            if outcome.value is None:
                error = outcome.error
                assert error is not None
                _remember_bad(writer, error, outcome.path, bad)
            else:
                done = outcome.value
                if done.file_sha256 not in store.entries:
                    entry = _append(writer, done)
                    store.entries[entry.file_sha256] = entry
                elif done.spill:
                    os.unlink(done.spill)
                keys[outcome.path] = done.file_sha256
                writer.record(SeenFile(outcome.path, done.file_bytes, done.mtime_ns, done.file_sha256))
                room.spent(done.file_bytes, 2 * done.n_samples)
            progress.advance(1)
    except DiskFull as error:
        raise CacheError(room.refusal(full=True, kept=writer.committed)) from error
    finally:
        outcomes.close()  # which ends the workers before what they write is removed
        shutil.rmtree(spill, ignore_errors=True)
        progress.stop()


def _spill_folder(parent: Path) -> Path:
    """A folder of this run's own for long recordings on their way; those of runs that were killed are removed."""
    try:
        parent.mkdir(exist_ok=True)
        for stale in parent.iterdir():
            if time.time() - stale.stat().st_mtime > SPILL_KEPT_S:
                shutil.rmtree(stale, ignore_errors=True)
        return Path(tempfile.mkdtemp(dir=parent))
    except OSError as error:
        raise CacheError(
            f"{parent}: cannot be written ({error.strerror}); make it writable, free some space, or name another "
            "folder with EARMARK_CACHE_DIR."
        ) from error


def _outcomes(
    todo: list[tuple[str, int]], store: Store, spill: Path, *, workers: int, timeout_s: float
) -> Generator[Outcome[Decoded], None, None]:
    """Ordinary files first, then large ones, each with the time its size calls for."""
    uris = [uri for uri, _ in sorted(todo, key=lambda item: item[1] > LARGE_FILE_BYTES)]
    jobs = [(uri, Job(uri, store.sample_rate_hz, str(spill))) for uri in uris]
    limits = time_limits(uris, timeout_s)
    yield from map_files(decode, jobs, workers=workers, timeout_s=limits, lend_bytes=LEND_BYTES)


def _append(writer: ShardWriter, done: Decoded) -> Entry:
    shard, offset = writer.append(done.blocks())
    entry = Entry(
        file_sha256=done.file_sha256,
        shard=shard,
        offset=offset,
        n_samples=done.n_samples,
        scale=done.scale,
        crc32=done.crc32,
        file_bytes=done.file_bytes,
        audio_sha256=done.audio_sha256,
        sample_rate_hz=done.sample_rate_hz,
        channels=done.channels,
        duration_s=done.duration_s,
        format=done.format,
        peak=done.peak,
        rms_db=done.rms_db,
        warning=_plain(done.warning),
    )
    writer.record(entry)
    return entry


def _remember_bad(writer: ShardWriter, error: AudioError, uri: str, bad: dict[str, Quarantined]) -> None:
    reason, message = Reason(error.reason), _plain(str(error))
    bad[uri] = Quarantined(uri, reason, message)
    if reason not in LASTING:
        return
    try:
        stat = os.stat(uri)
    except OSError:
        return  # gone meanwhile: there is nothing to remember
    writer.record(SeenFile(uri, stat.st_size, stat.st_mtime_ns, "", reason.value, message))


class _Room:
    """Watches the disk: refuses before the work where the room is clearly short, and soon after it began where the
    first files show that it will be."""

    def __init__(self, folder: Path, todo: list[tuple[str, int]]) -> None:
        self._folder = folder
        self._files_left = len(todo)
        self._bytes_left = sum(size for _, size in todo)
        self._read = self._written = self._files = 0
        self._files_all = len(todo)
        self._check(self._bytes_left * SURE_BYTES_PER_FILE_BYTE)

    def spent(self, file_bytes: int, prepared_bytes: int) -> None:
        self._files += 1
        self._read += file_bytes
        self._written += prepared_bytes
        self._bytes_left -= file_bytes
        if self._files == ESTIMATE_FROM:
            self._check(0.8 * self.needed())  # only where it is clear

    def needed(self) -> float:
        """Bytes that the files still to come will take, going by those that are done."""
        ratio = self._written / self._read if self._read else 1.0
        return self._bytes_left * ratio

    def refusal(self, *, full: bool, kept: int) -> str:
        free = shutil.disk_usage(self._folder).free
        done = f"; the {kept} of {self._files_all} files finished so far are kept" if kept else ""
        what = "the disk is full" if full else "there is too little room"
        sure = "is" if self._files else "may be"
        need = f"about {size_words(self.needed())} more {sure} needed and {size_words(free)} is free"
        return (
            f"{self._folder}: {what}; {need}{done}; free some space (`earmark cache prune`) or "
            "name another folder with EARMARK_CACHE_DIR, then run this again."
        )

    def _check(self, needed: float) -> None:
        if needed > shutil.disk_usage(self._folder).free:
            raise CacheError(self.refusal(full=False, kept=self._files))


def _hash_or_none(uri: str) -> str | None:
    try:
        return hash_file(uri)
    except OSError:
        return None  # the decoder will say what is wrong with it


def _plain(message: str) -> str:
    """A message that may hold a path of raw bytes, as text that every file format takes."""
    return message.encode("utf-8", "replace").decode("utf-8")


def _tally(reasons: Iterable[Reason]) -> str:
    counts: dict[str, int] = {}
    for reason in reasons:
        counts[reason.value] = counts.get(reason.value, 0) + 1
    return ", ".join(f"{n} {reason}" for reason, n in sorted(counts.items(), key=lambda item: -item[1]))

"""Adding sounds: every file probed, hashed, cut into clips and recorded, or quarantined with its reason.

Each file is one transaction that holds its recording and all its clips, so a run that is killed leaves whole files or
nothing, and the next goes on where it was. What a file is, is told by the hash of its bytes: the same one again adds
nothing, whatever its name, and by however many processes at once.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from earmark.audio.find import find_audio
from earmark.audio.pool import Outcome, map_files, time_limits
from earmark.catalog.chunk_files import Beside, last_number, place, suffix_for, sweep, sync_names
from earmark.catalog.copies import (
    LookAlike,
    decide,
    forget_duplicates,
    listen,
    look_alikes,
    remember,
    remember_duplicate,
    rename,
    same_sound,
)
from earmark.catalog.database import Catalog, Workspace, now_us
from earmark.catalog.probing import Job, Probed, hash_file, probe
from earmark.catalog.queue_folder import QueueFolder
from earmark.catalog.tables import Clip, Quarantined, Recording
from earmark.errors import AudioError, CatalogError, InputError
from earmark.types import Progress, Quiet

SHORTEST_CHUNK_S = 0.02

_ADDING = 6320146  # any number: of the lock by which two that add write in turn
_PAGE = 500


@dataclass(slots=True)
class Added:
    """What became of the files.

    Attributes:
        recordings: uris that were added, in the order of their paths.
        known: paths whose bytes the catalog holds already.
        same: (path, uri) of those that lie beside the recording's own file.
        moved: (uri before, uri now) of recordings whose file was gone, and was found again by its bytes.
        quarantined: one error a file that cannot be used.
        clips: how many were added.
        copies: (uri, the original's uri) of recordings that hold the sound of another.
        unheard: one sentence a copy that its fingerprint alone says is one, as the original's file is gone.
        warnings: one sentence a file that could be read only in part.
    """

    recordings: list[str] = field(default_factory=list)
    known: list[str] = field(default_factory=list)
    same: list[tuple[str, str]] = field(default_factory=list)
    moved: list[tuple[str, str]] = field(default_factory=list)
    quarantined: list[AudioError] = field(default_factory=list)
    clips: int = 0
    copies: list[tuple[str, str]] = field(default_factory=list)
    unheard: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Found:
    path: Path
    relative: str  # to the folder that was named, with forward slashes
    folder: QueueFolder | None


@dataclass(frozen=True, slots=True)
class _Recorded:
    """Uris. known: of the recording that has these bytes already. original, unheard: of what it is a copy of."""

    known: str | None = None
    original: str | None = None
    unheard: str | None = None


def add(
    workspace: Workspace,
    catalog: Catalog,
    paths: Sequence[str | os.PathLike[str]],
    *,
    chunk_s: float | None = None,
    hop_s: float | None = None,
    group_by: Sequence[str] = (),
    licence: str | None = None,
    source: str | None = None,
    write: str | None = None,
    bitrate_kbps: int | None = None,
    queue: bool = False,
    workers: int,
    timeout_s: float,
    progress: Progress | None = None,
) -> Added:
    r"""Add audio files, and folders with all below them.

    Args:
        chunk_s: length of a clip in seconds; None: each recording is one clip. The last is shorter where at least half
            a clip is left (`earmark.catalog.probing.spans_of`).
        hop_s: from one clip's beginning to the next one's; None: chunk_s, so that none overlap.
        group_by: regular expressions for what must never be split, searched in the file's name, or where they hold a
            '/' in its path within the folder that was named. The first that matches counts; its first group, or without
            one all that it matched, is the name of the file's group.
        licence, source: of all these files.
        write: wav, mp3, flac or ogg: each clip becomes a file of the workspace's audio folder, with a six-digit number.
        bitrate_kbps: of chunk files in mp3, constant; None: the encoder's usual quality.
        queue: `paths` are folders to be emptied: what was added, or known, moves to their done/, the rest to bad/.
        timeout_s: for a small file; larger ones get more.
        progress: told of each file.

    Raises:
        InputError: no audio found, a length, format or expression that cannot be.
    """
    _check(chunk_s, hop_s)
    suffix = suffix_for(write, chunk_s, bitrate_kbps)
    patterns = [_compiled(pattern) for pattern in group_by]
    found = list(_find(workspace, [Path(path) for path in paths], queue=queue))
    if not found and not queue:
        raise InputError(f"{', '.join(str(path) for path in paths)}: no audio file was found there; check the path.")
    run = _Run(workspace, catalog, patterns, licence, source, Added(), workers, timeout_s)
    todo = run.leave_known(found, workers, progress or Quiet())
    if not todo:
        return run.added
    with Beside(workspace.audio_dir) as beside:
        if suffix:
            with run.in_turn() as connection:
                sweep(connection, workspace.audio_dir)
        items = []
        for index, one in enumerate(todo):
            chunks = str(beside.folder / str(index)) if suffix else ""
            items.append((str(one.path), Job(str(one.path), chunk_s, hop_s, chunks, suffix, bitrate_kbps)))
        limits = time_limits([path for path, _ in items], timeout_s)
        outcomes = map_files(probe, items, workers=workers, timeout_s=limits, progress=progress)
        with contextlib.closing(outcomes):
            for outcome in _in_order(outcomes):
                run.take(todo[outcome.index], outcome, items[outcome.index][1])
    return run.added


def _in_order(outcomes: Iterable[Outcome[Probed]]) -> Iterator[Outcome[Probed]]:
    """One that is finished early waits for those before it, so that numbers and originals are the same in every run."""
    waiting: dict[int, Outcome[Probed]] = {}
    following = 0
    for outcome in outcomes:
        waiting[outcome.index] = outcome
        while following in waiting:
            yield waiting.pop(following)
            following += 1


def _check(chunk_s: float | None, hop_s: float | None) -> None:
    if chunk_s is not None and not SHORTEST_CHUNK_S <= chunk_s <= 86400:
        raise CatalogError(f"clips of {chunk_s:g} s: expected {SHORTEST_CHUNK_S:g} s to a day.")
    if hop_s is not None and (chunk_s is None or not SHORTEST_CHUNK_S <= hop_s <= chunk_s):
        raise CatalogError(f"a clip every {hop_s:g} s: expected {SHORTEST_CHUNK_S:g} s up to the length of a clip.")


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise InputError(f"--group-by {pattern!r} is no regular expression: {error}.") from None


def _find(workspace: Workspace, paths: Sequence[Path], *, queue: bool) -> Iterator[_Found]:
    """Every file once, in the order of its path; never the workspace's own chunks."""
    seen: set[str] = set()
    own = os.path.realpath(workspace.audio_dir)
    for top in paths:
        folder = QueueFolder(top) if queue else None
        for path in find_audio(top):
            real = os.path.realpath(path)
            if real in seen or real.startswith(own + os.sep) or (folder and folder.holds_done(path)):
                continue
            seen.add(real)
            relative = path.name if path == top else path.relative_to(top).as_posix()
            yield _Found(path, relative, folder)


class _Run:
    """One `add`."""

    def __init__(
        self,
        workspace: Workspace,
        catalog: Catalog,
        patterns: Sequence[re.Pattern[str]],
        licence: str | None,
        source: str | None,
        added: Added,
        workers: int,
        timeout_s: float,
    ) -> None:
        self._workspace, self._catalog, self._patterns = workspace, catalog, patterns
        self._workers, self._timeout_s = workers, timeout_s
        self._about = {"licence": licence, "source": source}
        self.added = added

    @contextlib.contextmanager
    def in_turn(self) -> Iterator[Connection]:
        """A write transaction in which nobody else adds; labelling goes on beside it."""
        with self._catalog.write() as connection:
            _lock(connection)
            yield connection

    def leave_known(self, found: Sequence[_Found], workers: int, progress: Progress) -> list[_Found]:
        """The files whose bytes are new to the catalog; those that cannot be read are among them."""
        todo: list[_Found] = []
        progress.start("look at", len(found), "files")
        with ThreadPoolExecutor(workers) as pool:
            for start in range(0, len(found), _PAGE):
                page = found[start : start + _PAGE]
                hashes = list(pool.map(_hash, (one.path for one in page)))
                known = self._known([value for value in hashes if value])
                for one, value in zip(page, hashes, strict=True):
                    if value in known:
                        self._done(one, value, known[value])
                    else:
                        todo.append(one)
                progress.advance(len(page))
        progress.stop()
        return todo

    def _known(self, hashes: Sequence[str]) -> dict[str, str]:
        """hash -> uri."""
        with self._catalog.read() as connection:
            query = sa.select(Recording.file_sha256, Recording.uri).where(Recording.file_sha256.in_(hashes))
            return {row.file_sha256: row.uri for row in connection.execute(query)}

    def _done(self, one: _Found, sha256: str, uri: str) -> None:
        """A file with the bytes of the recording `uri`, which is named by it from now on where its own file is gone."""
        self.added.known.append(str(one.path))
        target = one.folder.place_for(one.path, one.folder.done) if one.folder else one.path
        was, now, its_own = *map(self._workspace.uri_of, (one.path, target)), self._workspace.path_of(uri)
        is_it = _is_one(its_own, one.path)
        if now != uri and (one.folder is not None if is_it else _hash(its_own) != sha256):
            self._catalog.run(lambda connection: rename(connection, sha256, uri, now, was))
            self.added.moved.append((uri, now))
        elif now != uri and not is_it:
            self._catalog.run(lambda connection: remember_duplicate(connection, sha256, now, was))
            self.added.same.append((str(one.path), uri))
        if one.folder is not None:
            one.folder.move(one.path, target)

    def take(self, one: _Found, outcome: Outcome[Probed], job: Job) -> None:
        """Record what became of one file, in one transaction."""
        if outcome.error is not None or outcome.value is None:
            assert outcome.error is not None
            self._quarantine(one, outcome.error)
            return
        probed = outcome.value
        if probed.warning:
            self.added.warnings.append(f"{one.path}: {probed.warning}.")
        target = one.folder.place_for(one.path, one.folder.done) if one.folder else one.path
        uri = self._workspace.uri_of(target)
        written = [Path(job.chunks) / f"{number}{job.suffix}" for number in range(len(probed.spans))]
        chunks = written if job.chunks else None

        heard: dict[int, float | None] = {}

        def work(connection: Connection) -> _Recorded | list[LookAlike]:
            _lock(connection)
            return self._insert(connection, one, uri, probed, chunks, heard)

        # decoding takes its time, so it is done between two transactions; another look, since others add meanwhile
        while isinstance(done := self._catalog.run(work), list):
            heard |= listen(self._workspace, str(one.path), done, workers=self._workers, timeout_s=self._timeout_s)
        if done.known is not None:
            self._done(one, probed.file_sha256, done.known)
            return
        if one.folder is not None:
            one.folder.move(one.path, target)
        self.added.recordings.append(uri)
        self.added.clips += len(probed.spans)
        if done.original is not None:
            self.added.copies.append((uri, done.original))
        if done.unheard:
            self.added.unheard.append(
                f"{uri} has the fingerprint of {done.unheard}, whose file is gone: it is taken for a copy unheard."
            )

    def _insert(
        self,
        connection: Connection,
        one: _Found,
        uri: str,
        probed: Probed,
        chunks: list[Path] | None,
        heard: Mapping[int, float | None],
    ) -> _Recorded | list[LookAlike]:
        """What was written; `chunks` becomes where they lie now. Or, with nothing written, what to listen to first."""
        known = sa.select(Recording.uri).where(Recording.file_sha256 == probed.file_sha256)
        if (uri_before := connection.execute(known).scalar()) is not None:
            return _Recorded(known=uri_before)
        words = np.frombuffer(probed.words, dtype="<u4").astype(np.uint32)
        original, unheard = same_sound(connection, probed.audio_sha256), None
        if original is None:
            near = look_alikes(connection, words)
            open_ = [other for other in near if other.recording_id not in heard]
            if open_:
                return open_
            copied = decide(near, heard)
            if copied is not None:
                original = copied.original_id
                unheard = copied.uri if heard[copied.recording_id] is None else None
        values = {
            "uri": uri,
            "name": one.path.name,
            "file_sha256": probed.file_sha256,
            "audio_sha256": probed.audio_sha256,
            "sample_rate_hz": probed.sample_rate_hz,
            "channels": probed.channels,
            "frames": probed.frames,
            "duration_s": probed.frames / probed.sample_rate_hz,
            "format": probed.format,
            "group_name": self._group(one.relative),
            "copy_of": original,
            "fingerprint": probed.words,
            "warning": probed.warning,
            "added_at": now_us(),
        }
        insert = sa.insert(Recording).values(**values, **self._about).returning(Recording.id)
        recording = int(connection.execute(insert).scalar_one())
        remember(connection, recording, words)
        clips = [{"recording_id": recording, "start": start, "stop": stop} for start, stop in probed.spans]
        if chunks is None:
            connection.execute(sa.insert(Clip), clips)
        else:
            number = last_number(connection) + 1
            for step, clip in enumerate(clips):
                chunks[step] = place(chunks[step], self._workspace.audio_dir, number + step)
                file = self._workspace.uri_of(chunks[step])
                connection.execute(sa.insert(Clip).values(**clip, chunk_id=f"{number + step:06d}", file=file))
            sync_names(self._workspace.audio_dir)
        connection.execute(sa.delete(Quarantined).where(Quarantined.uri == self._workspace.uri_of(one.path)))
        forget_duplicates(connection, uri)
        if original is None:
            return _Recorded()
        name = connection.execute(sa.select(Recording.uri).where(Recording.id == original)).scalar_one()
        return _Recorded(original=name, unheard=unheard)

    def _group(self, relative: str) -> str | None:
        for pattern in self._patterns:
            match = pattern.search(relative if "/" in pattern.pattern else relative.rsplit("/", 1)[-1])
            if match:
                found = next((part for part in match.groups() if part), "") or match.group(0)
                if found:
                    return found
        return None

    def _quarantine(self, one: _Found, error: AudioError) -> None:
        self.added.quarantined.append(error)
        target = one.folder.place_for(one.path, one.folder.bad) if one.folder else one.path
        uri = self._workspace.uri_of(target)
        values = {"uri": uri, "name": one.path.name, "reason": str(error.reason), "message": str(error)}

        def work(connection: Connection) -> None:
            _lock(connection)
            connection.execute(sa.delete(Quarantined).where(Quarantined.uri == uri))
            connection.execute(sa.insert(Quarantined).values(**values, added_at=now_us()))

        self._catalog.run(work)
        if one.folder is not None:
            one.folder.move(one.path, target)


def _lock(connection: Connection) -> None:
    """Until the transaction ends, nobody else adds: numbers follow on, and a copy sees its original."""
    if connection.dialect.name != "sqlite":  # which has one writer anyway
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ADDING)))


def _is_one(path: Path, other: Path) -> bool:
    """Whether both are one file, by whatever names."""
    with contextlib.suppress(OSError):
        return path.samefile(other)
    return False


def _hash(path: Path) -> str:
    """The file's hash, or '' where it cannot be read: what is wrong with it is told when it is decoded."""
    try:
        return hash_file(path) if path.is_file() else ""
    except OSError:
        return ""

"""Which recording, and which clip of it, a file from elsewhere means."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from earmark.catalog.exchange.rows import Row
from earmark.catalog.tables import Clip, Recording, TaskClip
from earmark.errors import InputError

NEAR_S = 0.001
"""Times in files are rounded: a clip whose ends both are this near is meant."""
_OVER_S = 0.05  # by which a span may end after its recording; decoders differ in what they make of the last frame


@dataclass(frozen=True, slots=True)
class Sound:
    """A recording, as far as finding needs it."""

    id: int
    uri: str
    name: str
    sample_rate_hz: int
    frames: int
    group: str | None

    @property
    def stem(self) -> str:
        return PurePosixPath(self.name).stem


@dataclass(frozen=True, slots=True)
class Span:
    """A clip that is there: samples start <= i < stop."""

    id: int
    start: int
    stop: int
    chunk_id: str | None
    in_task: bool


class Sounds:
    """All recordings of a catalog by their names, and clips by their spans; clips that are wanted and not there yet."""

    def __init__(self, connection: Connection, task_id: int) -> None:
        self._connection, self._task_id = connection, task_id
        columns = (Recording.id, Recording.uri, Recording.name, Recording.sample_rate_hz, Recording.frames)
        rows = connection.execute(sa.select(*columns, Recording.group_name).order_by(Recording.id))
        self.all = {row.id: Sound(*row) for row in rows}
        self._uris = {sound.uri: sound for sound in self.all.values()}
        self._names: dict[str, list[Sound]] = {}
        self._stems: dict[str, list[Sound]] = {}
        for sound in self.all.values():
            self._names.setdefault(sound.name, []).append(sound)
            self._stems.setdefault(sound.stem, []).append(sound)
        self._clips: dict[int, list[Span]] = {}

    def recording(self, text: str, where: str) -> Sound:
        """The recording that a path or file name means: its own path, or the end of it, or its name, whatever the
        suffix: sets are re-encoded and moved, and their labels go on naming the old files.

        Raises:
            InputError: none, or more than one.
        """
        path = text.strip().replace("\\", "/")
        if path in self._uris:
            return self._uris[path]
        pure = PurePosixPath(path)
        # `a.b` may be a name without suffix, so the whole name is tried as a stem too
        for found in (self._names.get(pure.name), self._stems.get(pure.stem), self._stems.get(pure.name)):
            if not found:
                continue
            ending = [sound for sound in found if _ends(sound.uri, pure)]
            chosen = ending or found
            if len(chosen) > 1:
                raise InputError(
                    f"{where}: {text!r} could be {chosen[0].uri} or {chosen[1].uri}; write the path that tells them "
                    "apart."
                )
            return chosen[0]
        near = difflib.get_close_matches(pure.name, list(self._names)[:20_000], n=1)
        hint = f" Is it {near[0]!r}?" if near else ""
        raise InputError(
            f"{where}: no recording {text!r} in the catalog; add it first with `earmark catalog add`.{hint}"
        )

    def clips(self, sound: Sound) -> list[Span]:
        """Clips of a recording in the order of their starts, those of the task and others."""
        if sound.id not in self._clips:
            within = sa.and_(TaskClip.clip_id == Clip.id, TaskClip.task_id == self._task_id)
            query = (
                sa.select(Clip.id, Clip.start, Clip.stop, Clip.chunk_id, TaskClip.clip_id.is_not(None))
                .outerjoin(TaskClip, within)
                .where(Clip.recording_id == sound.id)
                .order_by(Clip.start, Clip.stop)
            )
            self._clips[sound.id] = [Span(*row) for row in self._connection.execute(query)]
        return self._clips[sound.id]

    def clip(self, row: Row) -> tuple[Sound, Span]:
        """The clip that a row means, made where there is none of that span.

        Raises:
            InputError: no such recording or chunk, or a span that is not within it.
        """
        if not row.recording:
            return self._chunk(row)
        sound = self.recording(row.recording, row.where)
        return sound, self._span(sound, row)

    def _span(self, sound: Sound, row: Row) -> Span:
        clips = self.clips(sound)
        rate = sound.sample_rate_hz
        start_s, end_s = row.start_s or 0.0, sound.frames / rate
        stop_s = end_s if row.stop_s is None else row.stop_s
        # seconds are compared before they are samples: of a number that is large enough there are too many to count
        start = sound.frames if start_s > end_s else round(start_s * rate)
        if stop_s > end_s + _OVER_S or start >= sound.frames:
            raise InputError(
                f"{row.where}: the span runs from {start_s:g} s to {stop_s:g} s, but {sound.uri} ends at {end_s:g} s."
            )
        stop = min(round(stop_s * rate), sound.frames)
        if stop <= start:
            raise InputError(
                f"{row.where}: the span runs from {start_s:g} s to {stop_s:g} s, which holds no sample of {sound.uri}; "
                "expected it to end later."
            )
        near = NEAR_S * rate
        found = [clip for clip in clips if abs(clip.start - start) <= near and abs(clip.stop - stop) <= near]
        if found:
            return min(found, key=lambda clip: abs(clip.start - start) + abs(clip.stop - stop))
        if row.start_s is None and row.stop_s is None and any(clip.in_task for clip in clips):
            raise InputError(
                f"{row.where}: {sound.uri} is cut into {len(clips)} clips; say which with start_s and stop_s."
            )
        insert = sa.insert(Clip).values(recording_id=sound.id, start=start, stop=stop).returning(Clip.id)
        made = Span(self._connection.execute(insert).scalar_one(), start, stop, None, in_task=False)
        clips.append(made)
        return made

    def _chunk(self, row: Row) -> tuple[Sound, Span]:
        """By six digits: of a chunk file that was added as it is, or of a clip that this catalog numbered."""
        digits = row.chunk_id or ""
        files = self._stems.get(digits, [])
        if len(files) == 1:
            whole = Row(row.where, files[0].uri, start_s=0.0, stop_s=files[0].frames / files[0].sample_rate_hz)
            return files[0], self._span(files[0], whole)
        query = sa.select(Clip.recording_id).where(Clip.chunk_id == digits)
        found = self._connection.execute(query).scalar_one_or_none()
        if found is None:
            raise InputError(
                f"{row.where}: no chunk {digits!r} in the catalog; add its file with `earmark catalog add` first."
            )
        sound = self.all[found]
        if row.group and row.group not in (sound.group, sound.name, sound.stem, sound.uri):
            raise InputError(
                f"{row.where}: chunk {digits!r} is cut from {sound.uri} here, but the row says {row.group!r}; the "
                "numbers are those of another catalog, so add its chunk files and import again."
            )
        return sound, next(clip for clip in self.clips(sound) if clip.chunk_id == digits)


def _ends(uri: str, path: PurePosixPath) -> bool:
    """Whether `uri` ends like `path`, folders and all, suffixes aside."""
    mine, wanted = PurePosixPath(uri).parts, path.parts
    return len(wanted) <= len(mine) and mine[-len(wanted) : -1] == wanted[:-1]


def in_pages(items: Iterable[int], size: int = 500) -> Iterable[Sequence[int]]:
    """Lists of at most `size`, for conditions that may not grow without bound."""
    listed = list(items)
    return (listed[start : start + size] for start in range(0, len(listed), size))

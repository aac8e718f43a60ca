"""A catalog with recordings, clips and people in it, written straight into its tables: no sound is needed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from earmark.catalog.database import Catalog
from earmark.catalog.labelling import submit
from earmark.catalog.queueing import next_clips
from earmark.catalog.tables import Annotator, Clip, Recording
from earmark.catalog.tasks import TaskInfo, add_clips_to_task, new_task

RATE_HZ = 8000


def add_song(
    catalog: Catalog,
    uri: str,
    *,
    seconds: float = 60.0,
    chunk_s: float | None = 5.0,
    group: str | None = None,
    copy_of: int | None = None,
    first_chunk: int | None = None,
) -> list[int]:
    """A recording and its clips; gives the clips. `first_chunk` numbers them."""
    frames = round(seconds * RATE_HZ)
    digest = hashlib.sha256(uri.encode()).hexdigest()
    with catalog.write() as connection:
        values: dict[str, object] = {
            "uri": uri,
            "name": uri.rsplit("/", 1)[-1],
            "file_sha256": digest,
            "audio_sha256": digest,
        }
        values |= {"sample_rate_hz": RATE_HZ, "channels": 1, "frames": frames, "duration_s": seconds}
        values |= {"format": "WAV/PCM_16", "added_at": 0, "group_name": group, "copy_of": copy_of}
        insert = sa.insert(Recording).values(**values).returning(Recording.id)
        recording = connection.execute(insert).scalar_one()
        step = frames if chunk_s is None else round(chunk_s * RATE_HZ)
        clips = []
        for i, start in enumerate(range(0, frames - step + 1, step)):
            number = None if first_chunk is None else f"{first_chunk + i:06d}"
            insert = sa.insert(Clip).values(recording_id=recording, start=start, stop=start + step, chunk_id=number)
            clips.append(connection.execute(insert.returning(Clip.id)).scalar_one())
        return clips


def add_person(catalog: Catalog, name: str, role: str = "annotator") -> int:
    """Somebody without a password; gives their row."""
    with catalog.write() as connection:
        insert = sa.insert(Annotator).values(name=name, role=role, active=True, created_at=0)
        return int(connection.execute(insert.returning(Annotator.id)).scalar_one())


def sax_task(
    catalog: Catalog, *, tags: Sequence[str] = ("sax", "vocals"), overlap: int = 2, **more: object
) -> TaskInfo:
    """A task on system 1's scale with every clip of the catalog in it."""
    scale = ("foreground", "background", "absent")
    task = new_task(catalog, "sax", tags, scale=scale, overlap=overlap, **more)  # type: ignore[arg-type]
    add_clips_to_task(catalog, "sax")
    return task


def label_all(catalog: Catalog, person: int, answers: Mapping[int, Mapping[str, str]], *, task: str = "sax") -> None:
    """Somebody answers every clip that the queue gives them; each of `answers` has to come up."""
    left = dict(answers)
    while held := next_clips(catalog, task, person):
        if held[0].clip_id not in left:
            break
        submit(catalog, held[0].token, left.pop(held[0].clip_id), took_ms=2000)
    assert not left, f"the queue did not give {sorted(left)}"

"""Recordings, clips and people in a catalog without any audio, and the laws of its queues reckoned anew."""

from __future__ import annotations

from collections import Counter

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from earmark.catalog.current import ANSWERS, labels_of
from earmark.catalog.database import Catalog, now_us
from earmark.catalog.tables import Annotator, Clip, Discounted, Lease, Recording, TaskClip
from earmark.catalog.tasks import TaskInfo

RATE_HZ = 8000


def add_recording(
    catalog: Catalog, name: str, clips: int, *, group: str | None = None, copy_of: int | None = None
) -> tuple[int, list[int]]:
    """A recording of `clips` clips of one second; gives its row and those of its clips."""
    values = {"uri": f"{name}.wav", "name": name, "file_sha256": f"file {name}", "audio_sha256": f"audio {name}"}
    values |= {"sample_rate_hz": RATE_HZ, "channels": 1, "frames": clips * RATE_HZ, "duration_s": float(clips)}
    values |= {"format": "WAV/PCM_16", "group_name": group, "copy_of": copy_of, "added_at": now_us()}
    with catalog.write() as connection:
        recording = connection.execute(sa.insert(Recording).values(**values).returning(Recording.id)).scalar_one()
        rows = [
            {"recording_id": recording, "start": i * RATE_HZ, "stop": (i + 1) * RATE_HZ, "chunk_id": None, "file": None}
            for i in range(clips)
        ]
        connection.execute(sa.insert(Clip), rows)
        mine = sa.select(Clip.id).where(Clip.recording_id == recording).order_by(Clip.start)
        return recording, list(connection.execute(mine).scalars())


def add_person(catalog: Catalog, name: str, role: str = "annotator") -> int:
    values = {"name": name, "role": role, "created_at": now_us()}
    with catalog.write() as connection:
        return connection.execute(sa.insert(Annotator).values(**values).returning(Annotator.id)).scalar_one()


def wrongs(connection: Connection, task: TaskInfo) -> list[str]:
    """What does not hold of a task's queue, reckoned anew from labels and leases; empty where all does."""
    answers: Counter[int] = Counter()
    pairs: Counter[tuple[int, int]] = Counter()
    for said in labels_of(connection, task.id, kinds=ANSWERS):
        if said.origin == "adjudication":
            continue
        pairs[said.clip_id, said.annotator_id] += 1
        if said.kind != "skip":
            answers[said.clip_id] += 1
    discounted = sa.select(Discounted.clip_id, Discounted.annotator_id).where(Discounted.task_id == task.id)
    for row in connection.execute(discounted):
        answers[row.clip_id] -= 1
        if tuple(row) not in pairs:
            pairs[tuple(row)] = 2  # told below: what is discounted has to be in force
    live = connection.execute(
        sa.select(Lease.clip_id, Lease.annotator_id).where(Lease.task_id == task.id, Lease.state == "live")
    ).all()
    leases = Counter(row.clip_id for row in live)
    found = [f"clip {clip} was answered by person {who} {n} times" for (clip, who), n in pairs.items() if n > 1]
    found += [f"clip {r.clip_id} is held by {r.annotator_id}, who answered it" for r in live if tuple(r) in pairs]
    for row in connection.execute(sa.select(TaskClip.__table__).where(TaskClip.task_id == task.id)):
        ours = (answers[row.clip_id], leases[row.clip_id])
        if (row.answers, row.leases) != ours:
            found.append(f"clip {row.clip_id} counts {row.answers} answers and {row.leases} leases, there are {ours}")
        closed = row.adjudicated or row.gold is not None
        left = 0 if closed else max(0, task.overlap - sum(ours))
        if row.open_places != left:
            found.append(f"clip {row.clip_id} has {row.open_places} open places, expected {left}")
        if row.done != (row.adjudicated or row.answers >= task.overlap):
            found.append(f"clip {row.clip_id} says done={row.done} with {row.answers} answers")
    return found


def beyond(connection: Connection, task: TaskInfo) -> set[int]:
    """Clips with more answers and leases than the task's overlap."""
    columns = (TaskClip.task_id == task.id, TaskClip.answers + TaskClip.leases > task.overlap)
    return set(connection.execute(sa.select(TaskClip.clip_id).where(*columns)).scalars())

"""The catalog with a million clips against one with ten thousand: the next clip, status, and adding.

Recordings are written straight into the tables, with fingerprints' keys as many as real ones have, since a million
clips of 5 s would be 58 days of sound; 40 clips each. The task has an overlap of 2, and 10 % of its clips are labelled
by two people. In turns, small and large: somebody asks for the next clip and labels it (each apart), and real files are
added by `add`, whose search for copies and whose numbers are among what could grow. Status, and joining all clips to a
task, have this process's CPU seconds beside the clock's: on a busy machine the two part.

    python -m benchmarks.catalog_scale [sqlite|postgresql]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from benchmarks import _postgresql
from benchmarks.catalog_faults import make_sounds
from benchmarks.harness import Figure, finish
from earmark.catalog.adding import add
from earmark.catalog.copies import KEYS
from earmark.catalog.database import Catalog, Workspace, now_us
from earmark.catalog.labelling import submit
from earmark.catalog.people import add_person
from earmark.catalog.queueing import next_clips
from earmark.catalog.status import status
from earmark.catalog.tables import (
    Annotation,
    AnnotationValue,
    Answered,
    Clip,
    FingerprintKey,
    Recording,
    TaskClip,
)
from earmark.catalog.tasks import TaskInfo, add_clips_to_task, new_task

SMALL, LARGE = 10_000, 1_000_000
CLIPS_EACH = 40
LABELLED = 0.1
ASKED = 300  # times that somebody asks and labels, in each of the two
FILES = 60  # that are added, to each
RATE_HZ = 16_000
_PAGE = 500  # recordings of one transaction


@dataclass
class Filled:
    """A catalog of one size, and seconds: to join all clips to a task, of each next, submit and file added."""

    clips: int
    workspace: Workspace
    catalog: Catalog
    task: TaskInfo
    person: int
    joined_s: float
    joined_cpu_s: float
    next_s: list[float] = field(default_factory=list)
    submit_s: list[float] = field(default_factory=list)
    add_s: list[float] = field(default_factory=list)
    status_s: float = 0.0
    status_cpu_s: float = 0.0


def fill(workspace: Workspace, catalog: Catalog, clips: int) -> Filled:
    rng = np.random.default_rng(0)
    for first in range(0, clips // CLIPS_EACH, _PAGE):
        last = min(first + _PAGE, clips // CLIPS_EACH)
        with catalog.write() as connection:
            _recordings(connection, first, last, rng)
    task = new_task(catalog, "sax", ["sax", "vocals"], overlap=2)
    began = time.perf_counter(), time.process_time()
    add_clips_to_task(catalog, task.id)
    joined_s, joined_cpu_s = time.perf_counter() - began[0], time.process_time() - began[1]
    people = [add_person(catalog, name).id for name in ("ann", "bob", "eve")]
    _label(catalog, task, people[:2], rng)
    if not catalog.is_sqlite:
        with catalog.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as plain:
            plain.exec_driver_sql("ANALYZE")  # as its own housekeeping does within minutes
    return Filled(clips, workspace, catalog, task, people[2], joined_s, joined_cpu_s)


def _recordings(connection: Connection, first: int, last: int, rng: np.random.Generator) -> None:
    frames = CLIPS_EACH * 5 * RATE_HZ
    common = {"sample_rate_hz": RATE_HZ, "channels": 1, "frames": frames, "duration_s": frames / RATE_HZ}
    common |= {"format": "WAV/PCM_16", "added_at": now_us(), "fingerprint": b""}
    rows = [
        {"uri": f"songs/{i}.wav", "name": f"{i}.wav", "file_sha256": f"{i:064x}", "audio_sha256": f"{i:064x}", **common}
        for i in range(first, last)
    ]
    insert = sa.insert(Recording).returning(Recording.id, sort_by_parameter_order=True)
    ids = list(connection.execute(insert, rows).scalars())
    step = 5 * RATE_HZ
    spans = [{"recording_id": i, "start": at * step, "stop": (at + 1) * step} for i in ids for at in range(CLIPS_EACH)]
    connection.execute(sa.insert(Clip), spans)
    keys = [
        {"key": int(key), "recording_id": i}
        for i in ids
        for key in np.unique(rng.integers(1, 1 << 32, KEYS, dtype=np.int64))
    ]
    connection.execute(sa.insert(FingerprintKey), keys)


def _label(catalog: Catalog, task: TaskInfo, people: list[int], rng: np.random.Generator) -> None:
    """Two labels each for the first clips of the queue, as `submit` would have written them."""
    query = sa.select(TaskClip.clip_id).where(TaskClip.task_id == task.id)
    with catalog.read() as connection:
        clips = list(connection.execute(query.order_by(TaskClip.place.desc())).scalars())
    chosen = clips[: round(LABELLED * len(clips))]
    at = now_us() - 3_600_000_000
    for start in range(0, len(chosen), 5000):
        page = chosen[start : start + 5000]
        common = {"task_id": task.id, "kind": "label", "origin": "person", "took_ms": 3000}
        rows = [
            {**common, "clip_id": clip, "annotator_id": who, "at": at + start + i, "client_key": f"{clip}-{who}"}
            for who in people
            for i, clip in enumerate(page)
        ]
        with catalog.write() as connection:
            insert = sa.insert(Annotation).returning(Annotation.id, sort_by_parameter_order=True)
            ids = list(connection.execute(insert, rows).scalars())
            # people who are right nine times in ten, so that a third of the clips are in dispute
            truth = np.tile(rng.random((len(page), 2)) < 0.5, (len(people), 1))
            heard = truth ^ (rng.random(truth.shape) < 0.1)
            values = [
                {"annotation_id": one, "tag_id": tag, "value": "present" if heard[i, j] else "absent"}
                for i, one in enumerate(ids)
                for j, tag in enumerate(task.tag_ids.values())
            ]
            connection.execute(sa.insert(AnnotationValue), values)
            answered = [
                {
                    "task_id": task.id,
                    "clip_id": row["clip_id"],
                    "annotator_id": row["annotator_id"],
                    "annotation_id": one,
                }
                for row, one in zip(rows, ids, strict=True)
            ]
            connection.execute(sa.insert(Answered), answered)
            mine = sa.and_(TaskClip.task_id == task.id, TaskClip.clip_id.in_(page))
            connection.execute(sa.update(TaskClip).where(mine).values(answers=2, open_places=0, done=True))


def ask(one: Filled) -> None:
    began = time.perf_counter()
    held = next_clips(one.catalog, one.task.id, one.person)[0]
    asked = time.perf_counter()
    submit(one.catalog, held.token, {"sax": "absent", "vocals": "present"})
    one.next_s.append(asked - began)
    one.submit_s.append(time.perf_counter() - asked)


def add_files(one: Filled, songs: list[Path]) -> None:
    began = time.perf_counter()
    added = add(one.workspace, one.catalog, songs, chunk_s=1.0, workers=1, timeout_s=60)
    assert len(added.recordings) == len(songs)
    one.add_s.append((time.perf_counter() - began) / len(songs))


def _status(one: Filled) -> tuple[float, float]:
    """Seconds by the clock, and of CPU in this process."""
    began = time.perf_counter(), time.process_time()
    status(one.catalog, "sax")
    return time.perf_counter() - began[0], time.process_time() - began[1]


@contextmanager
def filled(kind: str, folder: Path) -> Iterator[list[Filled]]:
    with ExitStack() as stack:
        server = stack.enter_context(_postgresql.server(durable=True)) if kind == "postgresql" else None
        both = []
        for clips in (SMALL, LARGE):
            url = stack.enter_context(_postgresql.database(server)) if server else None
            workspace = Workspace.init(folder / str(clips), url)
            catalog = stack.enter_context(workspace.catalog())
            both.append(fill(workspace, catalog, clips))
            print(f"{kind}: {clips:,} clips are in", file=sys.stderr, flush=True)
        yield both


def measure(kind: str, folder: Path) -> tuple[list[Figure], dict[str, object]]:
    make_sounds(folder / "songs", FILES)
    songs = sorted((folder / "songs").iterdir())
    with filled(kind, folder) as both:
        for turn in range(ASKED):
            for one in both if turn % 2 else both[::-1]:
                ask(one)
        for start in range(0, FILES, 10):
            for one in both if start % 20 else both[::-1]:
                add_files(one, songs[start : start + 10])
        for one in both:
            took = [_status(one) for _ in range(3)]
            one.status_s, one.status_cpu_s = (statistics.median(column) for column in zip(*took, strict=True))
        small, large = both

        def ratio(name: str) -> float:
            return statistics.median(getattr(large, name)) / statistics.median(getattr(small, name))

        joining = (large.joined_s / large.clips) / (small.joined_s / small.clips)
        figures = [
            Figure(f"scale-next-{kind}", ratio("next_s"), 2.0, "lower", " x", _note(small.next_s, large.next_s)),
            Figure(
                f"scale-submit-{kind}", ratio("submit_s"), 2.0, "lower", " x", _note(small.submit_s, large.submit_s)
            ),
            Figure(f"scale-status-{kind}", large.status_s, 3.0, "lower", " s", _status_note(small, large)),
            Figure(f"scale-add-{kind}", ratio("add_s"), 1.5, "lower", " x", _note(small.add_s, large.add_s)),
            Figure(f"scale-join-{kind}", joining, 1.5, "lower", " x", _join_note(small, large)),
        ]
        times = {
            str(one.clips): {
                "next_s": one.next_s,
                "submit_s": one.submit_s,
                "add_s_a_file": one.add_s,
                "join_s": one.joined_s,
                "join_cpu_s": one.joined_cpu_s,
                "status_s": one.status_s,
                "status_cpu_s": one.status_cpu_s,
            }
            for one in both
        }
    return figures, {"clips": [SMALL, LARGE], "labelled_share": LABELLED, "times": times}


def _note(small: list[float], large: list[float]) -> str:
    a, b = (1000 * statistics.median(one) for one in (small, large))
    return f"medians {a:.2f} ms and {b:.2f} ms"


def _status_note(small: Filled, large: Filled) -> str:
    return f"CPU {large.status_cpu_s:.2f} s; at {SMALL:,} {small.status_s:.2f} s, CPU {small.status_cpu_s:.2f} s"


def _join_note(small: Filled, large: Filled) -> str:
    cpu = (large.joined_cpu_s / large.clips) / (small.joined_cpu_s / small.clips)
    return f"a clip; CPU {cpu:.2f} x; {large.joined_s:.0f} s for a million, CPU {large.joined_cpu_s:.0f} s"


def main() -> None:
    kinds = sys.argv[1:] or ["sqlite", *(["postgresql"] if _postgresql.is_installed() else [])]
    figures: list[Figure] = []
    extra: dict[str, object] = {}
    for kind in kinds:
        with tempfile.TemporaryDirectory(prefix="earmark-scale-") as folder:
            found, extra[kind] = measure(kind, Path(folder))
            figures += found
    finish("catalog_scale", figures, baseline=f"the same with {SMALL:,} clips, in turns", extra=extra)


if __name__ == "__main__":
    main()

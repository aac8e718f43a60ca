"""A search for clips touches few rows, and nobody searches twice."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from queue_rows import add_person, add_recording

from earmark.catalog.database import Catalog, Workspace
from earmark.catalog.labelling import submit, undo
from earmark.catalog.queueing import next_clips, return_lease
from earmark.catalog.tables import QueuePosition, TaskClip
from earmark.catalog.tasks import add_clips_to_task, new_task


def test_next_looks_at_a_bounded_number_of_rows(tmp_path: Path):
    """SQLite tells how it would search: by an index for every table, never through a whole one, and without sorting."""
    workspace = Workspace.init(tmp_path)
    with workspace.catalog() as catalog:
        add_recording(catalog, "a", 5)
        new_task(catalog, "sax", ["sax"], gold_share=0.5, overlap=2)
        add_clips_to_task(catalog, "sax")
        who = add_person(catalog, "a")
        statements: list[tuple[str, object]] = []
        sa.event.listen(
            catalog.engine, "before_cursor_execute", lambda *got: statements.append((got[2], got[3])), named=False
        )
        for _ in range(3):
            held = next_clips(catalog, "sax", who, 2, now=0)
            return_lease(catalog, held[1].token)
            submit(catalog, held[0].token, {"sax": "absent"}, now=0)
            next_clips(catalog, "sax", who, 2, now=10**12)
            undo(catalog, "sax", who)
        with catalog.engine.connect() as connection:
            plans = {
                (sql, row[3])
                for sql, parameters in statements
                if sql.lstrip().split()[0] in ("SELECT", "UPDATE", "DELETE")
                for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", parameters)
            }
    bad = {(plan, sql) for sql, plan in plans if "SCAN" in plan and "CONSTANT ROW" not in plan}
    assert bad == set()
    sorts = {(plan, sql) for sql, plan in plans if "TEMP B-TREE" in plan and "task_clip" in sql}
    assert sorts == set()


def test_a_position_is_kept_so_that_nobody_searches_twice(catalog: Catalog):
    add_recording(catalog, "a", 20)
    new_task(catalog, "sax", ["sax"], overlap=2)
    add_clips_to_task(catalog, "sax")
    who = add_person(catalog, "a")
    given = [next_clips(catalog, "sax", who)[0] for _ in range(1)]
    for _ in range(5):
        submit(catalog, given[-1].token, {"sax": "absent"})
        given += next_clips(catalog, "sax", who)
    with catalog.read() as connection:
        at = connection.execute(sa.select(QueuePosition.clip_id)).scalar()
    assert at == given[-1].clip_id


def _task_of(catalog: Catalog, clips: int) -> tuple[int, list[int]]:
    """A task's row, and its clips in the order of its queue."""
    add_recording(catalog, "a", clips)
    task = new_task(catalog, "sax", ["sax"], overlap=2)
    add_clips_to_task(catalog, "sax")
    query = sa.select(TaskClip.clip_id).order_by(TaskClip.priority.desc(), TaskClip.place.desc())
    with catalog.read() as connection:
        return task.id, list(connection.execute(query).scalars())


def _of_many_writers(catalog: Catalog) -> None:
    if catalog.is_sqlite:
        pytest.skip("SQLite has one writer at a time")


def test_clips_that_others_are_at_are_left_to_them(catalog: Catalog):
    _of_many_writers(catalog)
    _, order = _task_of(catalog, 8)
    who = add_person(catalog, "a")
    with catalog.write() as other:
        other.execute(sa.select(TaskClip).where(TaskClip.clip_id.in_([order[0], order[2]])).with_for_update())
        held = next_clips(catalog, "sax", who, 3)  # waits for nobody
    assert [one.clip_id for one in held] == [order[1], order[3], order[4]]
    assert len({one.token for one in held}) == 3
    # what was passed over is not forgotten
    again = [one.clip_id for one in next_clips(catalog, "sax", who, 4)]
    assert again == [order[1], order[3], order[4], order[0]]


def test_where_others_are_at_all_clips_the_first_is_waited_for(catalog: Catalog):
    _of_many_writers(catalog)
    _, order = _task_of(catalog, 3)
    who = add_person(catalog, "a")
    found: list[int] = []
    with catalog.write() as other:
        other.execute(sa.select(TaskClip).with_for_update())
        waiting = threading.Thread(target=lambda: found.extend(o.clip_id for o in next_clips(catalog, "sax", who, 1)))
        waiting.start()
        waiting.join(0.5)
        assert waiting.is_alive()
    waiting.join(30)
    assert found == order[:1]


def test_next_reads_no_whole_table_of_postgresql(catalog: Catalog):
    _of_many_writers(catalog)
    _task_of(catalog, 20_000)
    with catalog.write() as connection:
        connection.execute(sa.text("ANALYZE"))
    who = add_person(catalog, "a")
    seen: list[tuple[str, object]] = []
    sa.event.listen(catalog.engine, "before_cursor_execute", lambda *got: seen.append((got[2], got[3])), named=False)
    for _ in range(2):
        held = next_clips(catalog, "sax", who, 2)
        submit(catalog, held[0].token, {"sax": "absent"})
    plans: list[str] = []
    searches = {sql: values for sql, values in seen if sql.startswith("WITH seen")}
    with catalog.engine.connect() as connection:
        for sql, values in searches.items():
            plans += connection.exec_driver_sql(f"EXPLAIN {sql}", values).scalars().all()
    assert len(searches) == 2  # from the head, and further down
    assert not [line for line in plans if "Seq Scan on task_clip" in line]

"""A search for clips touches few rows, and nobody searches twice."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from queue_rows import add_person, add_recording

from earmark.catalog.database import Catalog, Workspace
from earmark.catalog.labelling import submit, undo
from earmark.catalog.queueing import next_clips, return_lease
from earmark.catalog.tables import QueuePosition
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

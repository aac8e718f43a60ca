"""Backups of both databases while people label, and putting one back into an empty catalog of either."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from queue_rows import add_person, add_recording

from earmark.catalog import database
from earmark.catalog.copying import back_up, restore
from earmark.catalog.database import Catalog, Workspace
from earmark.catalog.labelling import submit
from earmark.catalog.queueing import next_clips
from earmark.catalog.tables import Base, Recording
from earmark.catalog.tasks import TaskInfo, add_clips_to_task, new_task
from earmark.errors import CatalogError

NO = {"sax": "absent", "piano": "absent"}


def rows_of(catalog: Catalog) -> dict[str, list[tuple[object, ...]]]:
    with catalog.read() as connection:
        return {
            table.name: [
                tuple(row) for row in connection.execute(sa.select(table).order_by(*table.primary_key.columns))
            ]
            for table in Base.metadata.sorted_tables
        }


def labelled(catalog: Catalog, clips: int) -> TaskInfo:
    """A task of so many clips, a few of them labelled, and a recording that is the copy of another."""
    add_recording(catalog, "a", clips)
    add_recording(catalog, "b", 1)
    with catalog.write() as connection:
        connection.execute(sa.update(Recording).where(Recording.name == "b").values(copy_of=1, fingerprint=b"\x00\xff"))
    task = new_task(catalog, "sax", ["sax", "piano"])
    add_clips_to_task(catalog, task.id)
    who = add_person(catalog, "ann")
    for _ in range(3):
        submit(catalog, next_clips(catalog, task.id, who)[0].token, NO, took_ms=1200)
    return task


def test_a_backup_made_while_people_label_is_whole_and_usable(catalog: Catalog, tmp_path: Path) -> None:
    task = labelled(catalog, 300)
    bob = add_person(catalog, "bob")
    stop = threading.Event()

    def label() -> None:
        while not stop.is_set() and (held := next_clips(catalog, task.id, bob)):
            submit(catalog, held[0].token, NO)

    thread = threading.Thread(target=label)
    thread.start()
    copies = [tmp_path / f"copy{i}.db" for i in range(3)]
    for copy in copies:
        back_up(catalog, copy)
    stop.set()
    thread.join()
    with pytest.raises(CatalogError, match=r"copy0\.db exists: name another file"):
        back_up(catalog, copies[0])
    with pytest.raises(CatalogError, match=r"cannot be written"):
        back_up(catalog, tmp_path / "no folder" / "copy.db")
    for copy in copies:
        with Workspace(tmp_path, f"sqlite:///{copy}").catalog() as opened:
            rows = rows_of(opened)
            with opened.read() as connection:
                assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
                assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
        assert len(rows["annotation"]) >= 3
        assert len(rows["annotation_value"]) == 2 * len(rows["annotation"]) == 2 * len(rows["answered"])
    assert [path.name for path in tmp_path.glob(".*partial*")] == []


def test_a_backup_is_put_back_row_for_row_into_either_database_and_work_goes_on(
    catalog: Catalog, tmp_path: Path, postgresql_url: str
) -> None:
    task = labelled(catalog, 20)
    before, copy = rows_of(catalog), tmp_path / "copy.db"
    back_up(catalog, copy)
    bytes_before = copy.read_bytes()
    for folder, url in (("file", None), ("server", postgresql_url)):
        with Workspace.init(tmp_path / folder, url).catalog() as again:
            assert restore(again, copy) == sum(map(len, before.values()))
            assert rows_of(again) == before
            # numbers go on where they were, and places are as full as they were
            bob = add_person(again, "bob")
            assert bob == max(row[0] for row in before["annotator"]) + 1
            assert submit(again, next_clips(again, task.id, bob)[0].token, NO).annotation_id == 4
            with pytest.raises(
                CatalogError, match=r"is not empty \(there are rows in 'annotator'\): a copy is put into"
            ):
                restore(again, copy)
            assert len(rows_of(again)["annotation"]) == 4
    assert copy.read_bytes() == bytes_before
    assert [path.name for path in tmp_path.glob("copy*")] == ["copy.db"]


def test_a_backup_of_an_older_version_is_brought_forward_on_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(database, "revisions", lambda: ["0001", "0002"])
        patched.setattr(database, "_migrate", lambda c, _, migrate=database._migrate: migrate(c, "0002"))
        with Workspace.init(tmp_path / "old").catalog() as old:
            add_person(old, "ann")
            back_up(old, tmp_path / "copy.db")
    with Workspace.init(tmp_path / "new").catalog() as new:
        restore(new, tmp_path / "copy.db")
        assert [row[1] for row in rows_of(new)["annotator"]] == ["ann"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, r"copy\.db does not exist: name a file that `earmark catalog backup` wrote"),
        (b"", r"copy\.db is no copy of a catalog: name a file"),
        (b"RIFF and so on" * 100, r"copy\.db cannot be read as a copy of a catalog \(file is not a database\)"),
    ],
)
def test_what_is_no_copy_is_refused_and_nothing_changes(
    content: bytes | None, said: str, catalog: Catalog, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "copy.db").write_bytes(content)
    with pytest.raises(CatalogError, match=said):
        restore(catalog, tmp_path / "copy.db")
    assert not any(rows_of(catalog).values())

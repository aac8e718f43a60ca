"""The store: shared tables, checks, pruning."""

from __future__ import annotations

import os
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from earmark.data.shards import Entry, SeenFile, ShardWriter
from earmark.data.store import Store
from earmark.data.uses import DataSet
from earmark.errors import CacheError


def put(writer: ShardWriter, key: str, samples: list[int]) -> None:
    pcm = np.array(samples, "<i2").tobytes()
    shard, offset = writer.append([pcm])
    writer.record(
        Entry(key, shard, offset, len(samples), 1.0, zlib.crc32(pcm), 1, "a", 16000, 1, 1.0, "WAV", 1.0, 0.0, "")
    )


def filled(cache: Path, *recordings: tuple[str, list[int]], root: str = "/data") -> Store:
    store = Store(cache, 16000)
    with store.writer() as writer:
        for key, samples in recordings:
            put(writer, key, samples)
        writer.commit()
        store.note_use(Path(root), "name", [key for key, _ in recordings])
    store.merge()
    return store


def contents(store: Store) -> dict[str, list[int]]:
    return {key: store.pcm(row).tolist() for key, row in sorted(store.entries.items())}


def age(store: Store, days: float) -> None:
    for path in (store.folder / "uses").iterdir():
        then = time.time() - days * 86400
        os.utime(path, (then, then))


def test_what_one_process_wrote_another_reads(tmp_path: Path) -> None:
    filled(tmp_path, ("a", [1, 2]), ("b", [3]))
    again = Store(tmp_path, 16000)
    assert contents(again) == {"a": [1, 2], "b": [3]}
    assert list((again.folder / "journals").iterdir()) == []
    assert Store.existing(tmp_path)[0].sample_rate_hz == 16000


def test_rows_of_a_writer_still_at_work_are_seen_and_its_journal_left_alone(tmp_path: Path) -> None:
    store = Store(tmp_path, 16000)
    with store.writer() as writer:
        put(writer, "a", [1, 2])
        writer.commit()
        other = Store(tmp_path, 16000)
        other.merge()
        assert contents(other) == {"a": [1, 2]}
        assert writer.journal_path.exists()
        put(writer, "b", [3])
    store.merge()
    assert contents(store) == {"a": [1, 2], "b": [3]}


def test_the_same_recording_from_two_writers_stands_once(tmp_path: Path) -> None:
    one, two = Store(tmp_path, 16000), Store(tmp_path, 16000)
    with one.writer() as first, two.writer() as second:
        put(first, "a", [1, 2])
        put(second, "a", [1, 2])
        put(second, "b", [9])
    one.merge()
    two.merge()
    assert contents(one) == contents(two) == {"a": [1, 2], "b": [9]}


def test_a_row_whose_samples_are_cut_off_is_dropped_on_open(tmp_path: Path) -> None:
    store = filled(tmp_path, ("a", [1, 2]), ("b", [3, 4]))
    shard = store.folder / "shards" / store.entries["a"].shard
    os.truncate(shard, 6)
    assert contents(Store(tmp_path, 16000)) == {"a": [1, 2]}
    shard.unlink()
    assert contents(Store(tmp_path, 16000)) == {}


def test_verify_drops_a_recording_with_a_changed_byte_and_keeps_the_rest(tmp_path: Path) -> None:
    store = filled(tmp_path, ("a", [1, 2]), ("b", [3, 4]))
    with (store.folder / "shards" / store.entries["b"].shard).open("r+b") as file:
        file.seek(2 * store.entries["b"].offset)
        file.write(b"\x07")
    checked = Store(tmp_path, 16000).verify()
    assert (checked.entries, checked.damaged) == (2, 1)
    assert contents(Store(tmp_path, 16000)) == {"a": [1, 2]}
    assert Store(tmp_path, 16000).verify().damaged == 0


def test_prune_drops_what_no_folder_used_lately_and_moves_the_rest_together(tmp_path: Path) -> None:
    store = filled(tmp_path, ("old", list(range(1000))), root="/old")
    age(store, 40)
    store = filled(tmp_path, ("new", [5, 6]), root="/new")
    reader = store.pcm(store.entries["old"])
    done = Store(tmp_path, 16000).prune(unused_for_days=30)
    assert (done.entries_dropped, done.entries_kept) == (1, 1)
    assert done.bytes_freed > 1900
    assert contents(Store(tmp_path, 16000)) == {"new": [5, 6]}
    assert sum(path.stat().st_size for path in (store.folder / "shards").iterdir()) == 4
    assert reader.tolist() == list(range(1000))  # whoever had it open keeps it
    assert [(use.root, use.bytes) for use in Store(tmp_path, 16000).uses()] == [("/new", 4)]


def test_prune_of_one_data_folder_keeps_what_another_uses_and_what_nobody_is_known_to_use(tmp_path: Path) -> None:
    filled(tmp_path, ("nobody's", [9]))
    (note,) = (Store(tmp_path, 16000).folder / "uses").iterdir()
    note.unlink()
    filled(tmp_path, ("own", list(range(1000))), ("shared", [1, 2]), root="/data/mine")
    store = filled(tmp_path, ("shared", [1, 2]), ("other", [3]), root="/data/mine/below")
    with store.writer() as writer:
        for path in ("/data/mine/bad.wav", "/data/mine2/bad.wav"):
            writer.record(SeenFile(path, 1, 2, reason="silent", message="m"))
    store.merge()
    mine = DataSet("/data/mine")
    assert [row.file_sha256 for row in store.only_of(mine) or []] == ["own"]
    done = store.prune(data=mine)
    assert (done.entries_dropped, done.entries_kept) == (1, 3)
    assert done.bytes_freed > 1900
    assert contents(Store(tmp_path, 16000)) == {"nobody's": [9], "other": [3], "shared": [1, 2]}
    assert [use.root for use in store.uses()] == ["/data/mine/below"]
    assert list(store.files) == ["/data/mine2/bad.wav"]
    assert store.only_of(mine) is None


def test_parts_of_one_data_set_have_notes_of_their_own(tmp_path: Path) -> None:
    store = filled(tmp_path, ("a", [1]), ("b", [2]), ("c", [3]))
    store.note_use(Path("/data"), "name", ["b"], part="left out")
    store.note_use(Path("/data"), "name", ["a"])  # replaces the note of all three
    assert [(use.root, use.name, use.recordings) for use in store.uses()] == [("/data", "name", 1)] * 2
    assert store.prune(unused_for_days=30).entries_dropped == 1
    assert contents(store) == {"a": [1], "b": [2]}
    assert store.prune(data=DataSet("/data", "other")).entries_dropped == 0
    assert store.prune(data=DataSet("/data", "name")).entries_dropped == 2


def test_prune_keeps_what_a_living_writer_owns(tmp_path: Path) -> None:
    filled(tmp_path, ("a", [1]))
    store = Store(tmp_path, 16000)
    with store.writer() as writer:
        put(writer, "b", [2])
        writer.commit()
        Store(tmp_path, 16000).prune(everything=True)
    store.merge()
    assert contents(store) == {"a": [1], "b": [2]}  # a shares the shard that the writer went on with
    assert Store(tmp_path, 16000).prune(everything=True).entries_dropped == 2
    assert list((store.folder / "shards").iterdir()) == []


def test_prune_everything_forgets_quarantine_too(tmp_path: Path) -> None:
    store = Store(tmp_path, 16000)
    with store.writer() as writer:
        writer.record(SeenFile("/bad.wav", 1, 2, reason="silent", message="m"))
    store.merge()
    store.prune()
    assert list(Store(tmp_path, 16000).files) == ["/bad.wav"]
    store.prune(everything=True)
    assert Store(tmp_path, 16000).files == {}


def test_prune_everything_helps_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = filled(tmp_path, ("a", [1, 2]))
    store.note_use(tmp_path, "set", ["a"])
    spill = store.folder / "spill" / "run" / "spill-1.i16.f32"
    spill.parent.mkdir(parents=True)
    spill.write_bytes(bytes(1000))
    os.utime(spill, (0, 0))

    def full(*_: Any, **__: Any) -> None:
        raise CacheError("the disk is full")

    monkeypatch.setattr("earmark.data.tables.replace_table", full)
    monkeypatch.setattr("earmark.data.store.replace_table", full)
    done = Store(tmp_path, 16000).prune(everything=True)
    assert (done.entries_dropped, done.entries_kept) == (1, 0)
    assert [path.name for path in store.folder.rglob("*") if path.is_file()] == ["lock"]


@pytest.mark.parametrize("what", ["verify", "prune", "prune all"])
def test_a_store_that_cannot_be_written_is_one_sentence(tmp_path: Path, what: str) -> None:
    store = filled(tmp_path, ("a", [1, 2]))
    (store.folder / "lock").unlink()
    (store.folder / "lock").mkdir()  # which no rights of ours can open for writing
    with pytest.raises(CacheError, match=r"16000: the cache folder cannot be written .*EARMARK_CACHE_DIR"):
        store.verify() if what == "verify" else store.prune(everything=what == "prune all")
    assert contents(Store(tmp_path, 16000)) == {"a": [1, 2]}


def test_an_unreadable_index_is_named_with_what_to_do(tmp_path: Path) -> None:
    store = filled(tmp_path, ("a", [1]))
    (store.folder / "index.parquet").write_bytes(b"PAR1 not a table")
    with pytest.raises(CacheError, match=r"index\.parquet.*remove the folder"):
        Store(tmp_path, 16000)


def test_a_cache_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheError, match="EARMARK_CACHE_DIR"):
        Store(tmp_path / "file", 16000)

"""Checksums before a run: what is compared, what is found, and that time runs out."""

from __future__ import annotations

from pathlib import Path

from prepared_sounds import RATE, manifest_of, run, sounds

from earmark.data.checking import Compared, compare
from earmark.data.decode import hash_file
from earmark.data.store import Store


def test_sound_and_damaged_are_told_apart_and_nothing_is_said_without_time(tmp_path: Path) -> None:
    paths = sounds(tmp_path / "data", 3)
    run(manifest_of(paths, tmp_path), tmp_path / "cache", workers=1)
    one, two, three = (hash_file(path) for path in paths)
    store = Store(tmp_path / "cache", RATE)
    entry = store.entries[two]
    with (store.folder / "shards" / entry.shard).open("r+b") as file:
        file.seek(2 * (entry.offset + entry.n_samples) - 1)  # the very last byte
        (value,) = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([value ^ 1]))
    assert compare(store, [one, two, three, two], workers=2) == Compared(frozenset({one, three}), frozenset({two}))
    assert compare(store, [three], workers=2) == Compared(frozenset({three}), frozenset())
    assert compare(store, [], workers=2) == Compared(frozenset(), frozenset())
    assert compare(store, [one, two, three], workers=2, seconds=-1.0) == Compared(frozenset(), frozenset())

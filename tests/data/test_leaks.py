"""Leaks between splits are found, named, and only let through when told to."""

from __future__ import annotations

from pathlib import Path

import pytest

from earmark.data.leaks import Leak, find_leaks, refuse_leaks
from earmark.data.manifest import Item, Manifest, build
from earmark.errors import LeakError


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    plan = {
        "a.wav": ("train", "g1"),
        "b.wav": ("test", "g2"),
        "c.wav": ("val", "g1"),
        "d.wav": ("train", "g3"),
        "e.wav": ("", "g1"),
        "f.wav": ("train", "g1"),
    }
    items = []
    for name, (split, group) in plan.items():
        (tmp_path / name).write_bytes(b"x")
        items.append(Item(tmp_path / name, (name[0],), split=split, group=group))
    return build(items, root=tmp_path, layout="x")


def test_equal_audio_in_two_splits(manifest: Manifest) -> None:
    hashes = ["h1", "h1", "h2", "h3", "h3", None]
    (audio, group) = find_leaks(manifest, hashes)
    assert audio == Leak("audio", "a.wav", "b.wav", ("train", "test"))
    assert group == Leak("group", "a.wav", "c.wav", ("train", "val"), "g1")


def test_equal_audio_within_one_split_is_no_leak(manifest: Manifest) -> None:
    separate = manifest.with_rows(group=[f"g{i}" for i in range(6)])
    assert find_leaks(separate, ["h1", None, None, "h1", "h1", "h1"]) == []


def test_one_sound_in_three_splits_is_three_leaks(manifest: Manifest) -> None:
    separate = manifest.with_rows(group=[f"g{i}" for i in range(6)])
    leaks = find_leaks(separate, ["h", "h", "h", None, None, None])
    assert [(leak.a, leak.b) for leak in leaks] == [("a.wav", "b.wav"), ("a.wav", "c.wav"), ("b.wav", "c.wav")]


def test_copies_across_splits(manifest: Manifest) -> None:
    separate = manifest.with_rows(group=[f"g{i}" for i in range(6)])
    leaks = find_leaks(separate, ["1", "2", "3", "4", "5", "6"], copies=[(0, 1), (0, 3), (1, 4)])
    assert leaks == [Leak("copy", "a.wav", "b.wav", ("train", "test"))]


def test_a_clean_split_has_none(manifest: Manifest) -> None:
    separate = manifest.with_rows(group=[f"g{i}" for i in range(6)])
    assert refuse_leaks(separate, ["1", "2", "3", "4", "5", "6"]) == []


def test_a_leak_stops_and_names_both_files_and_the_way_out(manifest: Manifest) -> None:
    with pytest.raises(LeakError, match=r"a.wav \(train\) and b.wav \(test\): the same audio.*--allow-leak"):
        refuse_leaks(manifest, ["h1", "h1", None, None, None, None])
    with pytest.raises(LeakError, match=r"1 leak between.*a.wav \(train\) and c.wav \(val\): one group \(g1\)"):
        refuse_leaks(manifest, [None] * 6)


def test_allowed_leaks_are_returned_for_the_report(manifest: Manifest) -> None:
    assert [leak.kind for leak in refuse_leaks(manifest, ["h", "h", *"1234"], allow=True)] == ["audio", "group"]

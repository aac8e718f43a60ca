"""Shards and journals: whole or absent, whatever happens."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.data.shards import DiskFull, Entry, SeenFile, ShardWriter, journal_line, map_shard, read_journal


def entry(key: str = "k", **changes: Any) -> Entry:
    fields: dict[str, Any] = {
        "file_sha256": key,
        "shard": "s.i16",
        "offset": 0,
        "n_samples": 3,
        "scale": 0.5 / 32767,
        "crc32": 7,
        "file_bytes": 11,
        "audio_sha256": "a",
        "sample_rate_hz": 44100,
        "channels": 2,
        "duration_s": 1.5,
        "format": "WAV/PCM_16",
        "peak": 0.5,
        "rms_db": -20.0,
        "warning": "",
    }
    return Entry(**(fields | changes))


ROWS = [entry("a"), SeenFile("/x/é \udcff.wav", 5, 6, "a"), entry("b", warning="nur die Hälfte"), SeenFile("/y", 1, 2)]


def test_a_journal_gives_back_its_rows() -> None:
    assert list(read_journal(b"".join(journal_line(row) for row in ROWS))) == ROWS


@given(st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_a_journal_cut_anywhere_gives_back_every_finished_row(cut: int) -> None:
    lines = [journal_line(row) for row in ROWS]
    data = b"".join(lines)
    cut %= len(data) + 1
    finished = sum(sum(map(len, lines[: n + 1])) <= cut for n in range(len(lines)))
    assert list(read_journal(data[:cut])) == ROWS[:finished]


@given(st.integers(0, 10_000), st.integers(1, 255))
@settings(max_examples=60, deadline=None)
def test_a_changed_byte_never_makes_a_wrong_row(position: int, flip: int) -> None:
    data = bytearray(b"".join(journal_line(row) for row in ROWS))
    data[position % len(data)] ^= flip
    rows = list(read_journal(bytes(data)))
    assert rows == ROWS[: len(rows)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("shards", "journals"):
        (tmp_path / name).mkdir()
    return tmp_path


def test_rows_count_only_after_their_samples_are_written(folder: Path) -> None:
    with ShardWriter(folder) as writer:
        shard, offset = writer.append([b"\x01\x00\x02\x00", b"\x03\x00"])
        writer.record(entry(shard=shard, offset=offset))
        assert not writer.journal_path.exists()
        writer.commit()
        assert map_shard(folder / "shards" / shard).tolist() == [1, 2, 3]
        assert [row.offset for row in read_journal(writer.journal_path.read_bytes()) if isinstance(row, Entry)] == [0]


def test_a_full_shard_is_left_for_a_new_one_and_a_recording_is_never_cut(folder: Path) -> None:
    with ShardWriter(folder, shard_bytes=8) as writer:
        places = [writer.append([b"\x01\x00" * 3]) for _ in range(4)]
    assert [offset for _, offset in places] == [0, 3, 0, 3]
    assert len({shard for shard, _ in places}) == 2


def test_two_writers_never_share_a_shard_and_the_next_goes_on_with_a_free_one(folder: Path) -> None:
    with ShardWriter(folder) as first, ShardWriter(folder) as second:
        one, _ = first.append([b"\x01\x00"])
        two, _ = second.append([b"\x02\x00"])
        assert one != two
    with ShardWriter(folder) as third:
        shard, offset = third.append([b"\x03\x00"])
    assert shard in (one, two)
    assert offset == 1


class FullDisk:
    """Opens files of which the shard takes `room` bytes and no more."""

    def __init__(self, room: int) -> None:
        self.room = room

    def __call__(self, path: Path, mode: str) -> Any:
        raw = path.open(mode, buffering=0)
        return raw if path.suffix == ".jsonl" else _Full(raw, self)


class _Full:
    def __init__(self, raw: Any, disk: FullDisk) -> None:
        self._raw, self._disk = raw, disk

    def write(self, data: bytes) -> int:
        taken = data[: self._disk.room]  # a real disk takes what fits before it refuses
        if not taken:
            raise OSError(errno.ENOSPC, "No space left on device")
        self._disk.room -= len(taken)
        return int(self._raw.write(taken))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)


def test_a_full_disk_leaves_what_was_committed_and_no_half_entry(folder: Path) -> None:
    pcm = np.arange(4, dtype="<i2").tobytes()
    with ShardWriter(folder, open_file=FullDisk(room=10)) as writer:
        shard, offset = writer.append([pcm])
        writer.record(entry("a", shard=shard, offset=offset, n_samples=4))
        writer.commit()
        with pytest.raises(DiskFull, match="EARMARK_CACHE_DIR"):
            writer.append([pcm])
    assert map_shard(folder / "shards" / shard).tolist() == [0, 1, 2, 3]
    assert [row.file_sha256 for row in read_journal(writer.journal_path.read_bytes())] == ["a"]

"""What was measured is kept from one look to the next, and only where it still holds."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from earmark.audio.write import write
from earmark.explore import kept as module
from earmark.explore.inspect import Inspection, inspect
from earmark.explore.kept import Kept, bytes_kept, forget
from earmark.explore.measure import Measured, measure
from earmark.types import Quiet


class Counting(Quiet):
    """Progress that knows how many files were there already."""

    def __init__(self) -> None:
        self.steps: list[float] = []

    def start(self, task: str, total: int | None, unit: str) -> None:
        self.task = task

    def advance(self, n: float = 1, note: str = "") -> None:
        if self.task == "Listening":
            self.steps.append(n)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(4):
        path = tmp_path / "set" / "ab"[number % 2] / f"{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, 0.1 * np.random.default_rng(number).standard_normal(8000).astype(np.float32), 8000)
    (tmp_path / "set" / "a" / "bad.wav").write_bytes(b"nothing of the kind")
    return tmp_path / "set"


def look(folder: Path, **options: Any) -> tuple[Inspection, list[float]]:
    bar = Counting()
    found = inspect(folder, workers=1, timeout_s=30.0, progress=bar, cache_dir=folder.parent / "cache", **options)
    return found, bar.steps


def rows_of(folder: Path) -> Path:
    (found,) = (folder.parent / "cache" / "inspect").iterdir()
    return found


def kept(folder: Path, **options: Any) -> Kept:
    return Kept(folder.parent / "cache", folder, [str(path) for path in sorted(folder.rglob("*.wav"))], **options)


def test_a_second_look_measures_only_what_is_new_or_was_broken_and_says_the_same(folder: Path) -> None:
    first, steps = look(folder)
    assert steps == [0, 1, 1, 1, 1, 1]
    second, steps = look(folder)
    assert steps == [4, 1]
    pd.testing.assert_frame_equal(first.files, second.files)
    plain = inspect(folder, workers=1, timeout_s=30.0)
    pd.testing.assert_frame_equal(plain.files, second.files)
    assert first.to_json() == second.to_json()
    write(folder / "b" / "new.wav", np.full(800, 0.1, np.float32), 8000)
    assert look(folder)[1] == [4, 1, 1]


@pytest.mark.parametrize("what", ["size", "time"])
def test_a_file_that_changed_is_measured_anew(folder: Path, what: str) -> None:
    look(folder)
    path = folder / "a" / "0.wav"
    before = path.stat()
    write(path, np.full(8000 if what == "time" else 4000, 0.25, np.float32), 8000)
    if what == "size":
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    found, steps = look(folder)
    assert steps == [3, 1, 1]
    assert found.files.set_index("path")["peak"][str(path)] == pytest.approx(0.25, abs=1e-4)


def test_what_older_code_measured_is_not_taken(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    look(folder)
    monkeypatch.setattr(module, "MEASURES", -1)
    assert look(folder)[1][0] == 0


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_line_that_a_kill_cut_short_spoils_no_other(folder: Path, cut: int) -> None:
    look(folder)
    file = rows_of(folder)
    file.write_bytes(file.read_bytes()[:-cut])
    assert look(folder)[1] == [3, 1, 1]
    assert look(folder)[1] == [4, 1]
    file.write_bytes(file.read_bytes().replace(b"WAV/PCM_16", b"WAV/PCM_61", 1))  # a disk that is failing
    assert look(folder)[1] == [3, 1, 1]


def test_two_at_a_time_keep_what_both_measured(folder: Path) -> None:
    paths = [str(folder / "a" / "0.wav"), str(folder / "b" / "1.wav")]
    one, other = kept(folder), kept(folder)
    one.add(paths[0], measure(paths[0]))
    other.add(paths[1], measure(paths[1]))
    other.add(paths[0], measure(paths[0]))
    one.close()
    other.close()
    again = kept(folder)
    assert again.rows == {path: measure(path) for path in paths}
    again.close()


def test_names_that_are_no_utf8_are_kept(folder: Path) -> None:
    odd = os.fsencode(folder / "a") + b"/\xff\n.wav"
    os.rename(folder / "a" / "0.wav", odd)
    look(folder)
    found, steps = look(folder)
    assert steps == [4, 1]
    assert os.fsdecode(odd) in found.files["path"].tolist()


def test_lines_of_files_that_are_gone_go_and_so_does_what_was_not_used_for_longest(folder: Path) -> None:
    path = str(folder / "a" / "0.wav")
    found: Measured = measure(path)
    rows = kept(folder)
    for second in range(150):
        rows._now[path] = (1, second)
        rows.add(path, found)
    rows.close()
    file = rows_of(folder)
    assert len(file.read_bytes().splitlines()) == 151
    look(folder)
    assert len(file.read_bytes().splitlines()) == 5
    old, older = file.with_name("old.rows"), file.with_name("older.rows")
    for other, when in ((old, 2_000), (older, 1_000)):
        other.write_bytes(bytes(1000))
        os.utime(other, (when, when))
    size = file.stat().st_size
    for limit, left in ((size + 2000, [old, older, file]), (size + 1000, [old, file]), (size, [file])):
        rows = kept(folder, limit_bytes=limit)
        rows.tidy()
        rows.close()
        assert sorted(file.parent.iterdir()) == sorted(left)
    rows = kept(folder, limit_bytes=size)
    rows._now[path] = (1, 1)
    rows.add(path, found)  # no more room
    rows.close()
    assert file.stat().st_size == size


def test_a_cache_that_cannot_be_written_is_told_once_and_costs_nothing_else(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder.parent / "cache").write_text("no folder")
    with caplog.at_level(logging.WARNING, logger="earmark"):
        found, steps = look(folder)
    assert steps == [0, 1, 1, 1, 1, 1]
    assert found.verdicts == {"read": 4, "partial": 0, "quarantined": 1}
    assert [record.getMessage().endswith("is not kept for the next run.") for record in caplog.records] == [True]


def test_a_full_disk_costs_nothing_else(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = kept(folder)
    os.dup2(os.open("/dev/full", os.O_WRONLY), rows._file)
    path = str(folder / "a" / "0.wav")
    with caplog.at_level(logging.WARNING, logger="earmark"):
        rows.add(path, measure(path))
        rows.add(path, measure(path))
    assert rows.rows == {}
    assert "No space left on device; what is measured is not kept" in caplog.text
    rows.tidy()
    rows.close()


def test_what_is_kept_can_be_counted_and_forgotten(folder: Path) -> None:
    cache = folder.parent / "cache"
    assert (bytes_kept(cache), forget(cache, unused_for_days=0.0)) == (0, 0)
    look(folder)
    (rows,) = (cache / "inspect").iterdir()
    size = rows.stat().st_size
    assert bytes_kept(cache) == size > 1000
    assert forget(cache, unused_for_days=1.0) == 0
    os.utime(rows, (0, 0))
    assert forget(cache, unused_for_days=1.0) == size
    assert bytes_kept(cache) == 0
    assert look(folder)[1] == [0, 1, 1, 1, 1, 1]  # all anew

"""Prepare: what comes out equals what was decoded, whatever was killed, full or broken on the way."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prepared_sounds import HALF_STEP, RATE, manifest_of, run, sounds, tone

from earmark.audio.hashing import audio_sha256
from earmark.audio.pool import Outcome
from earmark.audio.read import read
from earmark.audio.signal import resample
from earmark.audio.write import write
from earmark.data.store import Store
from earmark.errors import AudioError, CacheError
from earmark.types import Reason


def test_samples_equal_the_decoded_file_to_half_a_step(tmp_path: Path) -> None:
    paths = sounds(tmp_path / "data", 3, rate=11025)
    prepared = run(manifest_of(paths, tmp_path), tmp_path / "cache")
    assert len(prepared) == 3
    for i, path in enumerate(paths):
        direct = resample(read(path).samples, 11025, RATE)
        step = np.abs(direct).max() / 32767
        assert prepared.samples(i).shape == direct.shape == (4000,)
        assert np.abs(prepared.samples(i) - direct).max() <= HALF_STEP * step
        assert prepared.audio_hash(i) == audio_sha256(read(path).samples, 11025)
    assert prepared.recordings["sample_rate_hz"].tolist() == [11025] * 3
    assert prepared.recordings["format"].tolist() == ["WAV/PCM_16"] * 3


def test_a_second_run_decodes_nothing_and_moved_or_copied_files_are_known_by_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = sounds(tmp_path / "data", 2)
    run(manifest_of(paths, tmp_path), tmp_path / "cache")
    moved = tmp_path / "moved.wav"
    paths[0].rename(moved)
    copy = tmp_path / "copy.wav"
    shutil.copyfile(paths[1], copy)

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("nothing is left to decode")

    monkeypatch.setattr("earmark.data.prepare.map_files", refuse)
    prepared = run(manifest_of([moved, paths[1], copy], tmp_path), tmp_path / "cache")
    assert len(prepared) == 3
    assert prepared.audio_hash(1) == prepared.audio_hash(2)
    assert len(prepared.recordings) == 3
    assert len(Store(tmp_path / "cache", RATE).entries) == 2


def test_a_file_name_need_not_be_utf_8(tmp_path: Path) -> None:
    (plain,) = sounds(tmp_path / "data", 1)
    path = plain.rename(plain.with_name(os.fsdecode(b"bad\xff.ogg")))
    for _ in range(2):  # the second reads it from the store
        prepared = run(manifest_of([path], tmp_path), tmp_path / "cache")
        assert prepared.recordings["uri"].tolist() == [str(path)]


def test_what_is_prepared_is_used_from_a_store_that_cannot_be_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paths = sounds(tmp_path / "data", 2)
    store = Store(tmp_path / "cache", RATE)
    run(manifest_of(paths, tmp_path), tmp_path / "cache")
    for name in ("lock", "uses"):  # folders and files the wrong way round: no rights of ours can write them
        path = store.folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    (store.folder / "lock").mkdir()
    os.utime(paths[0], (0, 0))  # known by its content only, which would be noted
    prepared = run(manifest_of(paths, tmp_path), tmp_path / "cache")
    assert len(prepared) == 2
    assert len(prepared.fingerprints()) == 2
    assert "cannot be written" in caplog.text
    assert "Everything was prepared before, so this run goes on" in caplog.text
    sounds(tmp_path / "data", 3)
    (tmp_path / "data" / "002.wav").touch()
    with pytest.raises(CacheError, match="cannot be written"):
        run(manifest_of([*paths, tmp_path / "data" / "002.wav"], tmp_path), tmp_path / "cache")


def test_a_changed_file_is_prepared_anew(tmp_path: Path) -> None:
    (path,) = sounds(tmp_path / "data", 1)
    before = run(manifest_of([path], tmp_path), tmp_path / "cache").samples(0)
    write(path, tone(99), RATE)
    after = run(manifest_of([path], tmp_path), tmp_path / "cache").samples(0)
    assert not np.array_equal(before, after)
    assert np.abs(after - read(path).samples).max() <= HALF_STEP * np.abs(after).max() / 32767


def test_a_bad_file_costs_no_good_one_and_is_not_decoded_again_unless_asked(tmp_path: Path) -> None:
    good = sounds(tmp_path / "data", 2)
    bad = tmp_path / "data" / "bad.wav"
    bad.write_bytes(b"not audio at all, only words in a file" * 10)
    silent = tmp_path / "data" / "silent.wav"
    write(silent, np.zeros(RATE, np.float32), RATE)
    gone = tmp_path / "data" / "gone.wav"
    write(gone, tone(5), RATE)
    manifest = manifest_of([*good, bad, silent, gone], tmp_path)
    gone.unlink()
    prepared = run(manifest, tmp_path / "cache")
    assert [Path(uri).name for uri in prepared.manifest.rows["uri"]] == ["000.wav", "001.wav"]
    reasons = {Path(q.path).name: q.reason for q in prepared.quarantine}
    assert reasons == {"bad.wav": Reason.NOT_AUDIO, "silent.wav": Reason.SILENT, "gone.wav": Reason.MISSING}

    stat = bad.stat()
    write(bad.with_name("good.wav"), tone(7), RATE)
    data = bad.with_name("good.wav").read_bytes()
    bad.write_bytes(data[: stat.st_size].ljust(stat.st_size, b"\0"))
    os.utime(bad, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # the same size and time: remembered as bad
    assert len(run(manifest, tmp_path / "cache")) == 2
    assert len(run(manifest, tmp_path / "cache", retry=True)) == 3


@pytest.mark.parametrize("reason", [Reason.CRASHED, Reason.TIMED_OUT, Reason.TOO_LARGE])
def test_a_file_whose_worker_died_is_tried_again_in_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, reason: Reason
) -> None:
    paths = sounds(tmp_path / "data", 2)
    manifest = manifest_of(paths, tmp_path)

    def all_die(work: Any, items: Any, **_: Any) -> Any:
        for index, (path, _argument) in enumerate(items):
            yield Outcome(index, path, None, AudioError(path, reason, f"{path}: its worker was killed"))

    monkeypatch.setattr("earmark.data.prepare.map_files", all_die)
    first = run(manifest, tmp_path / "cache")
    assert [item.reason for item in first.quarantine] == [reason] * 2
    assert f"{paths[0]}: its worker was killed" in caplog.text
    monkeypatch.undo()
    assert len(run(manifest, tmp_path / "cache")) == 2


def test_every_messy_file_is_prepared_or_quarantined(tmp_path: Path, data_dir: Path) -> None:
    paths = sorted(path for path in (data_dir / "messy").iterdir() if path.is_file())[::4]
    prepared = run(manifest_of(paths, data_dir), tmp_path / "cache", timeout_s=15.0)
    assert len(prepared) + len(prepared.quarantine) == len(paths)
    assert len(prepared) > 10
    for i in range(len(prepared)):
        assert np.isfinite(prepared.samples(i)).all()


def test_a_full_disk_is_one_sentence_and_leaves_no_half_entry(tmp_path: Path) -> None:
    paths = sounds(tmp_path / "data", 14)
    manifest = manifest_of(paths, tmp_path)
    room = [100_000]  # twelve recordings of 8,000 bytes, and half of another

    def open_file(path: Path, mode: str) -> Any:
        raw = path.open(mode, buffering=0)
        return raw if path.suffix == ".jsonl" else Full(raw, room)

    with pytest.raises(CacheError, match=r"disk is full; about .* needed and .* free.*then run this again"):
        run(manifest, tmp_path / "cache", open_file=open_file, workers=1)
    kept = Store(tmp_path / "cache", RATE)
    n = len(kept.entries)
    assert list((kept.folder / "spill").iterdir()) == []
    assert 0 < n <= 4  # the last ones gave their room to the rows of the others
    assert all(kept.is_whole(entry) for entry in kept.entries.values())
    assert sum(path.stat().st_size for path in (kept.folder / "shards").iterdir()) == n * 8000
    prepared = run(manifest, tmp_path / "cache")
    assert len(prepared) == 14
    assert Store(tmp_path / "cache", RATE).verify().damaged == 0


class Full:
    """A file on a disk with so much room and no more."""

    def __init__(self, raw: Any, room: list[int]) -> None:
        self._raw, self._room = raw, room

    def write(self, data: bytes) -> int:
        taken = data[: self._room[0]]
        if not taken:
            raise OSError(errno.ENOSPC, "No space left on device")
        self._room[0] -= len(taken)
        return int(self._raw.write(taken))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)


def test_room_that_turns_out_too_small_stops_early_and_keeps_what_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = manifest_of(sounds(tmp_path / "data", 24), tmp_path)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("earmark.data.prepare.shutil.disk_usage", lambda _: usage._replace(free=40_000))
    with pytest.raises(
        CacheError, match=r"too little room; about 6\d kB more.*16 of 24 files finished so far are kept"
    ):
        run(manifest, tmp_path / "cache")
    assert len(Store(tmp_path / "cache", RATE).entries) == 16


def test_too_little_room_is_said_before_anything_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = manifest_of(sounds(tmp_path / "data", 2), tmp_path)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("earmark.data.prepare.shutil.disk_usage", lambda _: usage._replace(free=100))
    with pytest.raises(CacheError, match="too little room"):
        run(manifest, tmp_path / "cache")
    assert Store(tmp_path / "cache", RATE).entries == {}


SCRIPT = """
import sys
from pathlib import Path
from earmark.data import prepare as p
from earmark.data.manifest import Item, build
from earmark.data.shards import ShardWriter
ShardWriter.__init__.__kwdefaults__["commit_bytes"] = 20_000  # commits often, so that kills hit them
data, cache = Path(sys.argv[1]), Path(sys.argv[2])
items = [Item(path, ("a",)) for path in sorted(data.iterdir())]
print("ready", flush=True)
p.prepare(build(items, root=data, layout="folder", name="test"), sample_rate_hz=8000, cache_dir=cache, workers=2,
          timeout_s=30.0, shard_bytes=150_000)
print("done", flush=True)
"""


def start(data: Path, cache: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(data), str(cache)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def stored(cache: Path) -> dict[str, bytes]:
    store = Store(cache, RATE)
    return {key: store.pcm(entry).tobytes() for key, entry in store.entries.items()}


@pytest.mark.slow
def test_killed_at_any_moment_the_store_is_whole_and_the_next_run_completes_it(tmp_path: Path) -> None:
    data, cache = tmp_path / "data", tmp_path / "cache"
    paths = sounds(data, 300)
    rng = random.Random(5)
    kept = []
    for _ in range(12):
        process = start(data, cache)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(rng.uniform(0.2, 0.45))
        process.send_signal(signal.SIGKILL)
        process.wait()
        store = Store(cache, RATE)
        kept.append(len(store.entries))
        assert all(store.is_whole(entry) for entry in store.entries.values())
    assert kept == sorted(kept)  # nothing that was finished is lost
    assert any(0 < n < 300 for n in kept)  # some kill hit the work
    prepared = run(manifest_of(paths, data), cache)
    fresh = run(manifest_of(paths, data), tmp_path / "fresh")
    assert stored(cache) == stored(tmp_path / "fresh")
    for i in range(300):
        assert np.array_equal(prepared.samples(i), fresh.samples(i))
    assert list((cache / "audio" / str(RATE) / "journals").iterdir()) == []


def test_two_processes_at_once_share_one_store(tmp_path: Path) -> None:
    data, cache = tmp_path / "data", tmp_path / "cache"
    paths = sounds(data, 30)
    both = [start(data, cache), start(data, cache)]
    for process in both:
        out, _ = process.communicate(timeout=60)
        assert out.split() == ["ready", "done"]
    run(manifest_of(paths, data), tmp_path / "fresh")
    assert stored(cache) == stored(tmp_path / "fresh")
    assert Store(cache, RATE).verify().damaged == 0

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
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.audio.pool import Outcome
from earmark.audio.read import read
from earmark.audio.signal import resample
from earmark.audio.write import write
from earmark.data import decode
from earmark.data.fingerprint import find_copies
from earmark.data.hashing import audio_sha256
from earmark.data.manifest import Item, Manifest, build
from earmark.data.prepare import prepare
from earmark.data.prepared import Prepared
from earmark.data.store import Store
from earmark.errors import AudioError, CacheError, InputError
from earmark.types import Reason

RATE = 8000
HALF_STEP = 0.505  # of a quantiser's step; float32 arithmetic takes 0.005 of it


def tone(seed: int, seconds: float = 0.5, rate: int = RATE, peak: float = 0.5) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(int(seconds * rate)).astype(np.float32)
    return x * np.float32(peak / np.abs(x).max())


def sounds(folder: Path, n: int, **how: Any) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{i:03d}.wav" for i in range(n)]
    for i, path in enumerate(paths):
        write(path, tone(i, **how), how.get("rate", RATE))
    return paths


def manifest_of(paths: list[Path], root: Path, **spans: Any) -> Manifest:
    items = [Item(path, (("even", "odd")[i % 2],), **spans) for i, path in enumerate(paths)]
    return build(items, root=root, layout="folder", name="test")


def run(manifest: Manifest, cache: Path, **options: Any) -> Prepared:
    fixed = {"sample_rate_hz": RATE, "cache_dir": cache, "workers": 2, "timeout_s": 30.0}
    return prepare(manifest, **(fixed | options))


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


@given(st.floats(-90.0, 20.0), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_a_quiet_recording_keeps_all_its_bits(level_db: float, seed: int) -> None:
    peak = 10 ** (level_db / 20)
    direct = tone(seed, peak=peak)
    pcm, scale = decode.quantise(direct, float(np.abs(direct).max()))
    assert pcm.dtype == np.int16
    assert np.abs(pcm).max() == 32767
    error = np.abs(pcm.astype(np.float64) * scale - direct).max()
    assert error <= HALF_STEP * peak / 32767


def test_features_of_a_quiet_clip_are_those_of_the_direct_one(tmp_path: Path) -> None:
    from earmark.features.reference import log_mel
    from earmark.features.spec import FeatureSpec

    path = tmp_path / "quiet.wav"
    write(path, tone(1, seconds=1.0, peak=1e-4), RATE, subtype="FLOAT")
    prepared = run(manifest_of([path], tmp_path), tmp_path / "cache")
    spec = FeatureSpec(sample_rate_hz=RATE, clip_s=1.0, n_fft=512, hop_length=160, n_mels=40, fmax_hz=None)
    difference = log_mel(prepared.samples(0), spec) - log_mel(read(path).samples, spec)
    assert np.abs(difference).max() < 1e-3  # dB


def test_spans_are_slices_and_one_outside_its_recording_is_quarantined(tmp_path: Path) -> None:
    (path,) = sounds(tmp_path / "data", 1)
    spans = [(None, None), (0.1, 0.2), (0.3, None), (0.4, 9.0), (0.6, 0.7)]
    items = [Item(path, ("a",), start_s=start, stop_s=stop) for start, stop in spans]
    prepared = run(build(items, root=tmp_path, layout="manifest", name="test"), tmp_path / "cache")
    assert [prepared.span(i) for i in range(4)] == [(0, 4000), (800, 1600), (2400, 4000), (3200, 4000)]
    whole = prepared.samples(0)
    assert np.array_equal(prepared.samples(1), whole[800:1600])
    assert len(prepared) == 4
    assert [(q.path, q.reason) for q in prepared.quarantine] == [(str(path), Reason.TOO_SHORT)]
    assert "from 0.6 s to 0.7 s" in prepared.quarantine[0].message


def test_gather_cuts_batches_and_says_how_much_of_each_exists(tmp_path: Path) -> None:
    paths = sounds(tmp_path / "data", 2)
    prepared = run(manifest_of(paths, tmp_path), tmp_path / "cache")
    out = np.full((3, 1000), 7.0, np.float32)
    batch, valid = prepared.gather([0, 1, 0], [0, 3500, 4000], 1000, out)
    assert batch is out
    assert valid.tolist() == [1000, 500, 0]
    assert np.array_equal(batch[0], prepared.samples(0)[:1000])
    assert np.array_equal(batch[1, :500], prepared.samples(1)[3500:])
    assert not batch[1, 500:].any()
    assert not batch[2].any()
    with pytest.raises(InputError, match=r"\(3, 999\)"):
        prepared.gather([0, 1, 0], [0, 0, 0], 1000, np.zeros((3, 999), np.float32))


def test_resident_holds_the_same_samples_in_one_array(tmp_path: Path) -> None:
    prepared = run(manifest_of(sounds(tmp_path / "data", 3), tmp_path), tmp_path / "cache")
    assert prepared.resident(max_bytes=100) is None
    flat = prepared.resident(max_bytes=10**6)
    assert flat is not None
    for i in range(3):
        cut = flat.samples[flat.starts[i] : flat.starts[i] + flat.lengths[i]].astype(np.float32) * flat.scales[i]
        assert np.array_equal(cut, prepared.samples(i))


def test_fingerprints_find_a_copy_at_another_gain_and_are_computed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = sounds(tmp_path / "data", 3, seconds=2.0)
    copy = tmp_path / "data" / "copy.wav"
    write(copy, 0.3 * tone(1, seconds=2.0), RATE)
    manifest = manifest_of([*paths, copy], tmp_path)
    found = run(manifest, tmp_path / "cache").fingerprints()
    assert [(i, j) for i, j, _ in find_copies(found)] == [(1, 3)]

    def refuse(*_: Any) -> None:
        raise AssertionError("they are in the store")

    monkeypatch.setattr("earmark.data.prepared.fingerprint", refuse)
    again = run(manifest, tmp_path / "cache")
    assert all(np.array_equal(again.fingerprint(i), found[i]) for i in range(4))


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


def test_long_recordings_are_prepared_in_blocks_with_the_same_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "long.wav"
    write(path, tone(3, seconds=95.0, rate=11025), 11025)
    job = decode.Job(str(path), RATE, str(tmp_path))
    whole = decode.decode(job)
    monkeypatch.setattr(decode, "WHOLE_FILE_S", 10.0)
    blocks = decode.decode(job)
    assert blocks.spill
    in_blocks, at_once = (np.frombuffer(b"".join(done.blocks()), "<i2") for done in (blocks, whole))
    assert np.abs(in_blocks.astype(int) - at_once).max() <= 1  # the resampler rounds float32 per block
    assert (blocks.audio_sha256, blocks.n_samples) == (whole.audio_sha256, whole.n_samples)
    assert blocks.duration_s == whole.duration_s == 95.0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["long.wav"]


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


def test_a_damaged_copy_is_noticed_when_it_is_read_and_mended_by_verify(tmp_path: Path) -> None:
    manifest = manifest_of(sounds(tmp_path / "data", 2), tmp_path)
    run(manifest, tmp_path / "cache")
    (shard,) = (tmp_path / "cache" / "audio" / str(RATE) / "shards").iterdir()
    with shard.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff\x7f")
    prepared = run(manifest, tmp_path / "cache")
    with pytest.raises(CacheError, match="earmark cache verify"):
        prepared.gather([0, 1], [0, 0], 4000)
    assert Store(tmp_path / "cache", RATE).verify().damaged == 1
    mended = run(manifest, tmp_path / "cache")
    mended.gather([0, 1], [0, 0], 4000)


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

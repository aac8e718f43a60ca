"""Prepared audio: clips are slices of what was decoded, alone, in batches and all in one array."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prepared_sounds import RATE, manifest_of, run, sounds, tone

from earmark.audio.fingerprint import find_copies
from earmark.audio.read import read
from earmark.audio.write import write
from earmark.data.manifest import Item, build
from earmark.data.store import Checked, Store
from earmark.errors import CacheError, InputError
from earmark.types import Reason


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


def test_chunks_follow_each_other_and_a_remainder_is_kept_from_its_least_length_on(tmp_path: Path) -> None:
    (path,) = sounds(tmp_path / "data", 1)  # 4000 samples
    spans = [(None, None), (0.05, 0.3), (0.1, 0.2875), (0.4, None), (0.45, None)]  # 4000, 2000, 1500, 800, 400
    items = [
        Item(path, ("a",), start_s=start, stop_s=stop, group=f"g{i}", fold=i, weight=i + 0.5)
        for i, (start, stop) in enumerate(spans)
    ]
    prepared = run(build(items, root=tmp_path, layout="manifest", name="test"), tmp_path / "cache")
    cut = prepared.in_chunks(1500, 500)
    assert [cut.span(i) for i in range(len(cut))] == [
        *((0, 1500), (1500, 3000), (3000, 4000)),  # 1000 left over
        *((400, 1900), (1900, 2400)),  # 500 left over, just enough
        *((800, 2300), (3200, 4000), (3600, 4000)),  # none is longer than a chunk
    ]
    assert cut.manifest.rows["group"].tolist() == ["g0", "g0", "g0", "g1", "g1", "g2", "g3", "g4"]
    assert cut.manifest.rows["fold"].tolist() == [0, 0, 0, 1, 1, 2, 3, 4]
    assert cut.manifest.loss_weights[:, 0].tolist() == [0.5, 0.5, 0.5, 1.5, 1.5, 2.5, 3.5, 4.5]
    assert cut.manifest.rows["start_s"].tolist() == [0.0, 0.1875, 0.375, 0.05, 0.2375, 0.1, 0.4, 0.45]
    assert np.isnan(cut.manifest.rows["stop_s"].tolist()[-1])  # as it was given
    assert np.array_equal(np.concatenate([cut.samples(i) for i in range(3)]), prepared.samples(0))
    shorter = [cut.span(i) for i in range(len(cut)) if i not in (2, 4)]
    dropped = prepared.in_chunks(1500, 1001)
    assert [dropped.span(i) for i in range(len(dropped))] == shorter
    # the manifest says it all: prepared anew, it gives the same clips
    again = run(cut.manifest, tmp_path / "cache")
    assert [again.span(i) for i in range(len(again))] == [cut.span(i) for i in range(len(cut))]
    flat = cut.resident(max_bytes=10**6)
    assert flat is not None
    assert flat.lengths.tolist() == [1500, 1500, 1000, 1500, 500, 1500, 800, 400]
    with pytest.raises(InputError, match="chunks of 0 samples"):
        prepared.in_chunks(0, 1)


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


def test_features_of_a_quiet_clip_are_those_of_the_direct_one(tmp_path: Path) -> None:
    from earmark.features.reference import log_mel
    from earmark.features.spec import FeatureSpec

    path = tmp_path / "quiet.wav"
    write(path, tone(1, seconds=1.0, peak=1e-4), RATE, subtype="FLOAT")
    prepared = run(manifest_of([path], tmp_path), tmp_path / "cache")
    spec = FeatureSpec(sample_rate_hz=RATE, clip_s=1.0, n_fft=512, hop_length=160, n_mels=40, fmax_hz=None)
    difference = log_mel(prepared.samples(0), spec) - log_mel(read(path).samples, spec)
    assert np.abs(difference).max() < 1e-3  # dB


def test_fingerprints_find_a_copy_at_another_gain_and_are_computed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = sounds(tmp_path / "data", 3, seconds=2.0)
    copy = tmp_path / "data" / "copy.wav"
    write(copy, 0.3 * tone(1, seconds=2.0), RATE)
    manifest = manifest_of([*paths, copy], tmp_path)
    found = run(manifest, tmp_path / "cache").fingerprints()
    assert [(i, j) for i, j, *_ in find_copies(found)] == [(1, 3)]

    def refuse(*_: Any) -> None:
        raise AssertionError("they are in the store")

    monkeypatch.setattr("earmark.data.prepared.fingerprint", refuse)
    again = run(manifest, tmp_path / "cache")
    assert all(np.array_equal(again.fingerprint(i), found[i]) for i in range(4))


def flip(cache: Path, byte: int) -> None:
    """One bit of the only shard."""
    (shard,) = (cache / "audio" / str(RATE) / "shards").iterdir()
    with shard.open("r+b") as file:
        file.seek(byte)
        (value,) = file.read(1)
        file.seek(byte)
        file.write(bytes([value ^ 64]))


def test_a_damaged_copy_is_decoded_anew_before_a_run_begins(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    manifest = manifest_of(sounds(tmp_path / "data", 3), tmp_path)
    before = run(manifest, tmp_path / "cache").gather([0, 1, 2], [0, 0, 0], 4000)[0]
    flip(tmp_path / "cache", 8101)  # 4000 samples of two bytes each: the second of them in the shard, in any order
    caplog.clear()
    mended = run(manifest, tmp_path / "cache")
    (said,) = caplog.messages
    assert re.fullmatch(r".*/data/00[012]\.wav: its prepared copy is damaged on disk and is made anew\.", said)
    assert np.array_equal(mended.gather([0, 1, 2], [0, 0, 0], 4000)[0], before)
    caplog.clear()
    assert np.array_equal(run(manifest, tmp_path / "cache").samples(1), before[1])
    assert caplog.messages == []
    assert Store(tmp_path / "cache", RATE).verify() == Checked(entries=3, damaged=0)


def test_several_damaged_copies_are_one_warning_and_copies_of_a_file_share_the_cure(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = sounds(tmp_path / "data", 2)
    twin = first.with_name("twin.wav")
    twin.write_bytes(first.read_bytes())
    manifest = manifest_of([first, second, twin], tmp_path)
    before = run(manifest, tmp_path / "cache").gather([0, 1, 2], [0, 0, 0], 4000)[0]
    for byte in (1, 15_999):
        flip(tmp_path / "cache", byte)
    caplog.clear()
    after = run(manifest, tmp_path / "cache").gather([0, 1, 2], [0, 0, 0], 4000)[0]
    assert caplog.messages == [
        f"{first}: its prepared copy is damaged on disk and is made anew; so are those of 2 more."
    ]
    assert np.array_equal(before, after)


def test_a_damaged_copy_whose_file_is_gone_is_left_out(tmp_path: Path) -> None:
    paths = sounds(tmp_path / "data", 2)
    manifest = manifest_of(paths, tmp_path)
    run(manifest, tmp_path / "cache")
    flip(tmp_path / "cache", 100)
    paths[0].unlink()
    left = run(manifest, tmp_path / "cache")
    assert [(found.path, found.reason) for found in left.quarantine] == [(str(paths[0]), "missing")]
    assert len(left) == 1


def test_damage_that_comes_later_is_noticed_when_it_is_read_and_mended_by_verify(tmp_path: Path) -> None:
    manifest = manifest_of(sounds(tmp_path / "data", 2), tmp_path)
    prepared = run(manifest, tmp_path / "cache")  # just written, so not compared yet
    flip(tmp_path / "cache", 100)
    with pytest.raises(CacheError, match="earmark cache verify"):
        prepared.gather([0, 1], [0, 0], 4000)
    assert Store(tmp_path / "cache", RATE).verify().damaged == 1
    mended = run(manifest, tmp_path / "cache")
    mended.gather([0, 1], [0, 0], 4000)

"""Copies among prepared recordings: what sounds the same, and not what only looks alike."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from prepared_sounds import RATE, manifest_of, run, sounds, tone

from earmark.audio.read import read
from earmark.audio.signal import resample
from earmark.audio.write import write
from earmark.data.copies import copies


def test_the_same_samples_and_another_gain_are_copies_across_two_sets(tmp_path: Path) -> None:
    paths = sounds(tmp_path / "data", 3, seconds=2.0)
    quiet = tmp_path / "data" / "quiet.wav"
    write(quiet, 0.3 * tone(1, seconds=2.0), RATE)
    twice = tmp_path / "data" / "twice.wav"
    shutil.copy(paths[2], twice)
    known = run(manifest_of(paths, tmp_path), tmp_path / "cache")
    other = run(manifest_of([quiet, twice], tmp_path), tmp_path / "cache")
    assert copies([known, other]) == [(1, 3), (2, 4)]
    assert copies([known]) == []


def test_rumbles_of_elephants_are_no_copies_but_an_mp3_of_one_is(data_dir: Path, tmp_path: Path) -> None:
    names = [data_dir / f"animals/elephant/elephant_{number}.ogg" for number in (1, 2, 23, 24, 28, 31)]
    audio = read(names[0])
    write(tmp_path / "copy.mp3", (0.5 * audio.samples).astype(np.float32), audio.sample_rate_hz, bitrate_kbps=64)
    prepared = run(manifest_of([*names, tmp_path / "copy.mp3"], tmp_path), tmp_path / "cache")
    assert copies([prepared]) == [(0, 6)]


def test_an_excerpt_is_that_part_of_the_recording_at_8_khz(tmp_path: Path) -> None:
    paths = sounds(tmp_path / "data", 1, seconds=2.0)
    prepared = run(manifest_of(paths, tmp_path), tmp_path / "cache")
    part = prepared.excerpt(0, 0.5, 9.0)
    expected = resample(prepared.samples(0)[RATE // 2 :], RATE, 8000)
    np.testing.assert_array_equal(part, expected)

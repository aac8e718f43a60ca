"""The sounds that Earmark makes itself: what the demo and the pictures stand on."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import soundfile

from earmark.audio.synthetic import KINDS, make_scene, make_sounds, recording, sound


def _centroid_hz(samples: np.ndarray, rate: int) -> float:
    power = np.abs(np.fft.rfft(samples)) ** 2
    return float(np.sum(power * np.fft.rfftfreq(samples.size, 1 / rate)) / np.sum(power))


def test_the_kinds_are_six_and_in_the_order_of_their_names() -> None:
    assert list(KINDS) == ["bell", "bird", "drum", "engine", "whistle", "wind"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rate", [16000, 44100])
def test_a_sound_has_the_length_asked_for_and_peaks_at_one(kind: str, rate: int) -> None:
    samples = sound(kind, seconds=1.5, sample_rate_hz=rate, rng=np.random.default_rng(3))
    assert samples.shape == (round(1.5 * rate),)
    assert samples.dtype == np.float32
    assert np.max(np.abs(samples)) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_recording_lies_between_minus_30_and_minus_3_dbfs(kind: str) -> None:
    for seed in range(5):
        samples = recording(kind, seconds=1.0, sample_rate_hz=16000, rng=np.random.default_rng(seed))
        peak_db = 20 * np.log10(np.max(np.abs(samples)))
        assert -30.01 <= peak_db <= -2.99


def test_the_kinds_lie_where_the_field_would_look_for_them() -> None:
    centroids = {
        kind: np.median(
            [
                _centroid_hz(sound(kind, seconds=2.0, sample_rate_hz=22050, rng=np.random.default_rng(seed)), 22050)
                for seed in range(8)
            ]
        )
        for kind in KINDS
    }
    assert centroids["bird"] > 3000
    assert 900 < centroids["whistle"] < 2800
    assert 200 < centroids["bell"] < 1600
    for low in ("drum", "engine", "wind"):
        assert centroids[low] < 800


def test_two_recordings_of_a_kind_differ_and_the_same_seed_gives_the_same() -> None:
    first, again, other = (
        recording("drum", seconds=1.0, sample_rate_hz=16000, rng=np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert np.max(np.abs(first / np.max(np.abs(first)) - other / np.max(np.abs(other)))) > 0.1


def test_make_sounds_writes_a_folder_per_class_and_plants_three_bad_files(tmp_path: Path) -> None:
    made = make_sounds(tmp_path / "sounds", per_class=3, seed=7)
    assert len(made.recordings) == 18
    assert sorted(folder.name for folder in made.root.iterdir()) == list(KINDS)
    for path in made.recordings:
        info = soundfile.info(path)
        assert 1.0 <= info.duration <= 3.0
        assert info.samplerate in (16000, 22050, 44100)
    assert {path.suffix for path in made.recordings} == {".wav", ".flac", ".ogg"}
    assert made.empty.stat().st_size == 0
    whole_bytes = 44 + 2 * 16000 * 2
    assert made.cut_short.stat().st_size == pytest.approx(whole_bytes / 2, abs=64)
    original, copy = (soundfile.info(path) for path in (made.recordings[12], made.copy))
    assert made.recordings[12].name == "whistle_01.wav"
    assert copy.format == "MP3"
    assert copy.duration == pytest.approx(original.duration, abs=0.15)


def test_make_sounds_writes_the_same_samples_for_the_same_seed(tmp_path: Path) -> None:
    first, again = (make_sounds(tmp_path / name, per_class=2, seed=1) for name in ("a", "b"))
    for one, two in zip(first.recordings, again.recordings, strict=True):
        np.testing.assert_array_equal(soundfile.read(one)[0], soundfile.read(two)[0])


def test_a_scene_sounds_where_its_events_say_and_is_near_silent_between_them(tmp_path: Path) -> None:
    path = tmp_path / "scene.wav"
    events = make_scene(path, seconds=30.0, events=8, seed=0)
    samples, rate = soundfile.read(path)
    assert samples.size == 30 * rate
    assert [(event.start_s, event.stop_s) for event in events][:2] == [(0.0, 3.25), (3.75, 7.0)]
    assert {event.tag for event in events} == set(KINDS)
    assert all(a.tag != b.tag for a, b in itertools.pairwise(events))
    for event in events:
        inside = samples[round(event.start_s * rate) : round(event.stop_s * rate)]
        after = samples[round((event.stop_s + 0.05) * rate) : round((event.stop_s + 0.45) * rate)]
        assert np.max(np.abs(inside)) > 0.25
        assert np.max(np.abs(after)) < 0.01

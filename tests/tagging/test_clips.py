from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from toy_model import RATE

from earmark.audio.read import read
from earmark.tagging import clips
from earmark.tagging.clips import Cut, hear_clips
from earmark.tagging.tagger import Tagger

Heard = list[clips.HeardClips]


def _noise(path: Path, seconds: float, rate: int, seed: int = 0) -> Path:
    """Noise whose level moves, so that no two clips get the same answer."""
    n = round(seconds * rate)
    level = 0.05 + 0.2 * np.abs(np.sin(np.arange(n) / rate))
    sf.write(path, level * np.random.default_rng(seed).uniform(-1, 1, n), rate)
    return path


def _hear(tagger: Tagger, *recordings: tuple[Path, list[Cut]], workers: int = 2, **options) -> Heard:
    given = [(str(path), cuts) for path, cuts in recordings]
    return list(hear_clips(tagger, given, workers=workers, timeout_s=30, **options))


@pytest.mark.parametrize("rate", [RATE, 22050])
def test_a_clip_is_heard_as_evaluation_hears_it(tagger: Tagger, tmp_path: Path, rate: int):
    path = _noise(tmp_path / "a.flac", 9.3, rate)
    cuts = [Cut(i, start, stop) for i, (start, stop) in enumerate([(0, 2), (7.5, 9.3), (1, 1.2), (2, 4.75), (0, 9.3)])]
    (found,) = _hear(tagger, (path, cuts))
    whole = read(path, sample_rate_hz=RATE).samples
    assert (found.missing, found.error) == (0, None)
    for cut in cuts:
        expected, _ = tagger.clip_logits(whole[round(cut.start_s * RATE) : round(cut.stop_s * RATE)])
        np.testing.assert_allclose(found.logits[cut.key], expected, atol=2e-4)


def test_a_long_clip_is_heard_in_parts_of_equal_weight_for_each_window(
    tagger: Tagger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = _noise(tmp_path / "a.wav", 8.0, RATE)
    longest = []
    heard = tagger.clip_windows

    def note(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        longest.append(len(samples) / RATE)
        return heard(samples)

    monkeypatch.setattr(clips, "PART_S", 3.0)
    monkeypatch.setattr(tagger, "clip_windows", note)
    (found,) = _hear(tagger, (path, [Cut(1, 0.0, 8.0)]))
    assert longest == pytest.approx([8 / 3] * 3, abs=1e-3)
    whole = read(path).samples
    edges = [8 * RATE * i // 3 for i in range(4)]
    windows = np.concatenate([heard(whole[a:b])[0] for a, b in pairwise(edges)])
    np.testing.assert_allclose(found.logits[1], windows.mean(axis=0), atol=2e-4)


def test_what_cannot_be_heard_costs_only_itself_and_says_why(tagger: Tagger, tmp_path: Path):
    good = _noise(tmp_path / "good.wav", 3.0, RATE)
    short = _noise(tmp_path / "short.wav", 3.0, RATE, 1)
    (tmp_path / "broken.wav").write_bytes(b"RIFF no")
    three = [Cut(i, float(i), i + 1.0) for i in range(3)]
    heard: list[int] = []
    results = _hear(
        tagger,
        (tmp_path / "broken.wav", three),
        (good, three),
        (short, [*three, Cut(9, 5.0, 6.0)]),
        (tmp_path / "gone.wav", [Cut(5, 0, 1)]),
        heard=lambda: heard.append(1),
    )
    found = {Path(one.path).name: one for one in results}
    assert {name: (sorted(one.logits), one.missing) for name, one in found.items()} == {
        "broken.wav": ([], 3),
        "good.wav": ([0, 1, 2], 0),
        "short.wav": ([0, 1, 2], 1),
        "gone.wav": ([], 1),
    }
    assert found["good.wav"].error is None
    assert "ends before 1 of its clips begin" in str(found["short.wav"].error)
    assert len(heard) == 6


def test_the_rest_of_a_long_recording_is_left_undecoded_and_the_next_is_heard(
    tagger: Tagger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(clips, "_WORTH_HEARING_S", 1.0)
    first, second = _noise(tmp_path / "1.wav", 20.0, RATE), _noise(tmp_path / "2.wav", 2.0, RATE, 5)
    results = _hear(tagger, (first, [Cut(1, 0, 1)]), (second, [Cut(2, 0, 1)]), workers=1)
    assert [sorted(one.logits) for one in results] == [[1], [2]]

"""Waveforms laid on each other: a copy's lie close, those of two sounds that only look alike do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.audio.copies import EXCERPT_S, LEAST_AGREEMENT, MARGIN_S, agreement, excerpts
from earmark.audio.fingerprint import RATE_HZ, find_copies, fingerprint
from earmark.audio.read import read
from earmark.audio.signal import resample
from earmark.types import Samples


def noise(seed: int, seconds: float, rate: int = RATE_HZ) -> Samples:
    return np.random.default_rng(seed).normal(0, 0.1, int(seconds * rate)).astype(np.float32)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 99), st.floats(0.01, 100), st.booleans(), st.integers(0, 3999), st.integers(0, 3999))
def test_gain_sign_and_where_a_copy_begins_change_nothing(
    seed: int, gain: float, turned: bool, late: int, cut: int
) -> None:
    x = noise(seed, 2.0)
    y = np.concatenate([np.zeros(late, np.float32), (-x if turned else x) * np.float32(gain)])[: len(x) + late - cut]
    assert agreement(x, y) == pytest.approx(1.0, abs=1e-3)
    assert agreement(y, x) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("late", [0, 1, 2, 3])  # quarters of a sample at 8 kHz
def test_a_copy_late_by_a_part_of_a_sample_is_one(late: int) -> None:
    x = noise(1, 2.0, 4 * RATE_HZ)
    late_x = np.concatenate([np.zeros(late, np.float32), x])
    assert agreement(resample(x, 4 * RATE_HZ, RATE_HZ), resample(late_x, 4 * RATE_HZ, RATE_HZ)) > 0.85


def test_other_sounds_do_not_agree() -> None:
    assert max(agreement(noise(seed, 1.0), noise(seed + 50, 1.0)) for seed in range(20)) < 0.1


def test_nothing_agrees_with_silence_or_with_nothing() -> None:
    x = noise(0, 1.0)
    assert agreement(x, np.zeros_like(x)) == 0.0
    assert agreement(x, x[:0]) == 0.0
    assert agreement(x[:0], x[:0]) == 0.0


def test_of_long_recordings_the_stretch_that_agrees_best_is_compared() -> None:
    x = noise(0, 200.0)
    y = np.concatenate([noise(1, 20.0), x])  # the same, 20 s late, and damaged but for one minute
    y[: 120 * RATE_HZ] += 2 * noise(2, 120.0)
    y[180 * RATE_HZ :] += 2 * noise(3, 40.0)
    a, b = fingerprint(x, RATE_HZ), fingerprint(y, RATE_HZ)
    (found,) = find_copies([a, b], max_ber=0.45)
    (start_a, stop_a), (start_b, stop_b) = excerpts(a, b, found.lag)
    assert stop_a - start_a == pytest.approx(EXCERPT_S, abs=0.02)
    assert start_b == pytest.approx(start_a + 20.0 - MARGIN_S, abs=0.02)
    assert stop_b == pytest.approx(stop_a + 20.0 + MARGIN_S, abs=0.02)
    assert start_a >= 99
    assert stop_a <= 161
    cut_a, cut_b = (z[int(s * RATE_HZ) : int(e * RATE_HZ)] for z, s, e in ((x, start_a, stop_a), (y, start_b, stop_b)))
    assert agreement(cut_a, cut_b) > 0.99


def test_rumbles_of_elephants_look_alike_and_are_not(data_dir: Path) -> None:
    names = [f"elephant_{number}" for number in (1, 2, 3, 23, 24, 25, 28, 29, 30, 31)]
    sounds = []
    for name in names:
        audio = read(data_dir / f"animals/elephant/{name}.ogg", sample_rate_hz=RATE_HZ)
        sounds.append(audio.samples)
    prints = [fingerprint(sound, RATE_HZ) for sound in sounds]
    found = {}
    for i, j, _, lag in find_copies(prints):
        spans = excerpts(prints[i], prints[j], lag)
        x, y = (
            sounds[k][round(start_s * RATE_HZ) : round(stop_s * RATE_HZ)]
            for k, (start_s, stop_s) in zip((i, j), spans, strict=True)
        )
        found[names[i], names[j]] = agreement(x, y)
    assert len(found) >= 6
    assert {pair for pair, value in found.items() if value >= LEAST_AGREEMENT} == {("elephant_29", "elephant_30")}
    assert found["elephant_29", "elephant_30"] > 0.95  # one call, twice in the set
    assert sorted(found.values())[-2] < 0.45

"""The rules for what is too little to be used."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import soundfile

from earmark.audio.examine import SHORTEST_S, check_usable
from earmark.audio.pool import map_files
from earmark.errors import AudioError
from earmark.explore.measure import measure
from earmark.types import Reason


@pytest.mark.parametrize(
    ("frames", "peak", "reason"),
    [
        (8000, 0.0, Reason.SILENT),
        (8000, 9e-6, Reason.SILENT),
        (8000, 2e-5, None),
        (159, 0.5, Reason.TOO_SHORT),
        (160, 0.5, None),
        (0, 0.0, Reason.EMPTY),
        (8000, math.nan, Reason.NON_FINITE),
    ],
)
def test_limits(frames: int, peak: float, reason: Reason | None):
    assert SHORTEST_S * 8000 == 160
    if reason is None:
        check_usable("x.wav", frames=frames, sample_rate_hz=8000, peak=peak)
        return
    with pytest.raises(AudioError, match=r"^x\.wav ") as refused:
        check_usable("x.wav", frames=frames, sample_rate_hz=8000, peak=peak)
    assert refused.value.reason == reason


def test_why_it_is_silent_is_said(tmp_path: Path):
    tone = (0.5 * np.sin(0.3 * np.arange(8000))).astype(np.float32)
    for name, channels, why in (
        ("cancels.wav", np.stack([tone, -tone], axis=1), "its channels cancel out"),
        ("silent.wav", np.zeros((8000, 2)), "from end to end"),
        ("high.wav", tone, "lies above half of it"),
    ):
        soundfile.write(tmp_path / name, channels, 8000, subtype="FLOAT")
        with pytest.raises(AudioError, match=why):
            check_usable(str(tmp_path / name), frames=8000, sample_rate_hz=8000, peak=0.0)


def test_damaged_files_of_every_format_neither_crash_nor_hang(formats: dict[str, Path], tmp_path: Path):
    rng = np.random.default_rng(7)
    paths = []
    for name, source in formats.items():
        whole = np.frombuffer(source.read_bytes(), dtype=np.uint8)
        for way in ("header", "body", "cut", "ones"):
            data = whole.copy()
            if way == "header":
                data[rng.integers(0, min(len(data), 200), 4)] = rng.integers(0, 256, 4)
            elif way == "body":
                data[rng.integers(0, len(data), 40)] = rng.integers(0, 256, 40)
            elif way == "cut":
                data = data[: rng.integers(1, len(data))]
            else:
                start = rng.integers(0, 120)
                data[start : start + 4] = 255
            paths.append(tmp_path / f"{way}_{name}")
            paths[-1].write_bytes(data.tobytes())
    items = [(str(path), str(path)) for path in paths]
    outcomes = list(map_files(measure, items, workers=2, timeout_s=20, memory_limit=1 << 30))
    assert len(outcomes) == len(paths)
    refused = {outcome.error.reason for outcome in outcomes if outcome.error is not None}
    assert refused
    assert not refused & {Reason.CRASHED, Reason.TIMED_OUT, Reason.TOO_LARGE}
    assert {bool(outcome.value.warning) for outcome in outcomes if outcome.value is not None} == {True, False}

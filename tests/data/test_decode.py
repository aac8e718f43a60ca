"""One file decoded for the store: no bit of a quiet one is lost, and a long one is the same in blocks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prepared_sounds import HALF_STEP, RATE, tone

from earmark.audio.write import write
from earmark.data import decode


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

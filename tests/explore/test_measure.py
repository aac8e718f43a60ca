"""Measures of one file against sounds whose properties are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from earmark.audio.signal import resample
from earmark.audio.write import write
from earmark.errors import AudioError
from earmark.explore import measure as m

RATE = 16000


def kept(path: Path, samples: np.ndarray[Any, Any], rate: int = RATE, **how: Any) -> m.Measured:
    write(path, samples.astype(np.float32), rate, **how)
    return m.measure(str(path))


def sine(hz: float, seconds: float = 1.0, peak: float = 0.5) -> np.ndarray[Any, Any]:
    return peak * np.sin(2 * np.pi * hz * np.arange(int(seconds * RATE)) / RATE)


def test_level_offset_and_duration(tmp_path: Path) -> None:
    found = kept(tmp_path / "a.wav", sine(440) + 0.1)
    assert found.duration_s == 1.0
    assert found.peak == pytest.approx(0.6, abs=1e-3)
    assert found.rms_db == pytest.approx(10 * np.log10(0.5**2 / 2 + 0.1**2), abs=0.01)
    assert found.dc_offset == pytest.approx(0.1, abs=1e-4)
    assert (found.sample_rate_hz, found.channels, found.format) == (RATE, 1, "WAV/PCM_16")


def test_clipping_is_seen_at_full_scale_and_after_it_was_turned_down(tmp_path: Path) -> None:
    clipped = np.clip(sine(440, peak=2.0), -1, 1)
    share = float(np.mean(np.abs(clipped) >= 0.9999))
    assert kept(tmp_path / "a.wav", clipped).clipped == pytest.approx(share, abs=0.02)
    assert kept(tmp_path / "b.wav", 0.3 * clipped).clipped == pytest.approx(share, abs=0.02)
    assert kept(tmp_path / "c.wav", sine(440, peak=0.99)).clipped < 0.05


def test_silence_is_a_share_of_the_time(tmp_path: Path) -> None:
    half = np.concatenate([sine(440), np.zeros(RATE)])
    assert kept(tmp_path / "a.wav", half).silence == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("limit_hz", [8000, 22050])
def test_the_upper_frequency_is_where_the_band_was_cut(tmp_path: Path, limit_hz: int) -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal(limit_hz).astype(np.float32)
    found = kept(tmp_path / "a.wav", resample(noise, limit_hz, 44100), 44100)
    assert found.bandwidth_hz == pytest.approx(limit_hz / 2, rel=0.06)
    assert found.cliff_db > 30  # a resampler cuts; nature fades


def test_full_band_noise_reaches_half_the_rate(tmp_path: Path) -> None:
    found = kept(tmp_path / "a.wav", 0.1 * np.random.default_rng(0).standard_normal(RATE))
    assert found.bandwidth_hz == RATE / 2
    assert found.cliff_db == 0.0


def test_blocks_measure_what_the_whole_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = np.concatenate([sine(440, 40.0), 0.1 * np.random.default_rng(0).standard_normal(40 * RATE)])
    whole = kept(tmp_path / "a.wav", samples)
    monkeypatch.setattr(m, "WHOLE_FILE_S", 5.0)
    monkeypatch.setattr(m, "FINGERPRINT_BLOCK_S", 20.0)
    blocks = m.measure(str(tmp_path / "a.wav"))
    assert blocks.audio_sha256 == whole.audio_sha256
    for name in ("duration_s", "peak", "rms_db", "dc_offset", "silence", "bandwidth_hz"):
        assert getattr(blocks, name) == pytest.approx(getattr(whole, name), rel=1e-3, abs=1e-3), name


def test_silence_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AudioError) as caught:
        kept(tmp_path / "a.wav", np.zeros(RATE))
    assert caught.value.reason == "silent"

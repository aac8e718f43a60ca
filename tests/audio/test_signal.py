from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.audio.read import read
from earmark.audio.signal import (
    StreamResampler,
    fit,
    non_silent,
    resample,
    resampled_length,
    skip_silence,
    to_mono,
    windows,
)
from earmark.errors import InputError


def test_mono_is_the_mean_of_the_channels():
    x = np.array([[1, 0, 0.5], [-1, 0.5, 0.5]], dtype=np.float32)
    assert to_mono(x).tolist() == pytest.approx([0.5, 0.0])
    assert to_mono(x[:, :2]).tolist() == pytest.approx([0.5, -0.25])
    assert to_mono(x[:, :1]).tolist() == [1.0, -1.0]
    assert to_mono(x[:, 0]).tolist() == [1.0, -1.0]
    assert to_mono(x).dtype == np.float32


@pytest.mark.parametrize(
    ("n", "from_hz", "to_hz", "length"),
    [
        (441, 44100, 16000, 160),
        (3, 16000, 8000, 2),
        (1, 44100, 16000, 0),
        (0, 8000, 16000, 0),
        (100, 44100, 48000, 109),
    ],
)
def test_resampled_length_rounds_halves_up(n: int, from_hz: int, to_hz: int, length: int):
    assert resampled_length(n, from_hz, to_hz) == length
    assert len(resample(np.zeros(n, dtype=np.float32), from_hz, to_hz)) == length


def test_resampling_keeps_a_tone_and_removes_what_does_not_fit():
    t = np.arange(44100) / 44100
    kept = resample(np.sin(2 * np.pi * 1000 * t).astype(np.float32), 44100, 16000)
    expected = np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000)
    assert np.abs(kept - expected)[500:-500].max() < 1e-3
    gone = resample(np.sin(2 * np.pi * 12000 * t).astype(np.float32), 44100, 16000)
    assert np.abs(gone)[500:-500].max() < 1e-3


def test_resampling_keeps_channels_apart():
    x = np.zeros((4410, 2), dtype=np.float32)
    x[:, 1] = 0.5
    y = resample(x, 44100, 16000)
    assert y.shape == (1600, 2)
    assert np.abs(y[:, 0]).max() == 0
    assert y[800, 1] == pytest.approx(0.5, abs=1e-3)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 30000),
    st.integers(1, 9000),
    st.sampled_from([(44100, 16000), (16000, 44100), (48000, 22050), (8000, 8000), (11025, 16000), (192000, 8000)]),
)
def test_streamed_resampling_equals_the_one_call(n: int, block: int, rates: tuple[int, int]):
    x = np.random.default_rng(n).standard_normal(n).astype(np.float32)
    stream = StreamResampler(*rates)
    starts = list(range(0, max(n, 1), block))
    parts = [stream.push(x[start : start + block], last=start == starts[-1]) for start in starts]
    together = np.concatenate(parts)
    once = resample(x, *rates)
    assert len(together) == len(once) == resampled_length(n, *rates)
    assert np.allclose(together, once, atol=1e-6)


@pytest.mark.parametrize("rates", [(0, 16000), (16000, 0), (-1, 5)])
def test_rates_must_be_above_nought(rates: tuple[int, int]):
    with pytest.raises(InputError, match="above 0"):
        resample(np.zeros(4, dtype=np.float32), *rates)


@pytest.mark.parametrize(
    ("n", "length", "hop", "starts"),
    [
        (10, 4, 2, [0, 2, 4, 6]),
        (11, 4, 2, [0, 2, 4, 6, 7]),
        (4, 4, 4, [0]),
        (3, 4, 4, [0]),
        (0, 4, 4, [0]),
        (9, 4, 4, [0, 4, 5]),
    ],
)
def test_window_starts(n: int, length: int, hop: int, starts: list[int]):
    assert windows(n, length, hop).tolist() == starts


@given(st.integers(0, 5000), st.integers(1, 700), st.data())
def test_windows_cover_every_sample_and_none_is_padded(n: int, length: int, data: st.DataObject):
    hop = data.draw(st.integers(1, length))
    starts = windows(n, length, hop)
    assert starts.dtype == np.int64
    assert starts[0] == 0
    assert (np.diff(starts) > 0).all()
    if n >= length:
        assert starts[-1] + length == n
        covered = np.zeros(n, dtype=bool)
        for start in starts:
            covered[start : start + length] = True
        assert covered.all()
    else:
        assert starts.tolist() == [0]


@pytest.mark.parametrize(("n", "length", "hop"), [(10, 4, 5), (10, 0, 1), (10, 4, 0), (-1, 4, 2)])
def test_windows_that_would_leave_samples_out_are_refused(n: int, length: int, hop: int):
    with pytest.raises(InputError, match="0 < hop <= length"):
        windows(n, length, hop)


def test_fit():
    x = np.array([1, 2, 3], dtype=np.float32)
    assert fit(x, 5, "zero").tolist() == [1, 2, 3, 0, 0]
    assert fit(x, 8, "loop").tolist() == [1, 2, 3, 1, 2, 3, 1, 2]
    assert fit(x, 2, "zero") is x
    assert fit(x[:0], 2, "loop").tolist() == [0, 0]
    noisy = fit(x, 20003, "noise", seed=3)
    assert noisy[:3].tolist() == [1, 2, 3]
    assert noisy[3:].std() == pytest.approx(1e-4, rel=0.05)
    assert (noisy == fit(x, 20003, "noise", seed=3)).all()
    assert not (noisy == fit(x, 20003, "noise", seed=4)).all()
    with pytest.raises(InputError, match="expected zero, loop or noise"):
        fit(x, 5, "mirror")  # type: ignore[arg-type]


@pytest.mark.parametrize("threshold_db", [10.0, 20.0, 40.0, 60.0])
def test_silence_is_where_librosa_finds_it(data_dir: Path, threshold_db: float):
    files = (
        sorted((data_dir / "esc10" / "audio").glob("*.ogg"))[:20]
        + sorted((data_dir / "spoken_digits").rglob("*.wav"))[:20]
    )
    assert len(files) == 40
    more_than_one = 0
    for path in files:
        samples = read(path).samples
        expected = librosa.effects.split(samples, top_db=threshold_db)
        found = non_silent(samples, threshold_db=threshold_db)
        assert found.tolist() == expected.tolist(), path.name
        joined = skip_silence(samples, 44100, threshold_db=threshold_db)
        assert (joined == np.concatenate([samples[a:b] for a, b in expected])).all()
        more_than_one += len(expected) > 1
    assert more_than_one >= {10.0: 10, 20.0: 5, 40.0: 1, 60.0: 0}[threshold_db]


def test_silence_at_the_edges():
    quiet = np.zeros(5000, dtype=np.float32)
    assert skip_silence(quiet, 8000) is quiet
    assert non_silent(quiet[:0]).shape == (0, 2)
    assert len(skip_silence(quiet[:0], 8000)) == 0
    burst = quiet.copy()
    burst[2000:2500] = 0.5
    kept = skip_silence(burst, 8000)
    assert 500 < len(kept) < 5000
    assert kept.max() == 0.5
    with pytest.raises(InputError):
        skip_silence(quiet, 8000, threshold_db=0)

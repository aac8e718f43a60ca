from __future__ import annotations

import librosa
import numpy as np
import pytest
import soxr

from earmark.errors import InputError
from earmark.features.reference import log_mel, loudest_start, scaled_mel, with_deltas
from earmark.features.spec import FeatureSpec
from earmark.features.statistics import BandStatistics
from earmark.recipes import load_recipe


def noise(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, n).astype(np.float32)


@pytest.mark.parametrize("frames", [9, 10, 63])
def test_deltas_are_librosas(frames: int) -> None:
    picture = np.random.default_rng(1).normal(size=(5, frames))
    ours = with_deltas(picture, 2)
    np.testing.assert_array_equal(ours[0], picture)
    np.testing.assert_allclose(ours[1], librosa.feature.delta(picture, width=9, order=1), atol=1e-10)
    np.testing.assert_allclose(ours[2], librosa.feature.delta(picture, width=9, order=2), atol=1e-10)


def test_deltas_of_too_short_a_picture_are_refused() -> None:
    with pytest.raises(InputError, match="has 8 frames, deltas need 9"):
        with_deltas(np.zeros((4, 8)), 1)


def test_the_loudest_patch_starts_at_a_multiple_of_its_hop() -> None:
    picture = np.zeros((2, 20))
    picture[:, 11:14] = 1.0
    assert loudest_start(picture, 3, 1) == 11
    assert loudest_start(picture, 3, 5) == 10  # 10..12 holds two of the three loud frames, 15.. none
    assert loudest_start(np.zeros((2, 20)), 3, 1) == 0


def test_a_tone_lands_in_its_band_at_its_level() -> None:
    # a sine of amplitude 1 has its peak bin at (n_fft / 4)^2 under a hann window: 10 log10(512^2 / 4) = 48.16 dB
    spec = FeatureSpec(n_mels=256, n_fft=1024, mel_norm=None, top_db=None, fmin_hz=0.0, fmax_hz=None)
    tone = np.sin(2 * np.pi * 4000 * np.arange(spec.n_samples) / 32_000).astype(np.float32)
    picture = scaled_mel(tone, spec)
    edges = librosa.mel_frequencies(n_mels=258, fmin=0, fmax=16_000)
    band = int(picture[:, 200].argmax())
    assert edges[band] < 4000 < edges[band + 2]
    assert 46 < picture[band, 200] < 50


def test_normalisations() -> None:
    samples = noise(16_000)
    base = {"sample_rate_hz": 16_000, "clip_s": 1.0, "fmax_hz": 8000.0, "n_mels": 40}
    unit = log_mel(samples, FeatureSpec(**base, normalise="clip-minmax"))
    assert (unit.min(), unit.max()) == (0.0, 1.0)
    symmetric = log_mel(samples, FeatureSpec(**base, normalise="clip-minmax-symmetric"))
    assert (symmetric.min(), symmetric.max()) == (-1.0, 1.0)
    z = log_mel(samples, FeatureSpec(**base, normalise="clip-z"))
    assert abs(z.mean()) < 1e-6
    assert z.std() == pytest.approx(1.0, abs=1e-5)
    raw = log_mel(samples, FeatureSpec(**base, normalise="none"))
    statistics = BandStatistics(np.full((1, 40), -20.0), np.full((1, 40), 4.0))
    by_band = log_mel(samples, FeatureSpec(**base, normalise="band-statistics"), statistics)
    np.testing.assert_allclose(by_band, (raw + 20) / 4, atol=1e-5)


def test_gain_moves_ref_one_and_not_ref_max() -> None:
    samples = noise(160_000)
    for ref, shift in (("one", -20.0), ("max", 0.0)):
        spec = FeatureSpec(db_ref=ref, normalise="none", amin=1e-20)
        moved = log_mel(samples * np.float32(0.1), spec) - log_mel(samples, spec)
        np.testing.assert_allclose(moved, shift, atol=1e-4)


def test_top_db_is_a_floor_below_the_loudest() -> None:
    samples = noise(160_000)
    samples[80_000:] = 0
    picture = log_mel(samples, FeatureSpec(top_db=30.0, normalise="none"))
    assert picture.min() == pytest.approx(picture.max() - 30.0, abs=1e-4)


def test_stereo_is_refused() -> None:
    with pytest.raises(InputError, match=r"expected \(n,\): mix to mono first"):
        log_mel(np.zeros((160_000, 2), np.float32), FeatureSpec())


def test_statistics_of_another_front_end_are_refused() -> None:
    statistics = BandStatistics(np.zeros((1, 128)), np.ones((1, 128)))
    with pytest.raises(InputError, match="128 bands, the front end has 1 and 64"):
        log_mel(noise(160_000), FeatureSpec(), statistics)


def test_drone_car_speechs_picture_is_made_with_librosas_defaults(recordings: list[tuple[np.ndarray, int]]) -> None:
    spec = load_recipe("drone-car-speech").front_end
    for samples, rate in recordings:
        clip = np.resize(soxr.resample(samples, rate, 16_000), 32_000).astype(np.float32)
        bands = librosa.feature.melspectrogram(y=clip, sr=16_000, n_fft=1024, hop_length=512, n_mels=64)
        decibels = librosa.power_to_db(bands, ref=np.max)
        unit = (decibels - decibels.min()) / (decibels.max() - decibels.min())
        np.testing.assert_allclose(log_mel(clip, spec)[0], unit, atol=1e-5)

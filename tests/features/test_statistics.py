from __future__ import annotations

import numpy as np
import pytest

from earmark.errors import InputError
from earmark.features.statistics import SMALLEST_DEVIATION, BandStatistics, StatisticsFitter, fit


def test_batches_of_any_size_give_numpys_mean_and_deviation() -> None:
    pictures = np.random.default_rng(0).normal(-40, 12, (7, 2, 5, 11)).astype(np.float32)
    statistics = fit([pictures[:3], pictures[3:4], pictures[4:]])
    np.testing.assert_allclose(statistics.mean[..., 0], pictures.mean(axis=(0, 3)), rtol=1e-5)
    np.testing.assert_allclose(statistics.std[..., 0], pictures.std(axis=(0, 3)), rtol=1e-5)


def test_a_band_that_never_changes_is_not_divided_by_zero() -> None:
    assert fit([np.full((2, 1, 3, 4), -100.0)]).std.min() == np.float32(SMALLEST_DEVIATION)


def test_from_range_is_a_min_max_scaler() -> None:
    statistics = BandStatistics.from_range([[-80.0, -60.0]], [[0.0, -20.0]])
    picture = np.array([[[-80.0, 0.0], [-40.0, -20.0]]])
    np.testing.assert_allclose((picture - statistics.mean) / statistics.std, [[[0, 1], [0.5, 1]]])


@pytest.mark.parametrize(
    ("mean", "std", "expected"),
    [
        (np.zeros(4), np.ones(4), r"expected \(channels, bands\) twice"),
        (np.zeros((1, 4)), np.ones((1, 5)), r"expected \(channels, bands\) twice"),
        (np.zeros((1, 4)), np.zeros((1, 4)), "deviations above 0"),
        (np.full((1, 4), np.nan), np.ones((1, 4)), "finite means"),
    ],
)
def test_refused(mean: np.ndarray, std: np.ndarray, expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        BandStatistics(mean, std)


def test_nothing_to_fit_on_is_refused() -> None:
    with pytest.raises(InputError, match="no picture to fit them on"):
        StatisticsFitter().statistics()

"""What `normalise: band-statistics` subtracts and divides by: learnt from the training set, kept beside the spec."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earmark.errors import InputError
from earmark.features.spec import FeatureSpec

SMALLEST_DEVIATION = 1e-5
"""A band that never changes is divided by this, not by zero."""


@dataclass(frozen=True, slots=True)
class BandStatistics:
    """A picture x becomes (x - mean) / std.

    Attributes:
        mean: (channels, bands, 1) float32, or (channels, bands, frames) where each place has its own.
        std: the same shape, all > 0.
    """

    mean: npt.NDArray[np.float32]
    std: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        mean, std = (np.asarray(a, dtype=np.float32) for a in (self.mean, self.std))
        if mean.ndim == 2:
            mean, std = mean[..., None], std[..., None]
        if mean.ndim != 3 or mean.shape != std.shape:
            raise InputError(
                f"band statistics: mean has shape {mean.shape} and std {std.shape}; expected (channels, bands) twice."
            )
        if not (np.isfinite(mean).all() and np.isfinite(std).all() and (std > 0).all()):
            raise InputError("band statistics: expected finite means and deviations above 0; fit them again.")
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "std", std)

    @classmethod
    def identity(cls, spec: FeatureSpec) -> BandStatistics:
        """Mean 0 and deviation 1: what a front end holds before it is fitted."""
        shape = (spec.channels, spec.bands, 1)
        return cls(np.zeros(shape, np.float32), np.ones(shape, np.float32))

    @classmethod
    def from_range(cls, low: npt.ArrayLike, high: npt.ArrayLike) -> BandStatistics:
        """The scaler that maps low..high of the training set to 0..1 (scikit-learn's MinMaxScaler)."""
        low, high = np.asarray(low, np.float32), np.asarray(high, np.float32)
        return cls(low, np.maximum(high - low, SMALLEST_DEVIATION).astype(np.float32))

    def check(self, spec: FeatureSpec) -> BandStatistics:
        """Self, if it fits the picture of `spec`; else InputError."""
        if self.mean.shape[:2] != (spec.channels, spec.bands):
            raise InputError(
                f"band statistics are of {self.mean.shape[0]} channels and {self.mean.shape[1]} bands, the front end "
                f"has {spec.channels} and {spec.bands}; fit them again for this front end."
            )
        return self


class StatisticsFitter:
    """Gathers pictures batch by batch in float64 and ends with their BandStatistics."""

    def __init__(self) -> None:
        self._count = 0.0
        self._sum: npt.NDArray[np.float64] | float = 0.0
        self._squares: npt.NDArray[np.float64] | float = 0.0

    def add(self, pictures: npt.NDArray[np.floating]) -> None:
        """`pictures`: (b, channels, bands, frames), not yet normalised."""
        if pictures.ndim != 4:
            raise InputError(f"band statistics are fitted on (b, channels, bands, frames), got shape {pictures.shape}.")
        exact = pictures.astype(np.float64)
        self.add_sums(exact.shape[0] * exact.shape[3], exact.sum(axis=(0, 3)), (exact * exact).sum(axis=(0, 3)))

    def add_sums(self, count: int, sums: npt.NDArray[np.float64], squares: npt.NDArray[np.float64]) -> None:
        """Sums (channels, bands) over `count` frames of the pictures and of their squares, made elsewhere."""
        self._count += count
        self._sum = self._sum + sums
        self._squares = self._squares + squares

    def statistics(self) -> BandStatistics:
        """Mean and (population) deviation per channel and band over clips and frames."""
        if self._count == 0:
            raise InputError("band statistics: no picture to fit them on; the training split is empty.")
        mean = np.asarray(self._sum) / self._count
        variance = np.maximum(np.asarray(self._squares) / self._count - mean * mean, 0.0)
        std = np.maximum(np.sqrt(variance), SMALLEST_DEVIATION)
        return BandStatistics(mean.astype(np.float32), std.astype(np.float32))


def fit(pictures: Iterable[npt.NDArray[np.floating]]) -> BandStatistics:
    """BandStatistics of batches of pictures (b, channels, bands, frames)."""
    fitter = StatisticsFitter()
    for batch in pictures:
        fitter.add(batch)
    return fitter.statistics()

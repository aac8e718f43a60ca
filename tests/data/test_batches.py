"""Batches cut from prepared audio."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.audio.signal import fit
from earmark.data.batches import ClipBatches, Windows, balancing_share, draw_epoch, imbalance

RATE = 1000


class Clips:
    """Clips whose samples are their own index, so that a cut says where it is from."""

    sample_rate_hz = RATE

    def __init__(self, *lengths: int) -> None:
        self.clips = [np.arange(1, n + 1, dtype=np.float32) for n in lengths]

    def span(self, i: int) -> tuple[int, int]:
        return 500, 500 + len(self.clips[i])

    def samples(self, i: int) -> npt.NDArray[np.float32]:
        return self.clips[i]

    def gather(
        self, rows: npt.NDArray[np.int64], starts: npt.NDArray[np.int64], length: int
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        out = np.zeros((len(rows), length), np.float32)
        filled = np.zeros(len(rows), np.int64)
        for k, (row, start) in enumerate(zip(rows, starts, strict=True)):
            cut = self.clips[row][start : start + length]
            out[k, : len(cut)] = cut
            filled[k] = len(cut)
        return out, filled


@pytest.mark.parametrize("padding", ["zero", "loop", "noise"])
def test_a_short_clip_is_padded_as_a_tagger_pads_it(padding: str) -> None:
    clips = Clips(3, 10)
    batches = ClipBatches(clips, Windows(8, padding, 0.5))  # type: ignore[arg-type]
    crops = batches.crops(np.array([0]), np.random.default_rng(0))
    np.testing.assert_array_equal(crops[0], fit(clips.clips[0], 8, padding))  # type: ignore[arg-type]
    ((positions, windows),) = batches.covering(np.array([0]), 32)
    assert positions.tolist() == [0]
    np.testing.assert_array_equal(windows[0], crops[0])


def test_crops_are_whole_and_start_anywhere() -> None:
    batches = ClipBatches(Clips(100), Windows(8))
    rng = np.random.default_rng(1)
    crops = np.concatenate([batches.crops(np.array([0] * 50), rng) for _ in range(40)])
    assert crops.shape == (2000, 8)
    np.testing.assert_array_equal(np.diff(crops, axis=1), 1)
    assert set(crops[:, 0]) == set(range(1, 94))  # 1-based values: starts 0..92, the last one included


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=5),
    st.integers(2, 20),
    st.floats(0, 0.9),
    st.integers(1, 7),
)
def test_windows_cover_every_sample_of_every_clip(lengths: list[int], length: int, overlap: float, size: int) -> None:
    batches = ClipBatches(Clips(*lengths), Windows(length, "zero", overlap))
    heard: list[set[float]] = [set() for _ in lengths]
    for positions, windows in batches.covering(np.arange(len(lengths)), size):
        assert len(positions) == len(windows) <= size
        for position, window in zip(positions, windows, strict=True):
            heard[position] |= set(window[window > 0].tolist())
    assert heard == [set(range(1, n + 1)) for n in lengths]


def test_a_long_clip_gives_so_many_windows_spread_over_it() -> None:
    batches = ClipBatches(Clips(1000, 12), Windows(10, "zero", 0.0))
    ((positions, windows),) = batches.covering(np.arange(2), 64, most=4)
    assert positions.tolist() == [0, 0, 0, 0, 1, 1]
    assert windows[:4, 0].tolist() == [121, 371, 621, 871]  # the 12th, 37th, 62nd and 87th of a hundred


def test_silence_is_left_out_before_the_crop() -> None:
    rng = np.random.default_rng(0)
    loud = rng.normal(0, 0.3, 30_000).astype(np.float32)
    clips = Clips(1)
    clips.clips = [np.concatenate([np.zeros(40_000, np.float32), loud, np.zeros(40_000, np.float32)])]
    clips.sample_rate_hz = 16_000  # type: ignore[misc]
    batches = ClipBatches(clips, Windows(16_000, "zero", 0.0, skip_silence_db=20.0))
    crops = batches.crops(np.zeros(20, np.int64), rng)
    assert crops.std(axis=1).min() > 0.2
    windows = [window for _, chunk in batches.covering(np.zeros(1, np.int64), 8) for window in chunk]
    assert 2 <= len(windows) <= 3  # 30,000 samples of sound and at most a frame on each side


def test_an_epoch_takes_every_clip_at_most_once_in_full_batches() -> None:
    drawn = draw_epoch(np.arange(100, 205), 32, np.random.default_rng(0))
    assert [len(rows) for rows in drawn] == [32, 32, 32]
    flat = np.concatenate(drawn)
    assert len(set(flat.tolist())) == 96
    assert set(flat.tolist()) <= set(range(100, 205))


def test_fewer_clips_than_a_batch_make_one_batch_of_all() -> None:
    (rows,) = draw_epoch(np.arange(5), 32, np.random.default_rng(0))
    assert sorted(rows.tolist()) == [0, 1, 2, 3, 4]


def test_balancing_draws_rare_tags_as_often_as_common_ones() -> None:
    targets = np.eye(3, dtype=np.float32)[[0] * 90 + [1] * 9 + [2]]
    share = balancing_share(targets)
    rng = np.random.default_rng(0)
    rows = np.concatenate([np.concatenate(draw_epoch(np.arange(100), 10, rng, share)) for _ in range(100)])
    counts = targets[rows].sum(axis=0)
    np.testing.assert_allclose(counts / counts.sum(), 1 / 3, atol=0.02)
    assert imbalance(targets) == 90.0
    assert imbalance(np.eye(4, dtype=np.float32)) == 1.0


def test_balancing_counts_a_clip_as_its_rarest_tag_and_no_tag_as_one_more() -> None:
    targets = np.array([[1, 1], [1, 0], [1, 0], [0, 0]], np.float32)
    np.testing.assert_allclose(balancing_share(targets), [1.0, 1 / 3, 1 / 3, 1.0])

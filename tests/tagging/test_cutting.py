from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.audio.signal import fit, skip_silence, windows
from earmark.tagging.cutting import WindowCutter


def cut(blocks: list[np.ndarray], length: int, hop: int, batch: int, padding: str = "zero"):
    cutter = WindowCutter(length, hop, batch, padding)
    batches = [found.copy() for block in blocks for found in cutter.feed(block)]
    batches += [found.copy() for found in cutter.finish()]
    return cutter, batches


@settings(max_examples=60)
@given(st.data())
def test_windows_cut_from_blocks_are_those_of_the_whole(data):
    length = data.draw(st.integers(1, 30))
    hop = data.draw(st.integers(1, length))
    batch = data.draw(st.integers(1, 5))
    sizes = data.draw(st.lists(st.integers(0, 50), min_size=1, max_size=8))
    samples = np.arange(1, sum(sizes) + 1, dtype=np.float32)
    blocks = np.split(samples, np.cumsum(sizes)[:-1])

    cutter, batches = cut(blocks, length, hop, batch)

    if not len(samples):
        assert batches == []
        return
    starts = windows(len(samples), length, hop)
    assert cutter.starts == starts.tolist()
    assert cutter.n_samples == len(samples)
    padded = np.concatenate([samples, np.zeros(max(0, length - len(samples)), np.float32)])
    np.testing.assert_array_equal(np.concatenate(batches), [padded[start : start + length] for start in starts])
    # every batch is full but the last, whatever the blocks were
    assert [len(found) for found in batches[:-1]] == [batch] * (len(batches) - 1)


def test_a_short_clip_is_filled_up_by_the_padding():
    _, batches = cut([np.float32([1, 2, 3])], 8, 4, 2, "loop")
    assert batches[0].tolist() == [[1, 2, 3, 1, 2, 3, 1, 2]]


def test_memory_holds_a_window_and_a_block_however_long_the_stream():
    cutter = WindowCutter(100, 50, 4)
    block = np.zeros(1000, np.float32)
    for _ in range(200):
        for _ in cutter.feed(block):
            pass
        assert len(cutter._kept) <= 100
    assert cutter.n_samples == 200_000


@pytest.mark.parametrize("sizes", [[8192], [1024] * 8])
def test_silence_is_skipped_within_a_window_which_is_filled_up_again(sizes):
    samples = np.zeros(8192, np.float32)
    samples[3000:6000] = np.sin(np.arange(3000))
    cutter = WindowCutter(8192, 8192, 1, "zero", skip_silence_db=20.0, sample_rate_hz=8000)
    batches = [found.copy() for block in np.split(samples, np.cumsum(sizes)[:-1]) for found in cutter.feed(block)]
    assert len(batches) == 1
    heard = skip_silence(samples, 8000, threshold_db=20.0)
    assert 3000 <= len(heard) < 8192
    np.testing.assert_array_equal(batches[0][0], fit(heard, 8192, "zero"))

"""Crops cut on the device equal the crops cut from the memory map, sample for sample."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from earmark.data.batches import ClipBatches, Windows
from earmark.data.prepared import Prepared
from earmark.training.resident import ResidentClips, resident_clips


@pytest.mark.parametrize("padding", ["zero", "loop"])
@pytest.mark.parametrize("length", [4_000, 16_000, 200_000])  # shorter than the clips, like them, longer
def test_the_same_crops(two_instruments: Prepared, padding: str, length: int) -> None:
    how = Windows(length, padding)  # type: ignore[arg-type]
    resident = two_instruments.resident(10**9)
    assert resident is not None
    rows = np.random.default_rng(0).permutation(len(two_instruments))[:20].astype(np.int64)
    expected = ClipBatches(two_instruments, how).crops(rows, np.random.default_rng(1))
    found = ResidentClips(resident, how, torch.device("cpu")).crops(rows, np.random.default_rng(1))
    np.testing.assert_array_equal(found.numpy(), expected)


def test_what_does_not_fit_stays_where_it_is(two_instruments: Prepared) -> None:
    assert two_instruments.resident(1000) is None
    assert resident_clips(two_instruments, Windows(1000), torch.device("cpu")) is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here")
def test_on_a_gpu(two_instruments: Prepared) -> None:
    how = Windows(16_000, "loop")
    clips = resident_clips(two_instruments, how, torch.device("cuda"))
    assert clips is not None
    rows = np.arange(8)
    expected = ClipBatches(two_instruments, how).crops(rows, np.random.default_rng(1))
    np.testing.assert_array_equal(clips.crops(rows, np.random.default_rng(1)).cpu().numpy(), expected)

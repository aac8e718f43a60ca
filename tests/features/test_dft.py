from __future__ import annotations

import numpy as np
import pytest

from earmark.features.dft import best_inner, two_stage


@pytest.mark.parametrize("n", [16, 64, 1022, 1024, 2048, 2560, 2 * 509])
def test_two_products_are_numpys_rfft(n: int) -> None:
    dft = two_stage(n)
    frames = np.random.default_rng(n).normal(size=(3, n))
    columns = dft.first @ frames.reshape(3, -1, dft.inner)
    columns = columns.reshape(3, dft.groups, 2 * dft.inner)
    parts = np.einsum("tdi,dij->tdj", columns, dft.second)
    power = (parts[..., : dft.inner] ** 2 + parts[..., dft.inner :] ** 2).reshape(3, -1)
    np.testing.assert_allclose(power, (np.abs(np.fft.rfft(frames)) ** 2)[:, dft.bins], rtol=1e-7, atol=1e-7)
    assert sorted(dft.bins[dft.kept]) == list(range(n // 2 + 1))


def test_zeros_around_the_window_are_not_multiplied() -> None:
    dft = two_stage(2560, 768, 1792)
    assert (dft.start, dft.stop) == (768, 1792)
    assert dft.first.shape == (2 * dft.groups, 1024 // dft.inner)


def test_the_two_stages_are_balanced() -> None:
    assert best_inner(1024) in (16, 32)
    assert best_inner(2048) == 32
    assert best_inner(2 * 509) == 2

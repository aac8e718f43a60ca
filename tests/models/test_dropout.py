"""Dropout: how much it keeps, what its gradient is, and that a seed settles it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from earmark.models.dropout import dropout


@pytest.mark.parametrize("p", [0.2, 0.25, 0.5, 0.9])
def test_it_drops_the_share_and_keeps_the_mean(p: float) -> None:
    torch.manual_seed(1)
    n = 400_000
    out = dropout(torch.ones(n), p, True)
    deviation = (p * (1 - p) / n) ** 0.5
    assert (out == 0).float().mean().item() == pytest.approx(p, abs=5 * deviation)
    assert out.mean().item() == pytest.approx(1.0, abs=5 * deviation / (1 - p))
    assert out.unique().tolist() == pytest.approx([0.0, 1 / (1 - p)], rel=2e-4)


def test_elements_are_dropped_one_by_one() -> None:
    """Neighbours, in every direction of a picture and from draw to draw, know nothing of each other."""
    torch.manual_seed(2)
    x = torch.ones(8, 16, 64, 64).to(memory_format=torch.channels_last)
    kept, again = (dropout(x, 0.25, True) > 0 for _ in range(2))
    for one, other in [
        (kept[1:], kept[:-1]),
        (kept[:, 1:], kept[:, :-1]),
        (kept[:, :, 1:], kept[:, :, :-1]),
        (kept[..., 1:], kept[..., :-1]),
        (kept, again),
    ]:
        both = (one & other).float().mean().item()
        assert both == pytest.approx(0.75**2, abs=5 * (0.75**2 * (1 - 0.75**2) / one.numel()) ** 0.5 * 2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_gradient_passes_where_the_values_did(dtype: torch.dtype, layout: torch.memory_format) -> None:
    torch.manual_seed(3)
    x = torch.randn(3, 5, 7, 9, dtype=dtype).to(memory_format=layout).requires_grad_()
    out = dropout(x, 0.5, True)
    assert out.dtype == dtype
    assert out.is_contiguous(memory_format=layout)
    out.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, torch.where(out == 0, 0.0, 2.0).to(dtype))
    assert torch.equal(out, x.detach() * x.grad)


def test_a_seed_settles_it_and_a_later_draw_differs() -> None:
    x = torch.ones(1000)
    torch.manual_seed(4)
    first, second = dropout(x, 0.5, True), dropout(x, 0.5, True)
    torch.manual_seed(4)
    assert torch.equal(dropout(x, 0.5, True), first)
    assert not torch.equal(first, second)


def test_nothing_is_dropped_outside_training_or_at_zero_and_all_at_one() -> None:
    x = torch.randn(4, 6)
    assert dropout(x, 0.5, False) is x
    assert dropout(x, 0.0, True) is x
    assert torch.equal(dropout(x, 1.0, True), torch.zeros(4, 6))


def test_a_view_that_is_not_dense_is_left_to_torch() -> None:
    x = torch.ones(6, 8)[:, ::2]
    torch.manual_seed(5)
    expected = F.dropout(x, 0.5, True)
    torch.manual_seed(5)
    assert torch.equal(dropout(x, 0.5, True), expected)


def test_words_of_four_are_cut_to_any_size() -> None:
    for n in range(1, 10):
        assert dropout(torch.ones(n), 0.5, True).shape == (n,)

"""What a person is told of the device."""

from __future__ import annotations

import pytest
import torch

from earmark.training.device import choose_device


@pytest.mark.parametrize(("threads", "words"), [(1, "1 thread of "), (2, "2 threads of ")])
def test_threads_are_counted(threads: int, words: str) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        assert choose_device("cpu", "float32").name.startswith(words)
    finally:
        torch.set_num_threads(before)

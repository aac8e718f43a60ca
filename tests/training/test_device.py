"""What a person is told of the device."""

from __future__ import annotations

import logging

import pytest
import torch

from earmark.errors import InputError
from earmark.training.device import choose_device


@pytest.mark.parametrize(("threads", "words"), [(1, "1 thread of "), (2, "2 threads of ")])
def test_threads_are_counted(threads: int, words: str) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        assert choose_device("cpu", "float32").name.startswith(words)
    finally:
        torch.set_num_threads(before)


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest) -> int:
    """As many GPUs as the test asks for, with names of their own; what is logged is caught."""
    count: int = request.param
    caplog.set_level(logging.WARNING, "earmark.training")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda number=0: f"GPU-{number}")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: not including_emulation)
    return count


@pytest.mark.parametrize(
    ("gpus", "warnings"),
    [
        (1, []),
        (2, ["one GPU (GPU-0) is used and another GPU stands idle: a training runs on one; "]),
        (4, ["one GPU (GPU-0) is used and 3 other GPUs stand idle: a training runs on one; "]),
    ],
    indirect=["gpus"],
)
@pytest.mark.parametrize("choice", ["auto", "cuda"])
def test_the_one_gpu_that_trains_is_named_and_the_others_stand_idle(
    gpus: int, warnings: list[str], choice: str, caplog: pytest.LogCaptureFixture
) -> None:
    device = choose_device(choice, "auto")
    assert (device.accelerator, device.bf16, device.name, device.sentence) == (
        "cuda", True, "GPU-0", "GPU-0, bfloat16",
    )  # fmt: skip
    assert caplog.messages == [f"{words}CUDA_VISIBLE_DEVICES chooses which" for words in warnings]


@pytest.mark.parametrize(
    ("gpus", "warning"),
    [
        (1, "a GPU (GPU-0) stands idle: --device auto would use it"),
        (2, "2 GPUs stand idle: --device auto would use the first (GPU-0)"),
    ],
    indirect=["gpus"],
)
def test_a_gpu_stands_idle_where_the_processor_was_asked_for(
    gpus: int, warning: str, caplog: pytest.LogCaptureFixture
) -> None:
    device = choose_device("cpu", "float32")
    assert (device.accelerator, device.precision) == ("cpu", "32-true")
    assert caplog.messages == [warning]


@pytest.mark.parametrize("gpus", [0], indirect=True)
def test_a_gpu_that_is_not_there_is_refused(gpus: int, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(InputError, match=r"--device cuda: torch sees no CUDA GPU here; use --device cpu"):
        choose_device("cuda", "auto")
    assert choose_device("cpu", "float32").accelerator == "cpu"
    assert caplog.messages == []

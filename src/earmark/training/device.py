"""What a training computes on, and in which precision."""

from __future__ import annotations

import logging
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import torch

from earmark.errors import InputError
from earmark.formats.words import counted

DeviceChoice: TypeAlias = Literal["auto", "cpu", "cuda"]
log = logging.getLogger("earmark.training")


@dataclass(frozen=True)
class Device:
    """Attributes:

    accelerator: `cpu` or `cuda` (one GPU, the first), as Lightning calls them.
    bf16: compute in bfloat16 under autocast.
    name: for people.
    """

    accelerator: Literal["cpu", "cuda"]
    bf16: bool
    name: str

    @property
    def precision(self) -> Literal["bf16-mixed", "32-true"]:
        return "bf16-mixed" if self.bf16 else "32-true"

    @property
    def sentence(self) -> str:
        return f"{self.name}, {'bfloat16' if self.bf16 else 'float32'}"


def choose_device(choice: DeviceChoice, precision: Literal["auto", "bf16", "float32"]) -> Device:
    """The device to train on.

    Raises:
        InputError: `cuda` was asked for and there is none.
    """
    if choice not in ("auto", "cpu", "cuda"):
        raise InputError(f"--device {choice!r}: expected auto, cpu or cuda.")
    present = torch.cuda.is_available()
    if choice == "cuda" and not present:
        raise InputError(
            "--device cuda: torch sees no CUDA GPU here; use --device cpu, or install a CUDA build of torch."
        )
    if choice == "cpu" and present:
        count, name = torch.cuda.device_count(), torch.cuda.get_device_name(0)
        if count > 1:
            log.warning("%d GPUs stand idle: --device auto would use the first (%s)", count, name)
        else:
            log.warning("a GPU (%s) stands idle: --device auto would use it", name)
    if choice == "auto" and not present and Path("/dev/nvidia0").exists():
        log.warning(
            "there is an NVIDIA GPU, but this torch (%s) cannot use it: install a CUDA build of torch",
            torch.__version__,
        )
    if present and choice != "cpu":
        count = torch.cuda.device_count()
        bf16 = precision == "bf16" or (precision == "auto" and torch.cuda.is_bf16_supported(including_emulation=False))
        name = torch.cuda.get_device_name(0)
        if count > 1:
            rest = f"{count - 1} other GPUs stand" if count > 2 else "another GPU stands"
            log.warning(
                "one GPU (%s) is used and %s idle: a training runs on one; CUDA_VISIBLE_DEVICES chooses which",
                name,
                rest,
            )
        return Device("cuda", bf16, name)
    bf16 = precision == "bf16" or (precision == "auto" and cpu_computes_bf16())
    return Device("cpu", bf16, f"{counted(torch.get_num_threads(), 'thread')} of {cpu_name()}")


def cpu_computes_bf16() -> bool:
    """Whether this processor multiplies bfloat16 natively (AVX512-BF16 or AMX); elsewhere it would be slower."""
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(torch.cpu, check, lambda: False)()) for check in checks)


def cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()

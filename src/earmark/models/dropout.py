"""Dropout whose mask is drawn as fast as the memory takes it."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

_STEPS = 2**16


def dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """`torch.nn.functional.dropout`, with another draw of the mask on a processor.

    torch draws it there number by number in one thread, which took two fifths of a training step of four convolutions.
    Here one number of torch's generator seeds a stream of 16 bits an element, so `torch.manual_seed` still settles it.

    Args:
        x: of any shape.
        p: share of elements set to zero, in steps of 1 / 65536; what is kept is divided by what was really kept, on
            average, so that the mean stays exactly.
        training: False gives x itself.
    """
    if not training or p == 0.0:
        return x
    kept = _STEPS - round(p * _STEPS)
    dense = x.is_contiguous() or (x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last))
    if x.device.type != "cpu" or kept == 0 or not dense:
        return F.dropout(x, p, training)
    seed = int(torch.randint(2**62, (1,)))
    n = x.numel()
    words = np.random.Generator(np.random.SFC64(seed)).integers(0, 2**64 - 1, -(-n // 4), np.uint64, endpoint=True)
    chosen = torch.from_numpy((words.view(np.uint16)[:n] < kept).view(np.int8))  # torch reads bools at half the speed
    # as it lies in memory: a mask has no order that matters
    mask = chosen.to(x.dtype).mul_(_STEPS / kept).as_strided(x.shape, x.stride())
    return x * mask

"""All prepared audio on the device at once: where it fits a GPU's memory, nothing is copied there batch by batch."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from earmark.data.batches import Indices, Windows
from earmark.data.prepared import Prepared, Resident

# Of the memory that is free before the net moves in; the rest is for the net, its gradients and the batch.
SHARE_OF_FREE = 0.5


class ResidentClips:
    """The same random crops as `earmark.data.batches.ClipBatches`, cut on the device.

    Args:
        resident: every recording in one int16 array.
        how: length and padding; noise padding and skipped silence are not done here (see `resident_clips`).
        device: where to.
    """

    def __init__(self, resident: Resident, how: Windows, device: torch.device) -> None:
        self.how = how
        self.samples = torch.from_numpy(resident.samples).to(device)
        self.lengths = resident.lengths
        self.starts = resident.starts
        self.scales = torch.from_numpy(resident.scales).to(device)
        self._within = torch.arange(how.length, device=device)

    def crops(self, rows: Indices, rng: np.random.Generator) -> Tensor:
        """One random window of each clip, (len(rows), length) float32 on the device."""
        device = self.samples.device
        lengths = self.lengths[rows]
        first = rng.integers(0, np.maximum(0, lengths - self.how.length) + 1)
        begin = torch.from_numpy(self.starts[rows] + first).to(device)[:, None]
        exist = torch.from_numpy(np.minimum(lengths, self.how.length)).to(device)[:, None]
        place = self._within.expand(len(rows), -1)
        if self.how.padding == "loop":
            cut = self.samples[begin + place % exist].float()
        else:
            cut = self.samples[begin + torch.minimum(place, exist - 1)].float() * (place < exist)
        return cut * self.scales[torch.from_numpy(rows).to(device)][:, None]


def resident_clips(prepared: Prepared, how: Windows, device: torch.device) -> ResidentClips | None:
    """Clips on `device`, or None where they do not fit or must be padded or cut in a way that only the CPU does."""
    if device.type != "cuda" or how.padding == "noise" or how.skip_silence_db is not None:
        return None
    free, _ = torch.cuda.mem_get_info(device)
    resident = prepared.resident(int(free * SHARE_OF_FREE))
    return None if resident is None else ResidentClips(resident, how, device)

"""Samples to mel bands in torch, in blocks that stay in a processor's cache.

The transform is in float64 where that is asked for: bands 80 dB below a frame's loudest would else drown in the
rounding of a float32 transform, and the picture would be off by up to 1e-3 dB.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from earmark.features import mel
from earmark.features.lanes import in_lanes, lanes_for
from earmark.features.spec import FeatureSpec

# Bytes of framed audio worked on at once: what a core's share of the last cache holds together with their spectrum.
# Smaller pieces would lie nearer, but between two operations a thread needs the interpreter, and waiting for the other
# threads' turns costs more (a quarter of the whole with 1 MiB). A GPU wants few large pieces.
_BLOCK_ON_CPU = 1 << 22
_BLOCK_ON_DEVICE = 1 << 29
# Mel bands summed by one product: each reaches over few of the bins, so that few products of part of the bins cost
# less than one of all of them.
_BANDS_AT_ONCE = 32


class MelSpectrum:
    """Samples (b, n) to mel bands (b, n_mels, frames), float32, before any scaling.

    Args:
        spec: the front end.
        filters: (n_mels, bins) float32 of the bins from `first_bin`.
        precise: the transform in float64 (not on devices that have none: mps).
    """

    def __init__(self, spec: FeatureSpec, filters: Tensor, first_bin: int, *, precise: bool) -> None:
        self.spec = spec
        self.device = filters.device
        self.dtype = torch.float64 if precise and self.device.type != "mps" else torch.float32
        window = mel.analysis_window(spec.window, spec.window_length, spec.n_fft)
        self.window = torch.from_numpy(window).to(self.device, self.dtype)
        self.bins = slice(first_bin, first_bin + filters.shape[1])
        self.products = _products(filters) if self.device.type == "cpu" else [(slice(None), slice(None), filters.T)]

    def __call__(self, samples: Tensor, out: Tensor, scale: Callable[[Tensor], None]) -> None:
        """(b, n) into `out` (b, n_mels, frames); `scale` then works in place on whole clips of it."""
        clips, frames = samples.shape[0], out.shape[2]
        frame_bytes = self.spec.n_fft * self.dtype.itemsize
        if self.device.type != "cpu":
            at_once = max(1, _BLOCK_ON_DEVICE // (frames * frame_bytes))
            for first in range(0, clips, at_once):
                piece = samples[first : first + at_once]
                block = max(1, min(frames, _BLOCK_ON_DEVICE // (len(piece) * frame_bytes)))
                self._clips(piece, out[first : first + at_once], block)
            scale(out)
            return
        # where torch's own threads share a block (one clip, however long), each must have enough of it
        threads = torch.get_num_threads() if lanes_for(clips) == 1 else 1
        blocks = -(-frames * frame_bytes // (_BLOCK_ON_CPU * threads))
        block = -(-frames // blocks)

        def run(first: int, last: int) -> None:
            buffers = _Buffers(self, 1, samples.shape[1], block)
            for clip in range(first, last):
                self._clips(samples[clip : clip + 1], out[clip : clip + 1], block, buffers)
                scale(out[clip : clip + 1])

        in_lanes(run, clips)

    def _clips(self, samples: Tensor, out: Tensor, block: int, buffers: _Buffers | None = None) -> None:
        spec, frames = self.spec, out.shape[2]
        buffers = buffers or _Buffers(self, len(samples), samples.shape[1], block)
        framed = buffers.pad(samples).unfold(1, spec.n_fft, spec.hop_length)
        for start in range(0, frames, block):
            stop = min(frames, start + block)
            windowed, bare = buffers.windowed[:, : stop - start], buffers.bare[:, : stop - start]
            torch.mul(framed[:, start:stop], self.window, out=windowed)
            torch.fft.rfft(windowed, out=bare)
            parts = torch.view_as_real(bare)[:, :, self.bins]
            parts.mul_(parts)
            power = torch.add(parts[..., 0], parts[..., 1], out=buffers.power[:, : stop - start])
            if spec.power == 1:
                power = power.sqrt_()
            for bands, bins, filters in self.products:
                out[:, bands, start:stop] = torch.matmul(power[:, :, bins], filters).transpose(1, 2)


class _Buffers:
    """What a block is worked on in, used again for the next."""

    def __init__(self, spectrum: MelSpectrum, clips: int, n: int, block: int) -> None:
        spec, dtype, device = spectrum.spec, spectrum.dtype, spectrum.device
        self.half = spec.n_fft // 2 if spec.centre else 0
        self.reflect = spec.pad_mode == "reflect"
        self.padded = torch.zeros(clips, n + 2 * self.half, dtype=dtype, device=device)
        self.windowed = torch.empty(clips, block, spec.n_fft, dtype=dtype, device=device)
        self.bare = torch.empty(clips, block, spec.n_bins, dtype=dtype.to_complex(), device=device)
        bins = spectrum.bins.stop - spectrum.bins.start
        self.power = torch.empty(clips, block, bins, dtype=torch.float32, device=device)

    def pad(self, samples: Tensor) -> Tensor:
        """Both ends, into the buffer: torch's own padding takes several times as long."""
        half, padded = self.half, self.padded
        padded[:, half : half + samples.shape[1]] = samples
        if half and self.reflect:
            padded[:, :half] = samples[:, 1 : half + 1].flip(1)
            padded[:, -half:] = samples[:, -half - 1 : -1].flip(1)
        return padded


def _products(filters: Tensor) -> list[tuple[slice, slice, Tensor]]:
    """(bands, bins, (bins, bands) filters) of runs of bands, over the bins that any of the run hears."""
    found = []
    for first in range(0, filters.shape[0], _BANDS_AT_ONCE):
        run = filters[first : first + _BANDS_AT_ONCE]
        heard = run.any(dim=0).nonzero().flatten()
        low, high = (int(heard[0]), int(heard[-1]) + 1) if len(heard) else (0, 1)
        found.append((slice(first, first + len(run)), slice(low, high), run[:, low:high].T.contiguous()))
    return found

"""The default net: four stages of two convolutions each, pooled over bands and time, for any clip length.

The plan is that of CNN6/CNN10 in Kong et al. 2020, "PANNs: Large-Scale Pretrained Audio Neural Networks", narrowed
until it trains within minutes on a laptop's processor: a strided stem halves the picture before anything costly, and in
the first stage, where the picture is largest, a convolution is a 3 x 3 within each channel and a 1 x 1 across them
(Howard et al. 2017, "MobileNets").
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn


class ConvBlock(nn.Module):
    """Two 3 x 3 convolutions with batch norm and ReLU: (b, in, h, w) -> (b, out, h, w)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm1(self.conv1(x)), inplace=True)
        return F.relu(self.norm2(self.conv2(x)), inplace=True)


class SeparableBlock(nn.Module):
    """Twice a 3 x 3 convolution of each channel and a 1 x 1 across them, with batch norm, then ReLU.

    (b, in, h, w) -> (b, out, h, w). No ReLU stands between the two (Chollet 2017, "Xception").
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.within1 = nn.Conv2d(in_channels, in_channels, 3, padding=1, groups=in_channels, bias=False)
        self.norm1 = nn.BatchNorm2d(in_channels)
        self.across1 = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.within2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, groups=out_channels, bias=False)
        self.norm3 = nn.BatchNorm2d(out_channels)
        self.across2 = nn.Conv2d(out_channels, out_channels, 1, bias=False)
        self.norm4 = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm2(self.across1(self.norm1(self.within1(x)))), inplace=True)
        return F.relu(self.norm4(self.across2(self.norm3(self.within2(x)))), inplace=True)


class SmallCNN(nn.Module):
    """(b, channels, bands, frames) -> logits (b, tags), embedding (b, widths[-1]).

    Args:
        n_tags: outputs.
        in_channels: of the picture (1, or more with deltas).
        widths: channels of the stages; between two stages the picture is halved both ways.
        dropout: before the last layer.
        separable: how many of the first stages convolve in two steps, within channels and across.
    """

    def __init__(
        self,
        n_tags: int,
        in_channels: int,
        widths: Sequence[int] = (32, 64, 128, 256),
        dropout: float = 0.2,
        separable: int = 1,
    ) -> None:
        super().__init__()
        if not 0 <= separable <= len(widths):
            raise ValueError(f"separable is {separable}, expected 0 to {len(widths)}, the number of stages")
        self.dropout = dropout
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, widths[0], 5, stride=2, padding=2, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(inplace=True),
        )
        ins = [widths[0], *widths[:-1]]
        blocks = [SeparableBlock] * separable + [ConvBlock] * (len(widths) - separable)
        self.stages = nn.ModuleList(block(i, o) for block, i, o in zip(blocks, ins, widths, strict=True))
        self.head = nn.Linear(widths[-1], n_tags)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        x = self.stem(features)
        for number, stage in enumerate(self.stages):
            # ceil_mode keeps a last odd row or column, so a very short clip never shrinks to nothing
            x = stage(x if number == 0 else F.avg_pool2d(x, 2, ceil_mode=True))
        x = x.float().mean(dim=2)  # over bands: (b, widths[-1], frames / 16)
        embedding = x.amax(dim=2) + x.mean(dim=2)  # the loudest moment and the whole, as in PANNs
        return self.head(F.dropout(embedding, self.dropout, self.training)), embedding

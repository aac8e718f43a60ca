"""The default net: four stages of two 3 x 3 convolutions, pooled over bands and time, for any clip length.

The plan is that of CNN6/CNN10 in Kong et al. 2020, "PANNs: Large-Scale Pretrained Audio Neural Networks", narrowed
until it trains within minutes on a laptop's processor: a strided stem halves the picture before anything costly.
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


class SmallCNN(nn.Module):
    """(b, channels, bands, frames) -> logits (b, tags), embedding (b, widths[-1]).

    Args:
        n_tags: outputs.
        in_channels: of the picture (1, or more with deltas).
        widths: channels of the stages; between two stages the picture is halved both ways.
        dropout: before the last layer.
    """

    def __init__(
        self, n_tags: int, in_channels: int, widths: Sequence[int] = (32, 64, 128, 256), dropout: float = 0.2
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, widths[0], 5, stride=2, padding=2, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(inplace=True),
        )
        ins = [widths[0], *widths[:-1]]
        self.stages = nn.ModuleList(ConvBlock(i, o) for i, o in zip(ins, widths, strict=True))
        self.head = nn.Linear(widths[-1], n_tags)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        x = self.stem(features)
        for number, stage in enumerate(self.stages):
            # ceil_mode keeps a last odd row or column, so a very short clip never shrinks to nothing
            x = stage(x if number == 0 else F.avg_pool2d(x, 2, ceil_mode=True))
        x = x.float().mean(dim=2)  # over bands: (b, widths[-1], frames / 16)
        embedding = x.amax(dim=2) + x.mean(dim=2)  # the loudest moment and the whole, as in PANNs
        return self.head(F.dropout(embedding, self.dropout, self.training)), embedding

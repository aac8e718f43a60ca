"""The default net: four stages of 3 x 3 convolutions, pooled over bands and time, for any clip length.

The plan is that of CNN6/CNN10 in Kong et al. 2020, "PANNs: Large-Scale Pretrained Audio Neural Networks", narrowed
until it trains within minutes on a laptop's processor: a strided stem halves the picture before anything costly; in
the first stage, where the picture is largest, a convolution is a 3 x 3 within each channel and a 1 x 1 across them
(Howard et al. 2017, "MobileNets"); and a later stage has one convolution, which costs half of two and is no worse on
small sets, where a net that sees too far at once learns its clips by heart (Koutini et al. 2019, "The Receptive Field
as a Regularizer"). Members of one model may share the first stages, which cost most and differ least from net to net
(Lee et al. 2015, "Why M Heads are Better than One": as good as nets of their own).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

SEPARABLE_CONVOLUTIONS = 2


def stage(in_channels: int, out_channels: int, convolutions: int, *, separable: bool) -> nn.Sequential:
    """3 x 3 convolutions, each with batch norm and ReLU: (b, in, h, w) -> (b, out, h, w).

    A separable one is a 3 x 3 within each channel and a 1 x 1 across them. Neither norm nor ReLU stands between the
    two, which on a processor would cost as much as the convolutions (Chollet 2017, "Xception", found that a ReLU there
    does harm).
    """
    layers: list[nn.Module] = []
    for width in [in_channels, *[out_channels] * (convolutions - 1)]:
        if separable:
            layers.append(nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False))
            layers.append(nn.Conv2d(width, out_channels, 1, bias=False))
        else:
            layers.append(nn.Conv2d(width, out_channels, 3, padding=1, bias=False))
        layers += _norm(out_channels)
    return nn.Sequential(*layers)


def _norm(channels: int) -> list[nn.Module]:
    return [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]


class SmallCNN(nn.Module):
    """(b, channels, bands, frames) -> logits (b, tags), embedding (b, widths[-1]).

    Args:
        n_tags: outputs.
        in_channels: of the picture (1, or more with deltas).
        widths: channels of the stages; between two stages the picture is halved both ways.
        dropout: before the last layer.
        separable: how many of the first stages convolve in two steps, within channels and across, twice each.
        convolutions: in each of the other stages.
        shared: how many of the first stages, and the stem before them, the members of one model have in common; with 0
            they have nothing. They lie in `trunk`. None: one, where there are two stages or more.
    """

    def __init__(
        self,
        n_tags: int,
        in_channels: int,
        widths: Sequence[int] = (32, 64, 128, 256),
        dropout: float = 0.2,
        separable: int = 1,
        convolutions: int = 1,
        shared: int | None = None,
    ) -> None:
        super().__init__()
        shared = min(1, len(widths) - 1) if shared is None else shared
        if not 0 <= shared < len(widths):
            raise ValueError(f"shared is {shared}, expected 0 to {len(widths) - 1}: the last stage is a member's own")
        if not 0 <= separable <= len(widths):
            raise ValueError(f"separable is {separable}, expected 0 to {len(widths)}, the number of stages")
        if convolutions < 1:
            raise ValueError(f"convolutions is {convolutions}, expected 1 or more in each stage")
        self.dropout = dropout
        stem = nn.Sequential(nn.Conv2d(in_channels, widths[0], 5, stride=2, padding=2, bias=False), *_norm(widths[0]))
        blocks: list[nn.Module] = []
        for number, (before, width) in enumerate(zip([widths[0], *widths[:-1]], widths, strict=True)):
            convolve = (
                stage(before, width, SEPARABLE_CONVOLUTIONS, separable=True)
                if number < separable
                else stage(before, width, convolutions, separable=False)
            )
            first, last = number == 0, number == len(widths) - 1
            # ceil_mode keeps a last odd row or column, so a very short clip never shrinks to nothing
            halve = [] if last else [nn.AvgPool2d(2, ceil_mode=True)]
            blocks.append(nn.Sequential(*([stem] if first else []), convolve, *halve))
        self.trunk: nn.Module = nn.Sequential(*blocks[:shared])
        self.stages = nn.Sequential(*blocks[shared:])
        self.head = nn.Linear(widths[-1], n_tags)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        x = self.stages(self.trunk(features))
        x = x.float().mean(dim=2)  # over bands: (b, widths[-1], frames / 16)
        embedding = x.amax(dim=2) + x.mean(dim=2)  # the loudest moment and the whole, as in PANNs
        return self.head(F.dropout(embedding, self.dropout, self.training)), embedding

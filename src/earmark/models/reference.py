"""Nets of published audio classifiers, to the letter, so that their figures can be had again beside ours.

Shapes and sizes follow their public descriptions. Each gives logits and the embedding that its last layer reads.
Where they say ReLU, then max pooling, the code pools first: the same numbers and gradients, from a quarter of the work.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from earmark.models.dropout import dropout


class ConvGap(nn.Module):
    """Three 3 x 3 convolutions and a global average: a drone/car/speech classifier of 23,000 parameters.

    (b, channels, bands, frames) -> logits (b, tags), embedding (b, widths[-1]). Convolution, ReLU, 2 x 2 max pooling,
    twice; a third convolution and ReLU; global average; linear.
    """

    def __init__(self, n_tags: int, in_channels: int, widths: Sequence[int] = (16, 32, 64)) -> None:
        super().__init__()
        first, second, third = widths
        self.conv1 = nn.Conv2d(in_channels, first, 3, padding=1)
        self.conv2 = nn.Conv2d(first, second, 3, padding=1)
        self.conv3 = nn.Conv2d(second, third, 3, padding=1)
        self.head = nn.Linear(third, n_tags)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        x = F.relu(F.max_pool2d(self.conv1(features), 2))
        x = F.relu(F.max_pool2d(self.conv2(x), 2))
        embedding = F.relu(self.conv3(x)).float().mean(dim=(2, 3))
        return self.head(embedding), embedding


class ConvFlat(nn.Module):
    """Four 3 x 3 convolutions, pooled and flattened: a genre classifier for slices of one fixed length.

    (b, channels, bands, frames) -> logits (b, tags), embedding (b, hidden). Each stage: convolution, ReLU, 2 x 2 max
    pooling, dropout; then flatten, linear to `hidden`, ReLU, linear.

    Args:
        picture: (bands, frames) of its input, which a flattening net must know.
    """

    def __init__(
        self,
        n_tags: int,
        in_channels: int,
        picture: tuple[int, int],
        widths: Sequence[int] = (16, 32, 64, 128),
        hidden: int = 128,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.dropout = dropout
        ins = [in_channels, *widths[:-1]]
        self.convs = nn.ModuleList(nn.Conv2d(i, o, 3, padding=1) for i, o in zip(ins, widths, strict=True))
        bands, frames = (size >> len(widths) for size in picture)
        self.hidden = nn.Linear(widths[-1] * bands * frames, hidden)
        self.head = nn.Linear(hidden, n_tags)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        x = features
        for conv in self.convs:
            x = dropout(F.relu(F.max_pool2d(conv(x), 2)), self.dropout, self.training)
        embedding = F.relu(self.hidden(x.flatten(1)))
        return self.head(embedding), embedding.float()


class ConvWide(nn.Module):
    """Four wide 3 x 3 convolutions with batch norm, and two linear layers: a tagger of a thousand tags.

    (b, channels, bands, frames) -> logits (b, tags), embedding (b, hidden). Each stage: convolution, batch norm, ReLU,
    max pooling of 2, 2, 2 and at last 3, dropout; then flatten (256 x 4 x 4 = 4096 values of a 96 x 96 picture),
    linear to `hidden`, ReLU, linear.

    Args:
        picture: (bands, frames) of its input, at least 24 x 24.
    """

    def __init__(
        self,
        n_tags: int,
        in_channels: int,
        picture: tuple[int, int],
        widths: Sequence[int] = (64, 128, 256, 256),
        hidden: int = 4096,
        dropout: float = 0.25,
    ) -> None:
        super().__init__()
        self.dropout = dropout
        ins = [in_channels, *widths[:-1]]
        self.convs = nn.ModuleList(nn.Conv2d(i, o, 3, padding=1) for i, o in zip(ins, widths, strict=True))
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in widths)
        self.pools = [2] * (len(widths) - 1) + [3]
        bands, frames = (size // math.prod(self.pools) for size in picture)
        self.hidden = nn.Linear(widths[-1] * bands * frames, hidden)
        self.head = nn.Linear(hidden, n_tags)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        x = features
        for conv, norm, pool in zip(self.convs, self.norms, self.pools, strict=True):
            x = dropout(F.relu(F.max_pool2d(norm(conv(x)), pool)), self.dropout, self.training)
        embedding = F.relu(self.hidden(x.flatten(1)))
        return self.head(embedding), embedding.float()


class SaxNet(nn.Module):
    """Two strided 5 x 5 convolutions and two linear layers: a saxophone detector for 5 s clips of 75,582 parameters.

    (b, channels, bands, frames) -> logits (b, tags), embedding (b, hidden). Convolution of stride 2, ReLU, 2 x 2 max
    pooling, twice; then flatten (20 x 7 x 5 = 700 values of a 128 x 108 picture), linear to `hidden`, ReLU, linear.
    Weights are drawn from N(0, 1 / sqrt(fan_in)); biases are as torch draws them.

    Args:
        picture: (bands, frames) of its input.
        output_relu: clip the logits at zero, as the original did. Once all are zero the loss is the label prior's
            and its gradient is zero: the collapse that the training's guard is tested against.
    """

    def __init__(
        self,
        n_tags: int,
        in_channels: int,
        picture: tuple[int, int],
        widths: Sequence[int] = (10, 20),
        hidden: int = 100,
        output_relu: bool = False,
    ) -> None:
        super().__init__()
        self.output_relu = output_relu
        self.conv1 = nn.Conv2d(in_channels, widths[0], 5, stride=2)
        self.conv2 = nn.Conv2d(widths[0], widths[1], 5, stride=2)
        bands, frames = (_halve(_halve(size)) for size in picture)
        self.hidden = nn.Linear(widths[1] * bands * frames, hidden)
        self.head = nn.Linear(hidden, n_tags)
        for layer in (self.conv1, self.conv2, self.hidden, self.head):
            fan_in = layer.weight[0].numel()
            nn.init.normal_(layer.weight, 0.0, 1.0 / math.sqrt(fan_in))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        x = F.relu(F.max_pool2d(self.conv1(features), 2))
        x = F.relu(F.max_pool2d(self.conv2(x), 2))
        embedding = F.relu(self.hidden(x.flatten(1)))
        logits = self.head(embedding)
        return (F.relu(logits) if self.output_relu else logits), embedding.float()


def _halve(size: int) -> int:
    """A 5-wide convolution of stride 2 without padding, then 2-wide pooling."""
    return ((size - 5) // 2 + 1) // 2

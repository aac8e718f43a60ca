"""Several nets of one kind that learn side by side and answer as one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Members(nn.Module):
    """Nets over the same pictures (Lakshminarayanan et al. 2017, "Deep Ensembles").

    They differ by their first weights alone: each is trained by a loss of its own on the same batches, so front end and
    augmentation are paid for once. Where the nets name the layers that may be shared, in an attribute `trunk`, the
    first one's serves all; nets without are independent. (b, channels, bands, frames) -> embedding (b, k * d), side by
    side, and logits: in training of each member (k, b, tags), else their mean (b, tags).
    """

    def __init__(self, nets: Sequence[nn.Module]) -> None:
        super().__init__()
        self.trunk: nn.Module = getattr(nets[0], "trunk", nn.Identity())
        for net in nets:
            if hasattr(net, "trunk"):
                net.trunk = nn.Identity()
        self.nets = nn.ModuleList(nets)

    @property
    def output_relu(self) -> bool:
        """Whether the nets clip their logits at zero, as the collapse guard asks."""
        return any(getattr(net, "output_relu", False) for net in self.nets)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        common = self.trunk(features)
        logits, embeddings = zip(*(net(common) for net in self.nets), strict=True)
        stacked = torch.stack([one.float() for one in logits])
        return stacked if self.training else stacked.mean(dim=0), torch.cat(embeddings, dim=1)

"""What a net is trained to lower, and what guessing would lose."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from earmark.types import VocabularyKind


def tag_loss(
    logits: Tensor, targets: Tensor, weights: Tensor, kind: VocabularyKind, label_smoothing: float = 0.0
) -> Tensor:
    """Cross-entropy or binary cross-entropy; a (clip, tag) of weight 0 is unlabelled and counts nothing.

    Args:
        logits: (b, tags), or (k, b, tags) of members that learn side by side: the mean of their losses.
        targets, weights: (b, tags). For an exclusive vocabulary a clip's weight is its largest.
        label_smoothing: moved from the target to all tags alike (exclusive only).
    """
    if logits.ndim == 3:
        return torch.stack([tag_loss(one, targets, weights, kind, label_smoothing) for one in logits]).mean()
    if kind == "exclusive":
        if label_smoothing:
            targets = targets * (1 - label_smoothing) + label_smoothing / targets.shape[1]
        per_clip = -(targets * F.log_softmax(logits, dim=1)).sum(dim=1)
        clip_weights = weights.amax(dim=1)
        return (per_clip * clip_weights).sum() / clip_weights.sum().clamp(min=1e-6)
    per_tag = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return (per_tag * weights).sum() / weights.sum().clamp(min=1e-6)


def guessing_loss(targets: Tensor, weights: Tensor, kind: VocabularyKind) -> float:
    """`tag_loss` of the best constant answer: the entropy of the mean target, in nats.

    Args:
        targets, weights: (b, tags).
    """
    if kind == "exclusive":
        share = weights.amax(dim=1, keepdim=True)
        p = ((targets * share).sum(dim=0) / share.sum().clamp(min=1e-6)).clamp(1e-7, 1 - 1e-7)
        return float(-(p * p.log()).sum())
    counted = weights.sum(dim=0)
    p = ((targets * weights).sum(dim=0) / counted.clamp(min=1e-6)).clamp(1e-7, 1 - 1e-7)
    entropy = -(p * p.log() + (1 - p) * (1 - p).log())
    return float((entropy * counted).sum() / counted.sum().clamp(min=1e-6))

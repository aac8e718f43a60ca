"""What watches a training: can the net learn at all, has it collapsed, is the loss still a number.

A collapsed net answers every clip alike. Its loss is pinned where guessing the label frequencies would put it, and its
gradient is (almost) zero, so it never leaves by itself. The best-known cause is a ReLU on the logits: once all of them
are zero the loss is ln(number of classes) for ever.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from earmark.training.losses import guessing_loss, tag_loss
from earmark.types import VocabularyKind

# Outputs that differ less than this between clips, in relation to their size, are constant to float32 rounding.
DEAD_SPREAD = 1e-6
DEAD_STEPS = 10
# Outputs that differ this little, at the loss of guessing, for this long: stuck, if not dead.
STUCK_SPREAD = 0.05
STUCK_MARGIN = 0.01
STUCK_STEPS = 200
LEAST_GUESSING = 0.01


class Collapsed(Exception):  # noqa: N818 - a finding, not an error: the run restarts
    """Raised inside a run to end it; `finding` says what was seen."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.sentence)
        self.finding = finding


@dataclass(frozen=True)
class Finding:
    """What a guard saw.

    Attributes:
        kind: `dead` (constant outputs), `stuck` (hardly varying outputs at the loss of guessing) or `nan`.
        step: of the optimiser.
        loss: mean over the steps that were looked at.
        guessing: the loss of answering every clip with the label frequencies.
        spread: largest standard deviation of a logit between the clips of a batch.
        zero: every logit of every clip was exactly zero.
    """

    kind: str
    step: int
    loss: float
    guessing: float
    spread: float
    zero: bool = False

    @property
    def sentence(self) -> str:
        if self.kind == "nan":
            return f"step {self.step}: the loss is not a finite number"
        outputs = "exactly zero" if self.zero else f"the same for every clip (spread {self.spread:.1g})"
        return (
            f"step {self.step}: the outputs are {outputs} and the loss stays at {self.loss:.3f}, which is what "
            f"guessing by label frequency gives ({self.guessing:.3f})"
        )


@dataclass
class CollapseWatch:
    """Fed with every step's loss and logits; says when they show a collapse."""

    kind: VocabularyKind
    dead_steps: int = DEAD_STEPS
    stuck_steps: int = STUCK_STEPS
    _dead: int = field(default=0, init=False)
    _stuck: int = field(default=0, init=False)
    _loss: float = field(default=0.0, init=False)

    def see(self, step: int, loss: float, logits: Tensor, targets: Tensor, weights: Tensor) -> Finding | None:
        """One step.

        Args:
            loss: of the batch.
            logits: (b, tags), b >= 2.
            targets, weights: (b, tags) that the loss was taken against, mixed if mixup mixed them.
        """
        if not math.isfinite(loss):
            return Finding("nan", step, loss, math.nan, math.nan)
        values = logits.detach().float()
        if len(values) < 2:
            return None
        spread = float(values.std(dim=0).max())
        size = float(values.abs().max())
        guessing = guessing_loss(targets, weights, self.kind)
        if guessing < LEAST_GUESSING:  # all clips of the batch are alike: the same answer for all is right
            return None
        # a batch's own frequencies differ from the set's, so a constant answer loses a little more than `guessing`
        no_better = loss > guessing * (1 - 2 * STUCK_MARGIN)
        self._dead = self._dead + 1 if spread <= DEAD_SPREAD * max(size, 1.0) and no_better else 0
        self._stuck = self._stuck + 1 if spread < STUCK_SPREAD and loss > guessing * (1 - STUCK_MARGIN) else 0
        running = max(self._dead, self._stuck)
        self._loss = loss if running <= 1 else self._loss + (loss - self._loss) / running
        if self._dead >= self.dead_steps:
            return Finding("dead", step, self._loss, guessing, spread, zero=size == 0.0)
        if self._stuck >= self.stuck_steps:
            return Finding("stuck", step, self._loss, guessing, spread)
        return None


@dataclass(frozen=True)
class OneBatch:
    """Whether a copy of the net could learn one small batch by heart.

    Attributes:
        passed: accuracy of 95 %, or a loss under a quarter of guessing.
        clips, steps: of the check.
        loss_before, loss_after, guessing: nats a clip.
        finding: set when the copy collapsed meanwhile.
    """

    passed: bool
    clips: int
    steps: int
    loss_before: float
    loss_after: float
    guessing: float
    finding: Finding | None = None

    @property
    def sentence(self) -> str:
        verdict = "learnt by heart" if self.passed else "NOT learnt by heart"
        return (
            f"one batch of {self.clips} clips {verdict} in {self.steps} steps: "
            f"loss {self.loss_before:.3f} -> {self.loss_after:.3f} (guessing {self.guessing:.3f})"
        )


def overfit_one_batch(
    net: nn.Module,
    features: Tensor,
    targets: Tensor,
    weights: Tensor,
    kind: VocabularyKind,
    *,
    steps: int = 200,
    learning_rate: float = 2e-3,
) -> OneBatch:
    """Train a copy of `net` on one batch without augmentation or dropout; the net itself is not touched.

    Args:
        features: (b, channels, bands, frames).
        targets, weights: (b, tags).
        steps: at most; it stops as soon as the batch is learnt.
    """
    trial = copy.deepcopy(net).train()
    for module in trial.modules():
        if isinstance(getattr(module, "dropout", None), float):
            module.dropout = 0.0  # type: ignore[assignment]  # a plain number on our nets, not a submodule
    optimiser = torch.optim.Adam(trial.parameters(), lr=learning_rate)
    watch = CollapseWatch(kind)
    guessing = guessing_loss(targets, weights, kind)
    first = last = math.nan
    for step in range(1, steps + 1):
        each = trial(features)[0].float()
        loss = tag_loss(each, targets, weights, kind)
        logits = each.mean(dim=0) if each.ndim == 3 else each  # of members
        last = float(loss.detach())
        first = last if step == 1 else first
        if last < 0.25 * guessing or (
            step > 1 and _accuracy(logits, targets, weights, kind) >= 0.95 and last < 0.7 * guessing
        ):
            return OneBatch(True, len(features), step, first, last, guessing)
        finding = watch.see(step, last, logits, targets, weights)
        if finding is not None:
            return OneBatch(False, len(features), step, first, last, guessing, finding)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return OneBatch(False, len(features), steps, first, last, guessing)


def _accuracy(logits: Tensor, targets: Tensor, weights: Tensor, kind: VocabularyKind) -> float:
    if kind == "exclusive":
        return float((logits.argmax(1) == targets.argmax(1)).float().mean())
    right = ((logits > 0) == (targets > 0.5)).float()
    return float((right * weights).sum() / weights.sum().clamp(min=1e-6))

"""The training step and the validation pass, as Lightning drives them."""

from __future__ import annotations

import math
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor, nn

from earmark.features.augment import augment_pictures, augment_samples
from earmark.features.augment_spec import AugmentSpec
from earmark.features.torch import LogMel
from earmark.metrics.classification import accuracy, macro_f1, tally_exclusive, tally_multilabel
from earmark.metrics.ranking import lwlrap
from earmark.models.members import Members
from earmark.recipes import Recipe
from earmark.training.guards import Collapsed, CollapseWatch
from earmark.training.losses import tag_loss
from earmark.types import VocabularyKind


class TaggerModule(pl.LightningModule):
    """A net behind its front end, with loss, optimiser and schedule as a Recipe says.

    A training batch is (samples (b, n), targets (b, tags), weights (b, tags)); a validation batch is (positions (b,),
    samples (b, n)), where windows of one clip share a position and their logits are averaged.

    Args:
        net: features -> logits, embedding.
        front_end: samples -> features.
        recipe: see `earmark.recipes.Recipe`.
        kind: of the vocabulary.
        seed: of all augmentation; step s draws from (seed, s), so a resumed run draws what the unbroken one would have.
        total_steps: optimiser steps of the whole run, for the schedule.
        val_targets, val_weights: (clips, tags) of the validation clips.
    """

    def __init__(
        self,
        net: nn.Module,
        front_end: LogMel,
        recipe: Recipe,
        kind: VocabularyKind,
        *,
        seed: int,
        total_steps: int,
        val_targets: Tensor,
        val_weights: Tensor,
    ) -> None:
        super().__init__()
        self.net = net
        self.front_end = front_end
        self.recipe = recipe
        self.kind: VocabularyKind = kind
        self.seed = seed
        self.total_steps = max(1, total_steps)
        self.val_targets = val_targets
        self.val_weights = val_weights
        # one a member: that others learn does not excuse one that has collapsed
        self.watches = [CollapseWatch(kind) for _ in range(recipe.model.members)]
        self.history: list[dict[str, float]] = []
        self._loss_sum = 0.0
        self._batches = 0
        self._val_logits = torch.zeros(0)
        self._val_windows = torch.zeros(0)

    # ------------------------------------------------------------------------------------------------------- training

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], batch_idx: int) -> Tensor:
        samples, targets, weights = batch
        draw = torch.Generator(device=samples.device).manual_seed(mixed_seed(self.seed, self.global_step))
        torch.manual_seed(mixed_seed(self.seed, self.global_step, 1))  # dropout takes no generator
        with torch.no_grad():  # nothing before the net is learnt by gradient
            features, targets, weights = augmented(samples, targets, weights, self.front_end, self.recipe.augment, draw)
        logits = self.net(features.contiguous(memory_format=torch.channels_last))[0].float()
        members = logits if logits.ndim == 3 else logits[None]
        smoothing = self.recipe.loss.label_smoothing
        losses = torch.stack([tag_loss(one, targets, weights, self.kind, smoothing) for one in members])
        loss = losses.sum()  # so that each member's own layers learn as if it were alone; shared ones learn from all
        for watch, value, one in zip(self.watches, losses.detach().tolist(), members, strict=True):
            if self.recipe.guards.collapse or not math.isfinite(value):
                finding = watch.see(self.global_step, value, one, targets, weights)
                if finding is not None:
                    raise Collapsed(finding)
        self._loss_sum += float(losses.detach().mean())
        self._batches += 1
        return loss

    def close_epoch(self) -> dict[str, float]:
        """The epoch's row of `history`; called by whoever listens to the epoch's end, before it keeps a checkpoint."""
        row = {
            "epoch": float(self.current_epoch + 1),
            "train_loss": self._loss_sum / max(1, self._batches),
            "lr": float(self.optimizers(use_pl_optimizer=False).param_groups[0]["lr"]),
        }
        # validation ran before, so its figures of this epoch are already there
        row |= {name: float(value) for name, value in self.trainer.callback_metrics.items() if name.startswith("val_")}
        self.history.append(row)
        self.log_dict({"train_loss": row["train_loss"], "lr": row["lr"]})
        self._loss_sum, self._batches = 0.0, 0
        return row

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["earmark_history"] = self.history

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.history = list(checkpoint["earmark_history"])

    # ----------------------------------------------------------------------------------------------------- validation

    def on_validation_epoch_start(self) -> None:
        self._val_logits = torch.zeros_like(self.val_targets)
        self._val_windows = torch.zeros(len(self.val_targets), 1)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        positions, samples = batch
        features = self.front_end(samples).contiguous(memory_format=torch.channels_last)
        logits = self.net(features)[0].float().cpu()
        self._val_logits.index_add_(0, positions.cpu(), logits)
        self._val_windows.index_add_(0, positions.cpu(), torch.ones(len(logits), 1))

    def on_validation_epoch_end(self) -> None:
        logits = self._val_logits / self._val_windows.clamp(min=1)
        figures = validation_figures(logits, self.val_targets, self.val_weights, self.kind)
        self.log_dict({f"val_{name}": value for name, value in figures.items()}, sync_dist=False)

    # ------------------------------------------------------------------------------------------------------ optimiser

    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """To a norm, each member by itself, and what they share.

        Lightning's own way refuses fused optimisers under autocast, which may scale gradients; bfloat16 scales none.
        """
        if gradient_clip_val:
            for net in [self.net.trunk, *self.net.nets] if isinstance(self.net, Members) else [self.net]:
                nn.utils.clip_grad_norm_(net.parameters(), gradient_clip_val)

    def configure_optimizers(self) -> Any:
        chosen = self.recipe.optimiser
        if chosen.name == "adamw":
            # norms and biases have one dimension; decaying them only moves the net's scale
            wide = [p for p in self.net.parameters() if p.ndim > 1]
            narrow = [p for p in self.net.parameters() if p.ndim <= 1]
            groups: list[dict[str, Any]] = [
                {"params": wide, "weight_decay": chosen.weight_decay},
                {"params": narrow, "weight_decay": 0.0},
            ]
            optimiser: torch.optim.Optimizer = torch.optim.AdamW(groups, lr=chosen.learning_rate, fused=True)
        else:
            optimiser = torch.optim.Adam(
                self.net.parameters(), lr=chosen.learning_rate, weight_decay=chosen.weight_decay, fused=True
            )
        schedule = self.recipe.schedule
        if schedule.name == "constant":
            return optimiser
        factor = schedule_factor(schedule.name, schedule.warmup, self.total_steps)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def augmented(
    samples: Tensor,
    targets: Tensor,
    weights: Tensor,
    front_end: LogMel,
    spec: AugmentSpec,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor, Tensor]:
    """Samples (b, n) through augmentation and front end.

    Returns:
        features (b, channels, bands, frames); targets and weights (b, tags), mixed where clips were.
    """
    samples, targets, weights = augment_samples(samples, targets, weights, spec, generator)
    pictures = front_end(samples, precise=False)
    return augment_pictures(pictures, targets, weights, spec, generator, front_end.centres_hz)


class _Factor:
    """Share of the peak learning rate at a step; a class, because a checkpoint cannot hold a closure."""

    def __init__(self, name: str, warmup: float, total_steps: int) -> None:
        self.name, self.warmup, self.total_steps = name, warmup, total_steps

    def __call__(self, step: int) -> float:
        done = min(1.0, step / self.total_steps)
        if self.name == "flat-cosine":
            return 1.0 if done < 0.72 else 0.5 + 0.5 * math.cos(math.pi * (done - 0.72) / 0.28)
        if done < self.warmup:
            return 0.04 + 0.96 * (0.5 - 0.5 * math.cos(math.pi * done / self.warmup))
        return 0.5 + 0.5 * math.cos(math.pi * (done - self.warmup) / (1.0 - self.warmup)) + 1e-5


def schedule_factor(name: str, warmup: float, total_steps: int) -> _Factor:
    """Step -> share of the peak learning rate: `one-cycle` (Smith & Topin 2017) or `flat-cosine`."""
    return _Factor(name, warmup, total_steps)


def validation_figures(logits: Tensor, targets: Tensor, weights: Tensor, kind: VocabularyKind) -> dict[str, float]:
    """`loss`, `accuracy` or (multilabel) `lwlrap`, and `macro_f1` of clips (n, tags); NaN where undefined."""
    figures = {"loss": float(tag_loss(logits, targets, weights, kind))}
    truth = targets.numpy() > 0.5
    scores = logits.numpy().astype(np.float64)
    if kind == "exclusive":
        true, predicted = truth.argmax(axis=1), scores.argmax(axis=1)
        tally = tally_exclusive(true, predicted, truth.shape[1])
        figures["accuracy"] = float(accuracy(true, predicted).squeeze())
    else:
        known = weights.numpy() > 0
        tally = tally_multilabel(truth, scores > 0, known)
        figures["lwlrap"] = float(lwlrap(truth, scores, known).squeeze())
    figures["macro_f1"] = float(macro_f1(tally).squeeze())
    return figures


def mixed_seed(*parts: int) -> int:
    """One 63-bit seed from several whole numbers."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> np.uint64(1))

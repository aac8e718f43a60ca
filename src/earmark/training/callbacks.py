"""What listens to Lightning's Trainer: progress, checkpoints to resume from, averaged weights."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, Checkpoint, WeightAveraging
from torch import Tensor

from earmark.training.feeding import TrainingBatches
from earmark.training.module import TaggerModule
from earmark.types import Progress

CHECKPOINT_EVERY_S = 20.0


class Watcher(Callback):
    """Tells the people, and sets the epoch that batches are drawn for."""

    def __init__(self, batches: TrainingBatches, epochs: int, progress: Progress) -> None:
        self.batches = batches
        self.epochs = epochs
        self.progress = progress
        self.clips_per_s = 0.0
        self._began = 0.0
        self._note = ""

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.batches.epoch = trainer.current_epoch
        self._began = time.monotonic()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any) -> None:
        done = int(args[2]) + 1
        if done == len(self.batches):  # before validation, so that its time does not count
            self.clips_per_s = done * self.batches.clips_a_batch / (time.monotonic() - self._began)
        self.progress.advance(1, f"epoch {trainer.current_epoch + 1}/{self.epochs} {self._note}")

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, TaggerModule)
        row = pl_module.close_epoch()
        told = [f"loss {row['train_loss']:.3f}"]
        told += [
            f"{k.replace('val_', 'val ')} {row[k]:.3f}" for k in ("val_loss", "val_accuracy", "val_lwlrap") if k in row
        ]
        self._note = ", ".join([*told, f"{self.clips_per_s:.0f} clips/s"])


class KeepGoing(Checkpoint):
    """Keeps a checkpoint to resume from.

    A Checkpoint by its class, because Lightning calls those last and in their order: what the others remember of this
    epoch (the best one so far, how long nothing got better) is then in it.
    """

    def __init__(self, last: Path) -> None:
        self.last = last
        self._saved = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if time.monotonic() - self._saved > CHECKPOINT_EVERY_S:
            self._save(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._save(trainer)

    def _save(self, trainer: pl.Trainer) -> None:
        part = self.last.with_suffix(".part")
        trainer.save_checkpoint(part)
        part.replace(self.last)
        self._saved = time.monotonic()


class Averaging(WeightAveraging):
    """A moving average of the weights that starts short and grows, so that it is of use from the first epoch."""

    def __init__(self, decay: float) -> None:
        super().__init__(use_buffers=True, avg_fn=None, multi_avg_fn=_moving_average(decay))


def _moving_average(decay: float) -> Any:
    def update(average: list[Tensor], current: list[Tensor], seen: Tensor | int) -> None:
        d = min(decay, (1.0 + float(seen)) / (10.0 + float(seen)))
        if average[0].is_floating_point():
            torch._foreach_lerp_(average, current, 1.0 - d)
        else:
            for old, new in zip(average, current, strict=True):
                old.copy_(new)

    return update

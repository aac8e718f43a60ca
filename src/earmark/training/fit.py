"""One net, trained once: Lightning's Trainer around the module, the guards, resuming, restarts with a safer setting."""

from __future__ import annotations

import logging
import time
import warnings
from dataclasses import replace
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from torch import nn

from earmark.data.batches import balancing_share
from earmark.errors import Interrupted
from earmark.features.torch import LogMel
from earmark.recipes import Recipe
from earmark.training.attempts import Attempts
from earmark.training.callbacks import CHECKPOINT_EVERY_S, Averaging, KeepGoing, Watcher
from earmark.training.device import Device
from earmark.training.discriminant import with_discriminant
from earmark.training.feeding import Task, TrainingBatches, ValidationBatches, clip_batches
from earmark.training.guards import Collapsed, OneBatch, overfit_one_batch
from earmark.training.keeping import Fitted, keep, recall
from earmark.training.module import TaggerModule, mixed_seed
from earmark.training.resident import resident_clips
from earmark.types import Progress, Quiet

log = logging.getLogger("earmark.training")

# Statistics of the bands are settled long before this many clips.
STATISTICS_CLIPS = 2000
LEAST_EPOCHS, MOST_EPOCHS, LEAST_STEPS = 20, 400, 1000
MOST_CLIPS = 120_000
"""A short clip costs more than its share of the hours."""


def epochs_of(recipe: Recipe, clips: int) -> int:
    """Passes over `clips` training clips: the recipe's number, or what its hours of sound allow."""
    chosen = recipe.training.epochs
    if chosen != "auto":
        return chosen
    heard = min(recipe.training.audio_hours * 3600 / recipe.front_end.clip_s, MOST_CLIPS) / max(1, clips)
    steps = max(1, clips // recipe.training.batch_size)
    most = max(MOST_EPOCHS, round(LEAST_STEPS / steps))  # a handful of clips needs its steps all the same
    return int(np.clip(round(heard), LEAST_EPOCHS, most))


def fit(task: Task, device: Device, *, progress: Progress | None = None) -> Fitted:
    """Train a net on `task`, restarting with a safer setting when it collapses.

    Raises:
        TrainingError: it collapsed or gave NaN with every setting.
        Interrupted: Ctrl-C; the next call with the same task goes on from the last checkpoint.
    """
    done = recall(task.folder, len(task.manifest.vocabulary))
    if done is not None:
        return done
    progress = progress or Quiet()
    attempts = Attempts(task)
    clock = _Clock(task.folder)
    front_end = fitted_front_end(task)
    while True:
        recipe, seed, net = attempts.current()
        try:
            one_batch = check_one_batch(task, recipe, net, front_end) if recipe.guards.overfit_one_batch else None
            if one_batch is not None and one_batch.finding is not None and recipe.guards.collapse:
                raise Collapsed(one_batch.finding)
            run = _Run(task, recipe, seed, net, front_end, device, attempts.folder, progress)
            fitted = run.fit()
            break
        except Collapsed as collapse:
            attempts.restart(collapse, net)
            log.warning("%s", attempts.notes[-1])
        finally:
            clock.keep()
    notes = [*attempts.notes, *run.notes]
    if one_batch is not None:
        notes.append(("check: " if one_batch.passed else "check failed: ") + one_batch.sentence)
        if not one_batch.passed:
            log.warning("%s: is the net too small, the learning rate wrong, do labels contradict?", one_batch.sentence)
    net = with_discriminant(fitted.net, fitted.front_end, fitted.recipe, task)
    whole = replace(fitted, net=net, one_batch=one_batch, notes=notes, seconds=clock.seconds)
    keep(task.folder, whole)
    return whole


class _Clock:
    """Seconds of work, over all the times that a run was started; a kill loses those of its last start."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "seconds"
        self._before = float(self._path.read_text(encoding="utf-8")) if self._path.exists() else 0.0
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        return self._before + time.monotonic() - self._began

    def keep(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(f"{self.seconds:.3f}", encoding="utf-8")


def fitted_front_end(task: Task) -> LogMel:
    """The recipe's front end, with the statistics of the training clips where it normalises by them."""
    front_end = LogMel(task.recipe.front_end)
    if task.recipe.front_end.normalise == "band-statistics":
        rng = np.random.default_rng(mixed_seed(task.seed, 1))
        many = len(task.train) > STATISTICS_CLIPS
        rows = rng.choice(task.train, STATISTICS_CLIPS, replace=False) if many else task.train
        batches = clip_batches(task.prepared, task.recipe)
        front_end.fit_statistics(
            torch.from_numpy(batches.crops(rows[first : first + 32], rng)) for first in range(0, len(rows), 32)
        )
    return front_end


def check_one_batch(task: Task, recipe: Recipe, net: nn.Module, front_end: LogMel) -> OneBatch:
    """Up to 16 clips, as many classes as fit."""
    rng = np.random.default_rng(mixed_seed(task.seed, 2))
    share = balancing_share(task.manifest.targets[task.train])
    size = min(16, len(task.train))
    rows = rng.choice(task.train, size=size, replace=False, p=share / share.sum())
    samples = torch.from_numpy(clip_batches(task.prepared, recipe).crops(rows, rng))
    with torch.no_grad():
        features = front_end(samples)
    targets = torch.from_numpy(task.manifest.targets[rows])
    weights = torch.from_numpy(task.manifest.loss_weights[rows])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(task.seed)
        rate = max(recipe.optimiser.learning_rate, 2e-3)
        return overfit_one_batch(net, features, targets, weights, task.manifest.vocabulary.kind, learning_rate=rate)


class _Run:
    """One attempt."""

    def __init__(
        self,
        task: Task,
        recipe: Recipe,
        seed: int,
        net: nn.Module,
        front_end: LogMel,
        device: Device,
        folder: Path,
        progress: Progress,
    ) -> None:
        self.task, self.recipe, self.device, self.folder, self.progress = task, recipe, device, folder, progress
        self.batches = TrainingBatches(task, recipe, seed)
        self.epochs = epochs_of(recipe, len(task.train))
        self.notes: list[str] = []
        if self.batches.balanced:
            ratio = f"{self.batches.ratio:.1f} : 1"
            self.notes.append(f"rare tags are drawn as often as common ones (clips of most to fewest {ratio})")
        self.has_val = len(task.val) > 0
        if not self.has_val and (recipe.training.checkpoint == "best" or recipe.training.patience is not None):
            self.notes.append("nothing was held out for validation, so the last epoch's weights are kept")
        self.module = TaggerModule(
            net.to(memory_format=torch.channels_last),  # type: ignore[call-overload]
            front_end,
            recipe,
            task.manifest.vocabulary.kind,
            seed=mixed_seed(seed, 5),
            total_steps=self.epochs * len(self.batches),
            val_targets=torch.from_numpy(task.manifest.targets[task.val]),
            val_weights=torch.from_numpy(task.manifest.weights[task.val]),
        )
        self.last = folder / "last.ckpt"
        self.best: ModelCheckpoint | None = None

    def fit(self) -> Fitted:
        self.folder.mkdir(parents=True, exist_ok=True)
        watcher = Watcher(self.batches, self.epochs, self.progress)
        trainer = self._trainer(watcher)
        how = self.batches.batches.how
        self.batches.resident = resident_clips(self.task.prepared, how, trainer.strategy.root_device)
        resuming = self.last.exists()
        done = self._steps_done() if resuming else 0
        self.progress.start("training", self.epochs * len(self.batches), "steps")
        self.progress.advance(done)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                trainer.fit(
                    self.module,
                    self.batches,
                    ValidationBatches(self.task, self.recipe) if self.has_val else None,
                    ckpt_path=self.last if resuming else None,
                    weights_only=True,
                )
        except (SystemExit, KeyboardInterrupt):
            raise Interrupted(
                f"training stopped in epoch {trainer.current_epoch + 1} of {self.epochs}; run the same command again "
                f"to go on from the last checkpoint, at most {CHECKPOINT_EVERY_S:.0f} s back."
            ) from None
        finally:
            self.progress.stop()
        history = self.module.history
        if len(history) < self.epochs:
            self.notes.append(f"stopped early after {len(history)} of {self.epochs} epochs: no better {self._monitor}")
        epoch = self._choose()
        net = self.module.net.to("cpu", memory_format=torch.contiguous_format).float().eval()  # type: ignore[call-overload]
        front_end = self.module.front_end.cpu().eval()
        logs = self.folder / "logs"
        return Fitted(net, front_end, self.recipe, history, epoch, None, [], 0.0, watcher.clips_per_s, logs)

    @property
    def _monitor(self) -> str:
        return f"val_{self.recipe.training.monitor}"

    def _trainer(self, watcher: Watcher) -> pl.Trainer:
        training = self.recipe.training
        mode = "min" if training.monitor == "loss" else "max"
        callbacks: list[Callback] = []
        if training.average:
            callbacks.append(Averaging(training.average))
        if self.has_val and training.patience is not None:
            callbacks.append(EarlyStopping(self._monitor, mode=mode, patience=training.patience))
        if self.has_val and training.checkpoint == "best":
            self.best = ModelCheckpoint(self.folder, "best-{epoch:03d}", monitor=self._monitor, mode=mode, save_top_k=1)
            callbacks.append(self.best)
        callbacks += [watcher, KeepGoing(self.last)]
        for name in ("lightning.pytorch", "lightning.fabric"):
            logging.getLogger(name).setLevel(logging.ERROR)
        return pl.Trainer(
            accelerator=self.device.accelerator,
            devices=1,
            precision=self.device.precision,
            max_epochs=self.epochs,
            gradient_clip_val=self.recipe.optimiser.gradient_clip,
            callbacks=callbacks,
            logger=TensorBoardLogger(self.folder, name="", version="logs"),
            enable_progress_bar=False,
            enable_model_summary=False,
            deterministic="warn" if self.device.accelerator == "cuda" else None,
            num_sanity_val_steps=0,
            log_every_n_steps=10,
            use_distributed_sampler=False,
        )

    def _steps_done(self) -> int:
        return int(torch.load(self.last, map_location="cpu", weights_only=True)["global_step"])

    def _choose(self) -> int:
        """Load the best checkpoint's weights, where one was asked for; the epoch they are from."""
        if self.best is None or not self.best.best_model_path:
            return len(self.module.history)
        checkpoint = torch.load(self.best.best_model_path, map_location="cpu", weights_only=True)
        self.module.load_state_dict(checkpoint["state_dict"])
        return int(checkpoint["epoch"]) + 1

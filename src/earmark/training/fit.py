"""One net, trained once: Lightning's Trainer around the module, the guards, resuming, restarts with a safer setting."""

from __future__ import annotations

import json
import logging
import time
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from torch import nn

from earmark.data.batches import balancing_share
from earmark.errors import Interrupted, TrainingError
from earmark.features.torch import LogMel
from earmark.models import build
from earmark.recipes import Recipe
from earmark.training.callbacks import CHECKPOINT_EVERY_S, Averaging, Watcher
from earmark.training.device import Device
from earmark.training.feeding import Task, TrainingBatches, ValidationBatches, clip_batches
from earmark.training.guards import Collapsed, OneBatch, overfit_one_batch
from earmark.training.module import TaggerModule, mixed_seed
from earmark.training.resident import resident_clips
from earmark.types import Progress, Quiet

log = logging.getLogger("earmark.training")

# Statistics of the bands are settled long before this many clips.
STATISTICS_CLIPS = 2000
SAFER = 0.3
"""What a restart multiplies the learning rate by."""


@dataclass(frozen=True)
class Fitted:
    """A trained net.

    Attributes:
        net: with the chosen weights, on the CPU, float32, in evaluation mode.
        front_end: with its statistics.
        history: a dict an epoch: epoch, train_loss, lr, val_loss, val_accuracy ...
        epoch: whose weights were chosen.
        one_batch: the check before the run, if it was asked for.
        notes: what a reader of the report should know: restarts, balancing, early stop.
        clips_per_s: of the last stretch, training only.
        logs: the folder of TensorBoard's event files.
    """

    net: nn.Module
    front_end: LogMel
    history: list[dict[str, float]]
    epoch: int
    one_batch: OneBatch | None
    notes: list[str]
    seconds: float
    clips_per_s: float
    logs: Path


def epochs_of(recipe: Recipe, clips: int) -> int:
    """Passes over `clips` training clips: the recipe's number, or what its hours of sound allow."""
    chosen = recipe.training.epochs
    if chosen != "auto":
        return chosen
    heard = recipe.training.audio_hours * 3600 / (recipe.front_end.clip_s * max(1, clips))
    return int(np.clip(round(heard), 20, 250))


def fit(task: Task, device: Device, *, progress: Progress | None = None) -> Fitted:
    """Train a net on `task`, restarting with a safer setting when it collapses.

    Raises:
        TrainingError: it collapsed or gave NaN with every setting.
        Interrupted: Ctrl-C; the next call with the same task goes on from the last checkpoint.
    """
    progress = progress or Quiet()
    started = time.monotonic()
    attempts = _Attempts(task)
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
    notes = [*attempts.notes, *run.notes]
    if one_batch is not None:
        notes.append(("check: " if one_batch.passed else "check failed: ") + one_batch.sentence)
        if not one_batch.passed:
            log.warning(
                "%s; the net may be too small, the learning rate wrong, or labels contradict", one_batch.sentence
            )
    return replace(fitted, one_batch=one_batch, notes=notes, seconds=time.monotonic() - started)


def fresh_net(task: Task, recipe: Recipe, seed: int) -> nn.Module:
    """The recipe's net with weights drawn from `seed`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tags = len(task.manifest.vocabulary)
        return build(recipe.model.name, recipe.model.arguments, n_tags=tags, shape=recipe.front_end.shape())


@dataclass
class _Attempts:
    """The ladder of safer settings; kept on disk, so that a resumed run does not climb it again."""

    task: Task
    number: int = 0
    notes: list[str] = field(default_factory=list)
    whole_logits: bool = False

    def __post_init__(self) -> None:
        if self._path.exists():
            state = json.loads(self._path.read_text(encoding="utf-8"))
            self.number, self.notes, self.whole_logits = state["number"], state["notes"], state["whole_logits"]

    @property
    def _path(self) -> Path:
        return self.task.folder / "attempts.json"

    @property
    def folder(self) -> Path:
        return self.task.folder / f"attempt-{self.number}"

    def current(self) -> tuple[Recipe, int, nn.Module]:
        """Recipe, seed and a fresh net of this attempt."""
        recipe = self.task.recipe
        if self.number:
            rate = recipe.optimiser.learning_rate * SAFER**self.number
            optimiser = recipe.optimiser.model_copy(update={"learning_rate": rate, "gradient_clip": 1.0})
            recipe = recipe.model_copy(update={"optimiser": optimiser})
        arguments = dict(recipe.model.arguments)
        if self.whole_logits:
            arguments["output_relu"] = False
        seed = mixed_seed(self.task.seed, self.number) if self.number else self.task.seed
        recipe = recipe.model_copy(update={"model": recipe.model.model_copy(update={"arguments": arguments})})
        return recipe, seed, fresh_net(self.task, recipe, seed)

    def restart(self, collapse: Collapsed, net: nn.Module) -> None:
        """Choose the next setting, or give up."""
        finding = collapse.finding
        if self.number >= self.task.recipe.guards.restarts:
            raise TrainingError(
                f"training failed: {finding.sentence}, also after {self.number} restarts with safer settings; "
                "lower optimiser.learning_rate, or check the labels with `earmark check`."
            )
        self.number += 1
        remedy = f"restarting with new weights, {SAFER**self.number:.2g} x the learning rate and clipped gradients"
        if finding.zero and getattr(net, "output_relu", False):
            self.whole_logits = True
            remedy = f"the net clips its logits at zero, where no gradient leads out; {remedy}, without that clipping"
        self.notes.append(f"collapse guard: {finding.sentence}; {remedy} (restart {self.number})")
        self.task.folder.mkdir(parents=True, exist_ok=True)
        state = {"number": self.number, "notes": self.notes, "whole_logits": self.whole_logits}
        self._path.write_text(json.dumps(state), encoding="utf-8")


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
    targets = torch.from_numpy(task.manifest.targets[rows].copy())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(task.seed)
        rate = max(recipe.optimiser.learning_rate, 2e-3)
        return overfit_one_batch(net, features, targets, task.manifest.vocabulary.kind, learning_rate=rate)


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
        watcher = Watcher(self.batches, self.last, self.epochs, self.progress)
        trainer = self._trainer(watcher)
        self.batches.rank, self.batches.ranks = trainer.global_rank, trainer.world_size
        how = self.batches.batches.how
        self.batches.resident = resident_clips(self.task.prepared, how, trainer.strategy.root_device)
        resuming = self.last.exists()
        done = self._steps_done() if resuming else 0
        self.progress.start("training", self.epochs * len(self.batches), "steps")
        self.progress.advance(done)
        torch.manual_seed(mixed_seed(self.batches.seed, 6, done))  # dropout
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
        return Fitted(net, front_end, history, epoch, None, [], 0.0, watcher.clips_per_s, self.folder / "logs")

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
        callbacks.append(watcher)
        for name in ("lightning.pytorch", "lightning.fabric"):
            logging.getLogger(name).setLevel(logging.ERROR)
        return pl.Trainer(
            accelerator=self.device.accelerator,
            devices=self.device.count,
            precision=self.device.precision,
            max_epochs=self.epochs,
            gradient_clip_val=self.recipe.optimiser.gradient_clip,
            callbacks=callbacks,
            logger=TensorBoardLogger(self.folder, name="", version="logs"),
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=self.best is not None,
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

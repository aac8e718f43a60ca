"""What a net is trained on, and the batches it is fed: drawn anew each epoch, always from (seed, epoch)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from earmark.data.batches import ClipBatches, Indices, Windows, balancing_share, draw_epoch, imbalance
from earmark.data.manifest import Manifest
from earmark.data.prepared import Prepared
from earmark.recipes import Recipe
from earmark.training.module import mixed_seed
from earmark.training.resident import ResidentClips

BALANCE_FROM = 3.0
"""Clips of the commonest tag for each of the rarest, from which `balance: auto` balances."""


@dataclass(frozen=True)
class Task:
    """What one net is trained on.

    Attributes:
        prepared: clips, their targets and the audio.
        train, val: rows of its manifest; `val` may be empty, then nothing is chosen by it.
        recipe: with everything settled that it takes from the data.
        seed: of weights, crops and augmentation.
        folder: for checkpoints and logs; a run that was stopped goes on from what lies there.
    """

    prepared: Prepared
    train: Indices
    val: Indices
    recipe: Recipe
    seed: int
    folder: Path

    @property
    def manifest(self) -> Manifest:
        return self.prepared.manifest


def clip_batches(prepared: Prepared, recipe: Recipe) -> ClipBatches:
    """Batches of the recipe's windows over prepared clips."""
    spec = recipe.front_end
    how = Windows(spec.n_samples, spec.padding, recipe.tagging.overlap, spec.skip_silence_db)
    return ClipBatches(prepared, how)


class TrainingBatches:
    """An epoch's batches; Lightning asks anew each epoch. Epoch e draws from (seed, e), whatever came before."""

    def __init__(self, task: Task, recipe: Recipe, seed: int) -> None:
        self.batches = clip_batches(task.prepared, recipe)
        self.rows = task.train
        self.size = recipe.training.batch_size
        self.seed = seed
        self.targets = task.manifest.targets
        self.weights = task.manifest.loss_weights
        ratio = imbalance(self.targets[self.rows])
        balance = recipe.training.balance
        self.balanced = balance == "on" or (balance == "auto" and ratio > BALANCE_FROM)
        self.ratio = ratio
        self.share = balancing_share(self.targets[self.rows]) if self.balanced else None
        self.epoch = 0
        self.resident: ResidentClips | None = None

    def __len__(self) -> int:
        return max(1, len(self.rows) // self.clips_a_batch)

    @property
    def clips_a_batch(self) -> int:
        return min(self.size, len(self.rows))

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        rng = np.random.default_rng(mixed_seed(self.seed, 3, self.epoch))
        drawn = draw_epoch(self.rows, self.size, rng, self.share)
        for number, rows in enumerate(drawn):
            crop_rng = np.random.default_rng(mixed_seed(self.seed, 4, self.epoch, number))
            if self.resident is not None:
                samples = self.resident.crops(rows, crop_rng)
            else:
                samples = torch.from_numpy(self.batches.crops(rows, crop_rng))
            yield (
                samples,
                torch.from_numpy(self.targets[rows]),
                torch.from_numpy(self.weights[rows]),
            )


class ValidationBatches:
    """Windows that cover every validation clip: (positions, samples)."""

    def __init__(self, task: Task, recipe: Recipe) -> None:
        self.batches = clip_batches(task.prepared, recipe)
        self.rows = task.val
        self.size = max(32, recipe.training.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for positions, samples in self.batches.covering(self.rows, self.size):
            yield torch.from_numpy(positions), torch.from_numpy(samples)

"""`earmark check`: everything a training would do before its first step, and nothing after it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from earmark.reports.check_plots import augmentation_grid
from earmark.training.attempts import fresh_net
from earmark.training.feeding import Task, clip_batches
from earmark.training.fit import check_one_batch, epochs_of, fitted_front_end
from earmark.training.guards import OneBatch
from earmark.training.module import augmented, mixed_seed
from earmark.training.plan import Plan

SHOWN = 8


@dataclass(frozen=True)
class Check:
    """What `check` found.

    Attributes:
        counts: per tag and split.
        lines: shapes and ranges, step by step, for people.
        samples, features: (smallest, largest) value of a training batch.
        shape: (batch, channels, bands, frames).
        parameters: of the net.
        epochs: that the training would run.
        one_batch: the overfit-one-batch result.
        picture: the PNG of labelled spectrograms before and after augmentation.
    """

    counts: pd.DataFrame
    lines: list[str]
    samples: tuple[float, float]
    features: tuple[float, float]
    shape: tuple[int, ...]
    parameters: int
    epochs: int
    one_batch: OneBatch
    picture: Path


def check(plan: Plan, picture: Path) -> Check:
    """Look at the first batch of `plan`, draw it into `picture`, and let a net learn one batch by heart."""
    recipe, manifest = plan.recipe, plan.manifest
    split = manifest.rows["split"].to_numpy()
    rows = np.flatnonzero((split == "train") | (split == "")).astype(np.int64)
    task = Task(plan.prepared, rows, np.zeros(0, np.int64), recipe, recipe.training.seed, picture.parent)
    rng = np.random.default_rng(mixed_seed(task.seed, 7))
    chosen = _one_of_each(manifest.targets[rows], rng)
    front_end = fitted_front_end(task)
    crops = torch.from_numpy(clip_batches(plan.prepared, recipe).crops(rows[chosen], rng))
    targets = torch.from_numpy(manifest.targets[rows[chosen]])
    weights = torch.from_numpy(manifest.weights[rows[chosen]])
    draw = torch.Generator().manual_seed(mixed_seed(task.seed, 8))
    before = front_end(crops)
    after, _, _ = augmented(crops, targets, weights, front_end, recipe.augment, draw)
    titles = ["\n+ ".join(manifest.labels_of(int(row))) or "(no tag)" for row in rows[chosen][:SHOWN]]
    augmentation_grid(before[:SHOWN, 0].numpy(), after[:SHOWN, 0].numpy(), titles, picture)
    net = fresh_net(task, recipe, task.seed)
    one_batch = check_one_batch(task, recipe, net, front_end)
    return Check(
        counts=(manifest if plan.k is None else manifest.by_fold()).counts(),
        lines=recipe.front_end.describe(),
        samples=(float(crops.min()), float(crops.max())),
        features=(float(before.min()), float(before.max())),
        shape=tuple(before.shape),
        parameters=sum(parameter.numel() for parameter in net.parameters()),
        epochs=epochs_of(recipe, len(rows)),
        one_batch=one_batch,
        picture=picture,
    )


def _one_of_each(targets: np.ndarray[tuple[int, int], np.dtype[np.float32]], rng: np.random.Generator) -> list[int]:
    """Rows with as many different tags as SHOWN allows, then any others, at most a batch of 16."""
    chosen: list[int] = []
    for column in rng.permutation(targets.shape[1]):
        having = np.flatnonzero(targets[:, column] > 0.5)
        if len(having):
            chosen.append(int(rng.choice(having)))
    rest = [int(i) for i in rng.permutation(len(targets)) if int(i) not in set(chosen)]
    return (chosen + rest)[: min(16, len(targets))]

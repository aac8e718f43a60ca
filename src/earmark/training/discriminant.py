"""The linear discriminant that votes beside a trained net, fitted on the clips that the net was trained on."""

from __future__ import annotations

import logging

import numpy as np
import torch
from torch import nn

from earmark.features.torch import LogMel
from earmark.models.discriminant import Discriminant, Indices, WithDiscriminant
from earmark.recipes import Recipe
from earmark.training.feeding import Task, clip_batches
from earmark.training.module import mixed_seed

log = logging.getLogger("earmark.training")

MOST_WINDOWS = 4000
"""Statistics of this many say about all that one covariance can hold; more would take minutes, not seconds."""
BATCH = 64


def with_discriminant(net: nn.Module, front_end: LogMel, recipe: Recipe, task: Task) -> nn.Module:
    """`net`, joined by a discriminant of the training clips where the recipe gives it a share of the vote.

    Clips are heard as they are: statistics of altered ones would be those of the alterations. Only tags of which one
    alone is right can be told apart in this way; a net for several tags at once is returned as it came.
    """
    share = recipe.model.discriminant
    if not share or not task.manifest.is_exclusive:
        return net
    n_tags = len(task.manifest.vocabulary)
    discriminant = Discriminant(n_tags, recipe.front_end.shape())
    every = task.manifest.class_indices()
    weights = task.manifest.loss_weights[np.arange(len(every)), every].astype(np.float64)
    rows = drawn(task.train[weights[task.train] > 0], every, np.random.default_rng(mixed_seed(task.seed, 6)))
    if len(np.unique(every[rows])) < n_tags:
        log.debug("no discriminant: a tag has no clip to fit it on")
        return net
    statistics: list[np.ndarray] = []
    clips: list[np.ndarray] = []
    with torch.no_grad():
        for positions, samples in clip_batches(task.prepared, recipe).covering(rows, BATCH, MOST_WINDOWS // len(rows)):
            statistics.append(discriminant.statistics(front_end(torch.from_numpy(samples))).numpy())
            clips.append(rows[positions])
    heard = np.concatenate(clips)
    groups = [str(group) for group in task.manifest.rows["group"].to_numpy()[heard]]
    shrinkage = discriminant.learn(np.concatenate(statistics).astype(np.float64), every[heard], weights[heard], groups)
    log.debug("discriminant of %d windows, shrinkage %g", len(heard), shrinkage)
    return WithDiscriminant(net, discriminant.eval(), share).eval()


def drawn(rows: Indices, classes: Indices, rng: np.random.Generator) -> Indices:
    """Up to MOST_WINDOWS of `rows`, in random order; of the rarer classes all, before the commoner ones give more.

    Args:
        rows: (m,) of the manifest.
        classes: (n,) of all its rows.
    """
    rows = rng.permutation(rows)
    if len(rows) <= MOST_WINDOWS:
        return rows
    turn = np.empty(len(rows), np.int64)
    for one in np.unique(classes[rows]):
        mine = classes[rows] == one
        turn[mine] = np.arange(mine.sum())
    return rows[np.argsort(turn, kind="stable")[:MOST_WINDOWS]]

"""The linear discriminant that votes beside a trained net, fitted on the clips that the net was trained on."""

from __future__ import annotations

import logging

import numpy as np
import torch
from torch import nn

from earmark.features.torch import LogMel
from earmark.models.discriminant import Discriminant, WithDiscriminant
from earmark.recipes import Recipe
from earmark.training.feeding import Task, clip_batches
from earmark.training.module import mixed_seed

log = logging.getLogger("earmark.training")

MOST_WINDOWS = 20_000
"""Statistics of this many say all that one covariance can hold; more would only take time and memory."""
BATCH = 64


def with_discriminant(net: nn.Module, front_end: LogMel, recipe: Recipe, task: Task) -> nn.Module:
    """`net`, joined by a discriminant of the training clips where the recipe gives it a share of the vote.

    Clips are heard as they are: statistics of altered ones would be those of the alterations. Only tags of which one
    alone is right can be told apart in this way; a net for several tags at once is returned as it came.
    """
    share = recipe.model.discriminant
    if not share or not task.manifest.is_exclusive:
        return net
    discriminant = Discriminant(len(task.manifest.vocabulary), recipe.front_end.shape())
    rows = np.random.default_rng(mixed_seed(task.seed, 6)).permutation(task.train)
    classes = task.manifest.class_indices()[rows]
    weights = task.manifest.loss_weights[rows, classes].astype(np.float64)
    usable = weights > 0
    rows, classes, weights = rows[usable], classes[usable], weights[usable]
    statistics: list[np.ndarray] = []
    clips: list[np.ndarray] = []
    heard = 0
    with torch.no_grad():
        for positions, samples in clip_batches(task.prepared, recipe).covering(rows, BATCH):
            statistics.append(discriminant.statistics(front_end(torch.from_numpy(samples))).numpy())
            clips.append(positions)
            heard += len(positions)
            if heard >= MOST_WINDOWS:
                break
    clip = np.concatenate(clips)
    groups = task.manifest.rows["group"].to_numpy()[rows[clip]]
    shrinkage = discriminant.learn(
        np.concatenate(statistics).astype(np.float64), classes[clip], weights[clip], [str(group) for group in groups]
    )
    log.debug("discriminant of %d windows, shrinkage %g", heard, shrinkage)
    return WithDiscriminant(net, discriminant.eval(), share).eval()

"""Bring a labelled data set under a model's tags: columns by name, never by position."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from earmark.data.manifest import Manifest
from earmark.errors import InputError
from earmark.types import Vocabulary


@dataclass(frozen=True, eq=False)
class Matched:
    """Attributes:

    known: clips with at least one of the model's tags (multilabel: or none at all), under the model's vocabulary.
    unknown: clips that have only tags the model has never learnt; their targets are all 0 and weigh nothing.
    new_tags: those tags, sorted.
    absent_tags: tags of the model that the data does not speak of.
    """

    known: Manifest
    unknown: Manifest
    new_tags: tuple[str, ...]
    absent_tags: tuple[str, ...]

    @property
    def only_strangers(self) -> bool:
        """Whether none of the model's tags is spoken of, so that all there is to judge is the refusal."""
        return len(self.unknown) > 0 and len(self.absent_tags) == len(self.unknown.vocabulary)


def match_tags(manifest: Manifest, vocabulary: Vocabulary, *, unknown: bool = False) -> Matched:
    """`manifest` under the model's `vocabulary`.

    A tag of the model that the data's vocabulary lacks is unlabelled there for a multilabel model (nobody looked for
    it), and plainly not the class for an exclusive one.

    Args:
        unknown: clips with other tags only are kept as unknown sounds, to judge the refusal by. Without it they are
            an error: silently leaving them out would flatter the model.

    Raises:
        InputError: tags the model does not know, or no tag in common (both without `unknown`); a clip with several
            tags for an exclusive model.
    """
    theirs = manifest.vocabulary.tags
    shared = [tag for tag in vocabulary.tags if tag in set(theirs)]
    new = tuple(sorted(set(theirs) - set(vocabulary.tags)))
    if not shared and not unknown:
        raise InputError(
            f"{manifest.name}: its tags ({_few(theirs)}) and the model's ({_few(vocabulary.tags)}) have none in "
            "common; rename the folders or labels as the model calls them, or count all of them as unknown sounds with "
            "--unknown."
        )
    if new and not unknown:
        raise InputError(
            f"{manifest.name}: the model does not know {_few(new)}; it knows {_few(vocabulary.tags)}. Rename or leave "
            "out those clips, or count them as unknown sounds with --unknown."
        )
    targets = np.zeros((len(manifest), len(vocabulary)), dtype=np.float32)
    weights = np.zeros_like(targets)
    if vocabulary.kind == "exclusive":
        weights[:] = manifest.weights.max(axis=1, keepdims=True)
    for tag in shared:
        column = vocabulary.column(tag)
        targets[:, column] = manifest.targets[:, manifest.vocabulary.column(tag)]
        weights[:, column] = manifest.weights[:, manifest.vocabulary.column(tag)]
    has_known = (targets > 0.5).any(axis=1)
    new_columns = [manifest.vocabulary.column(tag) for tag in new]
    has_new = (manifest.targets[:, new_columns] > 0.5).any(axis=1)
    if vocabulary.kind == "exclusive" and ((targets > 0.5).sum(axis=1) > 1).any():
        row = int(np.flatnonzero((targets > 0.5).sum(axis=1) > 1)[0])
        raise InputError(
            f"{manifest.rows['recording'][row]}: has the tags {', '.join(manifest.labels_of(row))}, but the model "
            "gives each clip exactly one; give it one label."
        )
    moved = dataclasses.replace(manifest, targets=targets, weights=weights, vocabulary=vocabulary)
    strangers = np.flatnonzero(has_new & ~has_known)
    strange = moved.take(strangers)
    strange = dataclasses.replace(strange, weights=np.zeros_like(strange.targets))
    return Matched(
        known=moved.take(np.flatnonzero(~(has_new & ~has_known))),
        unknown=strange,
        new_tags=new,
        absent_tags=tuple(tag for tag in vocabulary.tags if tag not in set(shared)),
    )


def _few(tags: tuple[str, ...], most: int = 8) -> str:
    names = ", ".join(tags[:most])
    return f"{names} and {len(tags) - most} more" if len(tags) > most else names

"""Classes left out of training on purpose, to hear afterwards whether the model knows that it does not know them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from earmark.data.batches import Indices
from earmark.data.copies import copies
from earmark.data.manifest import Manifest
from earmark.data.prepare import prepare
from earmark.data.prepared import Prepared
from earmark.errors import InputError
from earmark.formats.words import counted
from earmark.recipes import Recipe
from earmark.settings import Settings
from earmark.training.cutting import cut
from earmark.types import Progress, Vocabulary

log = logging.getLogger("earmark.training")


@dataclass(frozen=True, eq=False)
class Strangers:
    """Clips that are neither trained, validated nor calibrated on.

    Attributes:
        tags: that were left out.
        prepared: their clips; the manifest is under the model's vocabulary, of which nothing is known of them.
        rows: those to hear: without copies of clips that are trained on.
    """

    tags: tuple[str, ...]
    prepared: Prepared
    rows: Indices


def part(manifest: Manifest, tags: Sequence[str]) -> tuple[Manifest, Manifest]:
    """The clips that have none of `tags`, without those columns, and the clips that have one.

    Tags of which no clip is left go too. The second manifest is under the first one's vocabulary, all unlabelled.

    Raises:
        InputError: a tag that does not exist, or fewer than two left.
    """
    try:
        chosen = sorted({manifest.vocabulary.column(tag) for tag in tags})
    except InputError as error:
        raise InputError(f"--leave-out: {error}") from None
    strange = np.asarray((manifest.targets[:, chosen] > 0.5).any(axis=1))
    heard = np.asarray((manifest.targets[~strange] > 0.5).any(axis=0))
    heard[chosen] = False  # a tag that nobody decided on is none to learn either
    left = np.flatnonzero(heard)
    names = tuple(manifest.vocabulary.tags[column] for column in left)
    if len(left) < 2:
        found = f"only {names[0]!r}" if names else "no class"
        raise InputError(
            f"--leave-out {' '.join(dict.fromkeys(tags))}: leaves {found} of {len(manifest.vocabulary)} classes to "
            "train on, and a tagger needs at least two; leave out fewer."
        )
    gone = [tag for column, tag in enumerate(manifest.vocabulary.tags) if not heard[column] and column not in chosen]
    if gone:
        log.warning("tags without a clip once those are left out are not learnt: %s", ", ".join(gone))
    vocabulary = Vocabulary(names, manifest.vocabulary.kind)
    moved = replace(
        manifest, targets=manifest.targets[:, left], weights=manifest.weights[:, left], vocabulary=vocabulary
    )
    known, strangers = moved.take(~strange), moved.take(strange)
    nothing = np.zeros_like(strangers.targets)
    return known, replace(strangers, targets=nothing, weights=nothing)


def prepare_strangers(
    manifest: Manifest,
    tags: Sequence[str],
    known: Prepared,
    recipe: Recipe,
    settings: Settings,
    progress: Progress,
    notes: list[str],
) -> Strangers:
    """Decode the clips to be heard after training, and cut them as the others are; `notes` says what the report should.

    Raises:
        InputError: none of them can be used.
    """
    prepared = prepare(
        manifest,
        sample_rate_hz=known.sample_rate_hz,
        cache_dir=settings.cache_dir,
        workers=settings.workers,
        timeout_s=settings.decode_timeout_s,
        progress=progress,
        part="left out",
    )
    prepared = cut(prepared, recipe, [])
    heard_already = _copies(prepared, known, progress)
    rows = np.flatnonzero(~np.isin(prepared.recording_index, heard_already)).astype(np.int64)
    names = tuple(dict.fromkeys(tags))
    if not len(rows):
        raise InputError(
            f"--leave-out {' '.join(names)}: no clip can be heard after training (of {len(manifest):,}, "
            f"unusable: {len(prepared.quarantine):,}, copies of clips of other classes: {len(prepared.manifest):,}); "
            "leave out another class."
        )
    notes.append(
        f"left out of training, to measure the refusal of unknown sounds: {', '.join(names)} "
        f"({counted(len(rows), 'clip')})"
    )
    lost = len(prepared.manifest) - len(rows)
    if lost:
        more = counted(lost, "more clip of those, a copy", "more clips of those, copies")
        notes.append(f"not heard: {more} of what is not left out")
    if prepared.quarantine:
        notes.append(f"{len(prepared.quarantine):,} more of those cannot be used: {prepared.quarantine[0].message}")
    return Strangers(names, prepared, rows)


def _copies(strange: Prepared, known: Prepared, progress: Progress) -> list[int]:
    """Recordings of `strange` that are copies of another file of `known`."""
    uris = [*known.recordings["uri"], *strange.recordings["uri"]]
    first = len(known.recordings)
    pairs = copies([known, strange], progress)
    return sorted({b - first for a, b in pairs if a < first <= b and uris[a] != uris[b]})

"""From a folder of sounds to clips that can be trained on: read, settle the recipe, prepare, group, split, check."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from earmark import layouts
from earmark.data.batches import Indices
from earmark.data.copies import copies
from earmark.data.group_names import suggest_groups
from earmark.data.leaks import Leak, refuse_leaks
from earmark.data.manifest import Manifest
from earmark.data.prepare import prepare
from earmark.data.prepared import Prepared
from earmark.data.splits import folds as make_folds
from earmark.data.splits import group_by as group_by_patterns
from earmark.data.splits import merge_groups, split
from earmark.errors import InputError, RecipeError
from earmark.formats.words import counted
from earmark.recipes import Recipe
from earmark.settings import Settings, load_settings
from earmark.training.adapting import adapt
from earmark.training.cutting import cut
from earmark.training.strangers import Strangers, part, prepare_strangers
from earmark.types import Progress, Quiet, Vocabulary

log = logging.getLogger("earmark.training")


@dataclass(frozen=True)
class Plan:
    """All that a training needs to know of its data.

    Attributes:
        prepared: clips with their audio; its manifest has the groups and, unless folds were asked for, the split.
        recipe: with everything settled that it takes from the data.
        leaks: found and allowed by the user; they go into the report.
        notes: for the report: what was adapted, merged, quarantined.
        k: folds, or None.
        strangers: clips of classes that were left out, to be heard after training; None where none were.
    """

    prepared: Prepared
    recipe: Recipe
    leaks: list[Leak]
    notes: list[str]
    k: int | None
    strangers: Strangers | None = None

    @property
    def manifest(self) -> Manifest:
        return self.prepared.manifest

    @property
    def folds(self) -> list[int]:
        """The folds' numbers in order: the data's own where it brings folds, else 0..k-1; none without `k`."""
        return [] if self.k is None else sorted(int(fold) for fold in self.manifest.rows["fold"].dropna().unique())

    @property
    def split_seed(self) -> int:
        return split_seed(self.recipe)

    def rows(self, which: str) -> Indices:
        """Rows of a split: `train`, `val` or `test`."""
        return rows_of(self.manifest, which)


def rows_of(manifest: Manifest, which: str) -> Indices:
    """Rows of a split: `train`, `val` or `test`."""
    return np.flatnonzero(manifest.rows["split"].to_numpy() == which).astype(np.int64)


def split_seed(recipe: Recipe) -> int:
    """Of the split: its own, or the training's."""
    return recipe.training.seed if recipe.split.seed is None else recipe.split.seed


def make_plan(
    data: Path,
    recipe: Recipe,
    *,
    manifest: Manifest | None = None,
    layout: str | None = None,
    group_by: Sequence[str] = (),
    leave_out: Sequence[str] = (),
    folds: int | None = None,
    allow_leak: bool = False,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> Plan:
    """Read `data`, decode it once, and decide who is trained on, who is watched and who is judged.

    Args:
        data: a folder in a known layout, or a manifest file.
        manifest: what `earmark.layouts.read` says of `data`, where that was asked already.
        layout: its name, where looking is not to decide.
        group_by: patterns on file names, `REGEX` or `tag=REGEX`: what must never be split.
        leave_out: tags whose clips are not trained on, but heard afterwards as unknown sounds.
        folds: cross-validation of that many parts instead of one split.
        allow_leak: go on when the same audio or the same group stands in two given splits.

    Raises:
        InputError: and its children, in the words of the room that found the fault.
    """
    settings = settings or load_settings()
    progress = progress or Quiet()
    notes: list[str] = []
    if manifest is None:
        manifest = layouts.read(data, layout=layout)
    if recipe.vocabulary == "multilabel" and manifest.is_exclusive:
        manifest = replace(manifest, vocabulary=Vocabulary(manifest.vocabulary.tags, "multilabel"))
    if recipe.vocabulary == "exclusive" and not manifest.is_exclusive:
        raise InputError(
            f"{data}: some clips have several tags, but recipe {recipe.name!r} tells exactly one; "
            "choose another recipe or --set vocabulary=multilabel."
        )
    _refuse_monitor(recipe, manifest)
    if folds is not None and (manifest.rows["split"] != "").any():
        notes.append("the data set's own split was not used: all of it was folded")
        log.warning("--folds %d: the split that the data set comes with is not used", folds)
    if not len(manifest.vocabulary):
        raise InputError(f"{data}: no clip has a label, so there is nothing to learn; fill in the column labels.")
    if len(manifest.vocabulary) < 2 and manifest.is_exclusive:
        raise InputError(
            f"{data}: only one class was found ({manifest.vocabulary.tags[0]!r}); a tagger needs at least two to tell "
            "apart, so add a folder of other sounds."
        )
    if group_by:
        manifest = group_by_patterns(manifest, group_by)
    else:
        for suggestion in suggest_groups(manifest):
            log.warning("%s", suggestion.message)
    strange = None
    if leave_out:
        manifest, strange = part(manifest, leave_out)
    recipe = adapt(recipe, manifest, notes, workers=settings.workers, timeout_s=settings.decode_timeout_s)
    prepared = prepare(
        manifest,
        sample_rate_hz=recipe.front_end.sample_rate_hz,
        cache_dir=settings.cache_dir,
        workers=settings.workers,
        timeout_s=settings.decode_timeout_s,
        progress=progress,
    )
    if prepared.quarantine:
        notes.append(
            f"{counted(len(prepared.quarantine), 'file or clip was', 'files or clips were')} left out: see quarantine"
        )
        for bad in prepared.quarantine[:5]:
            log.warning("left out (%s): %s", bad.reason, bad.message)
        if len(prepared.quarantine) > 5:
            log.warning("and %d more; `earmark inspect` lists them all", len(prepared.quarantine) - 5)
    if not len(prepared.manifest):
        raise InputError(f"{data}: no file could be used; `earmark inspect {data}` says why, file by file.")
    prepared = cut(prepared, recipe, notes)
    manifest = prepared.manifest
    strangers = None
    if strange is not None:
        strangers = prepare_strangers(strange, leave_out, prepared, recipe, settings, progress, notes)
    pairs = copy_pairs(prepared, progress)
    groups = manifest.rows["group"]
    if pairs:
        before = groups.nunique()
        manifest = merge_groups(manifest, pairs)
        merged = before - manifest.rows["group"].nunique()
        if merged:
            notes.append(
                f"{counted(merged, 'group was', 'groups were')} merged for holding copies of the same recording"
            )
            log.info(
                "copies of the same recording were found: %s merged, so that no split parts them",
                counted(merged, "group"),
            )
    seed = split_seed(recipe)
    if folds is not None:
        manifest = make_folds(manifest, folds, seed=seed)
        # clips without a fold only ever train, so they may not share anything with a clip that is judged
        watched = manifest.by_fold()
    else:
        manifest = split(manifest, val=recipe.split.val, test=recipe.split.test, seed=seed)
        watched = manifest
    hashes = [prepared.audio_hash(i) for i in range(len(manifest))]
    # by the groups as they came: a copy in two given splits is named as a copy, not as the group we made of it
    leaks = refuse_leaks(watched.with_rows(group=groups), hashes, copies=pairs, allow=allow_leak)
    if leaks:
        notes.append(
            f"LEAK ALLOWED: {counted(len(leaks), 'pair of clips shares', 'pairs of clips share')} audio or group "
            "across splits; figures are too good"
        )
    if strangers is not None and folds is None and not len(rows_of(manifest, "val")):
        raise InputError(
            "--leave-out: the refusal of unknown sounds is set on validation clips, and this split has none; "
            "--set split.val=0.15, or use --folds."
        )
    return Plan(replace(prepared, manifest=manifest), recipe, leaks, notes, folds, strangers)


def _refuse_monitor(recipe: Recipe, manifest: Manifest) -> None:
    """A recipe that chooses by a figure which does not exist for this vocabulary."""
    known = ("loss", "macro_f1", "accuracy" if manifest.is_exclusive else "lwlrap")
    if recipe.training.monitor not in known:
        kind = manifest.vocabulary.kind
        raise RecipeError(
            f"recipe field training.monitor is {recipe.training.monitor!r}, which {kind} data does not have; "
            f"expected one of {', '.join(known)}: --set training.monitor={known[-1]}."
        )


def copy_pairs(prepared: Prepared, progress: Progress | None = None) -> list[tuple[int, int]]:
    """Pairs of rows whose recordings are (lossy) copies of each other, or the same file under two names.

    One row stands for each recording: its first.
    """
    first_row: dict[int, int] = {}
    for row, recording in enumerate(prepared.recording_index):
        first_row.setdefault(int(recording), row)
    found = copies([prepared], progress)
    return sorted((first_row[a], first_row[b]) for a, b in found if a in first_row and b in first_row)

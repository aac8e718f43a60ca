"""Recordings cut into chunks before they are split, where a recipe asks for that."""

from __future__ import annotations

import numpy as np

from earmark.data.prepared import Prepared
from earmark.formats.words import counted
from earmark.recipes import Recipe


def cut(prepared: Prepared, recipe: Recipe, notes: list[str]) -> Prepared:
    """The clips as `recipe.cut` has them; `notes` says how many there were, and what was dropped.

    It is done once the audio is decoded, since only then every length is known, and before the split, whose shares are
    of clips.
    """
    if not recipe.cut.chunks:
        return prepared
    spec = recipe.front_end
    least = max(1, round(recipe.cut.remainder_s * spec.sample_rate_hz))
    chunks = prepared.in_chunks(spec.n_samples, least)
    is_long = prepared.lengths > spec.n_samples
    if is_long.any():
        long = int(is_long.sum())
        made = len(chunks) - len(prepared) + long
        notes.append(
            f"{counted(long, 'clip is', 'clips are')} longer than {spec.clip_s:g} s and cut into "
            f"{counted(made, 'chunk')}, each a clip of its own"
        )
    rest = np.where(is_long, prepared.lengths % spec.n_samples, 0)
    lost = rest[(rest > 0) & (rest < least)]
    if len(lost):
        notes.append(
            f"{counted(len(lost), 'remainder')} of less than {recipe.cut.remainder_s:g} s dropped, "
            f"{lost.sum() / spec.sample_rate_hz:.1f} s in all"
        )
    return chunks

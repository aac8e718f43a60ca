"""The same sound on both sides of a split: found before a training, not after a paper."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from earmark.data.manifest import Manifest
from earmark.errors import LeakError
from earmark.formats.words import counted


@dataclass(frozen=True, slots=True)
class Leak:
    """One sound, or one group, in two splits.

    Attributes:
        kind: 'audio' (equal decoded samples), 'copy' (a lossy copy, by fingerprint) or 'group' (one group).
        a, b: a recording in each of the two splits.
        splits: the split of `a` and of `b`.
        group: the group, where kind is 'group'.
    """

    kind: Literal["audio", "copy", "group"]
    a: str
    b: str
    splits: tuple[str, str]
    group: str = ""

    def __str__(self) -> str:
        what = {"audio": "the same audio", "copy": "a copy of the same audio", "group": f"one group ({self.group})"}
        return f"{self.a} ({self.splits[0]}) and {self.b} ({self.splits[1]}): {what[self.kind]}"


def find_leaks(
    manifest: Manifest,
    audio_hashes: Sequence[str | None],
    *,
    copies: Iterable[tuple[int, int]] = (),
) -> list[Leak]:
    """Leaks, the plainest kind first; one for each sound or group and pair of splits.

    Args:
        manifest: rows without a split are in none, and cannot leak.
        audio_hashes: (n,) hash of each row's decoded samples; None where it is not known.
        copies: pairs of rows that hold copies of one recording (`earmark.data.copies`).
    """
    splits = manifest.rows["split"].tolist()
    recordings = manifest.rows["recording"].tolist()
    groups = manifest.rows["group"].tolist()
    if len(audio_hashes) != len(manifest):
        raise ValueError(f"{len(audio_hashes)} hashes for {len(manifest)} rows")
    leaks = [
        Leak("audio", recordings[a], recordings[b], (splits[a], splits[b])) for a, b in _across(audio_hashes, splits)
    ]
    leaks += [
        Leak("copy", recordings[a], recordings[b], (splits[a], splits[b]))
        for a, b in copies
        if splits[a] and splits[b] and splits[a] != splits[b]
        if audio_hashes[a] is None or audio_hashes[a] != audio_hashes[b]
    ]
    leaks += [
        Leak("group", recordings[a], recordings[b], (splits[a], splits[b]), groups[a])
        for a, b in _across(groups, splits)
    ]
    return leaks


def refuse_leaks(
    manifest: Manifest,
    audio_hashes: Sequence[str | None],
    *,
    copies: Iterable[tuple[int, int]] = (),
    allow: bool = False,
) -> list[Leak]:
    """`find_leaks`, but LeakError that names the files unless `allow`; what is allowed is returned for the report."""
    leaks = find_leaks(manifest, audio_hashes, copies=copies)
    if leaks and not allow:
        shown = "; ".join(str(leak) for leak in leaks[:3])
        more = f"; and {len(leaks) - 3} more" if len(leaks) > 3 else ""
        raise LeakError(
            f"{counted(len(leaks), 'leak')} between splits: {shown}{more}. Remove one of each pair, "
            "correct the split or the group column, or go on with --allow-leak (the report will say so)."
        )
    return leaks


def _across(keys: Sequence[str | None], splits: Sequence[str]) -> list[tuple[int, int]]:
    """For each key that occurs in two splits, and each pair of those splits: the first row of the key in each."""
    first: dict[str, dict[str, int]] = {}
    for row, (key, split) in enumerate(zip(keys, splits, strict=True)):
        if key is not None and split:
            first.setdefault(key, {}).setdefault(split, row)
    return [
        (a, b) for rows in first.values() for i, a in enumerate(rows.values()) for b in list(rows.values())[i + 1 :]
    ]

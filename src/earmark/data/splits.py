"""Train, val and test, and folds: by group, so that nothing leaks, and stratified, so that every part has every class.

Pure: a Manifest in, a Manifest with another `split`, `fold` or `group` column out.
"""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from earmark.data.manifest import SPLITS, Manifest
from earmark.data.stratify import divide
from earmark.errors import SplitError
from earmark.formats.words import counted

log = logging.getLogger("earmark.data")

Mask = npt.NDArray[np.bool_]
Names = npt.NDArray[np.object_]


def group_by(manifest: Manifest, patterns: Sequence[str]) -> Manifest:
    r"""Groups read off file names.

    Args:
        patterns: each a regular expression for all clips, or `tag=REGEX` for the clips of one tag. It is searched in
            the file's name, or, where it holds a '/', in the path within the data folder. The first capture group, or
            without one the whole match, is the group; with `tag=` the tag stands before it, so that car 3 and
            speaker 3 stay apart. A pattern for a tag goes before one for all; clips that none is for keep their group.

    Raises:
        SplitError: a pattern that is no regular expression, an unknown tag, a file that its pattern does not match.
    """
    groups = manifest.rows["group"].to_numpy(dtype=object, copy=True)
    given = manifest.rows["group_is_given"].to_numpy(dtype=bool, copy=True)
    done = np.zeros(len(manifest), dtype=bool)
    recordings = [str(recording) for recording in manifest.rows["recording"]]
    parsed = [(*_parse(manifest, pattern), pattern) for pattern in patterns]
    for tag, regex, pattern in sorted(parsed, key=lambda entry: entry[0] is None):
        chosen = ~done
        if tag is not None:
            chosen &= manifest.targets[:, manifest.vocabulary.column(tag)] > 0.5
        missed = []
        for i in np.flatnonzero(chosen):
            recording = recordings[i]
            match = regex.search(recording if "/" in regex.pattern else recording.rsplit("/", 1)[-1])
            found = next((part for part in match.groups() if part), "") or match.group(0) if match else ""
            if not found:
                missed.append(recording)
                continue
            groups[i] = found if tag is None else f"{tag}:{found}"
        if missed:
            raise SplitError(
                f"--group-by {pattern!r} does not match {missed[0]}"
                + (f" and {counted(len(missed) - 1, 'more file')}" if len(missed) > 1 else "")
                + "; widen it (|.+ at its end makes every other file a group of its own)."
            )
        given |= chosen
        done |= chosen
    return manifest.with_rows(group=groups, group_is_given=given)


def merge_groups(manifest: Manifest, clusters: Iterable[Sequence[int]]) -> Manifest:
    """The rows of each cluster (a pair of copies, or more) into one group, with all that are in their groups.

    The joined group has the name of the one that comes first in the manifest.
    """
    names = manifest.rows["group"].to_numpy(dtype=object)
    codes, uniques = pd.factorize(names)
    parent = np.arange(len(uniques))

    def top(code: int) -> int:
        while parent[code] != code:
            parent[code] = parent[parent[code]]
            code = int(parent[code])
        return code

    for cluster in clusters:
        roots = [top(int(codes[row])) for row in cluster]
        for root in roots:
            first, second = sorted((top(roots[0]), top(root)))
            parent[second] = first
    merged = np.array([top(code) for code in range(len(uniques))])
    joined = np.bincount(merged, minlength=len(uniques)) > 1
    given = manifest.rows["group_is_given"].to_numpy(dtype=bool) | joined[merged[codes]]
    return manifest.with_rows(group=np.asarray(uniques, dtype=object)[merged[codes]], group_is_given=given)


def split(manifest: Manifest, *, val: float = 0.15, test: float = 0.15, seed: int = 0) -> Manifest:
    """Every clip in 'train', 'val' or 'test'; no group in two; every class in each, near its share.

    A split given for every row is kept; if it lacks val or test, that part is cut from its train. Clips of noisy
    trust, and the groups they are in, only ever train.

    Args:
        val, test: shares of the clips, 0 (none) or more, together below 1.

    Raises:
        SplitError: one class only; a class with fewer groups than there are parts; a split given for some rows only.
    """
    shares = {"train": 1.0 - val - test, "test": test, "val": val}
    if val < 0 or test < 0 or shares["train"] <= 0:
        raise SplitError(f"val {val:g} and test {test:g} must be 0 or above and together below 1.")
    _need_two_classes(manifest)
    given = manifest.rows["split"].to_numpy(dtype=object)
    if (given == "").all() or (given == "train").all():
        parts = {name: share for name, share in shares.items() if share > 0}
        everything = np.ones(len(manifest), dtype=bool)
        return manifest.with_rows(split=_cut(manifest, everything, parts, seed=seed, strict=True))
    if (given == "").any():
        row = manifest.rows["recording"].iat[int(np.flatnonzero(given == "")[0])]
        raise SplitError(f"{row} has no split, others have one; give every row train, val or test, or none of them.")
    if not (given == "train").any():
        raise SplitError("the given split has no train clips, so there is nothing to learn from.")
    used = {name: shares[name] for name in ("test", "val") if shares[name] > 0 and not (given == name).any()}
    if not used:
        return manifest
    result = given.copy()
    within = given == "train"
    result[within] = _cut(manifest, within, {"train": 1.0 - sum(used.values()), **used}, seed=seed, strict=True)
    return manifest.with_rows(split=result)


def folds(manifest: Manifest, k: int, *, seed: int = 0) -> Manifest:
    """Every clip in one of the folds 0..k-1, by group and stratified.

    Folds that the data set gives are kept, under its own numbers. Clips of noisy trust, and the groups
    they are in, have no fold: they only ever train.

    Raises:
        SplitError: k below 2, or not the number of the given folds; a class with fewer than k groups; fewer groups
            than folds.
    """
    _need_two_classes(manifest)
    if k < 2:
        raise SplitError(f"--folds {k}: at least 2 are needed.")
    given = manifest.rows["fold"]
    numbers = sorted(int(number) for number in given.dropna().unique())
    noisy = _noisy_groups(manifest)
    if len(numbers) > 1:
        if k != len(numbers):
            raise SplitError(f"--folds {k}: the data set comes with {len(numbers)} folds; use --folds {len(numbers)}.")
        absent = given.isna().to_numpy() & ~noisy
        if absent.any():
            row = manifest.rows["recording"].iat[int(np.flatnonzero(absent)[0])]
            raise SplitError(f"{row} has no fold, others have one; give every row a fold, or none of them.")
        return manifest.with_rows(fold=given.mask(noisy, pd.NA))
    parts = {str(i): 1.0 / k for i in range(k)}
    _check_groups(manifest, ~noisy, parts, f"{k} folds")
    assigned = np.full(len(manifest), pd.NA, dtype=object)
    assigned[~noisy] = [int(name) for name in _assign(manifest, ~noisy, parts, seed=seed, ranked=False)]
    filled = len(set(assigned[~noisy]))
    if filled < k:
        raise SplitError(f"--folds {k}: the groups here fill {counted(filled, 'fold')}; ask for no more than that.")
    return manifest.with_rows(fold=pd.array(assigned, dtype="Int64"))


def fold_split(manifest: Manifest, fold: int, *, val: float = 0.15, seed: int = 0) -> Manifest:
    """Fold `fold` is 'test'; 'val' is cut from the rest by group and stratified; what is left is 'train'.

    A class whose groups outside the fold are only one stays in train, with a warning.
    """
    numbers = manifest.rows["fold"]
    testing = (numbers == fold).fillna(False).to_numpy(dtype=bool)
    if not testing.any():
        known = ", ".join(str(number) for number in sorted(numbers.dropna().unique())) or "none"
        raise SplitError(f"fold {fold}: no clip is in it; folds here: {known}.")
    result = np.full(len(manifest), "test", dtype=object)
    parts = {"train": 1.0 - val, "val": val} if val > 0 else {"train": 1.0}
    result[~testing] = _cut(manifest, ~testing, parts, seed=seed, strict=False)
    return manifest.with_rows(split=result)


def _cut(manifest: Manifest, within: Mask, parts: dict[str, float], *, seed: int, strict: bool) -> Names:
    """The part of each clip of `within`, noisy groups in train; parts stand in the order of their claim."""
    noisy = _noisy_groups(manifest)
    open_ = within & ~noisy
    if strict:
        names = [name for name in SPLITS if name in parts]
        _check_groups(manifest, open_, parts, f"{', '.join(names[:-1])} and {names[-1]}" if names[1:] else "train")
    else:
        for tag, count in _groups_per_tag(manifest, open_).items():
            if 0 < count < len(parts):
                log.warning("%r has one group outside this fold: it trains, and validation has none of it.", tag)
    result = np.full(len(manifest), "train", dtype=object)
    result[open_] = _assign(manifest, open_, parts, seed=seed, ranked=True)
    return result[within]


def _assign(manifest: Manifest, chosen: Mask, parts: dict[str, float], *, seed: int, ranked: bool) -> Names:
    codes, uniques = pd.factorize(manifest.rows["group"].to_numpy(dtype=object)[chosen])
    heard = ((manifest.targets[chosen] > 0.5) & (manifest.weights[chosen] > 0)).astype(np.float64)
    counts = np.zeros((len(uniques), heard.shape[1]))
    np.add.at(counts, codes, heard)
    sizes = np.bincount(codes, minlength=len(uniques)).astype(np.float64)
    of_group = divide(counts, sizes, np.array(list(parts.values())), seed=seed, ranked=ranked)
    return np.array(list(parts), dtype=object)[of_group[codes]]


def _noisy_groups(manifest: Manifest) -> Mask:
    """Clips in a group that holds a noisy clip; none, if all clips of the set are noisy."""
    noisy = manifest.rows["trust"].to_numpy() == "noisy"
    if noisy.all():
        return np.zeros(len(manifest), dtype=bool)
    return manifest.rows["group"].isin(manifest.rows["group"][noisy]).to_numpy(dtype=bool)


def _groups_per_tag(manifest: Manifest, chosen: Mask) -> dict[str, int]:
    groups = manifest.rows["group"].to_numpy(dtype=object)
    return {
        tag: len(set(groups[chosen & (manifest.targets[:, column] > 0.5)]))
        for column, tag in enumerate(manifest.vocabulary.tags)
    }


def _check_groups(manifest: Manifest, chosen: Mask, parts: dict[str, float], what: str) -> None:
    need = len(parts)
    short = {tag: count for tag, count in _groups_per_tag(manifest, chosen).items() if count < need}
    if not short:
        return
    tag, count = min(short.items(), key=lambda entry: entry[1])
    if not manifest.is_exclusive:
        listed = ", ".join(f"{name} ({n})" for name, n in list(short.items())[:8])
        few = counted(len(short), "tag has", "tags have")
        log.warning("%s fewer than %d groups, so some parts have none of it: %s.", few, need, listed)
        return
    others = f" ({counted(len(short) - 1, 'more class is', 'more classes are')} short too)" if len(short) > 1 else ""
    ways = f", use --folds {count}" if count >= 2 else ""
    raise SplitError(
        f"class {tag!r} has {counted(count, 'group')}, {need} are needed for {what}{others}; record more (clips of one "
        f"recording are one group){ways}, or say with --group-by what belongs together."
    )


def _need_two_classes(manifest: Manifest) -> None:
    used = [tag for tag, count in zip(manifest.vocabulary.tags, manifest.targets.sum(axis=0), strict=True) if count]
    if manifest.is_exclusive and len(used) < 2:
        found = f"only one class ({used[0]!r})" if used else "no clip"
        raise SplitError(f"{found} in {manifest.name!r}; a tagger needs at least two classes.")


def _parse(manifest: Manifest, pattern: str) -> tuple[str | None, re.Pattern[str]]:
    """`tag=REGEX` or `REGEX`; what stands before the first '=' is a tag where the vocabulary has it."""
    tag: str | None = None
    text = pattern
    before, equals, after = pattern.partition("=")
    if equals and before in manifest.vocabulary.tags:
        tag, text = before, after
    elif equals and re.fullmatch(r"[\w .-]+", before):
        near = difflib.get_close_matches(before, manifest.vocabulary.tags, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"tags are {', '.join(manifest.vocabulary.tags[:8])}."
        raise SplitError(f"--group-by {pattern!r}: no tag {before!r}; {hint}")
    try:
        return tag, re.compile(text)
    except re.error as error:
        raise SplitError(f"--group-by {pattern!r}: not a regular expression: {error}.") from None

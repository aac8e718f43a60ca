"""A folder per class."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from pathlib import Path

from earmark.audio.find import find_audio
from earmark.data.manifest import Item, Manifest, build
from earmark.errors import LayoutError
from earmark.formats.words import counted
from earmark.layouts.walk import log, split_named

NAME = "folder"
SUMMARY = "a folder per class, or train/, val/ and test/ with a folder per class in each"
DOC = """
    sounds/
      dog/a.wav               the class is the folder's name, as it is
      dog/any/depth/b.flac
      rain/c.mp3

    sounds/
      train/dog/a.wav         the split is given: train, val (valid, validation, dev), test (eval)
      val/dog/b.wav
      test/rain/c.wav

Hidden files are ignored, links to folders followed once. Files right in the first folder have no class and are left
out, with a warning.
"""

_FOLD = re.compile(r"fold[ _-]?\d+", re.IGNORECASE)


def detect(root: Path) -> bool:
    """At least two class folders with audio in them; train/ and test/, or fold1/ and fold2/, are no classes."""
    inside = _parts(root)
    given_splits = _has_splits(inside)
    depth = 2 if given_splits else 1
    classes = {parts[depth - 1] for _, parts in inside if len(parts) > depth}
    parts = all(split_named(name) for name in classes) or all(_FOLD.fullmatch(name) for name in classes)
    return len(classes) >= 2 and not parts


def read(root: Path) -> Manifest:
    inside = _parts(root)
    loose = [path for path, parts in inside if len(parts) == 1]
    if loose and len(loose) == len(inside):
        raise LayoutError(
            f"{root}: {counted(len(loose), 'audio file')} but no class folders; move the files of each class into a "
            "folder of its own, or write a manifest.csv with the columns path and labels."
        )
    given_splits = _has_splits(inside)
    depth = 2 if given_splits else 1
    items, unclassed = [], []
    for path, parts in inside:
        if len(parts) <= depth:
            unclassed.append(path)
        else:
            split = split_named(parts[0]) if given_splits else ""
            items.append(Item(path=path, labels=(parts[depth - 1],), split=split, where=str(path)))
    if unclassed:
        count = counted(len(unclassed), "file lies", "files lie")
        log.warning("%s: left out; %s in no class folder.", unclassed[0], count)
    _warn_lookalikes(items)
    _warn_empty(root, items, given_splits=given_splits)
    return build(items, root=root, layout=NAME, kind="exclusive")


def _parts(root: Path) -> list[tuple[Path, tuple[str, ...]]]:
    return [(path, path.relative_to(root).parts) for path in find_audio(root)]


def _has_splits(inside: list[tuple[Path, tuple[str, ...]]]) -> bool:
    """Whether the first folders are splits: all have a split's name, train is there, and classes lie inside them."""
    first = {parts[0] for _, parts in inside if len(parts) > 1}
    splits = {split_named(name) for name in first}
    deep = any(len(parts) > 2 for _, parts in inside)
    return deep and "" not in splits and "train" in splits and len(splits) > 1


def _warn_lookalikes(items: list[Item]) -> None:
    """Two spellings of one name (an accent as one character, or as two) are two classes to a computer only."""
    names = {item.labels[0] for item in items}
    forms = Counter(unicodedata.normalize("NFC", name).casefold() for name in names)
    for form, count in forms.items():
        if count > 1:
            log.warning("class folders %r: %d spellings of one name; they are taken as different classes.", form, count)


def _warn_empty(root: Path, items: list[Item], *, given_splits: bool) -> None:
    if given_splits:
        return
    classes = {item.labels[0] for item in items}
    for folder in sorted(root.iterdir()):
        if not folder.is_dir() or folder.name.startswith(".") or folder.name in classes:
            continue
        if folder.is_symlink():
            log.warning("%s: a link to a folder without audio, or to one that is read already; it is left out.", folder)
        else:
            log.warning("%s: no audio file in this folder; it is left out.", folder)

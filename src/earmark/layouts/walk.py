"""What the layouts share about folders: names of splits, hidden files, files whose suffix changed."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from earmark.audio.find import looks_like_audio

log = logging.getLogger("earmark.layouts")

# The names that Hugging Face's loaders accept too.
SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
}


def split_named(name: str) -> str:
    """'train', 'val' or 'test' for a folder or cell that means it, else ''."""
    return SPLIT_NAMES.get(name.strip().lower(), "")


def subfolders(root: Path) -> list[Path]:
    """The folders right under `root` that are not hidden, sorted by name; links to folders are folders."""
    return sorted(child for child in root.iterdir() if not child.name.startswith(".") and child.is_dir())


def tables_in(root: Path, suffixes: Sequence[str]) -> list[Path]:
    """The files right under `root` with one of `suffixes`, sorted by name, without the hidden ones."""
    if not root.is_dir():
        return []
    return sorted(
        child
        for child in root.iterdir()
        if child.suffix.lower() in suffixes and not child.name.startswith(".") and child.is_file()
    )


class Locator:
    """Finds the file a table names, also where the set was re-encoded and the suffix is another one now.

    A set handed on as OGG or FLAC keeps a table that says `.wav`; a file of the same stem in the same folder is taken
    then, if there is exactly one. `report()` says once how many there were.
    """

    def __init__(self) -> None:
        self._stems: dict[Path, dict[str, list[Path]]] = {}
        self._swapped: list[tuple[str, Path]] = []

    def find(self, path: Path) -> Path:
        """The file for `path`; `path` itself where there is none, so that the caller's error names it."""
        if os.path.isfile(path):  # Path.is_file raises where a path is too long to be one
            return path
        others = self._in(path.parent).get(path.stem, [])
        if len(others) != 1:
            return path
        self._swapped.append((path.name, others[0]))
        return others[0]

    def report(self, table: str) -> None:
        if self._swapped:
            said, found = self._swapped[0]
            log.info(
                "%s: %d files have another suffix on disk (%s is %s); these are used.",
                table,
                len(self._swapped),
                said,
                found.name,
            )

    def _in(self, folder: Path) -> dict[str, list[Path]]:
        if folder not in self._stems:
            stems: dict[str, list[Path]] = {}
            children: Iterable[Path] = folder.iterdir() if os.path.isdir(folder) else ()
            for child in children:
                if looks_like_audio(child) and not child.name.startswith("."):
                    stems.setdefault(child.stem, []).append(child)
            self._stems[folder] = stems
        return self._stems[folder]

"""A folder that `catalog add --queue` empties: into its done/ what the catalog holds, into its bad/ what it cannot use.

A file moves after its row is committed. A run that was killed in between leaves it where it was; the next knows its
bytes and moves it.
"""

from __future__ import annotations

import os
from pathlib import Path

from earmark.errors import CatalogError


class QueueFolder:
    """Attributes: root; done, bad: the folders below it, made when they are needed."""

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise CatalogError(f"{root} is no folder: --queue empties folders; leave it out to add a file.")
        self.root = root
        self.done = root / "done"
        self.bad = root / "bad"

    def holds_done(self, path: Path) -> bool:
        """Whether a file lies in done/ or bad/ already."""
        return path.is_relative_to(self.done) or path.is_relative_to(self.bad)

    def place_for(self, path: Path, under: Path) -> Path:
        """Where a file of the queue goes; another file there keeps its name, and this one gets a number."""
        target = under / path.relative_to(self.root)
        number = 1
        while target.exists():
            number += 1
            target = (under / path.relative_to(self.root)).with_name(f"{path.stem} ({number}){path.suffix}")
        return target

    def move(self, path: Path, target: Path) -> None:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            os.rename(path, target)
        except FileNotFoundError:
            if path.exists():
                raise
            # another process that empties the same queue was faster
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise CatalogError(f"{path} cannot be moved to {target}: {why}; check the rights of the folder.") from None

"""Notes of which data folder used which prepared recordings, and when: what pruning goes by.

uses/*.parquet    column file_sha256; root and name of the data in the schema's metadata; the file's time is the use's
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from earmark.data.tables import replace_table


@dataclass(frozen=True, slots=True)
class Note:
    """Of one data set: the folder it was read from, its name, keys of its recordings, and when it was used (UTC)."""

    path: Path
    root: str
    name: str
    keys: frozenset[str]
    used_at: dt.datetime


@dataclass(frozen=True, slots=True)
class DataSet:
    """Data as named to a command: all that was read from the folder `root`, or with `name` one manifest there."""

    root: str
    name: str | None = None

    @classmethod
    def at(cls, path: Path) -> DataSet:
        """A data folder, or a manifest file as `earmark.layouts.manifest` names it."""
        if not path.is_file():
            return cls(os.path.abspath(path))
        root = os.path.dirname(os.path.abspath(path))
        return cls(root, path.stem if path.stem != "manifest" else Path(root).resolve().name)

    def is_of(self, note: Note) -> bool:
        return os.path.abspath(note.root) == self.root and self.name in (None, note.name)

    def holds(self, path: str) -> bool:
        """Whether the file at `path` lies in the data's folder."""
        return path.startswith(self.root.rstrip(os.sep) + os.sep)


def write_note(folder: Path, root: Path, name: str, keys: Iterable[str], part: str = "") -> None:
    """Note in `folder` that `part` of the data `name` from the folder `root` uses the recordings `keys` now.

    It replaces the last note of the same part.

    Raises:
        CacheError: it cannot be written.
    """
    where, called = os.fsencode(os.path.abspath(root)), name.encode("utf-8", "replace")
    table = pa.table({"file_sha256": pa.array(sorted(set(keys)), pa.string())})
    table = table.replace_schema_metadata({"root": where, "name": called})
    which = hashlib.sha256(b"\0".join([where, called, *([part.encode()] if part else [])])).hexdigest()[:16]
    replace_table(folder / f"{which}.parquet", table)


def read_notes(folder: Path) -> list[Note]:
    """Every note in `folder`, latest use first."""
    found = []
    for path in folder.glob("*.parquet"):
        table = pq.read_table(path)
        about = table.schema.metadata
        keys = frozenset(table.column("file_sha256").to_pylist())
        used_at = dt.datetime.fromtimestamp(path.stat().st_mtime, dt.UTC)
        found.append(Note(path, os.fsdecode(about[b"root"]), about[b"name"].decode(), keys, used_at))
    return sorted(found, key=lambda note: note.used_at, reverse=True)

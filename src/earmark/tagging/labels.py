"""Labels for other programs: one Audacity label file or Raven selection table a recording."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from earmark.errors import InputError
from earmark.formats import audacity, raven
from earmark.formats.names import printable
from earmark.formats.spans import Span
from earmark.tagging.journal import JournaledFile, PathSet, cannot_write
from earmark.tagging.output import Format, short
from earmark.tagging.rows import Choice, rows
from earmark.tagging.scores import Scores

_SUFFIXES = {"audacity": ".txt", "raven": ".selections.txt"}


class LabelFolder:
    """One label file a recording, below `folder` at the recording's own path: `a/b.wav` becomes `folder/a/b.wav.txt`.

    A path's root is left out and `..` becomes `up`; two recordings that would share a file are numbered.

    Args:
        folder: where to.
        format: `audacity` or `raven`.
        taken: label files (relative to `folder`) that earlier runs wrote.
    """

    def __init__(self, folder: Path, format: Format, taken: Iterable[str] = ()) -> None:
        self.folder, self._format = folder, format
        self._taken = PathSet()
        for name in taken:
            self._taken.add(name)

    def write(self, scores: Scores, choice: Choice) -> str:
        """Write a recording's labels; the file's path relative to the folder."""
        spans = [
            Span(row.start_s, row.end_s, row.tag, probability=short(row.probability)) for row in rows(scores, choice)
        ]
        name = self._name(scores.recording)
        target = self.folder / name
        partial = target.with_name(f".{target.name}.part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if self._format == "audacity":
                audacity.write(partial, spans)
            else:
                raven.write(partial, spans, begin_file=printable(Path(scores.recording).name), scored=True)
            os.replace(partial, target)
        except OSError as error:
            raise cannot_write(target, error) from None
        except InputError as error:
            if isinstance(error.__cause__, OSError):  # the disk, not a tag that the format cannot hold
                raise cannot_write(target, error.__cause__) from None
            raise
        finally:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
        return name

    def _name(self, recording: str) -> str:
        path = Path(recording)
        parts = ["up" if part == ".." else part for part in path.parts if part != path.anchor]
        stem, suffix = os.path.join(*parts), _SUFFIXES[self._format]
        for number in itertools.count(1):
            name = f"{stem}{'' if number == 1 else f'.{number}'}{suffix}"
            if self._taken.add(name):
                return name
        raise AssertionError("itertools.count never ends")


class FolderSink:
    """One label file a recording in a folder, and in it `earmark-tag.files`, the list of them, with its journal."""

    def __init__(self, out: Path, format: Format, choice: Choice, model: str, overlap: float, *, restart: bool) -> None:
        listing = out / "earmark-tag.files"
        if out.exists() and not out.is_dir():
            raise InputError(f"{out}: a file; {format} writes one file a recording, name a folder.")
        before = _listed(listing)
        if out.is_dir() and before is None and any(out.iterdir()):
            raise InputError(f"{out}: holds files that are not of `earmark tag`; name an empty or a new folder.")
        self._choice = choice
        self._file = JournaledFile(
            listing,
            b"",
            {"model": model, "format": format, "overlap": overlap, **asdict(choice)},
            restart=restart,
        )
        self.done, self.keeps = self._file.done, True
        if restart:  # only now, when the lock is ours and the options are right
            for name in before or []:
                _remove(out, name)
        self._labels = LabelFolder(out, format, _listed(listing) or [])

    def add(self, scores: Scores) -> None:
        name = self._labels.write(scores, self._choice)
        self._file.add(scores.recording, os.fsencode(name) + b"\0")

    def finish(self) -> None:
        self._file.commit()

    def close(self) -> None:
        self._file.close()


def _listed(listing: Path) -> list[str] | None:
    """Label files (relative to the folder) that are named in `listing`; None without one."""
    try:
        return [os.fsdecode(name) for name in listing.read_bytes().split(b"\0")[:-1]]
    except FileNotFoundError:
        return None


def _remove(folder: Path, name: str) -> None:
    """A label file of an earlier run, and the folders that this empties."""
    path = folder / name
    if ".." in path.parts or Path(name).is_absolute():  # no name that was written here
        return
    try:
        path.unlink(missing_ok=True)
        for parent in path.parents:
            if parent == folder or any(parent.iterdir()):
                return
            parent.rmdir()
    except FileNotFoundError:
        return
    except OSError as error:
        raise InputError(
            f"{path}: cannot be removed ({error.strerror}); change its permissions, or choose another --out."
        ) from None

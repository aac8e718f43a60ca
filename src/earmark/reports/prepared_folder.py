"""Which files of a folder Earmark wrote, so that a reset removes exactly those and nothing else.

    .earmark-prepared.json      {"format": 1, "what": ..., "files": {path: sha256}, "folders": [path, ...], "done": ...}
    .earmark-prepared.journal   the same while files are being written: a JSON line a file or folder, before it is made,
                                and one a piece of work, after all its files are

Paths are relative to the folder, with forward slashes.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from earmark.errors import EarmarkError, InputError

RECORD_NAME = ".earmark-prepared.json"
JOURNAL_NAME = ".earmark-prepared.journal"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Record:
    """What was written: path -> sha256 of its bytes, the folders made for it, and which pieces of work are done."""

    what: dict[str, Any]
    files: dict[str, str] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    done: dict[str, Any] = field(default_factory=dict)


class PreparedFolder:
    """Writes files into a folder and keeps the record of them; use as a context manager.

    Files are written beside their name and renamed, and recorded before that, so that after a kill at any moment
    nothing is left that `reset` does not know.

    Args:
        folder: made if absent.
        what: what is being written (command, format, front end); a folder that holds another preparation is refused.

    Raises:
        InputError: the folder holds a preparation of something else.
    """

    def __init__(self, folder: Path, what: dict[str, Any]) -> None:
        self.folder = folder
        self._what = json.loads(json.dumps(what))
        known = read_record(folder) if folder.is_dir() else None
        if known is not None and known.what and known.what != self._what:
            raise InputError(
                f"{folder}: already holds a preparation made with other settings; take it back with "
                f"`earmark reset {folder}` or choose another folder."
            )
        self._record = known or Record(self._what)
        # an interrupted run left its journal; it goes into the record that is written at the end
        kept = self._record
        self._record = Record(self._what, dict(kept.files), list(kept.folders), dict(kept.done))

    def __enter__(self) -> PreparedFolder:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            _drop_half_a_line(self.folder / JOURNAL_NAME)
            self._journal = (self.folder / JOURNAL_NAME).open("a", encoding="utf-8")
        except OSError as error:
            raise InputError(f"{self.folder}: cannot be written ({error.strerror}); choose another folder.") from error
        self._note({"what": self._what})
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._journal.close()
        _write_record(self.folder, self._record)
        (self.folder / JOURNAL_NAME).unlink()

    def write(self, name: str, data: bytes) -> Path:
        """Write `data` to `name` (relative, forward slashes).

        Raises:
            InputError: a file of that name is there that Earmark did not write, or that was changed since.
            EarmarkError: the disk is full, or another failure to write.
        """
        path = _inside(self.folder, name)
        if path.is_symlink() or (path.exists() and sha256_of(path) != self._record.files.get(name)):
            raise InputError(f"{path}: is there already and is not Earmark's own; move it or choose another folder.")
        try:
            self._make_parents(PurePosixPath(name))
            digest = hashlib.sha256(data).hexdigest()
            self._note({"file": name, "sha256": digest})
            self._record.files[name] = digest
            partial = path.with_name(path.name + ".part")
            partial.write_bytes(data)
            os.replace(partial, path)
        except OSError as error:
            path.with_name(path.name + ".part").unlink(missing_ok=True)
            raise EarmarkError(
                f"{path}: cannot be written ({error.strerror}); make room and run the command again."
            ) from error
        return path

    def note_done(self, key: str, value: dict[str, Any]) -> None:
        """All files of a piece of work are written; `value` (JSON) is what `done` gives to a later run."""
        self._record.done[key] = value
        self._note({"done": key, "value": value})

    def done(self, key: str) -> dict[str, Any] | None:
        """What `note_done` was told of a piece of work; None where it is not done."""
        found: dict[str, Any] | None = self._record.done.get(key)
        return found

    def holds(self, name: str) -> bool:
        """Whether `name` is there as it was written."""
        path, digest = _inside(self.folder, name), self._record.files.get(name)
        return digest is not None and path.is_file() and not path.is_symlink() and sha256_of(path) == digest

    def _make_parents(self, name: PurePosixPath) -> None:
        for parent in reversed(name.parents[:-1]):
            if not (self.folder / parent).is_dir():
                self._note({"folder": str(parent)})
                self._record.folders.append(str(parent))
                (self.folder / parent).mkdir()

    def _note(self, entry: dict[str, Any]) -> None:
        self._journal.write(json.dumps(entry, ensure_ascii=False) + "\n")
        self._journal.flush()


@dataclass(frozen=True, slots=True)
class Reset:
    """What a reset did, or would do: paths relative to the folder.

    Attributes:
        removed: files Earmark wrote and nobody changed.
        changed: files kept because their content is no longer what Earmark wrote.
        missing: files that were already gone.
        folders: folders that Earmark made and that are empty now.
    """

    removed: list[str]
    changed: list[str]
    missing: list[str]
    folders: list[str]


def reset(folder: Path, *, dry_run: bool = False) -> Reset:
    """Take `folder` back to where it was before Earmark prepared it: removes what the record lists, nothing else.

    Args:
        dry_run: only say what would be done.

    Raises:
        InputError: no record in the folder, or one that points outside of it.
    """
    record = read_record(folder)
    if record is None:
        raise InputError(
            f"{folder}: holds no {RECORD_NAME}, so Earmark prepared nothing in it and nothing is removed. "
            "(Prepared audio lies in the cache, not beside the sounds; `earmark cache list` names the data folders.)"
        )
    removed, changed, missing = [], [], []
    for name, digest in sorted(record.files.items()):
        path = _inside(folder, name)
        partial = path.with_name(path.name + ".part")
        if partial.is_file() and not dry_run:
            partial.unlink()
        if path.is_symlink() or path.is_dir():
            changed.append(name)
        elif not path.exists():
            missing.append(name)
        elif sha256_of(path) != digest:
            changed.append(name)
        else:
            removed.append(name)
            if not dry_run:
                path.unlink()
    folders = _empty_folders(folder, record, set(removed) if dry_run else set())
    if not dry_run:
        for name in folders:
            (folder / name).rmdir()
        for name in (RECORD_NAME, JOURNAL_NAME):
            (folder / name).unlink(missing_ok=True)
    return Reset(removed, changed, missing, folders)


def read_record(folder: Path) -> Record | None:
    """What was written into `folder`, an interrupted run included; None where Earmark wrote nothing.

    Raises:
        InputError: a record that cannot be read.
    """
    files: dict[str, str] = {}
    folders: list[str] = []
    what: dict[str, Any] = {}
    done: dict[str, Any] = {}
    found = False
    path = folder / RECORD_NAME
    try:
        if path.is_file():
            found = True
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["format"] > FORMAT:
                raise InputError(f"{path}: written by a newer Earmark; update it to take this folder back.")
            what, files, folders = content["what"], dict(content["files"]), list(content["folders"])
            done = dict(content.get("done", {}))
        journal = folder / JOURNAL_NAME
        if journal.is_file():
            found = True
            for line in journal.read_text(encoding="utf-8").splitlines(keepends=True):
                if not line.endswith("\n"):  # the last line of a killed run; its file was not yet written
                    break
                entry = json.loads(line)
                if "file" in entry:
                    files[entry["file"]] = entry["sha256"]
                elif "folder" in entry:
                    folders.append(entry["folder"])
                elif "done" in entry:
                    done[entry["done"]] = entry["value"]
                else:
                    what = entry["what"]
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise InputError(f"{path}: cannot be read ({error}); restore it, or remove the files by hand.") from error
    return Record(what, files, folders, done) if found else None


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _drop_half_a_line(journal: Path) -> None:
    """What a kill left at the end, so that the next line is one by itself."""
    if journal.is_file():
        whole = journal.read_bytes().rfind(b"\n") + 1
        os.truncate(journal, whole)


def _write_record(folder: Path, record: Record) -> None:
    content = {
        "format": FORMAT,
        "what": record.what,
        "files": record.files,
        "folders": record.folders,
        "done": record.done,
    }
    partial = folder / (RECORD_NAME + ".part")
    partial.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    os.replace(partial, folder / RECORD_NAME)


def _inside(folder: Path, name: str) -> Path:
    """The path of `name` if it stays inside `folder`, links included; InputError if not."""
    parts = PurePosixPath(name).parts
    path = folder.joinpath(*parts)
    plain_name = bool(parts) and not PurePosixPath(name).is_absolute() and ".." not in parts
    if not plain_name or not path.parent.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"{folder / RECORD_NAME}: lists {name!r}, which is not inside the folder; nothing is touched.")
    return path


def _empty_folders(folder: Path, record: Record, gone: set[str]) -> list[str]:
    """Folders of the record, deepest first, that hold nothing (but files in `gone`)."""
    result: list[str] = []
    for name in sorted(set(record.folders), key=lambda text: -len(PurePosixPath(text).parts)):
        path = _inside(folder, name)
        if not path.is_dir() or path.is_symlink():
            continue
        left = {f"{name}/{child.name}" for child in path.iterdir()}
        if left <= gone | set(result):
            result.append(name)
    return result

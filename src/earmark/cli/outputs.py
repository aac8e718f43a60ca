"""Whether an output can be written, found out before the work that it is the output of."""

from __future__ import annotations

import os
from pathlib import Path

from earmark.errors import InputError


def check_file(path: Path) -> None:
    """InputError unless a file at `path` can be written (its folders may have to be made)."""
    if path.is_dir():
        raise InputError(f"--out {path}: a folder; name a file, e.g. {path / 'report.html'}.")
    if path.exists() and not os.access(path, os.W_OK):
        raise InputError(f"--out {path}: this file cannot be written over; change its permissions or name another.")
    _check_place(path, path.absolute().parent)


def check_folder(path: Path) -> None:
    """InputError unless files can be written into a folder at `path` (which may have to be made)."""
    if path.exists() and not path.is_dir():
        raise InputError(f"--out {path}: a file; name a folder.")
    _check_place(path, path.absolute())


def _check_place(path: Path, folder: Path) -> None:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise InputError(f"--out {path}: {folder} is a file, so nothing can be written below it; name another place.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"--out {path}: {folder} cannot be written to; change its permissions or name another place.")

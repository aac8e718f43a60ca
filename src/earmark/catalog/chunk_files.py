"""Chunk files of a workspace: written beside their place, renamed into it in the transaction that names them.

Their bytes are on disk when their writer is done (`probing`), and their names before the commit (`sync_names`), so that
a power cut after it leaves no clip without its file.

A file of `audio/` that no clip names is left over from an `add` that was killed between renaming and committing. Its
number is above every number in the catalog, or was given to another clip since; both are seen to (`sweep`, `place`).
Whoever renames holds the catalog's write lock, so no file of a transaction under way is ever taken for a left-over.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from earmark.catalog.tables import Clip
from earmark.errors import CatalogError

SUFFIXES = (".wav", ".mp3", ".flac", ".ogg")

_ADDING = ".adding-"


def suffix_for(write: str | None, chunk_s: float | None, bitrate_kbps: int | None) -> str:
    """The suffix of chunk files in the format `write`; '' where none are written.

    Raises:
        CatalogError: an unknown format, clips without a length, a bit rate that the format does not take.
    """
    if bitrate_kbps is not None and write != "mp3":
        raise CatalogError("a bit rate is of chunk files in mp3: say --write mp3 with --bitrate, or leave it out.")
    if bitrate_kbps is not None and not 8 <= bitrate_kbps <= 320:
        raise CatalogError(f"--bitrate {bitrate_kbps}: mp3 takes 8 to 320 kbit/s, by the sample rate; 96 is common.")
    if write is None:
        return ""
    if f".{write}" not in SUFFIXES:
        known = ", ".join(suffix.lstrip(".") for suffix in SUFFIXES)
        raise CatalogError(f"chunk files in {write!r}: choose one of {known}.")
    if chunk_s is None:
        raise CatalogError("chunk files need a length: say how long a clip is (--chunk 5s).")
    return f".{write}"


class Beside:
    """A folder of one `add`, on the file system of the chunks; left-over ones of killed runs are removed."""

    def __init__(self, audio_dir: Path) -> None:
        try:
            audio_dir.mkdir(parents=True, exist_ok=True)
            for folder in audio_dir.glob(f"{_ADDING}*"):
                _remove_if_left(folder)
            self.folder = Path(tempfile.mkdtemp(prefix=_ADDING, dir=audio_dir))
            self._lock = (self.folder / "lock").open("w")
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        except OSError as error:
            raise CatalogError(f"{audio_dir} cannot be written: {(error.strerror or str(error)).lower()}.") from None

    def __enter__(self) -> Beside:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.close()


def _remove_if_left(folder: Path) -> None:
    """Unless a process holds its lock: the system lets go of it when that ends, however it ends."""
    with contextlib.suppress(OSError), (folder / "lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)


def last_number(connection: Connection) -> int:
    """The highest chunk number there is; 0 before the first. Clips are numbered in the order of their rows."""
    query = sa.select(Clip.chunk_id).where(sa.text("clip.chunk_id IS NOT NULL")).order_by(Clip.id.desc()).limit(1)
    return int(connection.execute(query).scalar() or 0)


def sweep(connection: Connection, audio_dir: Path) -> int:
    """Remove what a killed run renamed and did not commit; gives how many files. For within a write transaction."""
    number, swept = last_number(connection), 0
    while True:
        number += 1
        found = [path for path in _of_number(audio_dir, number) if path.exists()]
        if not found:
            return swept
        for path in found:
            path.unlink()
            swept += 1


def place(written: Path, audio_dir: Path, number: int) -> Path:
    """Rename a chunk into its place, over whatever a killed run may have left there."""
    target = audio_dir / f"{number:06d}{written.suffix}"
    for other in _of_number(audio_dir, number):
        if other != target:
            other.unlink(missing_ok=True)
    os.replace(written, target)
    return target


def sync_names(audio_dir: Path) -> None:
    """Have the disk know what was renamed into the folder."""
    folder = os.open(audio_dir, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _of_number(audio_dir: Path, number: int) -> list[Path]:
    return [audio_dir / f"{number:06d}{suffix}" for suffix in SUFFIXES]

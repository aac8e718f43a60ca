"""Which files of a folder are audio, by suffix; what they hold is found out when they are opened."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from earmark.errors import InputError

AUDIO_SUFFIXES = frozenset(
    {".wav", ".wave", ".bwf", ".rf64", ".w64", ".flac", ".ogg", ".oga", ".opus", ".spx", ".mp3", ".mp2"}
    | {".m4a", ".m4b", ".aac", ".mp4", ".m4v", ".mov", ".3gp", ".mkv", ".mka", ".webm", ".wma", ".asf", ".avi", ".flv"}
    | {".aif", ".aiff", ".aifc", ".au", ".snd", ".caf", ".amr", ".ape", ".wv", ".tta", ".mpc", ".ac3", ".eac3", ".dts"}
    | {".voc", ".sph"}
)


def looks_like_audio(path: str | os.PathLike[str]) -> bool:
    """Whether the suffix is one of audio, or of video whose sound track can be read."""
    return Path(path).suffix.lower() in AUDIO_SUFFIXES


def walk_audio(root: str | os.PathLike[str], *, any_suffix: bool = False) -> Iterator[Path]:
    """Audio files below `root`, one by one, in an order that is the same each time; a file is given as it is.

    Real files and folders come first, then symbolic links, so that a link never takes over what it points to: each
    folder is entered once, and a link to a file that was given already is left out. Files and folders whose names
    begin with a dot are left out.

    Args:
        root: a folder, or one file.
        any_suffix: every file, whatever its suffix: for folders whose names cannot be trusted.

    Raises:
        InputError: `root` does not exist or cannot be listed.
    """
    top = Path(root)
    if top.is_file():
        yield top
        return
    if not top.is_dir():
        raise InputError(f"{top} does not exist: expected an audio file or a folder of them; check the path.")
    given: set[str] = set()  # real paths
    entered: set[tuple[int, int]] = set()
    linked_files: list[Path] = []
    folders = [top]
    while folders:
        linked_folders: list[Path] = []
        for folder in folders:
            for path in _in_folder(folder, any_suffix, entered, given, linked_folders):
                if path.is_symlink():
                    linked_files.append(path)
                else:
                    yield path
        folders = linked_folders
    for path in linked_files:
        target = os.path.realpath(path)
        if target not in given:
            given.add(target)
            yield path


def find_audio(root: str | os.PathLike[str], *, any_suffix: bool = False) -> list[Path]:
    """The files of `walk_audio`, sorted by path."""
    return sorted(walk_audio(root, any_suffix=any_suffix))


def _in_folder(
    top: Path, any_suffix: bool, entered: set[tuple[int, int]], given: set[str], linked_folders: list[Path]
) -> Iterator[Path]:
    """Files below `top`, itself perhaps a link, without following links; those to folders go to `linked_folders`."""

    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename} cannot be listed: {error.strerror}; check its permissions.") from None

    for folder, folders, files in os.walk(top, onerror=refuse):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in entered:
            folders.clear()
            continue
        entered.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        linked_folders.extend(path for name in folders if (path := Path(folder, name)).is_symlink())
        real = os.path.realpath(folder)
        for name in sorted(files):
            if not name.startswith(".") and (any_suffix or looks_like_audio(name)):
                path = Path(folder, name)
                if not path.is_symlink():
                    given.add(os.path.join(real, name))
                yield path

"""Which files of a folder are audio, by suffix; what they hold is found out when they are opened."""

from __future__ import annotations

import os
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


def find_audio(root: str | os.PathLike[str], *, any_suffix: bool = False) -> list[Path]:
    """Audio files below `root`, sorted by path; a file is returned as it is.

    Symbolic links are followed, each folder once, so a link to a parent ends there. Files and folders whose names
    begin with a dot are left out.

    Args:
        root: a folder, or one file.
        any_suffix: every file, whatever its suffix: for folders whose names cannot be trusted.

    Raises:
        InputError: `root` does not exist or cannot be listed.
    """
    top = Path(root)
    if top.is_file():
        return [top]
    if not top.is_dir():
        raise InputError(f"{top} does not exist: expected an audio file or a folder of them; check the path.")
    found: list[Path] = []
    seen: set[tuple[int, int]] = set()

    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename} cannot be listed: {error.strerror}; check its permissions.") from None

    for folder, folders, files in os.walk(top, followlinks=True, onerror=refuse):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found.extend(
            Path(folder, name) for name in files if not name.startswith(".") and (any_suffix or looks_like_audio(name))
        )
    return sorted(found)

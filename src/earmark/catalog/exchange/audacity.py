"""Audacity label tracks: a folder with one text file a recording, or one such file.

The track of `songs/nadine.ogg` is `songs/nadine.ogg.txt`; `nadine.txt` is understood too. See `spans` for the texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from earmark.catalog.exchange.rows import Found, Row
from earmark.catalog.exchange.spans import found_in, spans_of
from earmark.errors import InputError
from earmark.formats import audacity
from earmark.formats.spans import Span


def read(path: Path) -> Found:
    """The labels of a track, or of all tracks (`.txt`) in a folder.

    Raises:
        InputError: names file and row.
    """
    if path.is_dir():
        tracks = sorted(track for track in path.rglob("*.txt") if not track.name.startswith("."))
        if not tracks:
            raise InputError(f"{path}: no label track (.txt) in it; export them from Audacity into this folder.")
        names = [track.relative_to(path).with_suffix("").as_posix() for track in tracks]
    else:
        tracks, names = [path], [path.stem]

    def marked() -> Iterator[tuple[str, str, Span]]:
        for track, name in zip(tracks, names, strict=True):
            for number, span in enumerate(audacity.read(track), start=1):
                yield f"{track.name} label {number}", name, span

    return found_in(marked(), names)


def write(path: Path, rows: Iterable[Row]) -> None:
    """A folder of tracks that `read` reads the same answers from; times to a microsecond. A recording whose clips were
    all skipped has an empty track.

    Raises:
        InputError: `path` is a file, holds something, or cannot be written.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(f"{path} is there already; name a new folder for the label tracks.")
    listed = list(rows)
    tracks: dict[str, list[Span]] = {row.recording: [] for row in listed}
    for row, span in spans_of(listed):
        tracks[row.recording].append(span)
    try:
        path.mkdir(parents=True, exist_ok=True)
        for recording, spans in tracks.items():
            track = path / f"{recording.lstrip('/')}.txt"
            track.parent.mkdir(parents=True, exist_ok=True)
            audacity.write(track, spans)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {(error.strerror or str(error)).lower()}.") from None

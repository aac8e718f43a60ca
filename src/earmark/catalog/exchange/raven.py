"""A Raven selection table over all recordings: `Begin File` names the sound, `Tag` holds the text (see `spans`)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from earmark.catalog.exchange.rows import Found, Row
from earmark.catalog.exchange.spans import found_in, spans_of
from earmark.errors import InputError
from earmark.formats import raven


def is_table(head: str) -> bool:
    """Whether a file's first line is that of a selection table."""
    return raven.BEGIN in head.split("\t")


def read(path: Path) -> Found:
    """The selections of a table. Without `Begin File`, the table's own name says whose they are, as Raven saves it:
    `nadine.Table.1.selections.txt`.

    Raises:
        InputError: names row and column.
    """
    spans, files = raven.read(path)
    own = path.name.split(".Table.")[0] if ".Table." in path.name else path.stem
    marked = [
        (f"{path.name} selection {number}", file or own, span)
        for number, (span, file) in enumerate(zip(spans, files, strict=True), start=1)
    ]
    return found_in(marked, () if any(files) else (own,))


def write(path: Path, rows: Iterable[Row]) -> None:
    """A table that `read` reads the same answers from; times to a microsecond.

    Raises:
        InputError: two recordings of one file name, which Raven's `Begin File` cannot tell apart.
    """
    marked = list(spans_of(rows))
    named: dict[str, str] = {}
    for row, _ in marked:
        name = PurePosixPath(row.recording).name
        if named.setdefault(name, row.recording) != row.recording:
            raise InputError(
                f"{path}: {named[name]} and {row.recording} have one file name, by which Raven's table names sounds; "
                "export as csv or audacity."
            )
    files = [PurePosixPath(row.recording).name for row, _ in marked]
    raven.write(path, [span for _, span in marked], begin_file=files)

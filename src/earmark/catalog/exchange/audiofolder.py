"""A Hugging Face audiofolder: each clip as a file of its own, and `metadata.csv` with a row a clip.

    labels/
      metadata.csv     file_name,labels,unlabelled,tag_weights,group,recording,clip_start_s,clip_stop_s,...,sax,vocals
      data/000000.flac

`labels` holds the tags that are present, so that `datasets.load_dataset` and `earmark train` read it as it is, and
`unlabelled` those that nobody answered or is sure of, or that are in dispute: they are not absent. `tag_weights` says
how sure a consensus is of the others. Clips of one recording are one group where it has no other. The columns of the
tags hold the answers themselves, and `recording` and the span name the clip they were given for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from earmark.audio.read import read as read_audio
from earmark.audio.write import write as write_audio
from earmark.catalog.exchange import table
from earmark.catalog.exchange.rows import Found, Row, read_cells, span_of, tag_column, write_cells
from earmark.errors import InputError
from earmark.types import LabelValue

METADATA = "metadata.csv"
_LABELS = ("label", "labels", "category", "class")
_OWN = ("file_name", "labels", "unlabelled", "tag_weights", "group", "recording", "clip_start_s", "clip_stop_s")


def read(path: Path, tags: Sequence[str]) -> Found:
    """The answers of a folder that `write` made, or of any audiofolder whose labels are tags of the task.

    Of the latter, a tag that is listed is present and every other tag of the task is absent, and a clip is a whole
    file.

    Args:
        path: the folder, or its table.
        tags: of the task.

    Raises:
        InputError: names row and column.
    """
    file = path / METADATA if path.is_dir() else path
    header, cells = read_cells(file)
    if "file_name" not in header:
        raise InputError(f"{file} row 1: no column 'file_name'; found {', '.join(header[:8])}.")
    if "clip_start_s" in header and table.tag_columns(header, tags):
        found = table.read(file, tags)
        spans = [span_of(row.get("clip_start_s"), row.get("clip_stop_s"), where) for where, row in cells]
        rows = [
            replace(row, start_s=start_s, stop_s=stop_s, group=None if row.group == row.recording else row.group)
            for row, (start_s, stop_s) in zip(found.rows, spans, strict=True)
        ]
        own = {f"{file.name}: column {column!r} is not used" for column in _OWN}
        return replace(found, rows=rows, notes=[note for note in found.notes if note not in own])
    column = next((name for name in _LABELS if name in header), None)
    if column is None:
        raise InputError(f"{file} row 1: no column {' or '.join(_LABELS)}; found {', '.join(header[:8])}.")
    rows = []
    for where, row in cells:
        given = [part.strip() for part in str(row.get(column) or "").split("|" if column == "labels" else "\n")]
        unknown = next((tag for tag in given if tag and tag not in tags), None)
        if unknown is not None:
            raise InputError(
                f"{where}, column {column!r}: {unknown!r} is no tag of the task; it has {', '.join(tags)}."
            )
        values = {tag: LabelValue.PRESENT if tag in given else LabelValue.ABSENT for tag in tags}
        rows.append(Row(where, str(row.get("file_name") or "").strip(), values=values))
    return Found(rows=rows)


def write(path: Path, rows: Iterable[Row], tags: Sequence[str], path_of: Callable[[str], Path]) -> None:
    """The folder, each clip cut out as FLAC of 24 bits at its recording's rate.

    Args:
        path_of: where a recording lies.

    Raises:
        InputError: `path` holds something; a recording cannot be read.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(f"{path} is there already; name a new folder for the clips.")
    (path / "data").mkdir(parents=True, exist_ok=True)
    columns = {tag: tag_column(tag, (*table.RESERVED, *_OWN)) for tag in tags}
    written: dict[tuple[str, float | None, float | None], str] = {}
    cells: list[dict[str, Any]] = []
    for row in rows:
        clip = (row.recording, row.start_s, row.stop_s)
        if clip not in written:
            name = f"data/{len(written):06d}.flac"
            audio = read_audio(path_of(row.recording), start_s=row.start_s or 0.0, stop_s=row.stop_s, mono=False)
            write_audio(path / name, audio.samples, audio.sample_rate_hz, subtype="PCM_24")
            written[clip] = name
        own = table.cells_of(row, columns)
        sure = [tag for tag, value in row.values.items() if value is not LabelValue.UNSURE and row.sure.get(tag, 1.0)]
        cells.append(
            {
                **{name: own[name] for name in own if name not in ("start_s", "stop_s")},
                "file_name": written[clip],
                "labels": _cell(tag for tag in sure if row.values[tag].is_present),
                "unlabelled": _cell(tag for tag in tags if tag not in sure),
                "tag_weights": _cell(f"{tag}={row.sure[tag]}" for tag in sure if row.sure.get(tag, 1.0) < 1.0),
                "group": row.group or row.recording,
                "clip_start_s": row.start_s,
                "clip_stop_s": row.stop_s,
            }
        )
    rest = [name for name in table.COLUMNS if name not in ("recording", "start_s", "stop_s", "group")]
    write_cells(path / METADATA, [*_OWN, *rest, *columns.values()], cells)


def _cell(tags: Iterable[str]) -> str:
    """Tags as one cell, as the audiofolder layout reads it."""
    return "|".join("".join("\\" + c if c in "\\|," else c for c in tag) for tag in tags)

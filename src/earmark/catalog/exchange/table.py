"""Our own table, as CSV or Parquet: a row an answer, a column a tag. It holds all that the catalog knows of a label,
and known answers (gold) as rows of their own.

    recording,start_s,stop_s,chunk_id,kind,annotator,at,took_ms,origin,group,sax,vocals
    songs/nadine.ogg,5.0,10.0,000002,label,ada,2024-05-01T12:30:00.250000+00:00,4100,person,Berry,foreground,absent
    songs/nadine.ogg,5.0,10.0,000002,gold,,,,,Berry,foreground,absent

Only `recording` (or `file`, `path`, `file_name`) and a column that is named like a tag are needed. A column is a tag
where the task has a tag of that name; `tag:NAME` is one in any case.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast

from earmark.catalog.exchange.rows import (
    ORIGINS,
    Found,
    Kind,
    Origin,
    Row,
    one_of,
    read_cells,
    span_of,
    tag_column,
    tag_of,
    time_of,
    time_text,
    took_of,
    value_of,
    write_cells,
)
from earmark.errors import InputError
from earmark.types import LabelValue

COLUMNS = ("recording", "start_s", "stop_s", "chunk_id", "kind", "annotator", "at", "took_ms", "origin", "group")
RECORDING = ("recording", "file", "path", "file_name", "filename")
STOP = ("stop_s", "end_s")
RESERVED = (*COLUMNS, *RECORDING, "end_s", "label", "labels")
_KINDS = ("label", "skip", "unusable", "gold")


def read(path: Path, tags: Sequence[str]) -> Found:
    """The answers of a table.

    Args:
        tags: of the task.

    Raises:
        InputError: names row and column.
    """
    header, cells = read_cells(path)
    name = next((column for column in RECORDING if column in header), None)
    if name is None and "chunk_id" not in header:
        raise InputError(f"{path.name} row 1: no column 'recording' or 'chunk_id'; found {', '.join(header[:8])}.")
    columns = tag_columns(header, tags)
    if not columns:
        raise InputError(
            f"{path.name} row 1: no column is named like a tag of the task ({', '.join(tags)}); "
            f"found {', '.join(header[:12])}."
        )
    stop = next((column for column in STOP if column in header), "stop_s")
    rows = [_row(where, row, name, stop, columns) for where, row in cells]
    known = {*RESERVED, *columns.values()}
    unused = [column for column in header if column and column not in known]
    return Found(rows=rows, notes=[f"{path.name}: column {column!r} is not used" for column in unused])


def write(path: Path, rows: Iterable[Row], tags: Sequence[str]) -> None:
    """A table that `read` reads the same rows from (`where` and `sets` are not in it)."""
    columns = {tag: tag_column(tag, RESERVED) for tag in tags}
    write_cells(path, [*COLUMNS, *columns.values()], (cells_of(row, columns) for row in rows))


def cells_of(row: Row, columns: dict[str, str]) -> dict[str, Any]:
    """A row's cells by column name; `columns` is tag -> column."""
    return {
        "recording": row.recording,
        "start_s": row.start_s,
        "stop_s": row.stop_s,
        "chunk_id": row.chunk_id,
        "kind": row.kind,
        "annotator": row.annotator,
        "at": time_text(row.at) or None,
        "took_ms": row.took_ms,
        "origin": row.origin,
        "group": row.group,
        **{columns[tag]: str(value) for tag, value in row.values.items()},
    }


def tag_columns(header: Sequence[str], tags: Sequence[str]) -> dict[str, str]:
    """tag -> column, for the columns that are tags."""
    named = {tag_of(column): column for column in header if column.startswith("tag:")}
    return {**{tag: tag for tag in tags if tag in header and tag not in RESERVED}, **named}


def _row(where: str, cells: dict[str, Any], name: str | None, stop: str, columns: dict[str, str]) -> Row:
    start_s, stop_s = span_of(cells.get("start_s"), cells.get(stop), where)
    recording = str(cells.get(name) or "").strip() if name else ""
    chunk_id = str(cells.get("chunk_id") or "").strip() or None
    if not recording and chunk_id is None:
        raise InputError(f"{where}, column {name!r}: it is empty; expected a recording's path or file name.")
    kind = one_of(cells.get("kind"), where, "kind", _KINDS) or "label"
    read_values = {tag: value_of(cells.get(column), where, tag) for tag, column in columns.items()}
    values: dict[str, LabelValue] = {tag: value for tag, value in read_values.items() if value is not None}
    speaks = kind in ("label", "gold")
    if speaks and not values:
        raise InputError(
            f"{where}: no tag is answered ({', '.join(columns)}); give an answer, or kind skip or unusable."
        )
    if not speaks and values:
        raise InputError(f"{where}: kind is {kind!r}, but {next(iter(values))!r} is answered; empty the cell.")
    return Row(
        where=where,
        recording=recording,
        start_s=start_s,
        stop_s=stop_s,
        chunk_id=chunk_id,
        kind=cast(Kind, kind),
        values=values,
        annotator=str(cells.get("annotator") or "").strip() or None,
        at=time_of(cells.get("at"), where),
        took_ms=took_of(cells.get("took_ms"), where, "took_ms"),
        origin=cast("Origin | None", one_of(cells.get("origin"), where, "origin", ORIGINS)),
        group=str(cells.get("group") or "").strip() or None,
    )

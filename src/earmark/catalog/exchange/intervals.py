"""Plain interval tables: when a tag sounds. `file,start,end`, in seconds, and `tag` where there is more than one.

A clip has the tag where at least a stated share of it is covered; see `covered`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from earmark.catalog.exchange.rows import Found, Heard, Row, number_of, read_cells, write_cells
from earmark.errors import InputError

SHARE = 0.5
_FILE = ("file", "recording", "path", "file_name", "filename")
_START = ("start", "start_s", "begin", "onset")
_END = ("end", "end_s", "stop", "stop_s", "offset")
_TAG = ("tag", "label", "class", "event_label")


def is_table(head: str) -> bool:
    """Whether a file's first line is that of an interval table, and of none of our own."""
    columns = [column.strip() for column in head.replace("\t", ",").replace(";", ",").split(",")]
    return "start" in columns and "end" in columns and any(name in columns for name in _FILE)


def read(path: Path) -> Found:
    """The intervals of a table.

    Raises:
        InputError: names row and column.
    """
    header, cells = read_cells(path)
    file, start, end = (_column(path, header, names) for names in (_FILE, _START, _END))
    tag = next((name for name in _TAG if name in header), None)
    heard = []
    for where, row in cells:
        name = str(row.get(file) or "").strip()
        start_s, stop_s = number_of(row.get(start), where, start), number_of(row.get(end), where, end)
        if not name:
            raise InputError(f"{where}, column {file!r}: it is empty; expected a recording's path or file name.")
        if start_s is None or stop_s is None or stop_s < start_s:
            found = f"{row.get(start) or ''} to {row.get(end) or ''}"
            raise InputError(f"{where}: the interval runs from {found}; expected {start} <= {end}, in seconds.")
        heard.append(Heard(where, name, start_s, stop_s, (str(row.get(tag) or "").strip() or None) if tag else None))
    return Found(heard=heard, recordings=tuple(dict.fromkeys(span.recording for span in heard)))


def write(path: Path, rows: Iterable[Row]) -> None:
    """When each tag sounds, clips that touch made one interval: `file,start,end,tag`.

    Foreground and background are both present here, and an absent tag is no interval: a table of this kind cannot say
    more. `read` gives the same presence again for clips that it names, covered by half or more.
    """
    spans: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for row in rows:
        for tag, value in row.values.items():
            if value.is_present and row.stop_s is not None:
                spans.setdefault((row.recording, tag), []).append((row.start_s or 0.0, row.stop_s))
    cells = [
        {"file": recording, "start": start_s, "end": stop_s, "tag": tag}
        for (recording, tag), found in spans.items()
        for start_s, stop_s in merged(found)
    ]
    if path.suffix.lower() == ".parquet":
        raise InputError(f"{path}: an interval table is a CSV file; name it so.")
    write_cells(path, ["file", "start", "end", "tag"], cells)


def merged(spans: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """The same time as spans that do not touch, in order."""
    found: list[tuple[float, float]] = []
    for start_s, stop_s in sorted(spans):
        if found and start_s <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], stop_s))
        else:
            found.append((start_s, stop_s))
    return found


def covered(start_s: float, stop_s: float, spans: Sequence[tuple[float, float]]) -> float:
    """The share of a clip, 0 to 1, that spans cover which do not touch each other (see `merged`)."""
    inside = sum(max(0.0, min(stop_s, end) - max(start_s, begin)) for begin, end in spans)
    return inside / (stop_s - start_s)


def by_tag(heard: Iterable[Heard], tag: str | None) -> Mapping[tuple[str, str], list[tuple[float, float]]]:
    """(recording, tag) -> spans that do not touch.

    Args:
        tag: of spans that name none.

    Raises:
        InputError: such a span, and no tag.
    """
    spans: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for span in heard:
        name = span.tag or tag
        if name is None:
            raise InputError(f"{span.where}: it names no tag; say which with --tag.")
        spans.setdefault((span.recording, name), []).append((span.start_s, span.stop_s))
    return {key: merged(found) for key, found in spans.items()}


def _column(path: Path, header: Sequence[str], names: Sequence[str]) -> str:
    found = next((name for name in names if name in header), None)
    if found is None:
        raise InputError(f"{path.name} row 1: no column {names[0]!r}; found {', '.join(header[:8])}.")
    return found

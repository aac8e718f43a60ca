"""The formats in which tags leave.

CSV and JSON lines grow recording by recording. JSON and Parquet cannot, so their rows are gathered in `OUT.part` and
made into OUT at the end. `earmark.tagging.labels` writes Audacity labels and Raven tables, one file a recording.
"""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from earmark.errors import InputError
from earmark.formats.names import printable
from earmark.tagging.journal import cannot_write
from earmark.tagging.rows import Choice, record, rows
from earmark.tagging.scores import COLUMNS, Row, Scores

Format: TypeAlias = Literal["csv", "parquet", "json", "jsonl", "audacity", "raven"]
FORMATS: tuple[Format, ...] = ("csv", "parquet", "json", "jsonl", "audacity", "raven")
GROWING: tuple[Format, ...] = ("csv", "jsonl")
GATHERED: tuple[Format, ...] = ("json", "parquet")
PER_RECORDING: tuple[Format, ...] = ("audacity", "raven")

_SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".parquet": "parquet",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
_PARQUET_ROWS = 65_536
_SPECIAL = re.compile(r'[,"\r\n]')


def format_of(path: Path) -> Format:
    """The format that a file name asks for."""
    try:
        return _SUFFIXES[path.suffix.lower()]
    except KeyError:
        known = ", ".join(_SUFFIXES)
        raise InputError(f"{path}: no format goes with this name; end it in {known}, or give --format.") from None


def decide_format(format: str | None, out: Path | None) -> Format | None:
    """The format asked for, by word or by the name of `out`; None: neither, so a person reads the terminal.

    Raises:
        InputError: an unknown format, or one that needs an `out`.
    """
    if format is None:
        return None if out is None else format_of(out)
    for known in FORMATS:
        if format == known:
            break
    else:
        raise InputError(f"--format {format}: unknown; expected one of {', '.join(FORMATS)}.")
    if out is None and known not in GROWING:
        what = "folder" if known in PER_RECORDING else "file"
        raise InputError(f"--format {known}: needs --out, the {what} to write.")
    return known


def csv_header() -> bytes:
    return (",".join(COLUMNS) + "\n").encode()


def csv_rows(scores: Scores, choice: Choice) -> bytes:
    """The rows as CSV (UTF-8, LF). Numbers are the shortest that give the same float32 back."""
    return "".join(",".join(_cells(row)) + "\n" for row in rows(scores, choice)).encode()


def json_line(scores: Scores, choice: Choice) -> bytes:
    """The recording as one line of JSON."""
    content = _shortened(record(scores, choice))
    content["path"] = printable(content["path"])
    if content["warning"] is not None:  # it may name the file
        content["warning"] = printable(content["warning"])
    return (json.dumps(content, ensure_ascii=False, allow_nan=False) + "\n").encode()


def gathered_json(part: Path, out: Path, head: dict[str, Any]) -> None:
    """JSON lines in `part` -> one JSON object at `out`: `head` and `recordings`, a line at a time."""
    with _whole(out) as partial, part.open("rb") as lines, partial.open("wb") as file:
        file.write(json.dumps(head, ensure_ascii=False).encode()[:-1] + b', "recordings": [')
        for number, line in enumerate(lines):
            file.write((b",\n" if number else b"\n") + line.rstrip(b"\n"))
        file.write(b"\n]}\n")
        file.flush()
        os.fsync(file.fileno())


def gathered_parquet(part: Path, out: Path) -> None:
    """CSV rows in `part` -> Parquet at `out`: path and tag as strings, times float64, probability and logit float32."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        [
            ("path", pa.string()),
            ("start_s", pa.float64()),
            ("end_s", pa.float64()),
            ("tag", pa.string()),
            ("probability", pa.float32()),
            ("logit", pa.float32()),
        ]
    )
    with _whole(out) as partial, pq.ParquetWriter(partial, schema, compression="zstd") as writer:
        for chunk in _chunks(part):
            columns = list(zip(*chunk, strict=True))
            numbers = [[float(cell) if cell else None for cell in columns[i]] for i in (1, 2, 4, 5)]
            start, end, probability, logit = numbers
            table = pa.table([columns[0], start, end, columns[3], probability, logit], schema=schema)
            writer.write_table(table)


@contextmanager
def _whole(out: Path) -> Iterator[Path]:
    """A path beside `out` to write to, which becomes `out` once it is written; if it cannot be, nothing is left."""
    partial = out.with_name(f".{out.name}.part")
    try:
        yield partial
        os.replace(partial, out)
    except OSError as error:
        raise cannot_write(out, error) from None
    finally:
        partial.unlink(missing_ok=True)


def _chunks(part: Path) -> Iterator[list[list[str]]]:
    with part.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        next(reader)
        chunk: list[list[str]] = []
        for row in reader:
            chunk.append(row)
            if len(chunk) == _PARQUET_ROWS:
                yield chunk
                chunk = []
        if chunk:
            yield chunk


def _cells(row: Row) -> tuple[str, ...]:
    numbers = ("" if value is None else str(np.float32(value)) for value in (row.probability, row.logit))
    return (_quoted(printable(row.path)), repr(row.start_s), repr(row.end_s), _quoted(row.tag), *numbers)


def _quoted(cell: str) -> str:
    # by hand: with \n as its line end, the csv module leaves a \r bare, and readers see a new row there
    return '"' + cell.replace('"', '""') + '"' if _SPECIAL.search(cell) else cell


def short(value: float | None) -> float | None:
    """The shortest float64 that gives the same float32: 0.9 rather than 0.8999999761581421."""
    return None if value is None else float(str(np.float32(value)))


def _shortened(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: short(item) if key in ("probability", "logit", "mean_probability") else _shortened(item)
            for key, item in value.items()
        }
    return [_shortened(item) for item in value] if isinstance(value, list) else value

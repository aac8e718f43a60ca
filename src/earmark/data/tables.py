"""The tables of a store of prepared audio: its rows as Parquet, replaced whole or not at all."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from earmark.data.shards import Entry, SeenFile, sync_folder
from earmark.errors import CacheError

Row = TypeVar("Row", Entry, SeenFile)

_ENTRY_SCHEMA = pa.schema(
    [
        ("file_sha256", pa.string()),
        ("shard", pa.string()),
        ("offset", pa.int64()),
        ("n_samples", pa.int64()),
        ("scale", pa.float64()),
        ("crc32", pa.uint32()),
        ("file_bytes", pa.int64()),
        ("audio_sha256", pa.string()),
        ("sample_rate_hz", pa.int32()),
        ("channels", pa.int32()),
        ("duration_s", pa.float64()),
        ("format", pa.string()),
        ("peak", pa.float64()),
        ("rms_db", pa.float64()),
        ("warning", pa.string()),
    ]
)
# paths are bytes on disk and need not be UTF-8
_FILE_SCHEMA = pa.schema(
    [
        ("path", pa.binary()),
        ("size", pa.int64()),
        ("mtime_ns", pa.int64()),
        ("file_sha256", pa.string()),
        ("reason", pa.string()),
        ("message", pa.string()),
    ]
)


def read_rows(path: Path, row_type: type[Row]) -> list[Row]:
    """The rows of a table; none where there is no such file. CacheError: it cannot be read."""
    if not path.exists():
        return []
    try:
        columns: dict[str, list[Any]] = pq.read_table(path, memory_map=False).to_pydict()
    except (OSError, pa.ArrowException) as error:
        raise CacheError(
            f"{path}: the index of prepared audio cannot be read ({error}); remove the folder {path.parent} and run "
            "this again: it only holds copies, your own files are untouched."
        ) from error
    if row_type is SeenFile:
        columns["path"] = [os.fsdecode(text) for text in columns["path"]]
    return [row_type(*values) for values in zip(*(columns[field.name] for field in fields(row_type)), strict=True)]


def write_rows(path: Path, rows: Iterable[Row], row_type: type[Row]) -> None:
    """Replace the table at `path`. CacheError: it cannot be written; the old one is kept."""
    rows = list(rows)
    schema = _ENTRY_SCHEMA if row_type is Entry else _FILE_SCHEMA
    columns: list[list[Any]] = [[getattr(row, field.name) for row in rows] for field in fields(row_type)]
    if row_type is SeenFile:
        columns[0] = [os.fsencode(text) for text in columns[0]]
    replace_table(
        path, pa.Table.from_arrays([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)
    )


def replace_table(path: Path, table: pa.Table) -> None:
    """Write beside `path` and rename: whoever reads sees the old table or the new one, never half of one."""
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("wb") as file:
            pq.write_table(table, file, compression="zstd")
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
    except OSError as error:
        with contextlib.suppress(OSError):  # in a folder that cannot be written, this cannot either
            temporary.unlink(missing_ok=True)
        raise CacheError(
            f"{path}: cannot be written ({error.strerror or error}); what was there before is kept; free some space or "
            "name another folder with EARMARK_CACHE_DIR."
        ) from error
    sync_folder(path.parent)

"""Tables as people write them (CSV, TSV, Parquet, JSON lines), read so that every complaint names row and column."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from earmark.errors import LayoutError

TABLE_SUFFIXES = (".csv", ".tsv", ".parquet", ".jsonl")


@dataclass(frozen=True, slots=True)
class Row:
    """One row. `number` is what a spreadsheet shows: the header is row 1 (in JSON lines: the line)."""

    table: str
    number: int
    cells: dict[str, Any]

    @property
    def where(self) -> str:
        return f"{self.table} row {self.number}"

    def error(self, column: str, found: object, expected: str) -> LayoutError:
        return LayoutError(f"{self.where}, column {column!r}: found {found!r}, expected {expected}.")

    def text(self, column: str) -> str:
        """The cell without spaces around it; '' where the cell or the column is not there."""
        value = self.cells.get(column)
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return ""
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # Parquet turns whole numbers into floats where some are missing
        return str(value).strip()

    def needed(self, column: str, expected: str) -> str:
        """A cell that may not be empty."""
        text = self.text(column)
        if not text:
            raise self.error(column, "", expected)
        return text

    def number_of(self, column: str, expected: str, *, least: float = -math.inf) -> float | None:
        """A finite number >= least, or None where the cell is empty."""
        text = self.text(column)
        if not text:
            return None
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or value < least:
            raise self.error(column, text, expected)
        return value

    def whole_of(self, column: str) -> int | None:
        """A whole number >= 0, or None where the cell is empty."""
        value = self.number_of(column, "a whole number, 0 or above", least=0)
        if value is not None and not value.is_integer():
            raise self.error(column, self.text(column), "a whole number, 0 or above")
        return None if value is None else int(value)


@dataclass(frozen=True, slots=True)
class Table:
    """A table's columns and rows. `name` is how messages call it."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    def need(self, *columns: str) -> None:
        """LayoutError naming the first of `columns` that is not there and the nearest that is."""
        import difflib

        for column in columns:
            if column not in self.columns:
                if not any(self.columns):
                    first = ", ".join(columns)
                    raise LayoutError(f"{self.name}: is empty; expected a first row that names {first}.")
                near = difflib.get_close_matches(column, self.columns, n=1)
                hint = f" Is it {near[0]!r}? Rename it." if near else ""
                raise LayoutError(f"{self.name}: no column {column!r}; found {', '.join(self.columns)}.{hint}")


def columns_of(path: Path) -> tuple[str, ...]:
    """The header of a table, cheaply; () where the file is no table that can be read."""
    try:
        if path.suffix.lower() == ".parquet":
            import pyarrow.parquet

            return tuple(pyarrow.parquet.read_schema(path).names)
        if path.suffix.lower() == ".jsonl":
            with path.open(encoding="utf-8-sig") as file:
                first = json.loads(next((line for line in file if line.strip()), "{}"))
            return tuple(first) if isinstance(first, dict) else ()
        return _strip(next(_csv_cells(path), []))
    except (OSError, ValueError, csv.Error):
        return ()


def read_table(path: Path, root: Path) -> Table:
    """All rows of a table; `root` shortens its name in messages.

    Raises:
        LayoutError: not UTF-8, not a table, a column that stands twice, a row with more cells than the header.
    """
    name = path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
    try:
        if path.suffix.lower() == ".parquet":
            return _from_parquet(path, name)
        if path.suffix.lower() == ".jsonl":
            return _from_jsonl(path, name)
        return _from_csv(path, name)
    except UnicodeDecodeError:
        raise LayoutError(f"{_first_bad_cell(path, name)} is not UTF-8; save the table as UTF-8.") from None
    except (csv.Error, OSError) as error:
        raise LayoutError(f"{name}: cannot be read as a table: {error}.") from None
    except ValueError as error:  # pyarrow's errors are ValueErrors
        raise LayoutError(f"{name}: not a {path.suffix.lower()[1:]} table: {error}.") from None


def split_labels(cell: Any, *, bar: bool) -> tuple[str, ...]:
    r"""The labels of one cell, in order, each once.

    A list (JSON lines, Parquet) is taken as it is. Text is cut at `|` where `bar` says that the column uses it, else
    at commas; a `\` before `|`, `,` or `\` takes that character's meaning away.
    """
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ()
    if (not isinstance(cell, str) and isinstance(cell, Sequence)) or hasattr(cell, "tolist"):
        parts = [str(part) for part in cell]
    else:
        parts = [""]
        characters = iter(str(cell))
        for c in characters:
            if c == "\\":
                following = next(characters, "")
                parts[-1] += following if following and following in "\\|," else c + following
            elif c == ("|" if bar else ","):
                parts.append("")
            else:
                parts[-1] += c
    return tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))


def uses_bar(cells: Sequence[Any]) -> bool:
    """Whether `|` separates the labels of a column: one unescaped `|` anywhere decides for all of its cells."""
    return any(isinstance(cell, str) and "|" in cell.replace("\\\\", "").replace("\\|", "") for cell in cells)


def _strip(cells: Sequence[str]) -> tuple[str, ...]:
    return tuple(cell.strip() for cell in cells)


def _csv_cells(path: Path) -> Iterator[list[str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        header = file.readline()
        file.seek(0)
        # a spreadsheet with a decimal comma writes ; between the cells
        delimiter = "\t" if "\t" in header else ";" if ";" in header and "," not in header else ","
        yield from csv.reader(file, delimiter=delimiter, strict=True)


def _first_bad_cell(path: Path, name: str) -> str:
    """Which cell of a text table is not UTF-8, for a message."""
    header: list[str] = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        text = line.decode("latin-1")  # which takes any byte, and is what such a file most often is
        delimiter = next((c for c in "\t;" if c in text and "," not in text), ",")
        cells = next(csv.reader([text], delimiter=delimiter), [])
        header = header or cells
        for at, cell in enumerate(cells):
            try:
                cell.encode("latin-1").decode()
            except UnicodeDecodeError:
                if path.suffix.lower() == ".jsonl":
                    return f"{name} line {number}"
                column = f"{header[at]!r}" if at < len(header) and number > 1 else f"{at + 1}"
                return f"{name} row {number}, column {column}: {cell!r}"
    return name


def _refuse_twice(columns: Sequence[str], name: str) -> None:
    twice = next((column for column in columns if column and columns.count(column) > 1), None)
    if twice is not None:
        raise LayoutError(f"{name}: column {twice!r} stands twice; keep one of them, or rename the other.")


def _from_csv(path: Path, name: str) -> Table:
    cells = _csv_cells(path)
    columns = _strip(next(cells, []))
    _refuse_twice(columns, name)
    rows = []
    for number, row in enumerate(cells, start=2):
        if not any(cell.strip() for cell in row):
            continue
        if len(row) > len(columns):
            raise LayoutError(
                f"{name} row {number}: {len(row)} cells, but the header has {len(columns)}; "
                'put quotes around a cell that holds a comma, or | between labels: "dog|rain".'
            )
        rows.append(Row(name, number, dict(zip(columns, row, strict=False))))
    return Table(name, columns, tuple(rows))


def _from_parquet(path: Path, name: str) -> Table:
    frame = pd.read_parquet(path)
    columns = _strip([str(column) for column in frame.columns])
    _refuse_twice(columns, name)
    values = [[None if v is None or v is pd.NA else v for v in frame[column]] for column in frame.columns]
    rows = (Row(name, i + 2, dict(zip(columns, row, strict=True))) for i, row in enumerate(zip(*values, strict=True)))
    return Table(name, columns, tuple(rows))


def _from_jsonl(path: Path, name: str) -> Table:
    rows: list[Row] = []
    columns: dict[str, None] = {}
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                cells = json.loads(line)
            except json.JSONDecodeError as error:
                raise LayoutError(f"{name} line {number}: not JSON: {error}.") from None
            if not isinstance(cells, dict):
                raise LayoutError(f"{name} line {number}: expected one JSON object a line.")
            rows.append(Row(name, number, cells))
            columns.update(dict.fromkeys(cells))
    return Table(name, tuple(columns), tuple(rows))

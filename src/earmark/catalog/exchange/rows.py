"""What every format speaks in: an answer about a clip, or a span where a tag sounds."""

from __future__ import annotations

import csv
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, TypeAlias

from earmark.catalog.labelling import LONGEST_MS
from earmark.errors import InputError
from earmark.types import LabelValue

Kind: TypeAlias = Literal["label", "skip", "unusable", "gold", "none"]
Origin: TypeAlias = Literal["person", "import", "correction", "adjudication"]

ORIGINS = ("person", "import", "correction", "adjudication")
_UNWRITABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Row:
    """One person's word on one clip, or what is known of it whoever speaks, as a file has it.

    Attributes:
        where: for messages, such as `labels.csv row 12`.
        recording: the sound: its path or file name; '' where only `chunk_id` names the clip.
        start_s, stop_s: the span in seconds; None: from the beginning, to the end.
        chunk_id: the clip's six digits, where the file has them.
        kind: label, skip, unusable, `gold` where the answer is known to be right and nobody's, or `none` where nobody
            has said anything.
        values: tag -> answer, of a label or a known answer.
        annotator: a name; None where the file has none.
        at: microseconds since 1970, UTC; took_ms: how long it took.
        origin: where it came from before; None where the file does not say.
        sets: named sets that the clip is in.
        group: song, artist or site, where the file has it.
        sure: of a consensus, tag -> how sure it is, 0 to 1; 0 where the tag is in dispute or nobody is sure. No format
            reads it.
    """

    where: str
    recording: str
    start_s: float | None = None
    stop_s: float | None = None
    chunk_id: str | None = None
    kind: Kind = "label"
    values: Mapping[str, LabelValue] = field(default_factory=dict)
    annotator: str | None = None
    at: int | None = None
    took_ms: int | None = None
    origin: Origin | None = None
    sets: tuple[str, ...] = ()
    group: str | None = None
    sure: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Heard:
    """A span of a recording in which a tag sounds; what it says of a clip depends on how much of it is covered.

    Attributes:
        tag: None where the file names none (its spans are all of one tag, which the user gives).
    """

    where: str
    recording: str
    start_s: float
    stop_s: float
    tag: str | None


@dataclass(frozen=True, slots=True)
class Found:
    """What a file holds.

    Attributes:
        rows: answers about whole clips.
        heard: spans; a file has one or the other, or both.
        recordings: sounds that the file speaks of, also those without any span (a label track may be empty).
        sets: named sets, also those without any clip.
        notes: what was not used, for people.
    """

    rows: list[Row] = field(default_factory=list)
    heard: list[Heard] = field(default_factory=list)
    recordings: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)


def value_of(text: object, where: str, tag: str) -> LabelValue | None:
    """The answer that a cell holds; None where it is empty.

    Raises:
        InputError: it is none of the words.
    """
    word = "" if text is None or (isinstance(text, float) and math.isnan(text)) else str(text).strip().lower()
    if not word:
        return None
    try:
        return LabelValue(word)
    except ValueError:
        raise InputError(
            f"{where}, tag {tag!r}: found {word!r}, expected one of {', '.join(LabelValue)}, or nothing; correct it."
        ) from None


def number_of(text: object, where: str, column: str, *, least: float = 0.0) -> float | None:
    """A finite number of at least `least`; None where the cell is empty.

    Raises:
        InputError: it is no such number.
    """
    if text is None or (isinstance(text, float) and math.isnan(text)) or str(text).strip() == "":
        return None
    try:
        value = float(str(text))
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < least:
        raise InputError(f"{where}, column {column!r}: found {str(text)!r}, expected a number of at least {least:g}.")
    return value


def span_of(start: object, stop: object, where: str) -> tuple[float | None, float | None]:
    """Seconds from and to; InputError where they are no span."""
    start_s, stop_s = number_of(start, where, "start_s"), number_of(stop, where, "stop_s")
    if stop_s is not None and stop_s <= (start_s or 0.0):
        raise InputError(f"{where}: the span runs from {start_s or 0.0:g} s to {stop_s:g} s; expected it to end later.")
    return start_s, stop_s


def took_of(text: object, where: str, column: str, unit_ms: float = 1.0) -> int | None:
    """Milliseconds that an answer took, a day at most, as everywhere; None where the cell is empty.

    Args:
        unit_ms: of the column.

    Raises:
        InputError: it is no such number.
    """
    value = number_of(text, where, column)
    return None if value is None else round(min(unit_ms * value, LONGEST_MS))


def word_of(text: str, where: str, what: str, *, most: int = 500) -> str:
    """The text, where it can be a name in a database.

    Raises:
        InputError: it has more than `most` characters, or a control character, or half of one that is written in two.
    """
    if len(text) > most:
        raise InputError(f"{where}: {what} has {len(text)} characters; expected up to {most}.")
    if _UNWRITABLE.search(text):
        raise InputError(f"{where}: {what} {text!r} holds a character that cannot be printed; take it out.")
    return text


def time_text(at: int | None) -> str:
    """Microseconds since 1970 as ISO 8601 in UTC, all six digits; '' for None."""
    return "" if at is None else (_EPOCH + timedelta(microseconds=at)).isoformat(timespec="microseconds")


def time_of(text: object, where: str, column: str = "at") -> int | None:
    """ISO 8601 as microseconds since 1970; without a zone it is UTC. None where the cell is empty.

    Raises:
        InputError: it is no time.
    """
    word = "" if text is None or (isinstance(text, float) and math.isnan(text)) else str(text).strip()
    if not word:
        return None
    try:
        moment = datetime.fromisoformat(word)
    except ValueError:
        raise InputError(
            f"{where}, column {column!r}: found {word!r}, expected a time such as 2024-05-01T12:30:00Z."
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // timedelta(microseconds=1)


def one_of(text: object, where: str, column: str, known: Sequence[str]) -> str | None:
    """A word among `known`; None where the cell is empty."""
    word = "" if text is None else str(text).strip()
    if word and word not in known:
        raise InputError(f"{where}, column {column!r}: found {word!r}, expected one of {', '.join(known)}.")
    return word or None


def read_cells(path: Path) -> tuple[list[str], Iterator[tuple[str, dict[str, Any]]]]:
    """Header, and (`file row N`, cells) of a CSV, TSV or Parquet table; rows count as a spreadsheet shows them.

    Raises:
        InputError: it cannot be read, or a row has more cells than the header.
    """
    if path.suffix.lower() == ".parquet":
        return _parquet_cells(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            head = file.readline()
            delimiter = "\t" if "\t" in head else ";" if ";" in head and "," not in head else ","
            file.seek(0)
            lines = list(csv.reader(file, delimiter=delimiter, strict=True))
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text (byte {error.start}): save it as UTF-8.") from None
    except csv.Error as error:
        raise InputError(f"{path} cannot be read as a table: {error}.") from None
    except OSError as error:
        raise _unreadable(path, error) from None
    header = [cell.strip() for cell in lines[0]] if lines else []
    return header, _csv_cells(path, header, lines[1:])


def write_cells(path: Path, header: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """A CSV or Parquet table, by the suffix; all cells of a Parquet table that are not numbers are text."""
    listed = list(rows)
    try:
        if path.suffix.lower() == ".parquet":
            import pyarrow as pa
            import pyarrow.parquet as pq

            columns = {name: [row.get(name) for row in listed] for name in header}
            numbers = {"start_s": pa.float64(), "stop_s": pa.float64(), "took_ms": pa.int64()}
            fields = [(name, numbers.get(name, pa.string())) for name in header]
            pq.write_table(pa.table(columns, schema=pa.schema(fields)), path)
            return
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(header)
            writer.writerows(["" if row.get(name) is None else row[name] for name in header] for row in listed)
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {(error.strerror or str(error)).lower()}; check the folder and the room on it."
        ) from None


def tag_column(tag: str, reserved: Sequence[str]) -> str:
    """The column of a tag: its name, or `tag:NAME` where that would be read as something else."""
    return f"tag:{tag}" if tag in reserved or tag.startswith("tag:") else tag


def tag_of(column: str) -> str:
    """The tag of a column."""
    return column.removeprefix("tag:")


def _csv_cells(path: Path, header: list[str], lines: list[list[str]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, cells in enumerate(lines, start=2):
        where = f"{path.name} row {number}"
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) > len(header):
            raise InputError(
                f"{where}: {len(cells)} cells, but the header has {len(header)}; put quotes around a cell with a comma."
            )
        yield where, dict(zip(header, cells, strict=False))


def _parquet_cells(path: Path) -> tuple[list[str], Iterator[tuple[str, dict[str, Any]]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
        listed = table.to_pylist()
    except OSError as error:
        raise _unreadable(path, error) from None
    except (pa.ArrowException, ValueError, OverflowError) as error:  # no such table, or a cell beyond Python's types
        raise InputError(f"{path} cannot be read as a Parquet table: {str(error).rstrip('.')}.") from None
    return list(table.column_names), ((f"{path.name} row {i}", cells) for i, cells in enumerate(listed, start=2))


def _unreadable(path: Path, error: OSError) -> InputError:
    why = (error.strerror or os.strerror(error.errno) if error.errno else str(error)).lower()
    return InputError(f"{path} cannot be read: {why}; check the path.")

"""JSON lines as `mongoexport` writes them from the database of Sax | Not Sax, a labeller of 5 s chunks.

    {"_id": {"$oid": "..."}, "chunk_id": "000123", "song_name": "Nadine", "labeled": true, "skipped": false,
     "sax": 2, "piano": 0, "vocals": 1, "sax1203": 1}

Each tag is 2 (foreground), 1 (background) or 0 (none). A record that was skipped says nothing of its tags, whatever
`labeled` is: there, skips were counted as labels. Any other field whose values are all 0 or 1 is a named set of clips.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from earmark.catalog.exchange.rows import Found, Kind, Row
from earmark.errors import InputError
from earmark.types import LabelValue

_FIELDS = ("_id", "chunk_id", "song_name", "labeled", "skipped")
_VALUES = {2: LabelValue.FOREGROUND, 1: LabelValue.BACKGROUND, 0: LabelValue.ABSENT}
_NUMBERS = {value: number for number, value in _VALUES.items()}
_WRAPPED = ("$numberInt", "$numberLong", "$numberDouble")


def read(path: Path, tags: Sequence[str]) -> Found:
    """The records of a file; clips are named by `chunk_id`, and `song_name` is their group.

    Args:
        tags: of the task.

    Raises:
        InputError: names line and field.
    """
    records = _records(path)
    sets, unused = _sets(records, tags)
    rows = [_row(where, record, tags, sets) for where, record in records]
    seen: dict[str, str] = {}
    for row in rows:
        first = seen.setdefault(row.chunk_id or "", row.where)
        if first != row.where:
            raise InputError(f"{row.where}: chunk_id {row.chunk_id!r} stands in {first} too; keep one of them.")
    notes = [f"{path.name}: field {field!r} is not used" for field in unused]
    return Found(rows=rows, sets=tuple(sets), notes=notes)


def write(path: Path, rows: Iterable[Row], tags: Sequence[str], sets: Sequence[str] = ()) -> None:
    """Records that `read` reads the same from: one a clip, unlabelled ones too. An unusable clip is a skipped one.

    Raises:
        InputError: a clip without six digits, or an answer that the format has no number for.
    """
    taken = next((name for name in sets if name in _FIELDS or name in tags), None)
    if taken is not None:
        raise InputError(f"{path}: the set {taken!r} is named like another field of the format; it cannot be written.")
    lines = []
    for row in rows:
        if row.chunk_id is None:
            raise InputError(
                f"{path}: {row.where} has no chunk_id, which the format needs; add recordings with --chunk, or "
                "export as csv."
            )
        record: dict[str, Any] = {"chunk_id": row.chunk_id, "song_name": row.group or row.recording}
        record |= {"labeled": row.kind == "label", "skipped": row.kind in ("skip", "unusable")}
        for tag, value in row.values.items():
            if value not in _NUMBERS:
                raise InputError(
                    f"{path}: {row.where}, tag {tag!r} is {value}; the format knows {', '.join(_NUMBERS)}. "
                    "Adjudicate the clip, or export as csv."
                )
            record[tag] = _NUMBERS[value]
        record |= {name: int(name in row.sets) for name in sets}
        lines.append(json.dumps(record, ensure_ascii=False) + "\n")
    try:
        path.write_text("".join(lines), encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be written: {(error.strerror or str(error)).lower()}.") from None


def _records(path: Path) -> list[tuple[str, dict[str, Any]]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text (byte {error.start}).") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}; check the path.") from None
    records = []
    for number, line in enumerate(text.split("\n"), start=1):
        where = f"{path.name} line {number}"
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"{where}: not JSON ({error}); expected one record a line, as mongoexport writes without --jsonArray."
            ) from None
        if not isinstance(record, dict):
            raise InputError(f"{where}: expected one JSON object, found {str(record)[:40]!r}.")
        records.append((where, {field: _plain(value) for field, value in record.items()}))
    return records


def _plain(value: Any) -> Any:
    """A number out of MongoDB's extended JSON; whole floats as ints."""
    if isinstance(value, dict) and len(value) == 1 and (key := next(iter(value))) in _WRAPPED:
        try:
            value = float(value[key])
        except (TypeError, ValueError, OverflowError):
            return value
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _sets(records: list[tuple[str, dict[str, Any]]], tags: Sequence[str]) -> tuple[list[str], list[str]]:
    """Fields that are sets, and fields that are neither sets nor known, each in the order they come."""
    others: dict[str, bool] = {}
    for _, record in records:
        for field, value in record.items():
            if field not in _FIELDS and field not in tags:
                others[field] = others.get(field, True) and value in (0, 1, None)
    return [field for field, is_set in others.items() if is_set], [field for field, ok in others.items() if not ok]


def _row(where: str, record: dict[str, Any], tags: Sequence[str], sets: Sequence[str]) -> Row:
    chunk_id = record.get("chunk_id")
    if isinstance(chunk_id, int) and not isinstance(chunk_id, bool):
        chunk_id = f"{chunk_id:06d}"  # exported as a number, it lost its zeros
    if not isinstance(chunk_id, str) or not chunk_id.strip():
        raise InputError(f"{where}, field 'chunk_id': found {chunk_id!r}, expected six digits such as '000123'.")
    kind: Kind = "none"
    if _truth(record, "skipped", where):
        kind = "skip"
    elif _truth(record, "labeled", where):
        kind = "label"
    values: dict[str, LabelValue] = {}
    for tag in tags if kind == "label" else ():
        number = record.get(tag)
        if number is None:
            continue
        if not isinstance(number, int) or isinstance(number, bool) or number not in _VALUES:
            raise InputError(
                f"{where}, field {tag!r}: found {number!r}, expected 2 (foreground), 1 (background) or 0 (none)."
            )
        values[tag] = _VALUES[number]
    if kind == "label" and not values:
        raise InputError(f"{where}: labeled, but it has none of the task's tags ({', '.join(tags)}).")
    song = record.get("song_name")
    return Row(
        where=where,
        recording="",
        chunk_id=chunk_id.strip(),
        kind=kind,
        values=values,
        sets=tuple(name for name in sets if record.get(name)),
        group=str(song) if song not in (None, "") else None,
    )


def _truth(record: dict[str, Any], field: str, where: str) -> bool:
    value = record.get(field, False)
    if value not in (True, False, None):
        raise InputError(f"{where}, field {field!r}: found {value!r}, expected true or false.")
    return bool(value)

"""Label Studio's JSON: a list of tasks, each a sound with annotations.

Read are `choices` of a control that is named like a tag of the task (an answer about the whole clip, or, with start and
end, about that span), and `labels` with start and end (a span where a tag sounds). A cancelled annotation is a skip; a
ground truth is a known answer too, beside what its annotator said. Written is a task a clip with a `choices` result a
tag (the known answer is one annotation more, nobody's), and beside it `NAME.xml`, the labelling interface for a project
to import it into. Source: Label Studio's documentation, "Label Studio JSON format of annotated tasks".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import quoteattr

from earmark.catalog.exchange.rows import (
    ORIGINS,
    Found,
    Heard,
    Kind,
    Origin,
    Row,
    number_of,
    one_of,
    span_of,
    time_of,
    time_text,
    took_of,
    value_of,
)
from earmark.errors import InputError
from earmark.types import LabelValue

_UPLOADED = re.compile(r"^[0-9a-f]{8}-")  # Label Studio puts it before the name of an uploaded file


def read(path: Path, tags: Sequence[str]) -> Found:
    """The annotations of an export.

    Args:
        tags: of the task.

    Raises:
        InputError: names the task and the annotation.
    """
    try:
        tasks = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:  # of UTF-8 or JSON; of lists within lists without end
        raise InputError(f"{path} is not JSON ({error}); export the project as JSON.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}; check the path.") from None
    if not isinstance(tasks, list):
        raise InputError(f"{path}: expected a list of tasks, as Label Studio's JSON (not JSON_MIN) export has it.")
    found = Found()
    recordings: dict[str, None] = {}
    for number, task in enumerate(tasks, start=1):
        where = f"{path.name} task {number}"
        if not isinstance(task, dict) or not isinstance(task.get("data"), dict):
            raise InputError(f"{where}: expected an object with 'data' and 'annotations'.")
        recording = _recording(task["data"], where)
        recordings[recording] = None
        for index, annotation in enumerate(_list(task.get("annotations"), where, "annotations"), start=1):
            _annotation(f"{where} annotation {index}", annotation, task["data"], recording, tags, found)
    return Found(rows=found.rows, heard=found.heard, recordings=tuple(recordings), notes=found.notes)


def write(path: Path, rows: Iterable[Row], tags: Sequence[str], scale: Sequence[str]) -> None:
    """Tasks that `read` reads the same rows from, and the labelling interface beside them.

    Args:
        rows: those of one clip follow each other.
        scale: the answers that the task offers.
    """
    tasks = []
    clips = groupby(rows, key=lambda row: (row.recording, row.start_s, row.stop_s, row.chunk_id, row.group))
    for (recording, start_s, stop_s, chunk_id, group), said in clips:
        data = {"audio": recording, "recording": recording, "start_s": start_s, "stop_s": stop_s, "chunk_id": chunk_id}
        data |= {"group": group}
        tasks.append({"data": data, "annotations": [_written(row) for row in said if row.kind != "none"]})
    try:
        path.write_text(json.dumps(tasks, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        path.with_suffix(".xml").write_text(interface(tags, scale), encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be written: {(error.strerror or str(error)).lower()}.") from None


def interface(tags: Sequence[str], scale: Sequence[str]) -> str:
    """The labelling interface of a Label Studio project: one choice a tag."""
    lines = ["<View>", '  <Audio name="audio" value="$audio"/>']
    for tag in tags:
        lines += [f"  <Header value={quoteattr(tag)}/>"]
        lines += [f'  <Choices name={quoteattr(tag)} toName="audio" choice="single" required="true">']
        lines += [f"    <Choice value={quoteattr(value)}/>" for value in dict.fromkeys((*scale, "unsure"))]
        lines += ["  </Choices>"]
    return "\n".join([*lines, "</View>", ""])


def _written(row: Row) -> dict[str, Any]:
    result = [
        {"from_name": tag, "to_name": "audio", "type": "choices", "value": {"choices": [str(value)]}}
        for tag, value in row.values.items()
    ]
    gold = row.kind == "gold"
    cancelled = row.kind in ("skip", "unusable")
    annotation: dict[str, Any] = {"result": result, "was_cancelled": cancelled, "ground_truth": gold}
    if row.kind in ("unusable", "gold"):
        annotation["kind"] = row.kind  # beside what Label Studio knows; it leaves it out again
    if row.annotator is not None:
        annotation["completed_by"] = {"email": row.annotator}
    if row.at is not None:
        annotation["created_at"] = time_text(row.at)
    if row.took_ms is not None:
        annotation["lead_time"] = row.took_ms / 1000
    if row.origin is not None:
        annotation["origin"] = row.origin
    return annotation


def _recording(data: dict[str, Any], where: str) -> str:
    """The sound's name: our own `recording`, or the file at the end of the address of the audio."""
    if data.get("recording"):
        return str(data["recording"])
    names = [key for key in ("audio", "url", "file") if isinstance(data.get(key), str)]
    names += [key for key, value in data.items() if isinstance(value, str) and key not in names]
    if not names:
        raise InputError(f"{where}: no address of a sound in its 'data' (found {', '.join(data) or 'nothing'}).")
    try:
        address = urlsplit(str(data[names[0]]))
        path = (parse_qs(address.query).get("d") or [unquote(address.path)])[0]
    except ValueError as error:
        raise InputError(f"{where}, {names[0]!r}: {data[names[0]]!r} is no address of a sound ({error}).") from None
    name = path.rsplit("/", 1)[-1]
    return _UPLOADED.sub("", name) if "/upload/" in path else name


def _annotation(
    where: str, annotation: Any, data: dict[str, Any], recording: str, tags: Sequence[str], found: Found
) -> None:
    if not isinstance(annotation, dict) or not isinstance(annotation.get("result", []), list):
        raise InputError(f"{where}: expected an object with a list 'result'.")
    start_s, stop_s = span_of(data.get("start_s"), data.get("stop_s"), where)
    offset = start_s or 0.0
    clips: dict[tuple[float | None, float | None], dict[str, LabelValue]] = {}
    for number, result in enumerate(annotation.get("result") or (), start=1):
        here = f"{where} result {number}"
        if not isinstance(result, dict) or not isinstance(value := result.get("value") or {}, dict):
            raise InputError(f"{here}: expected an object with an object 'value'.")
        kind = result.get("type")
        begin, end = number_of(value.get("start"), here, "start"), number_of(value.get("end"), here, "end")
        spanned = begin is not None and end is not None
        if begin is None or end is None:
            begin, end = start_s, stop_s
        elif end < begin:
            raise InputError(f"{here}: it runs from {begin:g} s to {end:g} s; expected it to end later.")
        else:
            begin, end = offset + begin, offset + end
        if kind == "labels" and spanned:
            labels = _list(value.get("labels"), here, "labels")
            found.heard.extend(
                Heard(here, recording, begin or 0.0, end or 0.0, None if tag is None else str(tag))
                for tag in labels or [None]
            )
        elif kind == "choices" and result.get("from_name") in tags:
            tag, choices = str(result["from_name"]), _list(value.get("choices"), here, "choices")
            if len(choices) != 1:
                raise InputError(f"{where}, {tag!r}: {len(choices)} choices, expected one.")
            answer = value_of(choices[0], where, tag)
            if answer is not None:
                clips.setdefault((begin, end), {})[tag] = answer
    kind_word = one_of(annotation.get("kind"), where, "kind", ("unusable", "gold"))
    cancelled = bool(annotation.get("was_cancelled"))
    said: Kind = "gold" if kind_word == "gold" else "label"
    if cancelled:
        clips = {(start_s, stop_s): {}}
        said = "unusable" if kind_word == "unusable" else "skip"
    for (begin, end), values in clips.items():
        row = Row(
            where=where,
            recording=recording,
            start_s=begin,
            stop_s=end,
            chunk_id=str(data["chunk_id"]) if data.get("chunk_id") else None,
            kind=said,
            values=values,
            annotator=_annotator(annotation.get("completed_by"), where),
            at=time_of(annotation.get("created_at"), where, "created_at"),
            took_ms=took_of(annotation.get("lead_time"), where, "lead_time", unit_ms=1000),
            origin=cast("Origin | None", one_of(annotation.get("origin"), where, "origin", ORIGINS)),
            # a field of that name in somebody else's project may be anything
            group=str(data["group"]) if data.get("recording") and data.get("group") else None,
        )
        found.rows.append(row)
        if said == "label" and annotation.get("ground_truth"):
            missing = next((tag for tag in tags if tag not in values), None)
            if missing is None:
                found.rows.append(replace(row, kind="gold", annotator=None, at=None, took_ms=None, origin=None))
            else:
                found.notes.append(f"{where}: a ground truth without {missing!r} is taken as a label only")


def _annotator(who: Any, where: str) -> str | None:
    """Label Studio names people by a number, or by an object with their address."""
    name = (who.get("email") or who.get("username") or who.get("id")) if isinstance(who, dict) else who
    if name is not None and (isinstance(name, bool) or not isinstance(name, str | int)):
        raise InputError(f"{where}, 'completed_by': found {str(who)[:60]!r}, expected a number, a name or an address.")
    return f"label-studio-{name}" if isinstance(name, int) else name


def _list(given: Any, where: str, name: str) -> list[Any]:
    """What stands under a name; nothing is an empty list."""
    if given is not None and not isinstance(given, list):
        raise InputError(f"{where}, {name!r}: found {str(given)[:60]!r}, expected a list.")
    return given or []

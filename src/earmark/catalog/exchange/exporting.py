"""Labels out of the catalog into a file: everybody's words, or the consensus."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import cast

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from earmark.catalog.agreeing import consensus
from earmark.catalog.auditing import audit
from earmark.catalog.current import ANSWERS, labels_of
from earmark.catalog.database import Catalog, Workspace
from earmark.catalog.exchange import audacity, audiofolder, intervals, labelstudio, mongoexport, raven, table
from earmark.catalog.exchange.finding import in_pages
from earmark.catalog.exchange.rows import Kind, Origin, Row
from earmark.catalog.sets import sets_of
from earmark.catalog.tables import Annotator, Clip, FrozenClip, FrozenSet, Recording, TaskClip
from earmark.catalog.tasks import TaskInfo, find_task
from earmark.errors import InputError, NotFoundError
from earmark.types import LabelValue

EVERYBODY, CONSENSUS = "everybody", "consensus"
_HOLD_ALL = ("csv", "parquet", "labelstudio")
_DIGITS = re.compile(r"\d{6,}")
_SUFFIXES = {".parquet": "parquet", ".csv": "csv", ".tsv": "csv", ".jsonl": "mongoexport", ".json": "labelstudio"}


@dataclass(slots=True)
class Exported:
    """rows: written. clips: that they speak of. who: everybody, consensus or a name. notes: what was left out."""

    rows: int
    clips: int
    who: str
    notes: list[str] = field(default_factory=list)


def export_labels(
    workspace: Workspace, catalog: Catalog, task: str, path: Path, form: str | None = None, who: str | None = None
) -> Exported:
    """Write a task's labels.

    Args:
        form: of `importing.FORMATS`; None: by the suffix.
        who: `everybody`, each person's words as they stand; `consensus`; or the name of one person. Default: everybody
            for formats that can tell people apart (csv, parquet, labelstudio), else the consensus.

    Raises:
        NotFoundError: no such task or person.
        InputError: what the format cannot hold, or a path that cannot be written.
    """
    form = form or _SUFFIXES.get(path.suffix.lower())
    if form is None:
        raise InputError(f"{path}: its format is not plain from its name; say --format.")
    chosen = who or (EVERYBODY if form in _HOLD_ALL else CONSENSUS)
    if chosen == EVERYBODY and form not in _HOLD_ALL:
        raise InputError(
            f"{form} holds one answer a clip, not everybody's: export the consensus or one person's, or as csv."
        )
    with catalog.read() as connection:
        info = find_task(connection, task)
        clips = _clips(connection, info)
        if chosen == CONSENSUS:
            rows = list(_agreed(connection, info, clips))
        else:
            rows = list(_said(connection, info, clips, None if chosen == EVERYBODY else chosen))
        result = Exported(0, 0, chosen)
        if form == "mongoexport":
            rows, sets = _records(connection, info, clips, rows, result)
            mongoexport.write(path, rows, info.tags, sets)
        else:
            _write(path, form, rows, info, workspace)
            sets = sets_of(connection, info.id)
            if sets:
                result.notes.append(
                    f"frozen sets ({', '.join(sets)}) are not in it; mongoexport is the format that has them"
                )
    result.rows = len(rows)
    result.clips = len({(row.recording, row.start_s, row.stop_s) for row in rows})
    detail = {"task": info.name, "file": path.name, "who": chosen, "rows": result.rows}
    audit(catalog, None, "labels exported", detail)
    return result


def _write(path: Path, form: str, rows: Sequence[Row], task: TaskInfo, workspace: Workspace) -> None:
    writers = {
        "csv": lambda: table.write(path, rows, task.tags),
        "parquet": lambda: table.write(path, rows, task.tags),
        "labelstudio": lambda: labelstudio.write(path, rows, task.tags, task.scale),
        "audacity": lambda: audacity.write(path, rows),
        "raven": lambda: raven.write(path, rows),
        "audiofolder": lambda: audiofolder.write(
            path, [row for row in rows if row.kind == "label"], task.tags, workspace.path_of
        ),
        "intervals": lambda: intervals.write(path, rows),
    }
    if form not in writers:
        raise InputError(f"--format {form!r}: expected one of mongoexport, {', '.join(writers)}.")
    writers[form]()


def _clips(connection: Connection, task: TaskInfo) -> dict[int, Row]:
    """Every clip of a task as a row that says nothing, in the order of recordings."""
    query = (
        sa.select(
            *(Clip.id, Clip.start, Clip.stop, Clip.chunk_id),
            *(Recording.uri, Recording.name, Recording.sample_rate_hz, Recording.frames, Recording.group_name),
        )
        .join(TaskClip, TaskClip.clip_id == Clip.id)
        .join(Recording, Recording.id == Clip.recording_id)
        .where(TaskClip.task_id == task.id)
        .order_by(Recording.id, Clip.start, Clip.id)
    )
    found = {}
    for row in connection.execute(query):
        stem = PurePosixPath(row.name).stem
        whole = row.start == 0 and row.stop == row.frames
        found[row.id] = Row(
            where=f"clip {row.id}",
            recording=row.uri,
            start_s=row.start / row.sample_rate_hz,
            stop_s=row.stop / row.sample_rate_hz,
            # a chunk file that was added as it is keeps the number in its name
            chunk_id=stem if whole and _DIGITS.fullmatch(stem) else row.chunk_id,
            kind="none",
            group=row.group_name,
        )
    return found


def _said(connection: Connection, task: TaskInfo, clips: dict[int, Row], who: str | None) -> Iterator[Row]:
    """Words in force, clip by clip: everybody's, what is known first, or those of one person."""
    names = {row.id: row.name for row in connection.execute(sa.select(Annotator.id, Annotator.name))}
    if who is not None and who not in names.values():
        raise NotFoundError(f"nobody is called {who!r}; expected everybody, consensus, or a name.")
    words: dict[int, list[Row]] = {}
    if who is None:
        query = sa.select(TaskClip.clip_id, TaskClip.gold).where(
            TaskClip.task_id == task.id, TaskClip.gold.is_not(None)
        )
        for known in connection.execute(query):
            values = {tag: LabelValue(known.gold[tag]) for tag in task.tags}
            words[known.clip_id] = [replace(clips[known.clip_id], kind="gold", values=values)]
    for said in labels_of(connection, task.id, kinds=ANSWERS):
        name = names[said.annotator_id]
        if (who is not None and name != who) or said.clip_id not in clips:
            continue
        row = replace(
            clips[said.clip_id],
            kind=cast(Kind, said.kind),
            values={tag: said.values[tag] for tag in task.tags if tag in said.values},
            annotator=name,
            at=said.at,
            took_ms=said.took_ms,
            origin=cast(Origin, said.origin),
        )
        mine = words.setdefault(said.clip_id, [])
        partly = next((one for one in mine if _goes_on(one, row)), None)
        if partly is None:
            mine.append(row)
        else:  # some tags first, and then others
            mine[mine.index(partly)] = replace(row, values={**partly.values, **row.values})
    for clip in clips:
        yield from words.get(clip, ())


def _goes_on(before: Row, row: Row) -> bool:
    """Whether both are labels by one person, neither of them an adjudication."""
    labels = before.kind == row.kind == "label" and "adjudication" not in (before.origin, row.origin)
    return labels and before.annotator == row.annotator


def _agreed(connection: Connection, task: TaskInfo, clips: dict[int, Row]) -> Iterator[Row]:
    """A row a clip that anybody has said anything of."""
    agreed = consensus(connection, task)
    skipped = {said.clip_id for said in labels_of(connection, task.id, kinds=("skip",))}
    for clip, row in clips.items():
        tags = agreed.clips.get(clip, {})
        if tags:
            values = {tag: one.value for tag, one in tags.items()}
            sure = {tag: 0.0 if one.disputed else one.confidence for tag, one in tags.items()}
            yield replace(row, kind="label", values=values, sure=sure)
        elif clip in agreed.unusable:
            yield replace(row, kind="unusable")
        elif clip in skipped:
            yield replace(row, kind="skip")


def _records(
    connection: Connection, task: TaskInfo, clips: dict[int, Row], rows: Sequence[Row], result: Exported
) -> tuple[list[Row], list[str]]:
    """A record for every clip of the task, labelled or not, with the sets that it is in."""
    names = sets_of(connection, task.id)
    members: dict[int, list[str]] = {}
    query = sa.select(FrozenSet.name, FrozenClip.clip_id).join(FrozenClip, FrozenClip.set_id == FrozenSet.id)
    for page in in_pages(clips):
        for name, clip in connection.execute(
            query.where(FrozenSet.task_id == task.id, FrozenClip.clip_id.in_(page)).order_by(FrozenSet.name)
        ):
            members.setdefault(clip, []).append(name)
    said = {row.where: row for row in rows}
    found, unsure = [], 0
    for clip, waiting in clips.items():
        row = said.get(waiting.where, waiting)
        values = {tag: value for tag, value in row.values.items() if value is not LabelValue.UNSURE}
        unsure += len(values) < len(row.values)
        kind: Kind = "skip" if row.kind == "label" and not values else row.kind
        group = row.group or row.recording
        found.append(replace(row, kind=kind, values=values, sets=tuple(members.get(clip, ())), group=group))
    if unsure:
        result.notes.append(f"{unsure} clips have an unsure tag, which the format cannot hold; it was left out")
    return found, names

"""Clips with their labels, to train on: of a task as it stands, or of a set that was frozen and stays as it was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from earmark.catalog.agreeing import Agreed, consensus
from earmark.catalog.auditing import record
from earmark.catalog.consensus import Method
from earmark.catalog.database import Catalog, Workspace, now_us
from earmark.catalog.tables import Clip, FrozenClip, FrozenSet, Recording
from earmark.catalog.tasks import TaskInfo, find_task
from earmark.catalog.where import Where, parse_where
from earmark.errors import ConflictError, InputError, NotFoundError
from earmark.types import LabelValue

Values: TypeAlias = Mapping[str, tuple[LabelValue, float]]
"""tag -> answer and how sure it is, 0 to 1; `unsure` and disputes are not in it: nobody knows them."""

_PAGE = 500


@dataclass(frozen=True, slots=True)
class SetRow:
    """A clip of a set.

    Attributes:
        path: of the recording. recording: as the catalog names it.
        start, stop: samples at `sample_rate_hz`.
        values: what is known of its tags.
        class_name: of `--where`; None where the set has no classes.
        group: what must never be split: the recording's group, or for a copy that of its original; None where it is
            the recording alone.
    """

    clip_id: int
    path: Path
    recording: str
    start: int
    stop: int
    sample_rate_hz: int
    values: Values
    class_name: str | None
    group: str | None
    licence: str | None
    source: str | None

    @property
    def start_s(self) -> float:
        return self.start / self.sample_rate_hz

    @property
    def stop_s(self) -> float:
        return self.stop / self.sample_rate_hz


@dataclass(frozen=True, slots=True)
class ClipSet:
    """Clips to train on.

    Attributes:
        task: what was asked. name: of the frozen set, None for the task as it stands.
        classes: that exclude each other; () where the tags of the task are what is learnt.
        rows: in the order of clips, or of the frozen set.
        left_out: why -> how many labelled clips are not in it.
    """

    task: TaskInfo
    name: str | None
    classes: tuple[str, ...]
    rows: tuple[SetRow, ...]
    left_out: Mapping[str, int]

    def counts(self) -> dict[str, int]:
        """Class -> clips; without classes: tag -> clips in which it is present."""
        if self.classes:
            found = Counter(row.class_name for row in self.rows)
            return {name: found[name] for name in self.classes}
        heard = Counter(tag for row in self.rows for tag, (value, _) in row.values.items() if value.is_present)
        return {tag: heard[tag] for tag in self.task.tags}


def labelled(
    workspace: Workspace,
    catalog: Catalog,
    task: str,
    where: str | None = None,
    *,
    method: Method | Literal["auto"] = "auto",
) -> ClipSet:
    """A task's labelled clips as they stand.

    Args:
        where: see `earmark.catalog.where`; None: every clip with a tag that is known.

    Raises:
        NotFoundError: no such task. InputError: a where-expression that makes no sense.
    """
    with catalog.read() as connection:
        info = find_task(connection, task)
        chosen = parse_where(where, info.tags) if where is not None else None
        found, left_out = _chosen(connection, info, chosen, method)
        clips = {clip: (values, name) for clip, values, name in found}
        rows = tuple(_rows(connection, workspace, clips))
    return ClipSet(info, None, _classes(chosen), rows, left_out)


def freeze(
    catalog: Catalog,
    task: str,
    name: str,
    where: str | None = None,
    *,
    balanced: bool = False,
    seed: int = 0,
    method: Method | Literal["auto"] = "auto",
) -> dict[str, int]:
    """Keep the clips that `labelled` would give, with their labels, under a name and for ever.

    Args:
        balanced: as many clips of every class as the rarest has, drawn by `seed`. Needs classes.

    Returns:
        Class (or tag) -> clips.

    Raises:
        ConflictError: there is a set of this name. InputError: nothing to keep, or a class without a clip.
    """
    if not name or len(name) > 100 or any(mark in name for mark in "@?/\\:"):
        raise InputError(f"set {name!r}: expected a name of up to 100 characters without @ ? : / and \\.")

    def work(connection: Connection) -> dict[str, int]:
        info = find_task(connection, task)
        chosen = parse_where(where, info.tags) if where is not None else None
        mine = sa.and_(FrozenSet.task_id == info.id, FrozenSet.name == name)
        if connection.execute(sa.select(FrozenSet.id).where(mine)).first():
            raise ConflictError(f"task {task!r} has a set {name!r} already, and it never changes: choose another name.")
        found, left_out = _chosen(connection, info, chosen, method)
        if not found:
            raise InputError(f"task {task!r} has no labelled clip to freeze{f' where {where}' if where else ''}.")
        classes = _classes(chosen)
        counts = Counter(one_class for _, _, one_class in found)
        empty = next((one for one in classes if not counts[one]), None)
        if empty is not None:
            raise InputError(f"task {task!r} has no clip of the class {empty!r}; label some, or leave the class out.")
        if balanced:
            if not classes:
                raise InputError("--balanced needs classes to balance: --where 'sax=foreground vs absent'.")
            found = _balanced(found, min(counts[one] for one in classes), seed)
        detail: dict[str, Any] = {"where": where, "classes": list(classes), "balanced": balanced, "seed": seed}
        detail |= {"method": method, "left_out": dict(left_out)}
        insert = sa.insert(FrozenSet).values(task_id=info.id, name=name, detail=detail, created_at=now_us())
        set_id = connection.execute(insert.returning(FrozenSet.id)).scalar_one()
        rows = [
            {"set_id": set_id, "clip_id": clip, "position": position, "detail": frozen(values, one_class)}
            for position, (clip, values, one_class) in enumerate(found)
        ]
        for start in range(0, len(rows), _PAGE):
            connection.execute(sa.insert(FrozenClip), rows[start : start + _PAGE])
        record(connection, None, "set frozen", {"task": info.name, "set": name, "clips": len(rows)})
        if classes:
            kept = Counter(one_class for _, _, one_class in found)
            return {one: kept[one] for one in classes}
        heard = Counter(tag for _, values, _ in found for tag, (value, _) in values.items() if value.is_present)
        return {tag: heard[tag] for tag in info.tags}

    return catalog.run(work)


def load(workspace: Workspace, catalog: Catalog, task: str, name: str, where: str | None = None) -> ClipSet:
    """A frozen set, exactly as it was frozen.

    Args:
        where: classes to make of it, for a set that was frozen without any (or imported).

    Raises:
        NotFoundError: no such task or set. InputError: a where-expression that makes no sense here.
    """
    with catalog.read() as connection:
        info = find_task(connection, task)
        mine = sa.and_(FrozenSet.task_id == info.id, FrozenSet.name == name)
        found = connection.execute(sa.select(FrozenSet.id, FrozenSet.detail).where(mine)).one_or_none()
        if found is None:
            names = sets_of(connection, info.id)
            known = f"it has {', '.join(names[:8])}" if names else "it has none: `earmark catalog freeze` makes them"
            raise NotFoundError(f"task {task!r} has no set {name!r}; {known}.")
        classes = tuple(found.detail.get("classes") or ())
        if classes and where is not None:
            raise InputError(
                f"the set {name!r} was frozen with classes ({' vs '.join(classes)}), which never change: leave --where "
                "out, or freeze another set."
            )
        chosen = parse_where(where, info.tags) if where is not None else None
        query = sa.select(FrozenClip.clip_id, FrozenClip.detail).where(FrozenClip.set_id == found.id)
        clips: dict[int, tuple[Values, str | None]] = {}
        out = 0
        for row in connection.execute(query.order_by(FrozenClip.position)):
            values, one_class = thawed(row.detail)
            if chosen is not None:
                one_class = chosen.class_of({tag: value for tag, (value, _) in values.items()})
                if one_class is None:
                    out += 1
                    continue
            clips[row.clip_id] = values, None if chosen is not None and chosen.is_filter else one_class
        rows = tuple(_rows(connection, workspace, clips))
    return ClipSet(info, name, _classes(chosen) or classes, rows, {"of no class": out} if out else {})


def sets_of(connection: Connection, task_id: int) -> list[str]:
    """Names of a task's frozen sets."""
    query = sa.select(FrozenSet.name).where(FrozenSet.task_id == task_id).order_by(FrozenSet.name)
    return list(connection.execute(query).scalars())


def frozen(values: Values, class_name: str | None = None) -> dict[str, Any]:
    """A clip's labels as a frozen set keeps them."""
    kept = {tag: {"value": value.value, "confidence": sure} for tag, (value, sure) in values.items()}
    return {"values": kept, "class": class_name}


def thawed(detail: Mapping[str, Any]) -> tuple[Values, str | None]:
    """What `frozen` kept."""
    values = {tag: (LabelValue(one["value"]), float(one["confidence"])) for tag, one in detail["values"].items()}
    return values, detail.get("class")


def known_values(tags: Mapping[str, Agreed]) -> Values:
    """The part of a consensus that can be learnt from."""
    return {
        tag: (agreed.value, agreed.confidence)
        for tag, agreed in tags.items()
        if agreed.value is not LabelValue.UNSURE and not agreed.disputed
    }


def _classes(where: Where | None) -> tuple[str, ...]:
    return () if where is None or where.is_filter else tuple(one.name for one in where.classes)


def _chosen(
    connection: Connection, task: TaskInfo, where: Where | None, method: Method | Literal["auto"]
) -> tuple[list[tuple[int, Values, str | None]], dict[str, int]]:
    """(clip, values, class) of every clip that is taken, and why how many others are not."""
    agreed = consensus(connection, task, method)
    found: list[tuple[int, Values, str | None]] = []
    out: Counter[str] = Counter({"unusable": len(agreed.unusable)})
    for clip, tags in agreed.clips.items():
        values = known_values(tags)
        one_class = None
        if where is not None:
            needed = {tag for one in where.classes for tag in one.terms}
            one_class = where.class_of({tag: value for tag, (value, _) in values.items()})
            if one_class is None:
                doubtful = any(tags[tag].disputed for tag in needed if tag in tags)
                out["in dispute" if doubtful else "of no class"] += 1
                continue
        if not values:
            out["in dispute" if any(one.disputed for one in tags.values()) else "unsure"] += 1
            continue
        if one_class is not None and where is not None and not where.is_filter:
            terms = next(one.terms for one in where.classes if one.name == one_class)
            values = {tag: values[tag] for tag in terms}  # what makes it of its class, and how sure that is
        found.append((clip, values, None if where is not None and where.is_filter else one_class))
    return found, {why: count for why, count in out.items() if count}


def _balanced(
    found: Sequence[tuple[int, Values, str | None]], each: int, seed: int
) -> list[tuple[int, Values, str | None]]:
    """`each` clips of every class, drawn at random, in their old order."""
    rng = np.random.default_rng(seed)
    drawn: dict[str | None, int] = {}
    kept: set[int] = set()
    for place in rng.permutation(len(found)):
        one_class = found[place][2]
        if drawn.get(one_class, 0) < each:
            drawn[one_class] = drawn.get(one_class, 0) + 1
            kept.add(int(place))
    return [row for place, row in enumerate(found) if place in kept]


def _rows(
    connection: Connection, workspace: Workspace, clips: Mapping[int, tuple[Values, str | None]]
) -> Iterator[SetRow]:
    """Clips with where they lie, in the order given."""
    original = sa.orm.aliased(Recording)
    ids = list(clips)
    for start in range(0, len(ids), _PAGE):
        page = ids[start : start + _PAGE]
        query = (
            sa.select(
                *(Clip.id, Clip.start, Clip.stop, Recording.uri, Recording.sample_rate_hz),
                *(Recording.group_name, Recording.licence, Recording.source, Recording.copy_of),
                original.uri.label("original_uri"),
                original.group_name.label("original_group"),
            )
            .join(Recording, Recording.id == Clip.recording_id)
            .outerjoin(original, original.id == Recording.copy_of)
            .where(Clip.id.in_(page))
        )
        rows = {row.id: row for row in connection.execute(query)}
        for clip in page:
            row = rows[clip]
            group = row.group_name if row.copy_of is None else row.original_group or row.original_uri
            yield SetRow(
                clip_id=clip,
                path=workspace.path_of(row.uri),
                recording=row.uri,
                start=row.start,
                stop=row.stop,
                sample_rate_hz=row.sample_rate_hz,
                values=clips[clip][0],
                class_name=clips[clip][1],
                group=group,
                licence=row.licence,
                source=row.source,
            )

"""Labels from a file into the catalog, all of them in one transaction or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from earmark.catalog import tasks
from earmark.catalog.database import Catalog, now_us
from earmark.catalog.exchange import audacity, audiofolder, intervals, labelstudio, mongoexport, raven, table
from earmark.catalog.exchange.finding import Sound, Sounds, Span
from earmark.catalog.exchange.rows import Found, Row, word_of
from earmark.catalog.exchange.storing import Imported, Key, Store
from earmark.catalog.tables import Annotator, Audit
from earmark.catalog.tasks import TaskInfo, find_task
from earmark.errors import InputError
from earmark.types import LabelValue

FORMATS = ("mongoexport", "csv", "parquet", "audacity", "raven", "labelstudio", "audiofolder", "intervals")


@dataclass(frozen=True, slots=True)
class Choices:
    """How a file is to be understood.

    Attributes:
        annotator: whose labels they are, where the file does not say; None: `import NAME`.
        tag: what sounds in spans that name no tag.
        share: of a clip that has to be covered by spans, above 0 and up to 1.
        present_as: what `present` becomes on a scale without it; None: its first kind of present.
        others_absent: recordings that a table of spans does not name have none of its tags.
    """

    annotator: str | None = None
    tag: str | None = None
    share: float = intervals.SHARE
    present_as: LabelValue | None = None
    others_absent: bool = False


def format_of(path: Path) -> str:
    """The format that a file or folder seems to have.

    Raises:
        InputError: it could be more than one, or none.
    """
    suffix = path.suffix.lower()
    if path.is_dir():
        return "audiofolder" if (path / audiofolder.METADATA).is_file() else "audacity"
    if not path.is_file():
        raise InputError(f"{path}: no such file; give the labels to import.")
    if suffix == ".parquet":
        return "parquet"
    head = path.open("rb").read(4096).decode("utf-8-sig", "replace").lstrip()
    first = head.split("\n", 1)[0]
    if suffix in (".json", ".jsonl"):
        return "labelstudio" if head.startswith("[") else "mongoexport"
    if raven.is_table(first):
        return "raven"
    if suffix in (".csv", ".tsv"):
        return "intervals" if intervals.is_table(first) else "csv"
    if suffix == ".txt":
        return "audacity"
    raise InputError(f"{path}: its format is not plain from its name; say --format, one of {', '.join(FORMATS)}.")


def read(path: Path, form: str, tags: Sequence[str]) -> Found:
    """What a file in that format holds; InputError names the row that it cannot."""
    readers = {
        "mongoexport": lambda: mongoexport.read(path, tags),
        "csv": lambda: table.read(path, tags),
        "parquet": lambda: table.read(path, tags),
        "audacity": lambda: audacity.read(path),
        "raven": lambda: raven.read(path),
        "labelstudio": lambda: labelstudio.read(path, tags),
        "audiofolder": lambda: audiofolder.read(path, tags),
        "intervals": lambda: intervals.read(path),
    }
    if form not in readers:
        raise InputError(f"--format {form!r}: expected one of {', '.join(FORMATS)}.")
    return readers[form]()


def import_labels(
    catalog: Catalog, task: str, path: Path, form: str | None = None, choices: Choices | None = None
) -> Imported:
    """Take a file's labels into a task.

    Clips that are not there yet are made, and those that are not in the task join it. Who labelled is kept by name;
    who is not known becomes an annotator of the kind `import`. The same file again adds nothing; an answer that a
    person gave otherwise before is replaced. An answer for some of the task's tags only is kept, but leaves the clip in
    the queue.

    Raises:
        InputError: names the row; nothing of the file is in the catalog then.
    """
    choices = choices or Choices()
    if not 0 < choices.share <= 1:
        raise InputError(f"--share {choices.share:g}: expected a share of a clip above 0 and up to 1.")
    form = form or format_of(path)

    def work(connection: Connection) -> Imported:
        info = find_task(connection, task)
        return _Import(connection, info, path, choices).take(read(path, form, info.tags))

    return catalog.run(work)


def import_gold(catalog: Catalog, task: str, path: Path, form: str | None = None, *, forget: bool = False) -> Imported:
    """Take a file's labels as known answers, which nobody gave: their clips become gold. See `tasks.set_gold`.

    Args:
        forget: the clips that the file names are ordinary ones again, whatever it says of them.

    Returns:
        `gold` counts what is new, `known` what was so before.

    Raises:
        InputError: names the row; nothing of the file is in the catalog then.
    """
    form = form or format_of(path)

    def work(connection: Connection) -> Imported:
        info = find_task(connection, task)
        return _Import(connection, info, path, Choices()).take_gold(read(path, form, info.tags), forget)

    return catalog.run(work)


class _Import:
    """One file on its way into one task, within one transaction."""

    def __init__(self, connection: Connection, task: TaskInfo, path: Path, choices: Choices) -> None:
        self.connection, self.task, self.path, self.choices = connection, task, path, choices
        self.sounds = Sounds(connection, task.id)
        self.people: dict[str, int] = {}
        self.store = Store(connection, task, path.name)

    def take(self, found: Found) -> Imported:
        """All of it."""
        self.store.result.notes += found.notes
        for row in found.rows:
            _check_words(row)
        for name in found.sets:
            word_of(name, self.path.name, "a set's name", most=100)
        placed = [(row, *self.sounds.clip(row)) for row in found.rows]
        known = [(self._fitting(row), clip) for row, _, clip in placed if row.kind == "gold"]
        spoken = [(self._fitting(row), clip) for row, _, clip in placed if row.kind not in ("gold", "none")]
        spoken += self._from_spans(found)
        self.store.result.unlabelled = sum(row.kind == "none" for row in found.rows)
        self.store.join([clip for _, _, clip in placed])
        self.store.name_groups({sound.id: row.group for row, sound, _ in placed if row.group and _nameless(sound, row)})
        self.store.annotate(self._once_each(spoken))
        self.store.set_gold(self._known(known))
        members = [(row, clip) for row, _, clip in placed if row.sets]
        for name in found.sets:
            self.store.freeze(name, [(row, clip) for row, clip in members if name in row.sets])
        detail = {"task": self.task.name, "file": self.path.name, "labels": self.store.result.labels}
        self.connection.execute(sa.insert(Audit).values(at=now_us(), what="import", detail=detail))
        return self.store.result

    def take_gold(self, found: Found, forget: bool) -> Imported:
        """Its known answers, or where it says of none that it is known, its labels as such."""
        result = self.store.result
        result.notes += found.notes
        if found.heard:
            raise InputError(
                f"{found.heard[0].where}: it marks when a tag sounds, and a known answer is about a whole clip; give a "
                "table of labels, such as `earmark catalog export` writes."
            )
        rows = [row for row in found.rows if row.kind == "gold"] or [row for row in found.rows if row.kind == "label"]
        if len(rows) < len(found.rows):
            result.notes.append(f"{self.path.name}: {len(found.rows) - len(rows)} rows are no known answer; left out")
        placed = [(self._fitting(row), self.sounds.clip(row)[1]) for row in rows]
        away = next((row for row, clip in placed if forget and not clip.in_task), None)
        if away is not None:
            raise InputError(f"{away.where}: its clip is not in task {self.task.name!r}, so it has no known answer.")
        self.store.join([clip for _, clip in placed])
        known = dict.fromkeys(clip.id for _, clip in placed) if forget else self._known(placed)
        self.store.set_gold(known)
        result.known = len(known) - result.gold
        detail = {"task": self.task.name, "file": self.path.name, "gold": result.gold, "forget": forget}
        self.connection.execute(sa.insert(Audit).values(at=now_us(), what="known answers", detail=detail))
        return result

    def _known(self, placed: Sequence[tuple[Row, Span]]) -> dict[int, Mapping[str, LabelValue]]:
        """clip -> what is known of it, every tag of the task."""
        rows: dict[int, Row] = {}
        for row, clip in placed:
            missing = next((tag for tag in self.task.tags if tag not in row.values), None)
            if missing is not None:
                raise InputError(f"{row.where}: a known answer says every tag, and {missing!r} is not in it; add it.")
            first = rows.setdefault(clip.id, row)
            if first.values != row.values:
                raise InputError(
                    f"{row.where}: another answer for this clip is known by {first.where}; keep the one that is right."
                )
        return {clip: row.values for clip, row in rows.items()}

    def _fitting(self, row: Row) -> Row:
        """The row with answers that are on the task's scale."""
        allowed = [*self.task.scale, LabelValue.UNSURE]
        values = {}
        for tag, given in row.values.items():
            value = self._present if given is LabelValue.PRESENT else given
            if tag not in self.task.tags:
                known = ", ".join(self.task.tags)
                raise InputError(f"{row.where}: task {self.task.name!r} has no tag {tag!r}; its tags are {known}.")
            if value not in allowed:
                raise InputError(
                    f"{row.where}, tag {tag!r}: {value} is not on the scale of task {self.task.name!r} "
                    f"({', '.join(allowed)})."
                )
            values[tag] = value
        return replace(row, values=values)

    @property
    def _present(self) -> LabelValue:
        if LabelValue.PRESENT in self.task.scale:
            return LabelValue.PRESENT
        return self.choices.present_as or next(value for value in self.task.scale if value.is_present)

    def _from_spans(self, found: Found) -> list[tuple[Row, Span]]:
        """An answer for every clip of the task in the recordings that spans were marked in."""
        if not found.heard and not (found.recordings and not found.rows):
            return []
        spans: dict[int, dict[str, list[tuple[float, float]]]] = {}
        places = {span.recording: span.where for span in reversed(found.heard)}
        for (name, tag), marked in intervals.by_tag(found.heard, self.choices.tag).items():
            where = places[name]
            if tag not in self.task.tags:
                known = ", ".join(self.task.tags)
                raise InputError(f"{where}: task {self.task.name!r} has no tag {tag!r}; its tags are {known}.")
            spans.setdefault(self.sounds.recording(name, where).id, {}).setdefault(tag, []).extend(marked)
        tags = dict.fromkeys(tag for by_tag in spans.values() for tag in by_tag)
        if self.choices.tag and self.choices.tag in self.task.tags:
            tags[self.choices.tag] = None
        for name in found.recordings:
            spans.setdefault(self.sounds.recording(name, self.path.name).id, {})
        if self.choices.others_absent:
            for sound_id in self.sounds.all:
                spans.setdefault(sound_id, {})
        rows = []
        for sound_id, by_tag in spans.items():
            sound = self.sounds.all[sound_id]
            rate = sound.sample_rate_hz
            for clip in self.sounds.clips(sound):
                if not clip.in_task:
                    continue
                values = {}
                for tag in tags:
                    cover = intervals.covered(
                        clip.start / rate, clip.stop / rate, intervals.merged(by_tag.get(tag, []))
                    )
                    # times are rounded to a millisecond or so: a clip whose cover is the share itself is covered
                    present = cover >= self.choices.share - 1e-6
                    values[tag] = self._present if present else LabelValue.ABSENT
                if values:
                    rows.append((self._fitting(Row(f"{self.path.name}, {sound.uri}", sound.uri, values=values)), clip))
        return rows

    def _once_each(self, spoken: Sequence[tuple[Row, Span]]) -> dict[Key, Row]:
        """Rows that speak of one clip for one person, made one."""
        rows: dict[Key, Row] = {}
        for row, clip in spoken:
            key = Key(clip.id, self._person(row.annotator, row.where), row.origin == "adjudication")
            first = rows.setdefault(key, row)
            if first is row:
                continue
            if first.kind != "label" or row.kind != "label" or set(first.values) & set(row.values):
                raise InputError(
                    f"{row.where}: the same person labelled this clip in {first.where} already; keep one of them."
                )
            rows[key] = replace(first, values={**first.values, **row.values})
        return rows

    def _person(self, name: str | None, where: str) -> int:
        name = name or self.choices.annotator or f"import {self.path.name}"
        if name not in self.people:
            word_of(name, where, "the annotator's name")
            insert = tasks.insert_new(self.connection, Annotator).on_conflict_do_nothing()
            values = {"name": name, "role": "annotator", "kind": "import", "active": True, "created_at": now_us()}
            self.connection.execute(insert, values)
            query = sa.select(Annotator.id).where(Annotator.name == name)
            self.people[name] = self.connection.execute(query).scalar_one()
        return self.people[name]


def _check_words(row: Row) -> None:
    """What a database could not look for, or not keep."""
    for what, text in (("chunk_id", row.chunk_id), ("the group", row.group)):
        if text is not None:
            word_of(text, row.where, what)


def _nameless(sound: Sound, row: Row) -> bool:
    """Whether the group that a row gives is news: not the file's own name, and there is none yet."""
    return sound.group is None and row.group not in (sound.name, sound.stem, sound.uri)

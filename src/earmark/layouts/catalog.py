"""`catalog:TASK`: the labelled clips of a workspace, as a manifest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from earmark.data.manifest import Item, Manifest, build
from earmark.errors import InputError, LayoutError, MissingExtraError
from earmark.layouts.walk import log
from earmark.settings import load_settings
from earmark.types import Vocabulary

if TYPE_CHECKING:
    from earmark.catalog.database import Catalog, Workspace
    from earmark.catalog.sets import ClipSet, SetRow

NAME = "catalog"
SUMMARY = "catalog:TASK, the labelled clips of the workspace one is in"
DOC = """
    catalog:sax                             the task's labels as they stand
    catalog:sax@sax1203                     a frozen set, exactly as it was frozen
    catalog:sax?sax=foreground vs absent    two classes; clips that fit neither are left out

Without classes, any clip may have any of the task's tags (multilabel): foreground and background are both present, and
a tag that nobody has answered, or that is in dispute, counts nowhere; each other one weighs as much as its consensus is
sure. With classes, the clip weighs so. Groups are those of the recordings. The workspace is the current folder, or the
nearest above it that is one; EARMARK_DATABASE_URL says where its database is, if elsewhere.
"""

PREFIX = "catalog:"


def is_catalog(path: Path | str) -> bool:
    """Whether a name means a task of the catalog, not a folder."""
    return str(path).startswith(PREFIX)


def with_where(data: Path, where: str | None) -> Path:
    """`data` with a where-expression added, as `--where` does; InputError where it is no task, or has one already."""
    if where is None:
        return data
    if not is_catalog(data):
        raise InputError(f"--where {where!r}: it chooses labels of catalog:TASK, and this is {data}.")
    if "?" in str(data):
        raise InputError(f"--where {where!r}: {data} has a condition already; give one of the two.")
    return Path(f"{data}?{where}")


def in_classes(data: Path | str) -> str:
    """A task or set of many tags, with the condition that makes two classes of it.

    The tag is the one named like the task, or the only one; told apart is where it is plain from where it is absent,
    so what is merely in the background is left out.

    Raises:
        InputError: no tag suggests itself, or the name has a condition that leaves several tags. Others as of `read`.
    """
    name, _, where = parse(str(data))
    tags, scale = _asked(str(data))
    namesake = name if name in tags else tags[0] if len(tags) == 1 else None
    tag = namesake or tags[0]
    heard = "present" if "present" in scale else "foreground" if "foreground" in scale else "background"
    if where is not None:
        raise InputError(
            f"{data}: {where!r} chooses clips but makes no classes, and this recipe tells classes apart; say which, "
            f"such as '{tag}={heard} & {where} vs {tag}=absent & {where}'."
        )
    if namesake is None:
        raise InputError(
            f"{data}: the task asks about {', '.join(tags)}, and this recipe tells classes apart; say which, such as "
            f"--where '{tag}={heard} vs absent', or choose another recipe."
        )
    return f"{data}?{tag}={heard} vs absent"


def read(root: Path | str) -> Manifest:
    """The manifest of `catalog:TASK`, `catalog:TASK@SET` or `catalog:TASK?WHERE`.

    Raises:
        CatalogError: no workspace here, or its database cannot be used. NotFoundError: no such task or set.
        InputError: a where-expression that makes no sense.
        LayoutError: no labelled clip.
    """
    task, name, where = parse(str(root))
    with _opened(str(root)) as (workspace, catalog):
        from earmark.catalog import sets

        if name is None:
            found = sets.labelled(workspace, catalog, task, where)
        else:
            found = sets.load(workspace, catalog, task, name, where)
    return manifest_of(found, workspace.root, str(root))


def _asked(name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The tags of the task in `name`, and the words of its scale."""
    with _opened(name) as (_, catalog), catalog.read() as connection:
        from earmark.catalog.tasks import find_task

        info = find_task(connection, parse(name)[0])
    return tuple(info.tags), tuple(value.value for value in info.scale)


@contextmanager
def _opened(name: str) -> Iterator[tuple[Workspace, Catalog]]:
    try:
        from earmark.catalog.database import Workspace
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f'{name} needs {error.name!r}, which is not installed: pip install "earmark[catalog]"'
        ) from None
    workspace = Workspace.open(None, load_settings().database_url)
    with workspace.catalog() as catalog:
        yield workspace, catalog


def parse(text: str) -> tuple[str, str | None, str | None]:
    """Task, set and where-expression of a name; InputError where it names no task."""
    rest, mark, where = text.removeprefix(PREFIX).partition("?")
    task, at, name = rest.partition("@")
    if not task.strip() or (at and not name.strip()) or (mark and not where.strip()):
        raise InputError(f"{text!r}: expected catalog:TASK, catalog:TASK@SET or catalog:TASK?WHERE.")
    return task.strip(), name.strip() or None, where.strip() or None


def manifest_of(found: ClipSet, root: Path, name: str) -> Manifest:
    """A set of clips as a manifest.

    Raises:
        LayoutError: there are none.
    """
    if not found.rows:
        why = ", ".join(f"{count} {reason}" for reason, count in found.left_out.items())
        raise LayoutError(
            f"{name}: no labelled clip{f' (left out: {why})' if why else ''}; label some with `earmark serve`, or "
            "import labels with `earmark catalog import`."
        )
    if found.left_out:
        log.info(
            "%s: %d clips; left out: %s",
            name,
            len(found.rows),
            ", ".join(f"{count} {why}" for why, count in found.left_out.items()),
        )
    if found.classes:
        vocabulary = Vocabulary(found.classes, "exclusive")
        items = [_of_class(row, name) for row in found.rows]
        empty = [one for one, count in found.counts().items() if not count]
        if empty:
            raise LayoutError(f"{name}: no labelled clip of the class {empty[0]!r}; label some, or leave it out.")
    else:
        vocabulary = Vocabulary(found.task.tags, "multilabel")
        items = [_of_tags(row, found.task.tags, name) for row in found.rows]
    return build(items, root=root, layout=NAME, name=name.removeprefix(PREFIX), vocabulary=vocabulary)


def _of_class(row: SetRow, name: str) -> Item:
    sure = [confidence for _, confidence in row.values.values()]
    return _item(row, (str(row.class_name),), name, weight=max(1e-3, sum(sure) / len(sure)) if sure else 1.0)


def _of_tags(row: SetRow, tags: Iterable[str], name: str) -> Item:
    heard = tuple(tag for tag, (value, _) in row.values.items() if value.is_present)
    unlabelled = tuple(tag for tag in tags if tag not in row.values)
    sure = {tag: max(1e-3, confidence) for tag, (_, confidence) in row.values.items()}
    return _item(row, heard, name, unlabelled=unlabelled, tag_weights=sure)


def _item(
    row: SetRow,
    labels: tuple[str, ...],
    name: str,
    *,
    weight: float = 1.0,
    unlabelled: tuple[str, ...] = (),
    tag_weights: Mapping[str, float] | None = None,
) -> Item:
    return Item(
        path=row.path,
        labels=labels,
        start_s=row.start_s or None,
        stop_s=row.stop_s,
        group=row.group,
        weight=weight,
        licence=row.licence,
        source=row.source,
        unlabelled=unlabelled,
        tag_weights=tag_weights or {},
        where=f"{name} clip {row.clip_id}",
    )

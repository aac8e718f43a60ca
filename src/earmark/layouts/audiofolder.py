"""Hugging Face's audiofolder: a metadata table beside the files."""

from __future__ import annotations

from pathlib import Path

from earmark.data.manifest import Item, Manifest, build, relative_path
from earmark.errors import LayoutError
from earmark.layouts import rows
from earmark.layouts.tables import Table, columns_of, read_table, split_labels, uses_bar
from earmark.layouts.walk import Locator, split_named, subfolders

NAME = "audiofolder"
SUMMARY = "Hugging Face audiofolder: metadata.csv or metadata.jsonl with file_name and label"
DOC = """
    sounds/
      metadata.csv            file_name,label       (or metadata.jsonl, or one in each of train/, validation/, test/)
      data/x.wav              file_name is relative to the metadata file

The label column is `label`, `category` or `class` (one label, taken as it is), or `labels` (several: `dog|rain`,
`"dog,rain"`, or a list in JSON lines). A first folder called train, validation or test is the clip's split. The columns
group, fold, split, start_s, end_s, weight, trust, licence and source are used where they are there, and so is
unlabelled: tags that nobody has decided on. With that column any clip may have any number of tags. tag_weights says
how sure single tags are: `sax=0.9|vocals=0.6`.
"""

_FILES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
_ONE = ("label", "category", "class")
_LABELS = ("label", "labels", "category", "class")
_UNLABELLED = "unlabelled"


def detect(root: Path) -> bool:
    return any("file_name" in columns_of(path) for path in _tables(root))


def read(root: Path) -> Manifest:
    paths = _tables(root)
    if not paths:
        raise LayoutError(f"{root}: no {', '.join(_FILES)} in it or in its train, validation and test folders.")
    folders = [path.parent for path in paths]
    twice = next((folder for folder in folders if folders.count(folder) > 1), None)
    if twice is not None:
        names = ", ".join(path.name for path in paths if path.parent == twice)
        raise LayoutError(f"{twice}: {names} stand side by side; keep one of them.")
    locator = Locator()
    tables = [read_table(path, root) for path in paths]
    pairs = zip(paths, tables, strict=True)
    items = [item for path, table in pairs for item in _items(path, table, root, locator)]
    locator.report(NAME)
    several = any(_UNLABELLED in table.columns for table in tables)
    return build(items, root=root, layout=NAME, kind="multilabel" if several else None)


def _items(path: Path, table: Table, root: Path, locator: Locator) -> list[Item]:
    table.need("file_name")
    column = _label_column(table)
    bar = uses_bar([row.cells.get(column) for row in table.rows])
    bar_unlabelled = uses_bar([row.cells.get(_UNLABELLED) for row in table.rows])
    bar_weights = uses_bar([row.cells.get("tag_weights") for row in table.rows])
    items = []
    for row in table.rows:
        file = path.parent / row.needed("file_name", "a file, relative to the table")
        inside = relative_path(file, root).split("/")
        cell = row.cells.get(column)
        if column in _ONE and not isinstance(cell, list):
            labels: tuple[str, ...] = (row.needed(column, "the clip's label"),)
        else:
            labels = split_labels(cell, bar=bar)
        split = split_named(inside[0]) if len(inside) > 1 else ""
        unlabelled = split_labels(row.cells.get(_UNLABELLED), bar=bar_unlabelled)
        weights = split_labels(row.cells.get("tag_weights"), bar=bar_weights)
        found, columns = locator.find(file), ("file_name", column)
        items.append(rows.item(row, found, labels, columns, unlabelled=unlabelled, tag_weights=weights, split=split))
    return items


def _label_column(table: Table) -> str:
    found = [column for column in _LABELS if column in table.columns]
    if len(found) == 1:
        return found[0]
    if found:
        raise LayoutError(f"{table.name}: columns {' and '.join(found)} could all be the label; keep one of them.")
    raise LayoutError(
        f"{table.name}: no label column ({', '.join(_LABELS)}); found {', '.join(table.columns)}. Rename one to label."
    )


def _tables(root: Path) -> list[Path]:
    folders = [root, *(folder for folder in subfolders(root) if split_named(folder.name))]
    return [folder / name for folder in folders for name in _FILES if (folder / name).is_file()]

"""A manifest: one table that names files and their labels."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from earmark.data.manifest import Manifest, build
from earmark.errors import LayoutError
from earmark.layouts import rows
from earmark.layouts.tables import columns_of, read_table, split_labels, uses_bar
from earmark.layouts.walk import Locator, log, tables_in
from earmark.types import VocabularyKind

NAME = "manifest"
SUMMARY = "a CSV or Parquet table with path and labels, and optional group, fold, split and more"
DOC = """
    sounds/
      manifest.csv            path,labels[,start_s,end_s,group,fold,split,weight,trust,licence,source]
      any/where/x.wav         paths are relative to the table

`labels` holds one label or several: `dog|rain`, or `"dog,rain"` in quotes. Where any clip has several labels, or none,
all clips may have any number (multilabel). The table itself can be named instead of its folder.
"""

SUFFIXES = (".csv", ".tsv", ".parquet")
_NEEDED = ("path", "labels")
_KNOWN = (*_NEEDED, "unlabelled", "tag_weights", "kind", *rows.OPTIONAL)


def detect(root: Path) -> bool:
    return bool(_tables(root))


def read(root: Path) -> Manifest:
    """`root` is the table, or a folder with exactly one such table in it."""
    path = root if root.is_file() else _only_table(root)
    folder = path.parent
    table = read_table(path, folder)
    table.need(*_NEEDED)
    for column in table.columns:
        if column not in _KNOWN:
            near = difflib.get_close_matches(column, _KNOWN, n=1)
            log.warning("%s: column %r is not used%s.", table.name, column, f"; is it {near[0]!r}?" if near else "")
    bar = uses_bar([row.cells.get("labels") for row in table.rows])
    bar_unlabelled = uses_bar([row.cells.get("unlabelled") for row in table.rows])
    bar_weights = uses_bar([row.cells.get("tag_weights") for row in table.rows])
    locator = Locator()
    items = []
    for row in table.rows:
        written = row.needed("path", "a file, relative to the table")
        path_here = folder / written
        if "\\" in written and not os.path.isfile(path_here):
            path_here = folder / written.replace("\\", "/")  # written on Windows
        items.append(
            rows.item(
                row,
                locator.find(path_here),
                split_labels(row.cells.get("labels"), bar=bar),
                _NEEDED,
                unlabelled=split_labels(row.cells.get("unlabelled"), bar=bar_unlabelled),
                tag_weights=split_labels(row.cells.get("tag_weights"), bar=bar_weights),
            )
        )
    if not items:
        raise LayoutError(f"{table.name}: no row below the header; expected one a clip.")
    locator.report(table.name)
    bare = [item.where for item in items if not item.labels]
    if bare and not any(len(item.labels) > 1 for item in items):
        log.warning(
            "%s: no label (%d such rows), so any clip may have any number of tags; if the classes exclude each other, "
            "label these rows or remove them.",
            bare[0],
            len(bare),
        )
    kinds = {row.text("kind") for row in table.rows}
    kind: VocabularyKind | None = "multilabel" if kinds == {"multilabel"} else None
    name = path.stem if path.stem != "manifest" else folder.resolve().name
    return build(items, root=folder, layout=NAME, name=name, kind=kind)


def _tables(root: Path) -> list[Path]:
    return [path for path in tables_in(root, SUFFIXES) if set(_NEEDED) <= set(columns_of(path))]


def _only_table(root: Path) -> Path:
    tables = _tables(root)
    if len(tables) > 1:
        names = ", ".join(path.name for path in tables)
        raise LayoutError(f"{root}: {len(tables)} manifests ({names}); name the one to use instead of the folder.")
    if not tables:
        for path in tables_in(root, SUFFIXES):
            read_table(path, root)  # which says why, where that is the reason
        raise LayoutError(f"{root}: no CSV or Parquet table with the columns path and labels in it.")
    return tables[0]

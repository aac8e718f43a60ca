"""ESC-50, ESC-10 and sets made in their likeness."""

from __future__ import annotations

from pathlib import Path

from earmark.data.manifest import Item, Manifest, build
from earmark.errors import LayoutError
from earmark.layouts.tables import Row, columns_of, read_table
from earmark.layouts.walk import Locator, tables_in

NAME = "esc50"
SUMMARY = "ESC-50 and ESC-10: audio/ and a table in meta/ with filename, fold, category"
DOC = """
    ESC-50/
      audio/1-100032-A-0.wav
      audio/...
      meta/esc50.csv          filename,fold,category and, if there, esc10,src_file,take

One class a clip (`category`). Folds are the set's own. The group is `src_file`, the recording a clip was cut from
(where the column is missing: the second part of the file's name). `esc10` decides the licence that is noted.
"""

_COLUMNS = ("filename", "fold", "category")


def detect(root: Path) -> bool:
    return (root / "audio").is_dir() and bool(_tables(root))


def read(root: Path) -> Manifest:
    tables = _tables(root)
    if not tables:
        raise LayoutError(f"{root / 'meta'}: no table with the columns {', '.join(_COLUMNS)}; ESC-50 has esc50.csv.")
    if len(tables) > 1:
        names = ", ".join(table.name for table in tables)
        raise LayoutError(f"{root / 'meta'}: {len(tables)} tables could be it ({names}); leave one in the folder.")
    table = read_table(tables[0], root)
    table.need(*_COLUMNS)
    locator = Locator()
    items = [_item(root, row, locator) for row in table.rows]
    locator.report(table.name)
    return build(items, root=root, layout=NAME, kind="exclusive")


def _item(root: Path, row: Row, locator: Locator) -> Item:
    filename = row.needed("filename", "a file in audio/")
    parts = Path(filename).stem.split("-")
    source = row.text("src_file") or (parts[1] if len(parts) == 4 else "")
    open_licence = row.text("esc10").lower() in ("true", "1")
    return Item(
        path=locator.find(root / "audio" / filename),
        labels=(row.needed("category", "the clip's class"),),
        group=source or None,
        fold=row.whole_of("fold"),
        licence=("CC BY" if open_licence else "CC BY-NC") if row.text("esc10") else None,
        source=f"https://freesound.org/s/{source}/" if source.isdigit() else None,
        where=row.where,
        path_column="filename",
        labels_column="category",
    )


def _tables(root: Path) -> list[Path]:
    return [path for path in tables_in(root / "meta", (".csv",)) if set(_COLUMNS) <= set(columns_of(path))]

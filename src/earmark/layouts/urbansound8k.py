"""UrbanSound8K."""

from __future__ import annotations

from pathlib import Path

from earmark.data.manifest import Item, Manifest, build
from earmark.errors import LayoutError
from earmark.layouts.tables import Row, read_table
from earmark.layouts.walk import Locator

NAME = "urbansound8k"
SUMMARY = "UrbanSound8K: audio/fold1..10/ and metadata/UrbanSound8K.csv"
DOC = """
    UrbanSound8K/
      audio/fold1/101415-3-0-2.wav
      audio/fold2/...
      metadata/UrbanSound8K.csv   slice_file_name,fsID,fold,class and, if there, classID,start,end,salience

One class a clip (`class`). Folds are the set's own. The group is `fsID`, the Freesound recording a clip was cut from.
`start` and `end` say where in that recording the clip lay; the files here are the clips already.
"""

_TABLE = Path("metadata", "UrbanSound8K.csv")


def detect(root: Path) -> bool:
    return (root / _TABLE).is_file() and (root / "audio").is_dir()


def read(root: Path) -> Manifest:
    if not (root / _TABLE).is_file():
        raise LayoutError(f"{root / _TABLE}: not there; UrbanSound8K keeps its table in that place.")
    table = read_table(root / _TABLE, root)
    table.need("slice_file_name", "fsID", "fold", "class")
    locator = Locator()
    items = [_item(root, row, locator) for row in table.rows]
    locator.report(table.name)
    return build(items, root=root, layout=NAME, kind="exclusive")


def _item(root: Path, row: Row, locator: Locator) -> Item:
    fold = row.whole_of("fold")
    if fold is None:
        raise row.error("fold", "", "the number of the clip's fold")
    source = row.needed("fsID", "the Freesound recording the clip was cut from")
    return Item(
        path=locator.find(root / "audio" / f"fold{fold}" / row.needed("slice_file_name", "a file in audio/")),
        labels=(row.needed("class", "the clip's class"),),
        group=source,
        fold=fold,
        licence="CC BY-NC",
        source=f"https://freesound.org/s/{source}/" if source.isdigit() else None,
        where=row.where,
        path_column="slice_file_name",
        labels_column="class",
    )

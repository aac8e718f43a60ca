"""The columns that any table of ours may have beside path and labels: row in, Item out."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

from earmark.data.manifest import Item, Trust
from earmark.layouts.tables import Row
from earmark.layouts.walk import split_named

OPTIONAL = ("start_s", "end_s", "group", "fold", "split", "weight", "trust", "licence", "license", "source")


def item(
    row: Row,
    path: Path,
    labels: tuple[str, ...],
    columns: tuple[str, str],
    *,
    unlabelled: tuple[str, ...] = (),
    tag_weights: tuple[str, ...] = (),
    split: str = "",
) -> Item:
    """One clip.

    Args:
        columns: the names of those that `path` and `labels` are from, for messages.
        tag_weights: `TAG=WEIGHT` each.
        split: what the file's place says where the row itself says nothing.

    Raises:
        LayoutError: a cell that makes no sense; names row and column.
    """
    start_s = row.number_of("start_s", "seconds, 0 or above", least=0.0)
    end_s = row.number_of("end_s", "seconds, 0 or above", least=0.0)
    if end_s is not None and end_s <= (start_s or 0.0):
        raise row.error("end_s", end_s, f"more than start_s ({start_s or 0.0:g})")
    weight = row.number_of("weight", "a number above 0", least=0.0)
    if weight == 0.0:
        raise row.error("weight", row.text("weight"), "a number above 0 (leave the row out to leave the clip out)")
    return Item(
        path=path,
        labels=labels,
        start_s=start_s or None,
        stop_s=end_s,
        group=row.text("group") or None,
        fold=row.whole_of("fold"),
        split=_split(row) or split,
        weight=1.0 if weight is None else weight,
        trust=_trust(row),
        licence=row.text("licence") or row.text("license") or None,
        source=row.text("source") or None,
        unlabelled=unlabelled,
        tag_weights=dict(_weighed(row, text) for text in tag_weights),
        where=row.where,
        path_column=columns[0],
        labels_column=columns[1],
    )


def _weighed(row: Row, text: str) -> tuple[str, float]:
    tag, _, number = text.rpartition("=")
    try:
        weight = float(number)
    except ValueError:
        weight = math.nan
    if not tag.strip() or not (math.isfinite(weight) and weight > 0.0):
        raise row.error("tag_weights", text, "TAG=WEIGHT with a number above 0, such as sax=0.9")
    return tag.strip(), weight


def _split(row: Row) -> Literal["", "train", "val", "test"] | str:
    text = row.text("split")
    if text and not split_named(text):
        raise row.error("split", text, "train, val or test")
    return split_named(text)


def _trust(row: Row) -> Trust:
    text = row.text("trust") or "curated"
    if text not in ("curated", "noisy"):
        raise row.error("trust", text, "curated or noisy")
    return "noisy" if text == "noisy" else "curated"

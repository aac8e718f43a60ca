"""Tables as people write them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.data.manifest import join_labels
from earmark.errors import LayoutError
from earmark.layouts.tables import columns_of, read_table, split_labels, uses_bar

LABELS = st.lists(
    st.text(alphabet="ab ,|\\ü", min_size=1, max_size=6).map(str.strip).filter(bool), unique=True, max_size=4
)


@given(st.lists(LABELS, min_size=1, max_size=4))
@settings(max_examples=200)
def test_joined_labels_split_to_the_same(cells: list[list[str]]) -> None:
    column = [join_labels(cell) for cell in cells]
    bar = uses_bar(column)
    assert [split_labels(cell, bar=bar) for cell in column] == [tuple(cell) for cell in cells]


@pytest.mark.parametrize(
    ("cell", "bar", "labels"),
    [
        ("dog", False, ("dog",)),
        ("dog, rain", False, ("dog", "rain")),
        ("dog|rain, heavy", True, ("dog", "rain, heavy")),
        (r"rain\, heavy", False, ("rain, heavy",)),
        (r"C:\dogs", False, (r"C:\dogs",)),
        ("dog||dog|", True, ("dog",)),
        ("", False, ()),
        (None, False, ()),
        (float("nan"), False, ()),
        (["a,b", "c"], False, ("a,b", "c")),
        (np.array(["x", "y"], dtype=object), True, ("x", "y")),
        (3, False, ("3",)),
    ],
)
def test_cells_of_labels(cell: object, bar: bool, labels: tuple[str, ...]) -> None:
    assert split_labels(cell, bar=bar) == labels


def test_one_bar_decides_for_its_column() -> None:
    assert uses_bar(["a", "b|c"])
    assert not uses_bar(["a,b", r"c\|d", None])


def table(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_rows_are_numbered_as_a_spreadsheet_shows_them(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", 'path,labels\na.wav,dog\n\n"b\nb.wav",rain\nc.wav,cat\n')
    assert [row.number for row in read_table(path, tmp_path).rows] == [2, 4, 5]


@pytest.mark.parametrize("text", ["path;labels\na.wav;dog,rain\n", "path\tlabels\na.wav\tdog,rain\n"])
def test_other_delimiters(tmp_path: Path, text: str) -> None:
    (row,) = read_table(table(tmp_path / "t.csv", text), tmp_path).rows
    assert row.cells == {"path": "a.wav", "labels": "dog,rain"}


def test_excels_byte_order_mark_and_spaces_in_the_header(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", "\ufeffpath, labels\na.wav,dog\n")
    assert columns_of(path) == ("path", "labels")


def test_too_many_cells_name_the_row_and_the_way_out(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", "path,labels\na.wav,dog\nb.wav,dog,rain\n")
    with pytest.raises(LayoutError, match=r"t.csv row 3: 3 cells, but the header has 2; put quotes"):
        read_table(path, tmp_path)


def test_latin_1_is_told(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match=r"t.csv row \d, column .* is not UTF-8; save the table as UTF-8"):
        read_table(table(tmp_path / "t.csv", "path,labels\nü.wav,dog\n".encode("latin-1")), tmp_path)


@pytest.mark.parametrize(("name", "kind"), [("t.parquet", "not a parquet table"), ("t.jsonl", "line 1: not JSON")])
def test_something_else_in_a_tables_clothes(tmp_path: Path, name: str, kind: str) -> None:
    path = table(tmp_path / name, "nonsense")
    assert columns_of(path) == ()
    with pytest.raises(LayoutError, match=kind):
        read_table(path, tmp_path)


def test_whole_numbers_stay_whole_in_parquet(tmp_path: Path) -> None:
    pd.DataFrame({"path": ["a", "b"], "fold": [1, None]}).to_parquet(tmp_path / "t.parquet")
    first, second = read_table(tmp_path / "t.parquet", tmp_path).rows
    assert (first.text("fold"), first.whole_of("fold")) == ("1", 1)
    assert (second.text("fold"), second.whole_of("fold"), second.number) == ("", None, 3)


def test_the_cell_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", "path,labels\na.wav,dog\nb.wav,Kr\u00e4he\n".encode("latin-1"))
    with pytest.raises(LayoutError, match=r"^t.csv row 3, column 'labels': 'Kr\u00e4he' is not UTF-8; save the table"):
        read_table(path, tmp_path)


def test_a_column_that_stands_twice_is_refused(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", "path,labels,labels\na.wav,dog,cat\n")
    with pytest.raises(LayoutError, match=r"t.csv: column 'labels' stands twice; keep one"):
        read_table(path, tmp_path)
    assert (
        read_table(table(tmp_path / "u.csv", "path,labels,,\na.wav,dog,,\n"), tmp_path).rows[0].text("labels") == "dog"
    )


@pytest.mark.parametrize("text", ["", "\n", "\ufeff\r\n"])
def test_an_empty_table_says_what_belongs_in_it(tmp_path: Path, text: str) -> None:
    (tmp_path / "m.csv").write_text(text, encoding="utf-8", newline="")
    with pytest.raises(LayoutError, match=r"m\.csv: is empty; expected a first row that names path, labels\."):
        read_table(tmp_path / "m.csv", tmp_path).need("path", "labels")

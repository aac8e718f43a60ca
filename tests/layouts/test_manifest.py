"""The manifest layout: what every column means, and what is said where it makes no sense."""

from __future__ import annotations

from pathlib import Path

import pytest

from earmark import layouts
from earmark.data.manifest import Manifest
from earmark.errors import LayoutError


def read(root: Path, text: str, *, name: str = "manifest.csv") -> Manifest:
    for file in ("a.wav", "b.wav"):
        (root / file).write_bytes(b"x")
    (root / name).write_text(text)
    return layouts.read(root / name)


def test_all_columns(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "path,labels,start_s,end_s,group,fold,split,weight,trust,licence,source\n"
        "a.wav,dog,1.5,2,g,3,valid,0.5,noisy,CC0,me\n"
        "a.wav,rain,,1.5,,,,,,,\n",
    )
    first, second = found.rows.iloc[0], found.rows.iloc[1]
    assert (first["start_s"], first["stop_s"], first["group"], first["fold"]) == (1.5, 2.0, "g", 3)
    assert (first["split"], first["weight"], first["trust"]) == ("val", 0.5, "noisy")
    assert (first["licence"], first["source"], first["group_is_given"]) == ("CC0", "me", True)
    assert (second["stop_s"], second["group"], second["group_is_given"], second["split"]) == (1.5, "a.wav", False, "")
    assert (second["weight"], second["trust"], second["licence"]) == (1.0, "curated", None)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("a.wav,dog,x,,,,,", r"row 2, column 'start_s': found 'x', expected seconds"),
        ("a.wav,dog,-1,,,,,", r"column 'start_s': found '-1'"),
        ("a.wav,dog,2,1,,,,", r"column 'end_s': found 1.0, expected more than start_s \(2\)"),
        ("a.wav,dog,,nan,,,,", r"column 'end_s': found 'nan'"),
        ("a.wav,dog,,,one,,,", r"column 'fold': found 'one', expected a whole number"),
        ("a.wav,dog,,,,learn,,", r"column 'split': found 'learn', expected train, val or test"),
        ("a.wav,dog,,,,,0,", r"column 'weight': found '0', expected a number above 0"),
        ("a.wav,dog,,,,,,maybe", r"column 'trust': found 'maybe', expected curated or noisy"),
        (",dog,,,,,,", r"row 2, column 'path': found '', expected a file"),
        ("c.wav,dog,,,,,,", r"row 2, column 'path': no file .*c.wav"),
    ],
)
def test_a_cell_that_makes_no_sense_is_named(tmp_path: Path, row: str, said: str) -> None:
    with pytest.raises(LayoutError, match=said):
        read(tmp_path, f"path,labels,start_s,end_s,fold,split,weight,trust\n{row}\n")


def test_missing_column_names_what_is_there_and_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match=r"no column 'labels'; found path, label. Is it 'label'\? Rename it"):
        read(tmp_path, "path,label\na.wav,dog\n")


def test_a_column_that_is_not_used_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    read(tmp_path, "path,labels,grup\na.wav,dog,1\nb.wav,cat,2\n")
    assert "column 'grup' is not used; is it 'group'?" in caplog.text


def test_one_clip_on_two_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        LayoutError, match=r"row 3, column 'path': a.wav stands twice \(first in manifest.csv row 2\).*by \|"
    ):
        read(tmp_path, "path,labels\na.wav,dog\na.wav,rain\n")


def test_single_tags_have_weights(tmp_path: Path) -> None:
    text = "path,labels,unlabelled,tag_weights\na.wav,dog|x=y,cat,dog=0.5|rain=0.25|x=y=0.75\nb.wav,,,cat=0.5\n"
    found = read(tmp_path, text)
    assert found.vocabulary.tags == ("cat", "dog", "rain", "x=y")
    assert found.targets.tolist() == [[0, 1, 0, 1], [0, 0, 0, 0]]
    assert found.weights.tolist() == [[0, 0.5, 0.25, 0.75], [0.5, 1, 1, 1]]
    found.to_csv(tmp_path / "again.csv")
    again = layouts.read(tmp_path / "again.csv")
    assert again.fingerprint() == found.fingerprint()


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("a.wav,dog|cat,dog", r"row 2, column 'tag_weights': found 'dog', expected TAG=WEIGHT with a number above 0"),
        ("a.wav,dog|cat,dog=0", r"found 'dog=0', expected TAG=WEIGHT"),
        ("a.wav,dog|cat,=1", r"found '=1', expected TAG=WEIGHT"),
        ("a.wav,dog,dog=0.5", r"row 2, column 'tag_weights': weights of tags need tags that do not exclude each other"),
    ],
)
def test_weights_of_tags_that_make_no_sense_are_named(tmp_path: Path, row: str, said: str) -> None:
    with pytest.raises(LayoutError, match=said):
        read(tmp_path, f"path,labels,tag_weights\n{row}\n")


def test_several_labels_make_it_multilabel(tmp_path: Path) -> None:
    found = read(tmp_path, 'path,labels\na.wav,"dog,rain"\nb.wav,dog\n')
    assert found.vocabulary.kind == "multilabel"
    assert found.targets.tolist() == [[1.0, 1.0], [1.0, 0.0]]


def test_one_forgotten_label_is_pointed_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    found = read(tmp_path, "path,labels\na.wav,dog\nb.wav,\n")
    assert found.vocabulary.kind == "multilabel"
    assert "manifest.csv row 3: no label (1 such rows)" in caplog.text


def test_unlabelled_is_not_absent(tmp_path: Path) -> None:
    found = read(tmp_path, "path,labels,unlabelled\na.wav,dog|rain,\nb.wav,dog,*\n")
    assert found.weights.tolist() == [[1.0, 1.0], [1.0, 0.0]]


def test_paths_written_on_windows(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "c.wav").write_bytes(b"x")
    assert read(tmp_path, "path,labels\nin\\c.wav,dog\na.wav,cat\n").rows["recording"][0] == "in/c.wav"


def test_the_name_is_the_tables_unless_it_is_called_manifest(tmp_path: Path) -> None:
    assert read(tmp_path, "path,labels\na.wav,dog\n", name="birds.csv").name == "birds"
    assert read(tmp_path, "path,labels\na.wav,dog\n", name="manifest.csv").name == tmp_path.name


def test_fsdkaggle_labels_with_a_path_column(data_dir: Path, tmp_path: Path) -> None:
    """1-3 labels a clip, comma separated in quotes, as Freesound's sets write them."""
    folder = data_dir / "fsdkaggle2019_mini"
    lines = (folder / "train_curated.csv").read_text().splitlines()
    table = tmp_path / "curated.csv"
    table.write_text("\n".join(["path,labels", *(f"{folder}/train_curated/{line}" for line in lines[1:])]))
    found = layouts.read(table)
    assert len(found) == len(lines) - 1
    assert len(found.vocabulary) == 19
    assert found.vocabulary.kind == "multilabel"
    assert set(found.targets.sum(axis=1)) == {1.0, 2.0, 3.0}


@pytest.mark.parametrize("name", ["manifest.csv", "metadata.csv", "sounds.csv"])
def test_an_unreadable_table_beside_folders_is_not_passed_over(tmp_path: Path, name: str) -> None:
    for file in ("one/a.wav", "two/b.wav"):
        (tmp_path / file).parent.mkdir()
        (tmp_path / file).write_bytes(b"x")
    (tmp_path / name).write_bytes("path,labels,Gerät\none/a.wav,Krähe,1\n".encode("latin-1"))
    with pytest.raises(LayoutError, match=rf"{name} row 1, column 3: 'Gerät' is not UTF-8; .*say --layout folder"):
        layouts.read(tmp_path)
    assert layouts.read(tmp_path, layout="folder").vocabulary.tags == ("one", "two")
    with pytest.raises(LayoutError, match="is not UTF-8"):
        layouts.read(tmp_path, layout="manifest")


def test_a_path_far_too_long_is_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match=r"row 2, column 'path': no file .*x{300}\.wav; put it there"):
        read(tmp_path, f"path,labels\n{'x' * 300}.wav,dog\n")

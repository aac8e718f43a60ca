"""Choosing a layout, and what is said where none fits."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from earmark import layouts
from earmark.data.manifest import Item, build
from earmark.errors import InputError, LayoutError


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


@pytest.mark.parametrize(
    ("name", "layout", "clips", "tags", "groups"),
    [
        ("esc10", "esc50", 320, 10, 247),
        ("urbansound8k", "urbansound8k", 824, 10, 125),
        ("drone_car_speech", "folder", 667, 3, 667),
        ("instruments", "folder", 300, 10, 300),
        ("notes", "folder", 410, 9, 410),
        ("animals", "folder", 400, 10, 400),
    ],
)
def test_real_sets(data_dir: Path, name: str, layout: str, clips: int, tags: int, groups: int) -> None:
    found = layouts.read(data_dir / name)
    assert (found.layout, len(found), len(found.vocabulary)) == (layout, clips, tags)
    assert found.rows["group"].nunique() == groups
    assert found.is_exclusive


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("spoken_digits", "1500 audio files and nothing that says what they are.*folder per class.*manifest.csv"),
        (
            "fsdkaggle2019_mini",
            r"train_curated.csv lists the same files \(column 'fname'\).*--layout folder.*path.*labels",
        ),
        ("fma_mini", r"one folder \(fma_small\)"),
    ],
)
def test_real_sets_that_fit_no_layout_are_told_why(data_dir: Path, name: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        layouts.read(data_dir / name)


def test_nothing_there() -> None:
    with pytest.raises(InputError, match="/no/where: no such folder"):
        layouts.read("/no/where")


def test_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no audio file in it.*folder per class"):
        layouts.read(tmp_path)


def test_one_class(tmp_path: Path) -> None:
    touch(tmp_path, "dog/a.wav", "dog/b.wav")
    with pytest.raises(InputError, match=r"one folder \(dog\), so there is one class; a tagger needs at least two"):
        layouts.read(tmp_path)


def test_one_class_may_be_asked_for_by_name_to_evaluate_on_it(tmp_path: Path) -> None:
    assert len(layouts.read(touch(tmp_path, "dog/a.wav"), layout="folder")) == 1


def test_an_audio_file_is_no_folder(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav")
    with pytest.raises(InputError, match="an audio file; expected a folder of sounds, or a manifest"):
        layouts.read(tmp_path / "a.wav")


def test_unknown_layout_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Did you mean 'esc50'"):
        layouts.read(tmp_path, layout="ESC-50".lower())


def test_two_layouts_that_fit_are_both_named(tmp_path: Path) -> None:
    touch(tmp_path, "dog/a.wav", "rain/b.wav")
    (tmp_path / "manifest.csv").write_text("path,labels\ndog/a.wav,dog\nrain/b.wav,rain\n")
    with pytest.raises(InputError, match="manifest and folder; say which with --layout manifest or --layout folder"):
        layouts.read(tmp_path)
    assert layouts.read(tmp_path, layout="folder").layout == "folder"
    assert layouts.read(tmp_path, layout="manifest").layout == "manifest"


def test_a_table_that_does_not_list_the_files_does_not_disturb(tmp_path: Path) -> None:
    touch(tmp_path, "dog/a.wav", "rain/b.wav")
    (tmp_path / "prices.csv").write_text("item,price\nmicrophone,100\n")
    assert layouts.read(tmp_path).layout == "folder"


def test_splits_without_classes_are_not_taken_for_classes(tmp_path: Path) -> None:
    touch(tmp_path, "train/a.wav", "test/b.wav")
    with pytest.raises(InputError, match="test, train look like splits or folds, not like classes"):
        layouts.read(tmp_path)


def test_folds_are_not_taken_for_classes(tmp_path: Path) -> None:
    touch(tmp_path, "fold1/a.wav", "fold10/b.wav")
    with pytest.raises(InputError, match="fold1, fold10 look like splits or folds"):
        layouts.read(tmp_path)


def test_folder_names_are_classes_as_they_are(tmp_path: Path) -> None:
    decomposed = "u\u0308ber"  # as a Mac writes it: two code points
    found = layouts.read(touch(tmp_path, f"{decomposed}/a.wav", "Größe, klein|x/b.wav"))
    assert found.vocabulary.tags == ("Größe, klein|x", decomposed)


def test_two_spellings_of_one_class_are_pointed_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    layouts.read(touch(tmp_path, "Dog/a.wav", "dog/b.wav"))
    assert "2 spellings of one name" in caplog.text


def test_a_loose_file_is_left_out_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    found = layouts.read(touch(tmp_path, "dog/a.wav", "rain/b.wav", "loose.wav"))
    assert found.rows["recording"].tolist() == ["dog/a.wav", "rain/b.wav"]
    assert "loose.wav: left out; 1 file lies in no class folder." in caplog.text


def test_an_empty_class_folder_is_left_out_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    touch(tmp_path, "dog/a.wav", "rain/b.wav")
    (tmp_path / "snow").mkdir()
    assert layouts.read(tmp_path).vocabulary.tags == ("dog", "rain")
    assert "snow: no audio file" in caplog.text


def test_linked_folders_are_followed_once(tmp_path: Path) -> None:
    touch(tmp_path, "far/dog/a.wav", "sounds/rain/b.wav")
    os.symlink(tmp_path / "far" / "dog", tmp_path / "sounds" / "dog")
    os.symlink(tmp_path / "sounds", tmp_path / "sounds" / "rain" / "back")  # a circle
    assert layouts.read(tmp_path / "sounds").rows["recording"].tolist() == ["dog/a.wav", "rain/b.wav"]


def test_given_splits_of_folders(tmp_path: Path) -> None:
    touch(tmp_path, "Train/dog/a.wav", "Train/rain/b.wav", "validation/dog/c.wav", "eval/rain/d.wav")
    found = layouts.read(tmp_path)
    assert dict(zip(found.rows["recording"], found.rows["split"], strict=True)) == {
        "Train/dog/a.wav": "train",
        "Train/rain/b.wav": "train",
        "validation/dog/c.wav": "val",
        "eval/rain/d.wav": "test",
    }
    assert found.vocabulary.tags == ("dog", "rain")


def test_classes_may_be_called_train_among_others(tmp_path: Path) -> None:
    found = layouts.read(touch(tmp_path, "train/a.wav", "bus/b.wav", "car/c.wav"))
    assert found.vocabulary.tags == ("bus", "car", "train")


def test_esc50_facts(data_dir: Path) -> None:
    found = layouts.read(data_dir / "esc10")
    first = found.rows.iloc[0]
    assert first["recording"] == "audio/1-100032-A-0.ogg"
    assert (first["fold"], first["group"], found.labels_of(0)) == (1, "100032", ("dog",))
    assert (first["licence"], first["source"]) == ("CC BY", "https://freesound.org/s/100032/")
    assert sorted(found.rows["fold"].unique()) == [1, 2, 3, 4]


def test_esc50_with_two_tables_asks_for_one(tmp_path: Path) -> None:
    touch(tmp_path, "audio/1-1-A-0.wav")
    (tmp_path / "meta").mkdir()
    for name in ("esc10.csv", "esc50.csv"):
        (tmp_path / "meta" / name).write_text("filename,fold,category\n1-1-A-0.wav,1,dog\n")
    with pytest.raises(LayoutError, match=r"2 tables could be it \(esc10.csv, esc50.csv\)"):
        layouts.read(tmp_path)


def test_esc50_group_from_the_name_where_the_column_is_missing(tmp_path: Path) -> None:
    touch(tmp_path, "audio/1-77-A-0.wav", "audio/1-77-B-1.wav")
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "x.csv").write_text("filename,fold,category\n1-77-A-0.wav,1,dog\n1-77-B-1.wav,1,cat\n")
    assert layouts.read(tmp_path).rows["group"].tolist() == ["77", "77"]


def test_the_file_of_another_suffix_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    touch(tmp_path, "audio/1-1-A-0.ogg", "audio/1-2-A-1.ogg")
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "x.csv").write_text("filename,fold,category\n1-1-A-0.wav,1,dog\n1-2-A-1.wav,1,cat\n")
    with caplog.at_level("INFO", "earmark"):
        layouts.read(tmp_path)
    assert caplog.messages == [
        "meta/x.csv: 2 files have another suffix on disk (1-1-A-0.wav is 1-1-A-0.ogg); these are used."
    ]


def test_urbansound8k_bad_fold_names_row_and_column(tmp_path: Path) -> None:
    touch(tmp_path, "audio/fold1/1-0-0-0.wav")
    (tmp_path / "metadata").mkdir()
    table = tmp_path / "metadata" / "UrbanSound8K.csv"
    table.write_text("slice_file_name,fsID,fold,classID,class\n1-0-0-0.wav,1,1.5,0,dog\n")
    with pytest.raises(LayoutError, match=r"UrbanSound8K.csv row 2, column 'fold': found '1.5', expected a whole"):
        layouts.read(tmp_path)


def test_audiofolder_says_which_columns_there_are(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav")
    (tmp_path / "metadata.csv").write_text("file_name,text\na.wav,hello\n")
    with pytest.raises(LayoutError, match=r"no label column \(label, labels, category, class\); found file_name, text"):
        layouts.read(tmp_path)


def test_audiofolder_with_two_label_columns_asks(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav")
    (tmp_path / "metadata.csv").write_text("file_name,label,class\na.wav,1,dog\n")
    with pytest.raises(LayoutError, match="columns label and class could all be the label"):
        layouts.read(tmp_path)


def test_audiofolder_one_label_with_a_comma_is_one_label(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav", "b.wav")
    (tmp_path / "metadata.csv").write_text('file_name,label\na.wav,"Speech, child"\nb.wav,Rain\n')
    assert layouts.read(tmp_path).vocabulary.tags == ("Rain", "Speech, child")


def test_audiofolder_lists_of_labels(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav", "b.wav")
    (tmp_path / "metadata.jsonl").write_text(
        '{"file_name": "a.wav", "labels": ["dog", "rain, heavy"]}\n{"file_name": "b.wav", "labels": []}\n'
    )
    found = layouts.read(tmp_path)
    assert found.vocabulary.kind == "multilabel"
    assert found.labels_of(0) == ("dog", "rain, heavy")
    assert found.labels_of(1) == ()


def test_build_refuses_a_label_outside_a_given_vocabulary(tmp_path: Path) -> None:
    from earmark.types import Vocabulary

    touch(tmp_path, "a.wav")
    item = Item(tmp_path / "a.wav", ("dgo",), where="t.csv row 2")
    with pytest.raises(LayoutError, match=r"t.csv row 2: tag 'dgo' is not in the vocabulary.*did you mean 'dog'"):
        build([item], root=tmp_path, layout="x", vocabulary=Vocabulary(("cat", "dog"), "exclusive"))

"""The manifest: what each method promises."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.data.manifest import COLUMNS, Item, Manifest, build, join_labels, relative_path
from earmark.errors import InputError, LayoutError
from earmark.types import Vocabulary


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("a.wav", "b.wav", "c.wav"):
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


@pytest.fixture
def two_classes(root: Path) -> Manifest:
    items = [
        Item(root / "a.wav", ("dog",), group="g", fold=1, split="train", weight=0.5),
        Item(root / "b.wav", ("rain",), start_s=1.0, stop_s=2.5, split="test", trust="noisy", licence="CC0"),
        Item(root / "c.wav", ("dog",), split="train"),
    ]
    return build(items, root=root, layout="manifest", name="set")


def test_rows_have_all_columns_and_stated_types(two_classes: Manifest) -> None:
    rows = two_classes.rows
    assert tuple(rows.columns) == COLUMNS
    assert rows.index.equals(pd.RangeIndex(3))
    assert rows["recording"].tolist() == ["a.wav", "b.wav", "c.wav"]
    assert rows["group"].tolist() == ["g", "b.wav", "c.wav"]
    assert rows["group_is_given"].tolist() == [True, False, False]
    assert rows["fold"].dtype == "Int64"
    assert rows["fold"].isna().tolist() == [False, True, True]
    assert rows["licence"].tolist() == [None, "CC0", None]


def test_targets_classes_and_labels(two_classes: Manifest) -> None:
    assert two_classes.vocabulary == Vocabulary(("dog", "rain"), "exclusive")
    assert two_classes.targets.tolist() == [[1, 0], [0, 1], [1, 0]]
    assert two_classes.targets.dtype == np.float32
    assert two_classes.class_indices().tolist() == [0, 1, 0]
    assert two_classes.labels_of(1) == ("rain",)


def test_the_clips_weight_is_in_the_loss_weights_only(two_classes: Manifest) -> None:
    assert two_classes.weights.tolist() == [[1, 1]] * 3
    assert two_classes.loss_weights.tolist() == [[0.5, 0.5], [1, 1], [1, 1]]


def test_counts_per_tag_and_split(two_classes: Manifest) -> None:
    counts = two_classes.counts()
    assert counts.to_dict("index") == {
        "dog": {"train": 2, "test": 0, "total": 2},
        "rain": {"train": 0, "test": 1, "total": 1},
    }


def test_take_keeps_the_vocabulary_and_counts_rows_anew(two_classes: Manifest) -> None:
    taken = two_classes.take([2, 0])
    assert taken.rows["recording"].tolist() == ["c.wav", "a.wav"]
    assert taken.rows.index.equals(pd.RangeIndex(2))
    assert taken.vocabulary == two_classes.vocabulary
    assert two_classes.take(np.array([False, True, False])).rows["recording"].tolist() == ["b.wav"]
    assert len(two_classes) == 3


def test_nothing_can_be_changed_in_place(two_classes: Manifest) -> None:
    with pytest.raises(ValueError, match="read-only"):
        two_classes.targets[0, 0] = 0
    changed = two_classes.with_rows(group="x")
    assert changed.rows["group"].tolist() == ["x"] * 3
    assert two_classes.rows["group"].tolist() == ["g", "b.wav", "c.wav"]


def test_with_rows_knows_its_columns(two_classes: Manifest) -> None:
    with pytest.raises(InputError, match="no column 'grp'"):
        two_classes.with_rows(grp=1)


def test_fingerprint_does_not_know_the_machine(two_classes: Manifest) -> None:
    moved = two_classes.with_rows(uri="/elsewhere/x.wav")
    assert moved.fingerprint() == two_classes.fingerprint()


@pytest.mark.parametrize(
    "change", [{"group": "x"}, {"split": "val"}, {"weight": 2.0}, {"stop_s": 9.0}, {"trust": "noisy"}, {"source": "y"}]
)
def test_fingerprint_sees_every_other_change(two_classes: Manifest, change: dict[str, object]) -> None:
    assert two_classes.with_rows(**change).fingerprint() != two_classes.fingerprint()


def test_fingerprint_sees_labels_and_tag_names(two_classes: Manifest) -> None:
    from dataclasses import replace

    other_tag = replace(two_classes, vocabulary=Vocabulary(("dog", "snow"), "exclusive"))
    other_targets = replace(two_classes, targets=two_classes.targets[::-1].copy() * 0)
    other_weights = replace(two_classes, weights=two_classes.weights * 0)
    prints = {m.fingerprint() for m in (two_classes, other_tag, other_targets, other_weights)}
    assert len(prints) == 4


def test_a_clip_without_label_makes_it_multilabel(root: Path) -> None:
    made = build([Item(root / "a.wav", ()), Item(root / "b.wav", ("dog",))], root=root, layout="x")
    assert made.vocabulary.kind == "multilabel"
    with pytest.raises(InputError, match="is multilabel: a clip has no one class"):
        made.class_indices()


def test_exclusive_wants_one_label(root: Path) -> None:
    with pytest.raises(LayoutError, match=r"t.csv row 2: expected exactly one label.*found dog, rain"):
        build([Item(root / "a.wav", ("dog", "rain"), where="t.csv row 2")], root=root, layout="x", kind="exclusive")
    item = Item(root / "a.wav", ("dog", "rain"), where="t.csv row 2", path_column="file", labels_column="tags")
    with pytest.raises(LayoutError, match=r"t.csv row 2, column 'tags': expected exactly one label.*found dog, rain"):
        build([item], root=root, layout="x", kind="exclusive")


def test_soft_targets_are_not_written_as_labels(two_classes: Manifest, tmp_path: Path) -> None:
    from dataclasses import replace

    soft = replace(two_classes, targets=two_classes.targets * 0.7)
    with pytest.raises(InputError, match=r"the target of 'dog' in a.wav is 0.7; .* 0 or 1"):
        soft.to_csv(tmp_path / "x.csv")


def test_wrong_shapes_are_refused(two_classes: Manifest) -> None:
    with pytest.raises(InputError, match=r"targets are \(2, 2\).*need \(3, 2\)"):
        Manifest(
            two_classes.rows,
            two_classes.targets[:2],
            two_classes.weights,
            two_classes.vocabulary,
            two_classes.root,
            "x",
            "x",
        )


def test_missing_files_are_counted(root: Path) -> None:
    items = [Item(root / name, ("dog",), where="t.csv row 2") for name in ("a.wav", "x.wav", "y.wav")]
    with pytest.raises(LayoutError, match=r"t.csv row 2: no file .*x.wav \(and 1 more file\)"):
        build(items, root=root, layout="x")


def test_a_path_too_long_to_be_one_is_a_missing_file(root: Path) -> None:
    with pytest.raises(LayoutError, match=r"table row 2: no file .*x{300}\.wav; put it there"):
        build([Item(root / f"{'x' * 300}.wav", ("dog",), where="table row 2")], root=root, layout="manifest")


def test_paths_outside_the_root_stay_relative(tmp_path: Path) -> None:
    assert relative_path(tmp_path / "other" / "x.wav", tmp_path / "set") == "../other/x.wav"


@given(st.lists(st.sets(st.sampled_from(["a", "b, c", "d|e", "f\\g", "ü"]), max_size=3), min_size=1, max_size=5))
@settings(max_examples=25)
def test_csv_round_trip(tmp_path_factory: pytest.TempPathFactory, labels: list[set[str]]) -> None:
    from earmark import layouts  # the reader of what to_csv writes

    folder = tmp_path_factory.mktemp("set")
    items = []
    for i, tags in enumerate(labels):
        (folder / f"{i}.wav").write_bytes(b"x")
        items.append(Item(folder / f"{i}.wav", tuple(sorted(tags)), weight=1.0 + i))
    if not any(labels):
        return  # no tag at all: nothing to write
    made = build(items, root=folder, layout="x")
    made.to_csv(folder / "m.csv")
    assert layouts.read(folder / "m.csv").fingerprint() == made.fingerprint()


def test_labels_are_escaped() -> None:
    assert join_labels(["a", "b, c", "d|e"]) == r"a|b\, c|d\|e"

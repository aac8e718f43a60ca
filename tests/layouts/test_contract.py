"""One contract over all layouts: each is shown a small tree of its own kind, and the trees of the others."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from earmark import layouts
from earmark.audio.write import write
from earmark.data.manifest import COLUMNS, Item, Manifest, build
from earmark.errors import InputError
from earmark.types import Vocabulary


def tone(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, np.full(80, 0.1, dtype=np.float32), 8000)
    return path


def folder(root: Path) -> None:
    for name in ("dog/a.wav", "dog/deep/er/b.wav", "rain at night/ü.wav", "rain at night/c d.wav"):
        tone(root / name)


def split_folder(root: Path) -> None:
    for name in ("train/dog/a.wav", "train/rain/b.wav", "valid/dog/c.wav", "test/rain/d.wav"):
        tone(root / name)


def manifest(root: Path) -> None:
    for name in ("a.wav", "in/b.wav", "in/c.wav", "d.wav"):
        tone(root / name)
    rows = ["path,labels,group,split", "a.wav,dog,g1,train", "in/b.wav,dog|rain,g1,train", "in/c.wav,,g2,val"]
    rows.append("d.wav,rain,,test")
    (root / "manifest.csv").write_text("\n".join(rows))


def esc50(root: Path) -> None:
    rows = ["filename,fold,target,category,esc10,src_file,take"]
    clips = ((1, 100, "A", "dog"), (1, 101, "A", "rain"), (2, 102, "A", "dog"), (2, 102, "B", "dog"))
    for fold, source, take, category in clips:
        name = f"{fold}-{source}-{take}-0"
        tone(root / "audio" / f"{name}.ogg")  # handed on as OGG, the table still says .wav
        rows.append(f"{name}.wav,{fold},0,{category},True,{source},{take}")
    (root / "meta").mkdir()
    (root / "meta" / "esc50.csv").write_text("\n".join(rows))


def urbansound8k(root: Path) -> None:
    rows = ["slice_file_name,fsID,start,end,salience,fold,classID,class"]
    for fold, source, name in ((1, 7, "dog_bark"), (1, 7, "siren"), (10, 8, "siren"), (10, 9, "dog_bark")):
        file = f"{source}-{len(rows)}-0-0.wav"
        tone(root / "audio" / f"fold{fold}" / file)
        rows.append(f"{file},{source},0.0,0.01,1,{fold},3,{name}")
    (root / "metadata").mkdir()
    (root / "metadata" / "UrbanSound8K.csv").write_text("\n".join(rows))


def audiofolder(root: Path) -> None:
    for split, labels in (("train", ("dog", "rain")), ("test", ("rain", "dog"))):
        lines = []
        for i, label in enumerate(labels):
            tone(root / split / "data" / f"{i}.wav")
            lines.append(json.dumps({"file_name": f"data/{i}.wav", "label": label, "transcription": "x"}))
        (root / split / "metadata.jsonl").write_text("\n".join(lines))


TREES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "folder": ("folder", folder),
    "split folder": ("folder", split_folder),
    "manifest": ("manifest", manifest),
    "esc50": ("esc50", esc50),
    "urbansound8k": ("urbansound8k", urbansound8k),
    "audiofolder": ("audiofolder", audiofolder),
}
each_tree = pytest.mark.parametrize("tree", TREES)


@pytest.fixture
def root(tmp_path: Path, tree: str) -> Path:
    here = tmp_path / "ein Ordner ö"
    here.mkdir()
    TREES[tree][1](here)
    return here


def same(a: Manifest, b: Manifest) -> bool:
    return (
        a.vocabulary == b.vocabulary
        and np.array_equal(a.targets, b.targets)
        and np.array_equal(a.weights, b.weights)
        and a.rows.drop(columns=["recording"]).equals(b.rows.drop(columns=["recording"]))
    )


def test_every_layout_has_a_tree_and_its_module_says_what_it_is() -> None:
    assert {name for name, _ in TREES.values()} == set(layouts.LAYOUTS)
    for name, module in layouts.LAYOUTS.items():
        assert name == module.NAME
        assert module.SUMMARY
        assert "/" in module.DOC


@each_tree
def test_a_tree_is_found_by_looking_and_by_no_other_layout(root: Path, tree: str) -> None:
    fitting = [name for name, module in layouts.LAYOUTS.items() if module.detect(root)]
    assert fitting == [TREES[tree][0]]


@each_tree
def test_four_clips_of_dog_and_rain_come_out(root: Path, tree: str) -> None:
    found = layouts.read(root)
    assert found.layout == TREES[tree][0]
    assert len(found) == 4
    assert found.targets.shape == (4, 2)
    assert found.name == "ein Ordner ö"
    assert tuple(found.rows.columns) == COLUMNS
    assert all(Path(uri).is_absolute() and Path(uri).is_file() for uri in found.rows["uri"])
    assert all(root / recording == Path(uri) for recording, uri in found.rows[["recording", "uri"]].values)
    assert (found.rows["group"] != "").all()
    assert set(found.rows["split"]) <= {"", "train", "val", "test"}


@each_tree
def test_naming_the_layout_gives_the_same(root: Path, tree: str) -> None:
    by_looking = layouts.read(root)
    by_name = layouts.read(root, layout=TREES[tree][0])
    assert by_looking.fingerprint() == by_name.fingerprint()


@each_tree
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_written_as_a_manifest_it_reads_the_same(root: Path, tree: str, suffix: str) -> None:
    found = layouts.read(root)
    target = root / f"again.{suffix}"
    found.to_csv(target) if suffix == "csv" else found.to_parquet(target)
    again = layouts.read(target)
    assert again.layout == "manifest"
    assert same(again, found)
    assert again.fingerprint() == found.fingerprint()


@each_tree
def test_hidden_files_change_nothing(root: Path, tree: str) -> None:
    before = layouts.read(root).fingerprint()
    tone(root / ".hidden" / "x.wav")
    tone(root / "._a.wav")
    assert layouts.read(root).fingerprint() == before


@each_tree
def test_it_reads_through_a_link(root: Path, tree: str, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root, target_is_directory=True)
    assert layouts.read(tmp_path / "link").fingerprint() == layouts.read(root).fingerprint()


@pytest.mark.parametrize("name", layouts.LAYOUTS)
def test_an_empty_folder_is_refused_by_each(name: str, tmp_path: Path) -> None:
    assert not layouts.LAYOUTS[name].detect(tmp_path)
    with pytest.raises(InputError, match=str(tmp_path)):
        layouts.read(tmp_path, layout=name)


# of each layout that has a table, the column that names the file, and the one of its labels; a folder has none
COLUMNS_OF = {
    "manifest": ("path", "labels"),
    "esc50": ("filename", "category"),
    "urbansound8k": ("slice_file_name", "class"),
    "audiofolder": ("file_name", "label"),
}
each_table = pytest.mark.parametrize("name", COLUMNS_OF)


def table_of(root: Path) -> Path:
    """The first table of a tree."""
    return min(path for path in root.rglob("*") if path.suffix in (".csv", ".jsonl"))


def test_every_layout_but_the_folder_has_columns() -> None:
    assert {*COLUMNS_OF, "folder"} == set(layouts.LAYOUTS)


@each_table
def test_a_file_that_is_gone_is_named_with_its_row_and_column(name: str, tmp_path: Path) -> None:
    TREES[name][1](tmp_path)
    victim = Path(layouts.read(tmp_path).rows["uri"][1])
    victim.unlink()
    column = COLUMNS_OF[name][0]
    with pytest.raises(InputError, match=rf" row \d, column '{column}': no file .*{victim.stem}"):
        layouts.read(tmp_path)


@each_table
def test_a_clip_that_stands_twice_is_named_with_row_and_column(name: str, tmp_path: Path) -> None:
    TREES[name][1](tmp_path)
    table = table_of(tmp_path)
    lines = table.read_text().splitlines()
    table.write_text("\n".join([*lines, lines[-1]]))
    last, column = len(lines), COLUMNS_OF[name][0]
    told = rf"^\S+ row {last + 1}, column '{column}': .* stands twice \(first in \S+ row {last}\)"
    with pytest.raises(InputError, match=told):
        layouts.read(tmp_path)


@each_table
def test_a_label_that_cannot_be_is_named_with_row_and_column(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    TREES[name][1](tmp_path)
    reader = layouts.LAYOUTS[name]

    def build_of_cats(items: Iterable[Item], **given: Any) -> Manifest:
        return build(items, **given | {"vocabulary": Vocabulary(("cat",), "exclusive")})

    monkeypatch.setattr(reader, "build", build_of_cats)  # no layout gives a vocabulary of its own
    row, column = 1 if name == "audiofolder" else 2, COLUMNS_OF[name][1]
    with pytest.raises(InputError, match=rf"^\S+ row {row}, column '{column}': tag '\w+' is not in the vocabulary"):
        layouts.read(tmp_path, layout=name)


def test_a_folder_names_the_file_alone(tmp_path: Path) -> None:
    item = Item(tmp_path / "dog" / "a.wav", ("dog",), where=str(tmp_path / "dog" / "a.wav"))
    with pytest.raises(InputError, match=r"a\.wav: no file ") as told:
        build([item], root=tmp_path, layout="folder")
    assert "column" not in str(told.value)

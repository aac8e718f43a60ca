import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from earmark.data.manifest import Item, Manifest, build
from earmark.reports.content import ReportContent
from earmark.reports.tables import data_table, write_predictions, write_split_tables


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    rows = [
        ("a", "dog", "train", "g1"),
        ("b", "dog", "train", "g1"),
        ("c", "cat", "train", "g2"),
        ("d", "cat", "test", "g3"),
    ]
    items = []
    for name, tag, split, group in rows:
        path = tmp_path / tag / f"{name}.wav"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
        items.append(Item(path, (tag,), group=group, split=split, licence="CC0" if tag == "dog" else None))
    items[1] = Item(items[1].path, ("dog",), 2.0, 4.0, group="g1", split="train", licence="CC0")
    return build(items, root=tmp_path, layout="folder")


def test_split_tables(manifest: Manifest, tmp_path: Path) -> None:
    out = tmp_path / "out"
    written = write_split_tables(out, manifest, seed=69, spec={"n_mels": 64})
    assert [path.name for path in written] == ["train.csv", "val.csv", "test.csv", "metadata.json"]
    train = pd.read_csv(out / "train.csv")
    assert train.columns.tolist() == ["id", "label", "path", "src"]
    assert train["id"].tolist() == ["dog/a.wav", "dog/b.wav#2-4", "cat/c.wav"]
    assert train["src"].tolist() == ["g1", "g1", "g2"]
    assert train["path"].iloc[0] == str(tmp_path / "dog/a.wav")
    assert len(pd.read_csv(out / "val.csv")) == 0
    metadata = json.loads((out / "metadata.json").read_text())
    assert metadata["counts"]["train"] == {"cat": 1, "dog": 2}
    assert metadata["clips"] == {"train": 3, "val": 0, "test": 1}
    assert metadata["groups"] == {"train": 2, "val": 0, "test": 1}
    assert metadata["seed"] == 69
    assert metadata["front_end"] == {"n_mels": 64}


def test_a_file_name_need_not_be_utf_8(tmp_path: Path, content: ReportContent) -> None:
    path = tmp_path / os.fsdecode(b"bad\xff.wav")
    path.write_bytes(b"x")
    items = [Item(path, ("dog",), split="train")]
    write_split_tables(tmp_path / "out", build(items, root=tmp_path, layout="folder"), seed=0, spec=None)
    assert os.fsencode(path) in (tmp_path / "out" / "train.csv").read_bytes()
    val = content.predictions["val"].labelled()
    probabilities = {"val": content.probabilities["val"][: len(val)]}  # the last one is the one without labels
    odd = replace(val, uris=[str(path)] * len(val), groups=[path.name] * len(val))
    write_predictions(tmp_path / "p.parquet", {"val": odd}, content.evaluations, probabilities)
    assert set(pd.read_parquet(tmp_path / "p.parquet")["group"]) == {"bad?.wav"}


def test_figures_can_be_computed_again(tmp_path: Path, content: ReportContent) -> None:
    """Clips that differ in the ninth digit are ranked apart by the figures, so the table keeps them apart."""
    val = content.predictions["val"].labelled()
    close = 0.5 + 1e-9 * np.arange(len(val) * val.truth.shape[1]).reshape(len(val), -1)
    write_predictions(tmp_path / "p.parquet", {"val": val}, content.evaluations, {"val": close})
    table = pd.read_parquet(tmp_path / "p.parquet")
    for column, tag in enumerate(val.vocabulary.tags):
        assert table[f"probability:{tag}"].tolist() == close[:, column].tolist()
        assert table[f"logit:{tag}"].dtype == np.float32


def test_data_table(manifest: Manifest) -> None:
    table = data_table(manifest, [30.0, 2.0, 60.0, 60.0]).set_index("tag")
    assert table.loc["dog", "train clips"] == 2
    assert table.loc["dog", "train groups"] == 1
    assert table.loc["cat", "test minutes"] == 1.0
    assert table.loc["all", "train clips"] == 3
    assert table.loc["dog", "licences"] == "CC0"
    assert "val clips" not in table.columns
    assert "train minutes" not in data_table(manifest).columns

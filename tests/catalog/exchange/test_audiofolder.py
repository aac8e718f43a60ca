"""The audiofolder reads back as it was, is cut to the sample, and can be trained on as it lies."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from earmark import layouts
from earmark.audio.read import read as read_audio
from earmark.audio.write import write as write_audio
from earmark.catalog.exchange import audiofolder
from earmark.catalog.exchange.rows import Row
from earmark.errors import InputError
from earmark.types import LabelValue

F, A, U = LabelValue.FOREGROUND, LabelValue.ABSENT, LabelValue.UNSURE
TAGS = ("sax", "labels")  # the second is a column's name too


@pytest.fixture
def song(tmp_path: Path) -> Path:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (8000, 2)).astype(np.float32)
    (tmp_path / "songs").mkdir()
    write_audio(tmp_path / "songs" / "a.wav", noise, 8000)
    return tmp_path / "songs" / "a.wav"


ROWS = [
    Row("", "songs/a.wav", 0.0, 0.25, "000000", values={"sax": F, "labels": A}, annotator="ada", at=7, origin="person"),
    Row("", "songs/a.wav", 0.0, 0.25, "000000", kind="skip", annotator="eve", at=8, took_ms=5, origin="person"),
    Row("", "songs/a.wav", 0.25, 0.5, "000001", values={"sax": A, "labels": F}, group="Nadine"),
]


def test_it_reads_back_as_it_was(song: Path, tmp_path: Path) -> None:
    audiofolder.write(tmp_path / "out", ROWS, TAGS, lambda uri: tmp_path / uri)
    found = audiofolder.read(tmp_path / "out", TAGS)
    assert [Row(**{**{name: getattr(row, name) for name in Row.__slots__}, "where": ""}) for row in found.rows] == ROWS
    assert found.notes == []
    whole = read_audio(song, mono=False).samples
    assert sorted(path.name for path in (tmp_path / "out" / "data").iterdir()) == ["000000.flac", "000001.flac"]
    second = read_audio(tmp_path / "out" / "data" / "000001.flac", mono=False)
    assert second.sample_rate_hz == 8000
    np.testing.assert_array_equal(second.samples, whole[2000:4000])


def test_it_can_be_trained_on_as_it_lies(song: Path, tmp_path: Path) -> None:
    audiofolder.write(tmp_path / "out", [ROWS[0], ROWS[2]], TAGS, lambda uri: tmp_path / uri)
    manifest = layouts.read(tmp_path / "out")
    assert manifest.layout == "audiofolder"
    assert [manifest.labels_of(i) for i in range(2)] == [("sax",), ("labels",)]
    assert manifest.rows["group"].tolist()[1] == "Nadine"


def test_what_is_not_known_is_not_absent(song: Path, tmp_path: Path) -> None:
    rows = [
        Row("", "songs/a.wav", 0.0, 0.25, values={"sax": F, "labels": U}),
        Row("", "songs/a.wav", 0.25, 0.5, values={"sax": A}),
        Row("", "songs/a.wav", 0.5, 0.75, values={"sax": F, "labels": F}, sure={"sax": 0.95, "labels": 0.0}),
    ]
    audiofolder.write(tmp_path / "out", rows, TAGS, lambda uri: tmp_path / uri)
    with (tmp_path / "out" / "metadata.csv").open(encoding="utf-8", newline="") as file:
        cells = [(row["labels"], row["unlabelled"], row["group"], row["tag:labels"]) for row in csv.DictReader(file)]
    said = "songs/a.wav"  # one recording, one group
    assert cells == [("sax", "labels", said, "unsure"), ("", "labels", said, ""), ("sax", "labels", said, "foreground")]
    manifest = layouts.read(tmp_path / "out")
    assert (manifest.vocabulary.tags, manifest.vocabulary.kind) == (("labels", "sax"), "multilabel")
    assert manifest.targets.tolist() == [[0, 1], [0, 0], [0, 1]]
    assert manifest.weights.tolist() == [[0, 1], [0, 1], [0, np.float32(0.95)]]


def test_any_audiofolder_says_what_is_present(tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_text("file_name,labels\nx/a.wav,sax|vocals\nx/b.wav,\n", encoding="utf-8")
    first, second = audiofolder.read(tmp_path, ("sax", "vocals", "piano")).rows
    P = LabelValue.PRESENT
    assert (first.recording, first.values) == ("x/a.wav", {"sax": P, "vocals": P, "piano": A})
    assert second.values == {"sax": A, "vocals": A, "piano": A}
    with pytest.raises(InputError, match=r"metadata.csv row 2, column 'labels': 'vocals' is no tag of the task"):
        audiofolder.read(tmp_path, ("sax",))


def test_a_folder_with_something_in_it_is_not_written_over(song: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is there already"):
        audiofolder.write(song.parent, ROWS, TAGS, lambda uri: tmp_path / uri)
    assert song.is_file()

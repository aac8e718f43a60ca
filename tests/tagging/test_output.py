from __future__ import annotations

import csv
import errno
import io
import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from earmark.errors import EarmarkError, InputError
from earmark.tagging.labels import LabelFolder
from earmark.tagging.output import (
    csv_header,
    csv_rows,
    decide_format,
    gathered_json,
    gathered_parquet,
    json_line,
)
from earmark.tagging.rows import Choice
from earmark.tagging.tagger import Tagger


@pytest.fixture(scope="module")
def scores(tagger: Tagger):
    samples = np.random.default_rng(0).normal(0, 0.2, 13_333).astype(np.float32)
    return tagger.tag_blocks('a, "quoted"\nname.wav', [samples])


def test_csv_gives_back_every_number_exactly(scores):
    data = csv_header() + csv_rows(scores, Choice(all_tags=True))
    rows = list(csv.DictReader(io.StringIO(data.decode())))
    assert list(rows[0]) == ["path", "start_s", "end_s", "tag", "probability", "logit"]
    assert len(rows) == len(scores) * 3
    assert {row["path"] for row in rows} == {'a, "quoted"\nname.wav'}
    order = [scores.vocabulary.column(row["tag"]) for row in rows]
    window = np.repeat(np.arange(len(scores)), 3)
    np.testing.assert_array_equal(np.float32([row["logit"] for row in rows]), scores.logits[window, order])
    np.testing.assert_array_equal(np.float32([row["probability"] for row in rows]), scores.probabilities[window, order])
    np.testing.assert_array_equal(np.float64([row["start_s"] for row in rows]), scores.start_s[window])


def test_json_line_is_one_line_with_the_same_numbers(scores):
    data = json_line(scores, Choice(top=1))
    assert data.count(b"\n") == 1
    content = json.loads(data)
    assert content["path"] == 'a, "quoted"\nname.wav'
    logits = np.float32([window["tags"][0]["logit"] for window in content["windows"]])
    np.testing.assert_array_equal(logits, scores.logits.max(axis=1))


def test_gathered_json_is_one_object(tmp_path: Path, scores):
    (tmp_path / "part").write_bytes(json_line(scores, Choice()) * 3)
    gathered_json(tmp_path / "part", tmp_path / "out.json", {"model": "ab"})
    content = json.loads((tmp_path / "out.json").read_text())
    assert content["model"] == "ab"
    assert [entry["path"] for entry in content["recordings"]] == [scores.recording] * 3
    (tmp_path / "part").write_bytes(b"")
    gathered_json(tmp_path / "part", tmp_path / "out.json", {"model": "ab"})
    assert json.loads((tmp_path / "out.json").read_text()) == {"model": "ab", "recordings": []}


def test_gathered_parquet_is_the_frame(tmp_path: Path, scores):
    (tmp_path / "part").write_bytes(csv_header() + csv_rows(scores, Choice(all_tags=True)))
    gathered_parquet(tmp_path / "part", tmp_path / "out.parquet")
    order = ["start_s", "tag"]
    found = pd.read_parquet(tmp_path / "out.parquet").sort_values(order, ignore_index=True)
    expected = scores.to_frame().sort_values(order, ignore_index=True)
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, check_exact=True)
    assert found["logit"].dtype == np.float32


def test_unknown_rows_have_no_number(tmp_path: Path, scores):
    refused = replace(scores, unknown=np.full(len(scores), 9, np.float32), unknown_threshold=1.0)
    data = csv_rows(refused, Choice(refuse=True))
    assert data.decode().splitlines()[-1].endswith(",unknown,,")
    (tmp_path / "part").write_bytes(csv_header() + data)
    gathered_parquet(tmp_path / "part", tmp_path / "out.parquet")
    assert pd.read_parquet(tmp_path / "out.parquet")["logit"].isna().all()


def test_a_path_that_is_not_utf8_is_spelt_out_alike_in_every_format(tmp_path: Path, scores):
    strange = replace(scores, recording="a\udcff.wav", warning="a\udcff.wav: cut short")
    rows = csv_rows(strange, Choice())
    assert rows.startswith(rb"a\xff.wav,")
    line = json.loads(json_line(strange, Choice()))
    assert (line["path"], line["warning"]) == ("a\\xff.wav", "a\\xff.wav: cut short")
    (tmp_path / "part").write_bytes(csv_header() + rows)
    gathered_parquet(tmp_path / "part", tmp_path / "out.parquet")
    assert set(pd.read_parquet(tmp_path / "out.parquet")["path"]) == {"a\\xff.wav"}


@pytest.mark.parametrize("name", ["a\rb.wav", "a\nb.wav", "a\r\nb.wav", 'say "a".wav', "a,b.wav", '"'])
def test_any_name_is_one_cell_of_its_row(tmp_path: Path, scores, name: str):
    rows = csv_header() + csv_rows(replace(scores, recording=name), Choice())
    (tmp_path / "part").write_bytes(rows)
    with (tmp_path / "part").open(newline="") as file:
        assert {row["path"] for row in csv.DictReader(file)} == {name}
    assert set(pd.read_csv(tmp_path / "part")["path"]) == {name}
    gathered_parquet(tmp_path / "part", tmp_path / "out.parquet")
    assert set(pd.read_parquet(tmp_path / "out.parquet")["path"]) == {name}


@pytest.mark.parametrize("gather", [partial(gathered_json, head={"model": "ab"}), gathered_parquet])
def test_an_output_that_fails_at_the_end_leaves_no_half(tmp_path: Path, scores, gather):
    (tmp_path / "part").write_bytes(csv_header() + csv_rows(scores, Choice()))
    out = tmp_path / "out"
    out.mkdir()  # nothing can be renamed onto a folder
    with pytest.raises(EarmarkError, match=r"out: cannot be written .*what is done is kept"):
        gather(tmp_path / "part", out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "part"]


@pytest.mark.parametrize("format", ["audacity", "raven"])
def test_a_disk_that_fails_a_label_file_is_a_failed_run(tmp_path: Path, scores, monkeypatch, format):
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("earmark.formats.spans.open", full, raising=False)
    with pytest.raises(EarmarkError, match=r"name.wav.*cannot be written \(No space left on device\)") as error:
        LabelFolder(tmp_path, format).write(replace(scores, recording="name.wav"), Choice(per="event"))
    assert error.value.exit_code == 1
    assert ".part:" not in str(error.value)


def test_a_recording_without_an_event_has_a_table_with_the_full_header(tmp_path: Path, scores):
    labels = LabelFolder(tmp_path, "raven")
    heard = labels.write(replace(scores, recording="heard.wav"), Choice(per="event", on=0.01, off=0.01))
    quiet = labels.write(replace(scores, recording="quiet.wav"), Choice(per="event", on=1.0, off=1.0))
    (header,) = (tmp_path / quiet).read_text().splitlines()
    assert header == (tmp_path / heard).read_text().splitlines()[0]
    assert header.endswith("Probability")


def test_the_format_follows_the_word_or_the_name():
    assert decide_format(None, None) is None
    assert decide_format(None, Path("x.CSV")) == "csv"
    assert decide_format(None, Path("x.jsonl")) == "jsonl"
    assert decide_format("csv", Path("x.txt")) == "csv"
    assert decide_format("jsonl", None) == "jsonl"
    for format, out, message in (
        ("xml", None, "expected one of csv, parquet"),
        ("parquet", None, "needs --out, the file"),
        ("raven", None, "needs --out, the folder"),
        (None, Path("x.txt"), "no format goes with this name"),
    ):
        with pytest.raises(InputError, match=message):
            decide_format(format, out)

"""inspect on made and on real folders: every file gets a verdict, and what misleads is said."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from earmark.audio.write import write
from earmark.data.group_names import suggest_groups
from earmark.errors import InputError
from earmark.explore.advice import next_step
from earmark.explore.inspect import Inspection, inspect
from earmark.explore.report import write_report
from earmark.layouts import read as read_layout


def noise(seed: int, seconds: float = 1.0, rate: int = 16000) -> np.ndarray[Any, Any]:
    return 0.1 * np.random.default_rng(seed).standard_normal(int(seconds * rate)).astype(np.float32)


def look(path: Path, **options: Any) -> Inspection:
    return inspect(path, workers=2, timeout_s=15.0, **options)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for tag, rate in (("hiss", 16000), ("rumble", 8000)):
        (tmp_path / "set" / tag).mkdir(parents=True)
        for i in range(10):
            write(tmp_path / "set" / tag / f"site{i // 5}_{i}.wav", noise(i + rate, rate=rate), rate)
    return tmp_path / "set"


def test_a_labelled_folder_is_counted_by_class_and_by_format(folder: Path) -> None:
    found = look(folder)
    assert found.verdicts == {"read": 20, "partial": 0, "quarantined": 0}
    assert (found.layout, found.kind, found.tags, found.clips) == ("folder", "exclusive", ("hiss", "rumble"), 20)
    assert found.per_tag[["tag", "files", "groups", "quarantined"]].to_dict("records") == [
        {"tag": "hiss", "files": 10, "groups": 10, "quarantined": 0},
        {"tag": "rumble", "files": 10, "groups": 10, "quarantined": 0},
    ]
    assert found.counts("sample_rate_hz") == {"16000": 10, "8000": 10}
    assert found.counts("format") == {"WAV/PCM_16": 20}
    assert found.hours == pytest.approx(20 / 3600)


def test_a_class_with_its_own_sample_rate_is_a_way_to_cheat(folder: Path) -> None:
    found = look(folder)
    rate = [c for c in found.confounds if c.property == "sample_rate_hz"]
    assert [(c.tag, c.strength) for c in rate] == [("hiss", 1.0), ("rumble", 1.0)]
    assert rate[0].sentence() == "100% of 'hiss' have a sample rate of 16,000 Hz, 0% of the other files do"
    titles = [finding.title for finding in found.findings if finding.weight == "warning"]
    assert "The sample rate gives away: hiss, rumble" in titles
    assert "The upper frequency alone sets apart: hiss, rumble" in titles


def test_names_that_look_like_groups_lead_to_a_pattern_and_the_pattern_is_used(folder: Path) -> None:
    for i in range(18):
        write(folder / "hiss" / f"tape{i // 6}_{i % 6}.wav", noise(100 + i), 16000)
    found = look(folder)
    (guess,) = found.guesses
    assert guess.option == "--group-by 'hiss=^(tape0|tape1|tape2)|.+'"
    assert guess.option in next_step(found, folder)[1]
    (finding,) = (finding for finding in found.findings if finding.title == "Which files belong together?")
    assert finding.options == ((guess.option, "3 groups of hiss: tape0 (6 files), tape1 (6 files), tape2 (6 files)"),)
    again = look(folder, group_by=[guess.pattern])
    assert again.guesses == []
    assert again.per_tag["groups"].tolist() == [13, 10]


def test_copies_and_contradictions_are_found(folder: Path) -> None:
    shutil.copyfile(folder / "hiss" / "site0_0.wav", folder / "hiss" / "again.wav")
    shutil.copyfile(folder / "hiss" / "site0_1.wav", folder / "rumble" / "wrong.wav")
    found = look(folder)
    names = [[found.files["recording"].iat[row] for row in cluster] for cluster in found.exact]
    assert sorted(map(sorted, names)) == [
        ["hiss/again.wav", "hiss/site0_0.wav"],
        ["hiss/site0_1.wav", "rumble/wrong.wav"],
    ]
    assert found.findings[0].weight == "problem"
    assert "hiss/site0_1.wav (hiss) = rumble/wrong.wav (rumble)" in found.findings[0].text
    assert next_step(found, folder) == (
        (
            "first mend this: the same sound under different labels, 1 time. "
            "Decide which label is right and delete the other copy."
        ),
        "",
    )


def test_a_bad_file_and_a_class_without_enough_groups_are_said(folder: Path) -> None:
    (folder / "hiss" / "empty.wav").write_bytes(b"")
    (folder / "lone").mkdir()
    write(folder / "lone" / "only.wav", noise(77), 16000)
    found = look(folder)
    assert found.verdicts["quarantined"] == 1
    assert [(Path(q.path).name, q.reason) for q in found.quarantine] == [("empty.wav", "empty")]
    problems = [finding for finding in found.findings if finding.weight == "problem"]
    assert [problem.title for problem in problems] == ["1 class with too few groups"]
    assert problems[0].text.startswith("lone has 1; 3 are needed")


def test_any_folder_of_sounds_is_worth_a_look(tmp_path: Path) -> None:
    for i in range(3):
        write(tmp_path / f"{i}.flac", noise(i), 16000)
    (tmp_path / "notes.txt").write_text("not a sound")
    (tmp_path / "strange.xyz").write_bytes(b"\x00\x01\x02" * 100)
    found = look(tmp_path)
    assert (found.layout, found.kind, found.tags) == (None, None, ())
    assert found.verdicts == {"read": 3, "partial": 0, "quarantined": 1}
    assert found.findings[-1].title == "No labels"
    assert next_step(found, tmp_path)[0].startswith("say what the files are")


def test_what_cannot_be_inspected_is_named(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        look(tmp_path / "absent")
    (tmp_path / "bare").mkdir()
    with pytest.raises(InputError, match="no audio file in it"):
        look(tmp_path / "bare")
    with pytest.raises(InputError, match="layout"):
        look(folder, layout="esc51")


def test_tags_of_several_labels_are_counted_together(tmp_path: Path) -> None:
    for i in range(6):
        write(tmp_path / f"{i}.wav", noise(i), 16000)
    rows = ["path,labels"] + [f"{i}.wav,{'rain|wind' if i < 4 else 'wind'}" for i in range(6)]
    (tmp_path / "manifest.csv").write_text("\n".join(rows))
    found = look(tmp_path)
    assert found.kind == "multilabel"
    assert found.co_occurrence().to_numpy().tolist() == [[4, 4], [4, 6]]
    assert found.combinations().to_dict() == {"rain + wind": 4, "wind": 2}


def test_a_span_outside_its_recording_is_a_problem(tmp_path: Path) -> None:
    write(tmp_path / "a.wav", noise(0, 2.0), 16000)
    write(tmp_path / "b.wav", noise(1, 2.0), 16000)
    table = tmp_path / "m.csv"
    table.write_text("path,labels,start_s,end_s\na.wav,x,0,1\na.wav,y,1.5,9\nb.wav,y,5,6\n")
    found = next(f for f in look(table).findings if "outside" in f.title)
    assert (found.weight, found.title) == ("problem", "1 clip outside the recording")
    assert found.text.startswith("b.wav from 5 s (it is 2.00 s long): ")
    table.write_text("path,labels,start_s,end_s\na.wav,x,0,1\nb.wav,y,1.5,9\n")
    assert not [f for f in look(table).findings if "outside" in f.title]


def test_every_messy_file_gets_one_verdict(data_dir: Path) -> None:
    found = look(data_dir / "messy")
    assert len(found.files) == 209
    assert sum(found.verdicts.values()) == 209
    assert found.verdicts["read"] > 80
    assert len(found.quarantine) == found.verdicts["quarantined"]
    assert all(item.message and item.reason for item in found.quarantine)
    document = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert set(document["verdicts"]) == {"read", "partial", "quarantined"}
    assert set(document["quarantine"][0]) == {"path", "reason", "message"}


def test_real_classes_recorded_at_different_rates_are_called_out(data_dir: Path) -> None:
    found = look(data_dir / "drone_car_speech")
    assert {c.tag for c in found.confounds if c.property == "sample_rate_hz" and c.strength == 1.0} == {
        "car",
        "drone",
        "speech",
    }
    assert [(guess.tag, len(guess.prefixes)) for guess in found.guesses] == [("drone", 5)]
    assert found.guesses == suggest_groups(read_layout(data_dir / "drone_car_speech"))  # as train says


def test_the_report_stands_alone_and_escapes_names(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    write(folder / "hiss" / "<script>alert(1)<.wav", noise(5), 16000)
    (folder / "hiss" / "bad & broken.wav").write_bytes(b"x" * 50)
    found = look(folder)
    out = tmp_path / "deep" / "inspect.html"
    write_report(found, out, next_step(found, folder))
    html = out.read_text(encoding="utf-8")
    assert "<script" not in html
    assert "bad &amp; broken.wav" in html
    assert "http://" not in html
    assert "https://" not in html
    assert html.count("data:image/png;base64,") >= 6
    assert html.count("data:audio/mpeg;base64,") == 2
    assert len(html) < 3_000_000


def test_a_file_name_need_not_be_utf_8(folder: Path, tmp_path: Path) -> None:
    os.rename(folder / "hiss" / "site0_0.wav", os.fsencode(folder / "hiss") + b"/site0_\xff.wav")
    (folder / "rumble" / os.fsdecode(b"empty_\xfe.wav")).touch()
    found = look(folder)
    assert found.verdicts == {"read": 20, "partial": 0, "quarantined": 1}
    assert "hiss/site0_\udcff.wav" in found.files["recording"].tolist()
    assert json.dumps(found.to_json())
    write_report(found, tmp_path / "page.html", next_step(found, folder))
    assert "site0_" in (tmp_path / "page.html").read_text("utf-8")


def test_rumbles_of_elephants_are_no_copies(data_dir: Path, tmp_path: Path) -> None:
    for number in (1, 2, 23, 24, 28, 29, 30, 31):
        shutil.copy(data_dir / f"animals/elephant/elephant_{number}.ogg", tmp_path)
    found = look(tmp_path)
    names = found.files["recording"].tolist()
    assert [[names[row] for row in cluster] for cluster in found.copies] == [["elephant_29.ogg", "elephant_30.ogg"]]

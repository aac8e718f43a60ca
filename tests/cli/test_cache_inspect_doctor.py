"""The verbs as they are typed: one JSON object, one sentence for an error, the next step at the end."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from earmark.audio.write import write
from earmark.cli.main import app
from earmark.data.prepare import prepare
from earmark.layouts import read
from earmark.reports.prepared_folder import PreparedFolder
from earmark.settings import load_settings

runner = CliRunner()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for tag in ("a", "b"):
        (tmp_path / "set" / tag).mkdir(parents=True)
        for i in range(3):
            rng = np.random.default_rng([i, ord(tag)])
            write(tmp_path / "set" / tag / f"{i}.wav", 0.1 * rng.standard_normal(8000).astype(np.float32), 8000)
    (tmp_path / "set" / "a" / "bad.wav").write_bytes(b"nothing of the kind")
    return tmp_path / "set"


def test_inspect_speaks_json_on_stdout_and_words_on_stderr(folder: Path, tmp_path: Path) -> None:
    done = runner.invoke(app, ["inspect", str(folder), "--json", "--out", str(tmp_path / "r.html")])
    assert done.exit_code == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["files"] == 7
    assert document["verdicts"] == {"read": 6, "partial": 0, "quarantined": 1}
    assert document["quarantine"][0]["path"].endswith("bad.wav")
    assert document["quarantine"][0]["reason"] == "not-audio"
    assert "Next: train a tagger: earmark train" in done.stderr
    assert (tmp_path / "r.html").stat().st_size > 10_000


def test_inspect_of_broken_files_alone_says_nothing_of_how_they_are_stored(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "set" / name).mkdir(parents=True)
        (tmp_path / "set" / name / "empty.wav").touch()
    done = runner.invoke(app, ["inspect", str(tmp_path / "set"), "--no-report"])
    assert "0 read, 0 partial, 2 quarantined" in done.stdout
    for words in ("sample rates", "channels", "formats"):
        assert words not in done.stdout


def test_inspect_for_people_ends_with_the_report_and_the_next_step(folder: Path, tmp_path: Path) -> None:
    done = runner.invoke(app, ["inspect", str(folder), "--out", str(tmp_path / "r.html")])
    assert done.exit_code == 0
    assert "7 files" in done.stdout
    assert "6 read, 0 partial, 1 quarantined" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("Next: ")
    assert not (tmp_path / "inspect.html").exists()


def test_no_report_writes_nothing(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = runner.invoke(app, ["inspect", str(folder), "--no-report", "--json"])
    assert json.loads(done.stdout)["report"] is None
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_cache_lists_verifies_and_prunes(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EARMARK_CACHE_DIR", str(tmp_path / "cache"))
    prepare(read(folder), sample_rate_hz=8000, cache_dir=load_settings().cache_dir, workers=1, timeout_s=30.0)
    listed = json.loads(runner.invoke(app, ["cache", "list", "--json"]).stdout)
    (store,) = listed["stores"]
    assert (store["sample_rate_hz"], store["recordings"], store["quarantined"]) == (8000, 6, 1)
    assert store["data"][0]["root"] == str(folder)
    assert store["data"][0]["bytes"] == 6 * 8000 * 2
    words = runner.invoke(app, ["cache", "list"])
    assert "6 recordings" in words.stdout
    assert listed["inspect_bytes"] == 0
    figures = tmp_path / "cache" / "inspect" / "a-b.rows"
    figures.parent.mkdir()
    figures.write_bytes(b"x" * 2000)
    assert "and 2 kB of figures that `earmark inspect` measured" in runner.invoke(app, ["cache", "list"]).stdout
    checked = json.loads(runner.invoke(app, ["cache", "verify", "--json"]).stdout)
    assert checked == {"entries": 6, "damaged": 0}
    kept = json.loads(runner.invoke(app, ["cache", "prune", "--json"]).stdout)
    assert (kept["dropped"], kept["kept"]) == (0, 6)
    pruned = json.loads(runner.invoke(app, ["cache", "prune", "--all", "--json"]).stdout)
    assert (pruned["dropped"], pruned["kept"]) == (6, 0)
    assert pruned["bytes_freed"] > 90_000 + 2000
    assert not figures.exists()
    wrong = runner.invoke(app, ["cache", "prune", "--older-than", "soon"])
    assert "--older-than 'soon'" in str(wrong.exception)


def prepared_twice(folder: Path, tmp_path: Path) -> Path:
    """`folder`, and a manifest elsewhere of three of its recordings and one of its own, all prepared at 8 kHz."""
    table = tmp_path / "other" / "few.csv"
    table.parent.mkdir()
    write(table.parent / "own.wav", np.full(8000, 0.1, np.float32), 8000)
    rows = [*(f"../set/a/{i}.wav,a" for i in range(2)), "../set/b/0.wav,b", "own.wav,b"]
    table.write_text("path,labels\n" + "\n".join(rows) + "\n", encoding="utf-8")
    for data in (folder, table):
        prepare(read(data), sample_rate_hz=8000, cache_dir=load_settings().cache_dir, workers=1, timeout_s=30.0)
    return table


def roots() -> list[str]:
    stores = json.loads(runner.invoke(app, ["cache", "list", "--json"]).stdout)["stores"]
    return [use["root"] for store in stores for use in store["data"]]


def test_one_data_folder_is_pruned_and_what_another_uses_stays(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EARMARK_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    table = prepared_twice(folder, tmp_path)
    wrong = runner.invoke(app, ["cache", "prune", "set", "--all"])
    assert "set and --all: give one of the two" in str(wrong.exception)
    absent = runner.invoke(app, ["cache", "prune", "set/a"])
    assert "set/a: nothing is prepared from it; `earmark cache list` names the data folders." in str(absent.exception)
    assert "set" in runner.invoke(app, ["cache", "list"]).stdout.split()
    done = json.loads(runner.invoke(app, ["cache", "prune", "set", "--json"]).stdout)  # seen from here
    assert (done["dropped"], done["kept"]) == (3, 4)
    assert roots() == [str(table.parent)]
    assert len(list(folder.rglob("*.wav"))) == 7
    last = json.loads(runner.invoke(app, ["cache", "prune", str(table), "--json"]).stdout)
    assert (last["dropped"], last["kept"]) == (4, 0)
    assert roots() == []


def test_reset_takes_a_data_folder_back_and_nothing_else(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EARMARK_CACHE_DIR", str(tmp_path / "cache"))
    table = prepared_twice(folder, tmp_path)
    sounds = {path: path.read_bytes() for path in (*folder.rglob("*.wav"), *table.parent.iterdir())}
    looked = json.loads(runner.invoke(app, ["reset", str(folder), "--dry-run", "--json"]).stdout)
    assert (looked["recordings"], looked["bytes"], looked["removed"]) == (3, 3 * 8000 * 2, [])
    assert len(roots()) == 2
    unasked = runner.invoke(app, ["reset", str(folder)], input="n\n")
    assert "nothing was removed" in str(unasked.exception)
    with PreparedFolder(folder / "b", {}) as out:
        out.write("0.npz", b"1")  # another preparation, inside the folder
    done = runner.invoke(app, ["reset", str(folder)], input="y\n")
    assert f"{folder}: 3 prepared recordings (48 kB) in {tmp_path / 'cache'} to drop; the sounds stay" in done.stdout
    assert "3 prepared recordings dropped; 0 files removed, 0 kept; nothing else was touched." in done.stdout
    assert roots() == [str(table.parent)]
    assert {path: path.read_bytes() for path in sounds} == sounds
    again = runner.invoke(app, ["reset", str(folder), "--yes"])
    assert "nothing is removed" in str(again.exception)
    own = json.loads(runner.invoke(app, ["reset", str(folder / "b"), "--yes", "--json"]).stdout)
    assert (own["removed"], own["recordings"], own["bytes"]) == (["0.npz"], 0, 0)


def test_doctor_says_what_decodes_and_how_fast() -> None:
    document = json.loads(runner.invoke(app, ["doctor", "--json"]).stdout)
    assert document["formats"]["ogg"] == ""
    assert "real time" in document["speed"]
    words = runner.invoke(app, ["doctor"]).stdout
    assert "speed" in words
    assert words.splitlines()[-1].startswith("Next: ")

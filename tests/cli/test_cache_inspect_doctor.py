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
    checked = json.loads(runner.invoke(app, ["cache", "verify", "--json"]).stdout)
    assert checked == {"entries": 6, "damaged": 0}
    kept = json.loads(runner.invoke(app, ["cache", "prune", "--json"]).stdout)
    assert (kept["dropped"], kept["kept"]) == (0, 6)
    pruned = json.loads(runner.invoke(app, ["cache", "prune", "--all", "--json"]).stdout)
    assert (pruned["dropped"], pruned["kept"]) == (6, 0)
    assert pruned["bytes_freed"] > 90_000
    wrong = runner.invoke(app, ["cache", "prune", "--older-than", "soon"])
    assert "--older-than 'soon'" in str(wrong.exception)


def test_doctor_says_what_decodes_and_how_fast() -> None:
    document = json.loads(runner.invoke(app, ["doctor", "--json"]).stdout)
    assert document["formats"]["ogg"] == ""
    assert "real time" in document["speed"]
    words = runner.invoke(app, ["doctor"]).stdout
    assert "speed" in words
    assert words.splitlines()[-1].startswith("Next: ")

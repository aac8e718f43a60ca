from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from earmark.audio.write import write
from earmark.cli.convert import register
from earmark.errors import InputError


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    register(app)
    app.callback()(lambda: None)  # one command alone would lose its name
    return app


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    folder = tmp_path / "sounds"
    folder.mkdir()
    write(folder / "good.wav", (0.3 * np.sin(np.arange(8000) / 5)).astype(np.float32), 8000)
    (folder / "bad.wav").write_bytes(b"no sound at all")
    return folder


def test_json_lists_what_was_written_and_refused(app: typer.Typer, sounds: Path, tmp_path: Path):
    out = tmp_path / "out"
    done = CliRunner().invoke(
        app, ["convert", str(sounds), "--to", "flac", "--out", str(out), "--rate", "16000", "--json"]
    )
    assert done.exit_code == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["written"] == [str(out / "good.flac")]
    assert [(bad["path"], bad["reason"]) for bad in result["quarantine"]] == [(str(sounds / "bad.wav"), "not-audio")]
    assert "1 written" in done.stderr
    assert "1 refused" in done.stderr
    assert f"Next: earmark inspect {out}" in done.stderr


def test_words_for_people(app: typer.Typer, sounds: Path, tmp_path: Path):
    command = ["convert", str(sounds), "--to", "ogg", "--out", str(tmp_path / "out")]
    first = CliRunner().invoke(app, command)
    assert first.exit_code == 0
    assert f"not-audio: {sounds / 'bad.wav'} is not audio" in first.stdout
    assert "0 there already" in first.stdout
    assert "0 written" in CliRunner().invoke(app, command).stdout


def test_nothing_convertible_is_bad_input(app: typer.Typer, sounds: Path, tmp_path: Path):
    done = CliRunner().invoke(app, ["convert", str(sounds / "bad.wav"), "--to", "wav", "--out", str(tmp_path / "out")])
    assert isinstance(done.exception, InputError)
    assert done.exception.exit_code == 2
    assert "converted 0 of 1 file;" in str(done.exception)

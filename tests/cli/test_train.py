"""The training verbs as a person calls them: words, JSON, exit codes."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from earmark.cli.main import run


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def earmark(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> Callable[..., Done]:
    """The console script in this process, because importing torch anew for every call takes seconds."""

    def call(*arguments: str | Path) -> Done:
        monkeypatch.setattr("sys.argv", ["earmark", *map(str, arguments)])
        log = logging.getLogger("earmark")  # the command takes it over; other tests want it back
        monkeypatch.setattr(log, "propagate", log.propagate)
        monkeypatch.setattr(log, "handlers", list(log.handlers))
        caplog.clear()
        capfd.readouterr()
        try:
            run()
            code = 0
        except SystemExit as left:
            code = int(left.code or 0)
        out, err = capfd.readouterr()
        return Done(code, out, err + caplog.text)

    return call


@pytest.fixture
def two_classes(data_dir: Path, tmp_path: Path) -> Path:
    for name in ("Bass_drum", "Saxophone"):
        (tmp_path / "sounds" / name).mkdir(parents=True)
        for path in sorted((data_dir / "instruments" / name).glob("*.ogg"))[:14]:
            shutil.copy(path, tmp_path / "sounds" / name)
    return tmp_path / "sounds"


def test_recipes_lists_prints_and_refuses(earmark: Callable[..., Done], tmp_path: Path) -> None:
    listed = earmark("recipes")
    assert listed.returncode == 0
    assert listed.stdout.startswith("small-cnn ")
    assert "drone-car-speech" in listed.stdout
    printed = earmark("recipes", "small-cnn")
    assert printed.stdout.startswith("# The default")
    assert "Next:" not in printed.stdout  # which may become a recipe of one's own
    assert printed.stderr == (
        "Next: `earmark train DATA --recipe small-cnn --out model`; or keep this as my.yaml, change it, and give "
        "--recipe my.yaml\n"
    )
    changed = earmark("recipes", "small-cnn", "--set", "training.epochs=3", "--json")
    assert json.loads(changed.stdout)["training"]["epochs"] == 3
    assert "`earmark train DATA --recipe small-cnn --out model --set training.epochs=3`" in changed.stderr
    own = tmp_path / "my own.yaml"
    own.write_text(printed.stdout, encoding="utf-8")
    again = earmark("recipes", own)
    assert again.returncode == 0
    assert again.stderr == f"Next: `earmark train DATA --recipe '{own}' --out model`\n"
    refused = earmark("recipes", "sax-cnn")
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "did you mean" in refused.stderr


def test_train_speaks_to_people_and_to_scripts(earmark: Callable[..., Done], two_classes: Path, tmp_path: Path) -> None:
    quick = ["--set", "training.epochs=4", "--set", "model.arguments.widths=[8, 8, 8, 8]"]
    done = earmark("train", two_classes, "--out", tmp_path / "model", *quick, "--seed", "5", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["judged_by"] == "test"
    assert result["recipe"]["training"]["seed"] == 5
    assert {"accuracy", "balanced_accuracy", "macro_f1"} <= set(result["evaluations"]["test"]["metrics"])
    assert Path(result["report"]).exists()
    assert "Next: look at" in done.stderr
    assert "training on" in done.stderr
    again = earmark("train", two_classes, "--out", tmp_path / "model", *quick)
    assert again.returncode == 2
    assert "Traceback" not in again.stderr


def test_check_draws_and_learns_one_batch(earmark: Callable[..., Done], two_classes: Path, tmp_path: Path) -> None:
    picture = tmp_path / "look.png"
    pattern = "Saxophone=^(....)"
    done = earmark("check", two_classes, "--out", picture, "--group-by", pattern, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["one_batch"]["passed"]
    assert result["counts"]["Saxophone"]["total"] == 14
    assert result["batch_shape"][1:3] == [1, 64]
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert f"--group-by '{pattern}'" in done.stderr  # the next command parts no group either
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("train", "nowhere", "--out", "m"), "nowhere"),
        (("train", ".", "--out", "m", "--recipe", "none.yaml"), "none.yaml"),
        (("train", ".", "--out", "m", "--set", "training.epoch=3"), "did you mean 'training.epochs'"),
        (("train", ".", "--out", "m", "--device", "tpu"), "expected auto, cpu or cuda"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_2(
    arguments: tuple[str, ...],
    said: str,
    earmark: Callable[..., Done],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("dog/a.wav", "rain/b.wav"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    done = earmark(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("verb", ["train", "check"])
def test_the_folder_is_looked_at_before_torch_is_imported(verb: str, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from earmark.cli.main import run\n"
        f"sys.argv = ['earmark', '{verb}', 'nowhere', '--out', 'm']\n"
        "try:\n"
        "    run()\n"
        "except SystemExit as left:\n"
        "    print(left.code, 'torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.stdout == "2 False\n", done.stderr
    assert done.stderr == "earmark: nowhere: no such folder; give the folder that holds the sounds.\n"

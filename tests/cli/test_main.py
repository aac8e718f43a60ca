"""What every command shares: Ctrl-C, errors with --json, files that cannot be written, file names that are no text."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from toy_model import TONES, write_toy

from earmark.audio.write import write
from earmark.cli.main import run

COMMAND = [sys.executable, "-m", "earmark.cli.main"]


def earmark(*arguments: object, **options: object) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, timeout=120, check=False, **options)


def noise(path: Path, seconds: float, rate: int = 8000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(len(path.name))
    write(path, 0.1 * rng.standard_normal(int(seconds * rate)).astype(np.float32), rate)
    return path


def wait_for(found: Callable[[], object]) -> None:
    for _ in range(600):
        if found():
            return
        time.sleep(0.02)
    raise AssertionError("it never came")


def children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def stop(command: subprocess.Popen[bytes], how: signal.Signals = signal.SIGINT) -> tuple[bytes, bytes]:
    """Ctrl-C, or as a cluster does it; the output. Exit code 1, one sentence, and no process left behind."""
    left = children(command.pid)
    command.send_signal(how)
    out, err = command.communicate(timeout=30)
    assert command.returncode == 1, (out, err)
    wait_for(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in left))
    return out, err


def test_ctrl_c_in_inspect_gives_the_cursor_back_and_the_next_run_goes_on(tmp_path: Path) -> None:
    for number in range(40):
        noise(tmp_path / "set" / f"{number:0{number + 2}d}.wav", 10, 48_000)
    cache = tmp_path / "cache"
    environment = {**os.environ, "EARMARK_CACHE_DIR": str(cache)}
    ours, theirs = pty.openpty()
    command = subprocess.Popen(
        [*COMMAND, "inspect", str(tmp_path / "set"), "--json"], stdout=-1, stderr=theirs, env=environment
    )
    os.close(theirs)
    told = b""
    while b"\x1b[?25l" not in told:  # the bar hides the cursor
        told += os.read(ours, 4096)
    wait_for(lambda: [file for file in cache.glob("inspect/*.rows") if file.stat().st_size])
    out, _ = stop(command)
    while True:
        try:
            told += os.read(ours, 4096)
        except OSError:  # what a terminal says once nobody writes to it any more
            break
    assert b"\x1b[?25h" in told, told[-2000:]
    assert told.rindex(b"\x1b[?25h") > told.rindex(b"\x1b[?25l")
    (kept,) = re.findall(
        rb"earmark: stopped; the figures of (\d+) of 40 files are kept, run the same command again to go on\.", told
    )
    assert b"Traceback" not in told
    assert json.loads(out)["exit_code"] == 1
    (file,) = cache.glob("inspect/*.rows")
    lines = len(file.read_bytes().splitlines()) - 1  # the first is empty
    assert 1 <= int(kept) <= lines <= int(kept) + 1
    done = earmark("inspect", tmp_path / "set", "--json", "--no-report", env=environment)
    assert json.loads(done.stdout)["verdicts"] == {"read": 40, "partial": 0, "quarantined": 0}
    assert len(file.read_bytes().splitlines()) - 1 == 40  # none was measured twice


def test_ctrl_c_in_convert_leaves_no_partial_file(tmp_path: Path) -> None:
    source = noise(tmp_path / "long.wav", 600, 48_000)
    out = tmp_path / "out"
    command = subprocess.Popen(
        [*COMMAND, "convert", str(source), "--to", "mp3", "--out", str(out)], stdout=-1, stderr=-1
    )
    wait_for(lambda: list(out.glob(".long.*.partial.mp3")))
    _, err = stop(command)
    assert err == (b"earmark: stopped; finished files are kept, run the same command again to go on.\n")
    assert list(out.iterdir()) == []


def test_ctrl_c_in_export_keeps_the_spectrograms_that_are_finished(tmp_path: Path) -> None:
    for number in range(60):
        noise(tmp_path / "set" / "ab"[number % 2] / f"{number:0{number + 2}d}.wav", 10)
    export = [*COMMAND, "export", "spectrograms", str(tmp_path / "set"), "--out"]
    out = tmp_path / "out"
    command = subprocess.Popen([*export, str(out)], stdout=-1, stderr=-1, env={**os.environ, "EARMARK_WORKERS": "1"})
    wait_for(lambda: list(out.rglob("*.npz")))
    _, err = stop(command)
    assert err == b"earmark: stopped; finished spectrograms are kept, run the same command again to go on.\n"
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.npz")}
    assert 0 < len(before) < 120
    done = subprocess.run([*export, str(out), "--json"], capture_output=True, timeout=120, check=True)
    again = {path for path, at in before.items() if path.stat().st_mtime_ns != at}
    found = json.loads(done.stdout)
    assert found["already"] == len(before) - len(again)
    assert len(again) <= 1  # of the recording that was being written, its first window
    assert (found["clips"], found["quarantine"]) == (60, [])
    assert len(list(out.rglob("*.npz"))) == found["pictures"]


def test_ctrl_c_in_evaluate_says_that_it_begins_anew(tmp_path: Path) -> None:
    toy = write_toy(tmp_path / "model")
    for number in range(60):
        noise(tmp_path / "set" / tuple(TONES)[number % 3] / f"{number}.wav", 60)
    command = subprocess.Popen(
        [*COMMAND, "evaluate", str(toy.bundle.path), str(tmp_path / "set")], stdout=-1, stderr=-1
    )
    wait_for(lambda: children(command.pid))  # its workers
    _, err = stop(command)
    assert err == b"earmark: stopped; an evaluation keeps nothing of what it heard, so the same command begins anew.\n"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_stopped_while_tag_loads_its_model(tmp_path: Path, how: signal.Signals) -> None:
    command = subprocess.Popen([*COMMAND, "tag", str(tmp_path), "x.wav"], stdout=-1, stderr=-1)
    wait_for(lambda: children(command.pid))  # its decoder starts while it imports the rest
    _, err = stop(command, how)
    assert err == b"earmark: stopped; nothing was tagged, run the same command again.\n"


@pytest.mark.parametrize("module", ["typer", "earmark.cli.console"])
def test_ctrl_c_while_the_commands_are_imported_is_silent(tmp_path: Path, module: str) -> None:
    """As the console script begins, with an import that waits to be interrupted."""
    script = (
        "import os, signal, sys, time\n"
        "class Slow:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {module!r}:\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "            time.sleep(5)\n"
        "sys.meta_path.insert(0, Slow())\n"
        "sys.argv = ['earmark', 'recipes']\n"
        "from earmark.__main__ import run\n"
        "run()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, b"", b"")  # which a shell calls 130


def test_the_console_script_settles_ctrl_c_first_and_leaves_a_handler_of_somebody_else() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["scripts"] == {"earmark": "earmark.__main__:run"}
    ignored = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); import earmark.__main__; "
    told = "print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)"
    assert subprocess.run([sys.executable, "-c", ignored + told], stdout=-1, check=True).stdout == b"True\n"
    version = subprocess.run([sys.executable, "-m", "earmark", "--version"], stdout=-1, check=True)
    assert version.stdout.startswith(b"earmark ")


def test_before_ctrl_c_is_settled_nothing_is_imported() -> None:
    """Python answers Ctrl-C with a traceback until then."""
    script = (
        "import sys, _signal; before = set(sys.modules); import earmark.__main__; print(*set(sys.modules) - before)"
    )
    done = subprocess.run([sys.executable, "-c", script], stdout=-1, check=True, text=True)
    assert set(done.stdout.split()) <= {"earmark", "earmark.__main__", "__future__"}


@pytest.mark.slow
@pytest.mark.skipif(not (SCRIPT := Path(sys.executable).with_name("earmark")).exists(), reason="no console script")
def test_ctrl_c_in_the_first_moments_shows_no_line_of_ours() -> None:
    """What Python shows before it comes to our first line (its own start, and finding us) is all that it may show."""
    for number in range(200):
        command = subprocess.Popen([SCRIPT, "doctor"], stdout=-1, stderr=-1, text=True)
        time.sleep(0.3 * number / 200)
        command.send_signal(signal.SIGINT)
        _, err = command.communicate(timeout=60)
        assert f"src{os.sep}earmark" not in err, err
        assert "in run" not in err, err
        if command.returncode == 1 and "earmark:" in err:
            assert err == "earmark: stopped before it was done; run the same command again.\n"


@pytest.mark.parametrize("apart_s", [0.0, 0.001, 0.01])
def test_ctrl_c_twice_is_told_once(tmp_path: Path, apart_s: float) -> None:
    """The second one while the first is told."""
    script = (
        "import os, signal, sys, threading, time, earmark.recipes as r, earmark.cli.main as m\n"
        "def slow(*_):\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    time.sleep(5)\n"
        "def fail(*words, told=m.fail):\n"
        f"    threading.Timer({apart_s}, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "    time.sleep(0.1)\n"
        "    return told(*words)\n"
        "r.recipe_names, m.fail, sys.argv = slow, fail, ['earmark', 'recipes']\n"
        "m.run()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (1, "earmark: stopped before it was done; run the same command again.\n")


def test_ctrl_c_that_native_code_turns_into_an_error_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def importing(*_: object) -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
        except KeyboardInterrupt as error:
            raise ImportError("initialization failed") from error

    monkeypatch.setattr("earmark.recipes.recipe_names", importing)
    monkeypatch.setattr("sys.argv", ["earmark", "recipes", "small-cnn"])
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(SystemExit) as left:
        run()
    assert left.value.code == 1
    assert capsys.readouterr().err.startswith("earmark: stopped before it was done; ")
    assert signal.getsignal(signal.SIGINT) is before


def test_an_error_with_json_is_an_object_on_stdout(tmp_path: Path) -> None:
    done = earmark("inspect", tmp_path / "gone", "--json")
    assert done.returncode == 2
    found = json.loads(done.stdout)
    assert found["exit_code"] == 2
    assert str(tmp_path / "gone") in found["error"]
    assert done.stderr == f"earmark: {found['error']}\n".encode()
    typo = earmark("tag", "--jsno", "--json")
    assert typo.returncode == 2
    assert "--jsno" in json.loads(typo.stdout)["error"]
    assert b"Usage: earmark tag" in typo.stderr
    assert earmark("tag", "--jsno").stdout == b""


def test_a_refusal_after_the_result_prints_no_second_object(tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_bytes(b"no sound")
    done = earmark("convert", tmp_path / "bad.wav", "--to", "wav", "--out", tmp_path / "out", "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["quarantine"][0]["reason"] == "not-audio"


def test_help_version_and_usage_keep_their_exit_codes() -> None:
    assert earmark("--version").stdout.startswith(b"earmark ")
    assert earmark("tag", "--help").returncode == 0
    wrong = earmark("tagg")
    assert wrong.returncode == 2
    assert b"Did you mean 'tag'" in wrong.stderr
    assert earmark().returncode == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["inspect", "SET", "--out", "FOLDER"], b"a folder; name a file"),
        (["inspect", "SET", "--out", "FILE/r.html"], b"is a file, so nothing can be written below it"),
        (["evaluate", "gone", "SET", "--out", "FILE"], b"a file; name a folder"),
        (["evaluate", "gone", "SET", "--out", "FILE/r"], b"is a file, so nothing can be written below it"),
    ],
)
def test_an_output_that_cannot_be_is_refused_before_the_work(tmp_path: Path, arguments: list[str], said: bytes) -> None:
    (tmp_path / "FILE").write_text("mine")
    (tmp_path / "FOLDER").mkdir()
    done = earmark(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count(b"\n") == 1
    assert (tmp_path / "FILE").read_text() == "mine"


@pytest.mark.parametrize("arguments", [["recipes", "small-cnn"], ["recipes", "--json"]])
def test_a_full_disk_behind_stdout_is_one_sentence(arguments: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*COMMAND, *arguments], stdout=full, stderr=-1, check=False, timeout=60)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        b"earmark: the output: No space left on device; free some space and run the same command again."
    )
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr


def test_a_reader_that_leaves_is_no_error() -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    done = subprocess.run([*COMMAND, "recipes", "small-cnn"], stdout=theirs, stderr=-1, check=False, timeout=60)
    os.close(theirs)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize(
    ("error", "code"),
    [(PermissionError(13, "Permission denied", "/x/y"), 2), (OSError(5, "Input/output error", "/x/y"), 1)],
)
def test_what_the_system_says_becomes_a_sentence(
    error: OSError, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise error

    monkeypatch.setattr("earmark.recipes.recipe_names", broken)
    monkeypatch.setattr("sys.argv", ["earmark", "recipes", "small-cnn", "--set", "training.epochs=3"])
    with pytest.raises(SystemExit) as left:
        run()
    assert left.value.code == code
    assert capsys.readouterr().err.startswith(f"earmark: /x/y: {error.strerror}; ")


def test_file_names_that_are_not_utf8_are_spelt_out(tmp_path: Path) -> None:
    sounds = os.fsencode(tmp_path / "sounds")
    noise(tmp_path / "sounds" / "good.wav", 1)
    os.rename(sounds + b"/good.wav", sounds + b"/bad\xff.wav")
    out = os.fsencode(tmp_path / "out")
    command = [*map(os.fsencode, COMMAND), b"convert", sounds, b"--to", b"flac", b"--out", out, b"--json"]
    for encoding in ("utf-8", "ascii"):
        done = subprocess.run(
            [*command, b"--force"], capture_output=True, env={**os.environ, "PYTHONIOENCODING": encoding}, check=False
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["written"] == [str(tmp_path / "out" / "bad") + "\\xff.flac"]
    gone = subprocess.run([*command[:4], b"gone\xff.wav", *command[5:]], capture_output=True, check=False)
    assert gone.returncode == 2
    assert rb"gone\xff.wav" in gone.stderr
    assert rb"gone\xff.wav" in json.loads(gone.stdout)["error"].encode()


def test_demo_without_torch_says_what_to_install(tmp_path: Path) -> None:
    hide = "import sys; sys.modules.update(torch=None, lightning=None); from earmark.cli.main import run; run()"
    done = subprocess.run(
        [sys.executable, "-c", hide, "demo", "--out", str(tmp_path / "d")], capture_output=True, check=False
    )
    assert done.returncode == 2
    assert b'pip install "earmark[train]"' in done.stderr
    assert done.stderr.count(b"\n") == 1
    assert not (tmp_path / "d").exists()


def test_ctrl_c_inside_native_code_does_not_end_us_by_the_signal() -> None:
    """Source text run by a C extension (here: by exec) that Ctrl-C breaks off leaves a mark in the interpreter."""
    script = (
        "import os, signal, sys, earmark.recipes as r\n"
        "def broken(*_):\n"
        "    exec('import os, signal, time; os.kill(os.getpid(), signal.SIGINT); time.sleep(5)')\n"
        "r.recipe_names = broken\n"
        "sys.argv = ['earmark', 'recipes']\n"
        "from earmark.cli.main import run\n"
        "run()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("earmark: stopped")

"""Names of classes and files are said as they are: none is markup, and a command that is named can be pasted."""

from __future__ import annotations

import os
import pty
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from earmark.audio.write import write
from earmark.cli.console import Console, begin, on_ctrl_c
from earmark.errors import Interrupted

NAMES = ["[red]dog", "cat[/x]", ":bat:", "[b]"]


def test_a_table_shows_names_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.table import Table

    table = Table()
    table.add_column("class")
    for name in NAMES:
        table.add_row(name)
    Console(as_json=False).rich.print(table)
    shown = capsys.readouterr().out
    assert [name for name in NAMES if name not in shown] == []


def test_progress_notes_any_name() -> None:
    ours, theirs = pty.openpty()
    code = (
        "from earmark.cli.console import RichProgress\n"
        "bar = RichProgress()\n"
        "bar.start('[/task]', 2, 'files')\n"
        "bar.advance(1, note='cat[/x].wav')\n"
        "bar._bar.refresh()\n"
        "bar.stop()\n"
    )
    size = {"COLUMNS": "200", "LINES": "40", "TERM": "xterm"}
    done = subprocess.Popen([sys.executable, "-c", code], stderr=theirs, env={**os.environ, **size})
    os.close(theirs)
    told = b""
    while True:
        try:
            told += os.read(ours, 4096)
        except OSError:  # what a terminal says once nobody writes to it any more
            break
    os.close(ours)
    assert done.wait(timeout=30) == 0, told
    assert b"[/task]" in told
    assert b"cat[/x].wav" in told


def test_the_next_step_can_be_pasted(tmp_path: Path) -> None:
    write(tmp_path / "a.wav", 0.1 * np.sin(np.arange(8000, dtype=np.float32)), 8000)
    out = tmp_path / "my $ounds (new)"
    command = [sys.executable, "-m", "earmark.cli.main", "convert", str(tmp_path / "a.wav"), "--to", "flac"]
    done = subprocess.run([*command, "--out", str(out)], capture_output=True, text=True, timeout=120, check=True)
    step = done.stdout.strip().splitlines()[-1]
    assert shlex.split(step.removeprefix("Next: ")) == ["earmark", "inspect", str(out)]


def test_an_error_that_native_code_makes_of_ctrl_c_says_what_is_kept() -> None:
    stopped = begin(as_json=False)
    with pytest.raises(ImportError), on_ctrl_c("all is kept."):
        raise ImportError("nobody stopped it")
    stopped.append(signal.SIGINT)
    with pytest.raises(Interrupted, match=r"^stopped; all is kept\.$"), on_ctrl_c("all is kept."):
        raise ImportError("numpy._core.multiarray failed to import")
    with pytest.raises(Interrupted, match=r"^3 of 5 are kept$"), on_ctrl_c("all is kept."):
        raise Interrupted("3 of 5 are kept")
    begin(as_json=False)

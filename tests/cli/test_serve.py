"""`earmark serve` as people start it: its address and admin link, a port that is taken, and its end by Ctrl-C."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

from earmark.catalog.database import Workspace


def _serve(root: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "earmark", "serve", "--workspace", str(root), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_it_prints_an_address_and_the_first_admins_link_and_ends_well(tmp_path: Path) -> None:
    Workspace.init(tmp_path)
    running = _serve(tmp_path, "--port", "0")
    try:
        assert running.stdout is not None
        lines = [running.stdout.readline(), running.stdout.readline()]
        link = re.findall(r"http://127\.0\.0\.1:\d+/invite/[\w-]{40,}", lines[1])[0]
        assert b"<h1>Welcome</h1>" in urllib.request.urlopen(link, timeout=60).read()
    finally:
        running.send_signal(signal.SIGINT)
        out, error = running.communicate(timeout=60)
    assert (running.returncode, error) == (0, "")
    assert "stopped; everything that was acknowledged is kept." in out


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    Workspace.init(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        running = _serve(tmp_path, "--port", str(taken.getsockname()[1]))
        _, error = running.communicate(timeout=120)
    assert running.returncode == 2
    assert "choose another --port" in error

"""`earmark serve` as people start it: its address and admin link, what keeps it from starting, and its end."""

from __future__ import annotations

import json
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from earmark.catalog.database import Workspace
from earmark.catalog.tasks import new_task


def _serve(root: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "earmark", "serve", "--workspace", str(root), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server and the link for its first admin."""
    Workspace.init(tmp_path)
    process = _serve(tmp_path, "--port", "0")
    assert process.stdout is not None
    lines = [process.stdout.readline(), process.stdout.readline()]
    yield process, re.findall(r"http://127\.0\.0\.1:\d+/invite/[\w-]{40,}", lines[1])[0]
    process.kill()
    process.communicate()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_it_prints_an_address_and_the_first_admins_link_and_ends_well(
    running: tuple[subprocess.Popen[str], str], how: signal.Signals
) -> None:
    process, link = running
    place = re.findall(r"127\.0\.0\.1:(\d+)", link)[0]
    with socket.create_connection(("127.0.0.1", int(place))):  # somebody who is connected and says nothing
        assert b"<h1>Welcome</h1>" in urllib.request.urlopen(link, timeout=60).read()
        began = time.monotonic()
        process.send_signal(how)
        out, error = process.communicate(timeout=60)
    assert time.monotonic() - began < 20
    assert (process.returncode, error) == (0, "")
    assert "stopped; everything that was acknowledged is kept." in out


def test_what_is_refused_is_a_line_without_its_secret(running: tuple[subprocess.Popen[str], str]) -> None:
    process, link = running
    for path in ("/api/v1/nope", f"/invite/{link.rsplit('/', 1)[1]}"):
        request = urllib.request.Request(link.split("/invite/")[0] + path, method="POST", data=b"{}")
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(request, timeout=60)
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=60)
    lines = error.splitlines()
    assert [re.sub(r"^[\d-]+ [\d:,]+ ", "", line) for line in lines] == [
        "INFO POST /api/v1/nope: 404 HTTPError",
        "INFO POST /invite/...: 403 NotAllowedError",
    ]


def test_it_says_who_may_help_with_which_task(tmp_path: Path) -> None:
    assert _said(tmp_path / "none")[2:] == [
        "no task yet: earmark catalog task new NAME --tags A,B --anyone makes one that anyone can help with"
    ]
    with Workspace.init(tmp_path / "two").catalog() as catalog:
        new_task(catalog, "sax", ["sax"], open=True)
        new_task(catalog, "drums", ["drums"])
    assert _said(tmp_path / "two")[2:] == [
        "anyone with the address can help with sax",
        "only who has an invite can help with drums: earmark catalog people invite makes one,",
        "  earmark serve --anyone opens every task, and an admin one of them in the browser",
    ]
    assert _said(tmp_path / "two", "--anyone")[2:] == ["anyone with the address can help with sax, drums"]


def _said(root: Path, *options: str) -> list[str]:
    """What it says until it listens."""
    Workspace.init(root)
    process = _serve(root, "--port", "0", *options)
    assert process.stdout is not None
    address = process.stdout.readline()
    with urllib.request.urlopen(re.findall(r"http://[\d.:]+", address)[0], timeout=60):
        process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    return [address.rstrip("\n"), *out.splitlines()[:-1]]


def test_guests_from_one_address_are_limited_as_is_said(tmp_path: Path) -> None:
    with Workspace.init(tmp_path).catalog() as catalog:
        new_task(catalog, "sax", ["sax"], open=True)
    process = _serve(tmp_path, "--port", "0", "--guests-an-hour", "2")
    assert process.stdout is not None
    address = re.findall(r"http://127\.0\.0\.1:\d+", process.stdout.readline())[0]
    try:
        statuses = []
        for _ in range(3):
            visitor = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
            page = visitor.open(f"{address}/tasks/sax", timeout=60).read().decode()
            token = re.findall(r'name="csrf" content="(.+?)"', page)[0]
            body = f"csrf={token}".encode()
            try:
                statuses.append(visitor.open(f"{address}/tasks/sax/help", data=body, timeout=60).status)
            except urllib.error.HTTPError as error:
                statuses.append(error.code)
        assert statuses == [200, 200, 429]
    finally:
        process.kill()
        process.communicate()


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    Workspace.init(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = _serve(tmp_path, "--port", str(taken.getsockname()[1]))
        _, error = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "choose another --port" in error


def test_a_database_of_a_newer_version_is_told(tmp_path: Path) -> None:
    Workspace.init(tmp_path)
    with closing(sqlite3.connect(tmp_path / "catalog.db")) as connection:
        connection.execute("UPDATE earmark_version SET version_num = '9999'")
        connection.commit()
    process = _serve(tmp_path, "--port", "0")
    out, error = process.communicate(timeout=120)
    assert (process.returncode, out) == (2, "")
    assert "is of a newer version of Earmark (9999" in error
    assert "upgrade Earmark" in error


def test_a_database_out_of_reach_is_told(tmp_path: Path) -> None:
    (tmp_path / "workspace.json").write_text(json.dumps({"earmark_workspace": 1, "database": "EARMARK_DATABASE_URL"}))
    process = _serve(tmp_path, "--port", "0", "--database", "postgresql://somebody:secret@127.0.0.1:1/nothing")
    out, error = process.communicate(timeout=120)
    assert (process.returncode, out) == (2, "")
    assert "127.0.0.1:1/nothing is out of reach" in error
    assert "secret" not in error

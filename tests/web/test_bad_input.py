"""What goes wrong from outside, beside `test_api` and `test_visits`: each has an answer, a line in the log, no loss."""

from __future__ import annotations

import logging
import socket
import time
from urllib.parse import urlsplit

import pytest
from fastapi.testclient import TestClient
from web_labels import LABEL, Visiting, labels

from earmark.catalog import people
from earmark.catalog.database import Catalog, Workspace, open_engine
from earmark.features.spec import FeatureSpec
from earmark.web.app import create_app
from earmark.web.settings import WebSettings
from earmark.web.site import SESSION_COOKIE


@pytest.fixture(autouse=True)
def _log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "earmark")


def test_a_stale_cookie_is_taken_back_and_noted(
    visiting: Visiting, catalog: Catalog, caplog: pytest.LogCaptureFixture
) -> None:
    bo = visiting("bo")
    clip = bo.post("sax/next", n=1).json()["clips"][0]
    people.revoke_sessions(catalog, people.find_person(catalog, "bo").id)
    answer = bo.post("sax/submit", token=clip["token"], values=LABEL)
    assert (answer.status_code, answer.json()["detail"]) == (401, "this session is over: log in again.")
    assert "/api/v1/tasks/sax/submit: 401 LoginNeededError" in caplog.text
    assert f"{SESSION_COOKIE}=" in bo.client.get("/").headers["set-cookie"]  # which deletes it
    assert labels(catalog, "sax") == []


def test_a_missing_token_and_anothers_clip_are_noted(visiting: Visiting, caplog: pytest.LogCaptureFixture) -> None:
    bo = visiting("bo")
    bo.csrf = ""
    assert bo.post("sax/next", n=1).status_code == 403
    assert "/api/v1/tasks/sax/next: 403 NotAllowedError" in caplog.text


def test_a_clip_of_another_task_is_not_labelled_in_this_one(visiting: Visiting, catalog: Catalog) -> None:
    bo = visiting("bo")
    clip = bo.post("closed/next", n=1).json()["clips"][0]
    answer = bo.post("sax/submit", token=clip["token"], values=LABEL)
    assert answer.status_code == 404
    assert "no clip of task 'sax' is held" in answer.json()["detail"]
    assert labels(catalog, "closed") == labels(catalog, "sax") == []
    assert bo.post("closed/submit", token=clip["token"], values=LABEL).status_code == 200


def test_one_key_for_two_answers_is_refused(visiting: Visiting, catalog: Catalog) -> None:
    bo = visiting("bo")
    first, second = bo.post("sax/next", n=2).json()["clips"]
    assert bo.post("sax/submit", token=first["token"], values=LABEL, client_key="k").status_code == 200
    answer = bo.post("sax/submit", token=second["token"], values=LABEL, client_key="k")
    assert answer.status_code == 409
    assert "'k' was used for another answer" in answer.json()["detail"]
    assert [clip for clip, _ in labels(catalog, "sax")] == [first["clip"]]


@pytest.mark.parametrize("content", [b"", b"no sound at all\n" * 100, b"RIFF\xff\xff\xff\xffWAVEfmt "])
def test_a_file_that_is_not_audio_is_told(
    visiting: Visiting, workspace: Workspace, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (workspace.root / "songs" / "song_0003.ogg").write_bytes(content)
    bo = visiting("bo")
    answer = bo.client.get("/api/v1/tasks/sax/clips/2/picture.png")
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert "song_0003.ogg" in answer.json()["detail"]
    assert "clips/2/picture.png: 422 AudioError" in caplog.text
    assert list((workspace.root / "cache" / "web").rglob("*.wav")) == []


@pytest.mark.parametrize("path", ["/", "/login", "/api/v1/tasks", "/tasks/sax"])
def test_a_database_out_of_reach_is_told_without_its_address(
    workspace: Workspace, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    with Catalog(open_engine("postgresql://somebody:secret@127.0.0.1:1/nothing")) as nowhere:
        app = create_app(nowhere, workspace, WebSettings(front_end=FeatureSpec()))
        client = TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)
        answer = client.get(path)
        if path == "/login":  # which asks the database nothing
            assert answer.status_code == 200
            return
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
        assert "cannot be reached just now" in answer.text
        assert "127.0.0.1:1" not in answer.text
        assert "127.0.0.1:1/nothing is out of reach" in caplog.text
        assert "secret" not in caplog.text


def _said(connection: socket.socket) -> bytes:
    connection.settimeout(30)
    said = b""
    try:
        while part := connection.recv(65536):
            said += part
    except ConnectionResetError:  # it need not hear us out
        pass
    return said


def test_an_upload_of_2_gb_is_refused_by_its_head(served, caplog: pytest.LogCaptureFixture) -> None:
    place = urlsplit(served.url)
    head = b"POST /api/v1/tasks/sax/submit HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    began = time.monotonic()
    with socket.create_connection((place.hostname, place.port)) as connection:
        connection.sendall(head + b"Content-Length: 2147483648\r\n\r\n")  # and not a byte of it
        said = _said(connection)
    assert said.startswith(b"HTTP/1.1 413 ")
    assert b"larger than the 1,048,576 bytes" in said
    assert time.monotonic() - began < 20
    assert "413 TooLargeError" in caplog.text


def test_an_upload_that_does_not_say_how_large_it_is_breaks_off(served) -> None:
    place = urlsplit(served.url)
    head = b"POST /api/v1/tasks/sax/submit HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    sent = 0
    with socket.create_connection((place.hostname, place.port)) as connection:
        connection.sendall(head)
        connection.settimeout(30)
        try:
            for _ in range(32_768):  # 2 GB
                connection.sendall(chunk)
                sent += len(chunk)
        except (BrokenPipeError, ConnectionResetError):
            pass
    assert sent < 64 << 20  # what both ends' buffers hold at most

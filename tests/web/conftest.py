"""A workspace with real clips, served: by httpx to the app itself, and over HTTP for a browser."""

from __future__ import annotations

import re
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from benchmarks._postgresql import database
from fastapi.testclient import TestClient
from postgresql import copied
from web_pages import WAIT_MS, Opening

from earmark.catalog.adding import add
from earmark.catalog.database import Catalog, Workspace
from earmark.catalog.people import add_person, find_person, start_session
from earmark.catalog.tasks import add_clips_to_task, new_task, set_gold
from earmark.features.spec import FeatureSpec
from earmark.web.app import create_app
from earmark.web.settings import WebSettings
from earmark.web.site import SESSION_COOKIE

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

HOST = "http://127.0.0.1"
SCALE = ("foreground", "background", "absent")
TAGS = ("sax", "vocals")


def fill(root: Path, url: str | None, audio: Path) -> None:
    """Two songs in clips of 5 s, a task that anyone may help with, one for those who were invited, and three people."""
    workspace = Workspace.init(root, url)
    songs = root / "songs"
    songs.mkdir()
    for name in ("song_0003.ogg", "song_0004.ogg"):
        shutil.copyfile(audio / name, songs / name)
    with workspace.catalog() as catalog:
        add(workspace, catalog, [songs], chunk_s=5.0, workers=1, timeout_s=60)
        for name, anyone in (("sax", True), ("closed", False)):
            new_task(catalog, name, TAGS, scale=SCALE, overlap=1, open=anyone, help={"sax": "Any saxophone."})
            add_clips_to_task(catalog, name)
        set_gold(catalog, "sax", {1: {"sax": "foreground", "vocals": "absent"}})
        for person, role in (("ada", "admin"), ("bo", "annotator"), ("vi", "viewer")):
            add_person(catalog, person, role, password="correct horse" if person == "ada" else None)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def _on_sqlite(tmp_path_factory: pytest.TempPathFactory, data_dir: Path) -> Path:
    root = tmp_path_factory.mktemp("web") / "workspace"
    fill(root, None, data_dir / "sax_songs" / "audio")
    return root


@pytest.fixture(scope="session")
def _on_postgresql(
    tmp_path_factory: pytest.TempPathFactory, data_dir: Path, postgresql_server: str
) -> Iterator[tuple[Path, str]]:
    """The workspace's folder and the name of its database."""
    root = tmp_path_factory.mktemp("web") / "workspace"
    with database(postgresql_server) as url:
        fill(root, url, data_dir / "sax_songs" / "audio")
        yield root, url.rsplit("/", 1)[-1]


@pytest.fixture
def sqlite_workspace(_on_sqlite: Path, tmp_path: Path) -> Workspace:
    root = tmp_path / "workspace"
    shutil.copytree(_on_sqlite, root)
    return Workspace.open(root)


@pytest.fixture(params=["sqlite", "postgresql"])
def workspace(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Workspace]:
    """What the app promises, it promises over both kinds of database."""
    if request.param == "sqlite":
        yield request.getfixturevalue("sqlite_workspace")
        return
    root, name = request.getfixturevalue("_on_postgresql")
    with copied(root, request.getfixturevalue("postgresql_server"), name, tmp_path / "workspace") as found:
        yield found


@pytest.fixture
def catalog(workspace: Workspace) -> Iterator[Catalog]:
    with workspace.catalog() as opened:
        yield opened


class Visitor:
    """Somebody with a browser's cookies and the token of the page that they look at."""

    def __init__(self, client: TestClient) -> None:
        self.client = client
        self.csrf = ""

    def look(self, path: str = "/") -> str:
        """The page's text; its token is used from now on."""
        page = self.client.get(path).text
        found = re.search(r'name="csrf" content="(\w+)"', page)
        assert found is not None, page
        self.csrf = found.group(1)
        return page

    def post(self, path: str, **body: object):
        return self.client.post(f"/api/v1/tasks/{path}", json=body, headers={"X-CSRF-Token": self.csrf})

    def form(self, path: str, **fields: str):
        return self.client.post(path, data={"csrf": self.csrf, **fields}, follow_redirects=False)


Visiting = Callable[..., Visitor]


@pytest.fixture
def visiting(catalog: Catalog, workspace: Workspace) -> Visiting:
    """Makes visitors: `visiting("bo")` is logged in, `visiting()` is nobody. Keywords are WebSettings."""

    def make(who: str | None = None, **settings: object) -> Visitor:
        app = create_app(catalog, workspace, WebSettings(front_end=FeatureSpec(), **settings))  # type: ignore[arg-type]
        visitor = Visitor(TestClient(app, base_url=HOST, raise_server_exceptions=False))
        if who is not None:
            secret = start_session(catalog, find_person(catalog, who).id)
            visitor.client.cookies.set(SESSION_COOKIE, app.state.site.signer.sign("session", secret))
        visitor.look()
        return visitor

    return make


class Served:
    """The app over real HTTP, in a thread."""

    def __init__(self, catalog: Catalog, workspace: Workspace) -> None:
        settings = WebSettings(front_end=FeatureSpec(), logins_a_minute=1000)
        self.app = create_app(catalog, workspace, settings)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.server = uvicorn.Server(uvicorn.Config(self.app, log_level="error"))
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.socket]}, daemon=True)
        self.thread.start()
        while not self.server.started:
            time.sleep(0.02)

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(20)


@pytest.fixture
def served(catalog: Catalog, workspace: Workspace) -> Iterator[Served]:
    running = Served(catalog, workspace)
    yield running
    running.stop()


@pytest.fixture
def opening(browser: Browser, served: Served) -> Iterator[Opening]:
    """Opens a browser of somebody new; what its pages report as wrong fails the test."""
    wrong: list[str] = []
    contexts = []

    def make(**options: Any) -> Page:
        context = browser.new_context(base_url=served.url, **options)
        contexts.append(context)
        context.set_default_timeout(WAIT_MS)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text) if _is_wrong(page, message) else None)
        return page

    yield make
    for context in contexts:
        context.close()
    assert wrong == []


def _is_wrong(page: Page, message: ConsoleMessage) -> bool:
    """What is no lost connection, and no page or clip that the test knows is not there."""
    known = "net::ERR" in message.text or page.url.endswith("/nope") or "(Unprocessable" in message.text
    return message.type == "error" and not known

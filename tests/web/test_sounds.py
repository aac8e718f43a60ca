"""Recordings that no decoder survives cost their own answer: labels and other sounds go on."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from web_labels import LABEL, Visiting

from earmark.catalog.database import Catalog, Workspace
from earmark.features.spec import FeatureSpec
from earmark.web.settings import WebSettings
from earmark.web.sounds import Sounds

# draws what it is asked to, but for one song, which kills or stops its process
WORK = """
import os, time
from earmark.web import drawing

def draw(job):
    with open(os.path.join(os.path.dirname(__file__), "tries"), "a") as file:
        file.write(job.path.name + "\\n")
    if job.path.name == "song_0003.ogg":
        {how}
    drawing.draw(job)
"""


@pytest.fixture
def workspace(sqlite_workspace: Workspace) -> Workspace:
    return sqlite_workspace


@pytest.fixture(params=["os.abort()", "time.sleep(1000)"])
def hostile(request: pytest.FixtureRequest, tmp_path: Path, workspace: Workspace, monkeypatch) -> Iterator[Sounds]:
    name = f"hostile_drawing_{'abort' in request.param}"
    (tmp_path / f"{name}.py").write_text(WORK.format(how=request.param))
    monkeypatch.syspath_prepend(str(tmp_path))
    settings = WebSettings(front_end=FeatureSpec(), decode_s=1.0, decoders=1)
    sounds = Sounds(workspace, settings, draw=__import__(name).draw)
    yield sounds
    sounds.close()


def test_a_recording_that_no_decoder_survives_costs_its_own_answer(
    visiting: Visiting, hostile: Sounds, tmp_path: Path
) -> None:
    bo = visiting("bo")
    bo.client.app.state.site.sounds = hostile
    media = "/api/v1/tasks/sax/clips/{}/audio.wav"
    refused = bo.client.get(media.format(1))  # of the song that kills
    assert refused.status_code == 422
    assert "song_0003.ogg" in refused.json()["detail"]
    clips = bo.client.get("/api/v1/tasks/sax/clips/24/audio.wav")
    assert clips.status_code == 200
    clip = bo.post("sax/next", n=1).json()["clips"][0]
    assert bo.post("sax/submit", token=clip["token"], values=LABEL).status_code == 200
    assert bo.client.get(media.format(2)).status_code == 422
    tries = (tmp_path / "tries").read_text().split()
    assert tries == ["song_0003.ogg", "song_0004.ogg"]  # what cost a worker is not tried again at once


@pytest.mark.slow
def test_files_crafted_to_break_decoders_are_answered(visiting: Visiting, workspace: Workspace, data_dir: Path) -> None:
    """Every file of the hostile kind takes the place of a song in turn."""
    song = workspace.root / "songs" / "song_0003.ogg"
    bo = visiting("bo", decode_s=5.0)
    names = [path for path in sorted((data_dir / "messy").iterdir()) if _is_hostile(path.name)]
    assert len(names) >= 5
    for clip, path in enumerate(names, start=1):
        shutil.copyfile(path, song)
        began = time.monotonic()
        answer = bo.client.get(f"/api/v1/tasks/sax/clips/{1 + clip % 12}/audio.wav")
        assert answer.status_code in (200, 422), (path.name, answer.text)
        assert time.monotonic() - began < 12, path.name
    assert bo.client.get("/api/v1/tasks/sax/clips/24/audio.wav").status_code == 200


def _is_hostile(name: str) -> bool:
    return any(word in name.lower() for word in ("crash", "hang", "oom", "fuzz", "loop", "timeout"))


def test_a_clip_is_drawn_once_for_all_its_files(
    visiting: Visiting, catalog: Catalog, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    name = "counted_drawing"
    (tmp_path / f"{name}.py").write_text(WORK.format(how="pass"))
    monkeypatch.syspath_prepend(str(tmp_path))
    bo = visiting("bo")
    sounds = Sounds(workspace, WebSettings(front_end=FeatureSpec()), draw=__import__(name).draw)
    bo.client.app.state.site.sounds = sounds
    for kind in ("audio.wav", "picture.png", "peaks.json", "picture.png"):
        assert bo.client.get(f"/api/v1/tasks/sax/clips/3/{kind}").status_code == 200
    sounds.close()
    assert len((tmp_path / "tries").read_text().split()) == 1

"""The JSON API: labelling through it, and what it answers to all that is wrong."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
import soundfile
from web_labels import LABEL, Visiting, labels

from earmark.catalog.database import Catalog
from earmark.catalog.pages import examples
from earmark.catalog.queueing import next_clips
from earmark.catalog.tasks import get_task


def test_a_label_is_one_row_however_often_it_is_sent(visiting: Visiting, catalog: Catalog) -> None:
    bo = visiting("bo")
    clips = bo.post("sax/next", n=2).json()["clips"]
    assert len({clip["clip"] for clip in clips}) == 2
    assert set(clips[0]) == {"token", "clip", "seconds", "expires_at", "undone"}  # not whether it is gold
    body = {"token": clips[0]["token"], "values": LABEL, "took_ms": 1500, "client_key": "k1"}
    first, second = bo.post("sax/submit", **body), bo.post("sax/submit", **body)
    assert (first.status_code, first.json()["again"]) == (200, False)
    assert second.json() == {"annotation": first.json()["annotation"], "again": True}
    assert labels(catalog, "sax") == [(clips[0]["clip"], LABEL)]
    assert bo.client.get("/api/v1/tasks/sax/me").json()["labels"] == 1


def test_undo_goes_back_and_the_clip_comes_first(visiting: Visiting, catalog: Catalog) -> None:
    bo = visiting("bo")
    shown = [bo.post("sax/next", n=1).json()["clips"][0] for _ in range(1)]
    bo.post("sax/submit", token=shown[0]["token"], values=LABEL, client_key="k1")
    shown.append(bo.post("sax/next", n=1).json()["clips"][0])
    bo.post("sax/skip", token=shown[1]["token"], client_key="k2")
    undone = bo.post("sax/undo", steps=2, client_key="u1").json()["undone"]
    assert [(one["clip"], one["kind"]) for one in undone] == [(shown[1]["clip"], "skip"), (shown[0]["clip"], "label")]
    assert bo.post("sax/undo", steps=2, client_key="u1").json()["undone"] == []
    again = bo.post("sax/next", n=2).json()["clips"]
    assert [clip["clip"] for clip in again] == [shown[0]["clip"], shown[1]["clip"]]
    assert all(clip["undone"] for clip in again)
    assert labels(catalog, "sax") == []


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"values": {"sax": "absent"}}, 422, "no answer for vocals"),
        ({"values": {**LABEL, "vocal": "absent"}}, 422, "did you mean 'vocals'?"),
        ({"values": {**LABEL, "sax": "present"}}, 422, "not on its scale"),
        ({"token": "f" * 20}, 404, "no clip is held"),
        ({"values": "sax"}, 422, "values"),
        ({"client_key": "k" * 65}, 422, "client_key"),
        ({"more": 1}, 422, "more"),
    ],
)
def test_a_label_that_cannot_be_is_told_and_changes_nothing(
    visiting: Visiting, catalog: Catalog, change: dict[str, object], status: int, words: str
) -> None:
    bo = visiting("bo")
    clip = bo.post("sax/next", n=1).json()["clips"][0]
    answer = bo.post("sax/submit", **{"token": clip["token"], "values": LABEL, "client_key": "k", **change})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert words in answer.json()["detail"]
    assert answer.json()["status"] == status
    assert labels(catalog, "sax") == []


def test_a_clip_that_is_anothers_cannot_be_labelled(visiting: Visiting, catalog: Catalog) -> None:
    theirs = next_clips(catalog, "sax", 1)[0]
    answer = visiting("bo").post("sax/submit", token=theirs.token, values=LABEL)
    assert (answer.status_code, answer.json()["detail"][:33]) == (403, "this clip is held by somebody els")


def test_an_expired_lease_counts_while_the_place_is_free_and_not_after(visiting: Visiting, catalog: Catalog) -> None:
    bo = visiting("bo")
    late, lost = next_clips(catalog, "sax", 2, 2, now=1)  # held in 1970
    taken = {clip.clip_id for clip in next_clips(catalog, "sax", 1, 4)}  # which takes back what ran out
    assert lost.clip_id in taken or late.clip_id in taken
    answers = {clip.clip_id: bo.post("sax/submit", token=clip.token, values=LABEL) for clip in (late, lost)}
    for clip, answer in answers.items():
        assert answer.status_code == (409 if clip in taken else 200), answer.text
    assert {clip for clip, _ in labels(catalog, "sax")} == {late.clip_id, lost.clip_id} - taken


def test_giving_a_clip_back_lets_somebody_else_have_it(visiting: Visiting, catalog: Catalog) -> None:
    bo = visiting("bo")
    clip = bo.post("sax/next", n=1).json()["clips"][0]
    assert bo.post("sax/return", token=clip["token"]).json() == {"returned": True}
    assert bo.post("sax/submit", token=clip["token"], values=LABEL).status_code == 200  # still free, so still taken


def test_sound_picture_and_waveform_of_a_clip(visiting: Visiting) -> None:
    bo = visiting("bo")
    base = "/api/v1/tasks/sax/clips/2"
    sound = bo.client.get(f"{base}/audio.wav")
    samples, rate = soundfile.read(io.BytesIO(sound.content))
    assert sound.headers["content-type"] == "audio/wav"
    assert len(samples) == pytest.approx(5 * rate, abs=1)
    part = bo.client.get(f"{base}/audio.wav", headers={"Range": "bytes=44-143"})
    assert (part.status_code, part.content) == (206, sound.content[44:144])
    assert part.headers["content-range"] == f"bytes 44-143/{len(sound.content)}"
    picture = bo.client.get(f"{base}/picture.png")
    assert picture.content[:8] == b"\x89PNG\r\n\x1a\n"
    assert picture.headers["content-type"] == "image/png"
    peaks = np.array(bo.client.get(f"{base}/peaks.json").json())
    assert peaks.shape == (800, 2)
    mono = samples.mean(axis=1) if samples.ndim == 2 else samples
    assert peaks.max() == pytest.approx(100 * mono.max(), abs=1)
    assert bo.client.get("/api/v1/tasks/sax/clips/9999/audio.wav").status_code == 404
    assert bo.client.get(f"{base}/catalog.db").status_code == 422


def test_a_recording_that_is_gone_is_told(visiting: Visiting, workspace) -> None:
    for song in (workspace.root / "songs").iterdir():
        song.unlink()
    answer = visiting("bo").client.get("/api/v1/tasks/sax/clips/2/audio.wav")
    assert answer.status_code == 422
    assert "song_0003.ogg" in answer.json()["detail"]


def test_a_clip_that_is_too_long_for_a_page_is_refused(visiting: Visiting) -> None:
    answer = visiting("bo", longest_clip_s=4.0).client.get("/api/v1/tasks/sax/clips/2/audio.wav")
    assert answer.status_code == 413


def test_examples_are_gold_clips_one_a_tag_and_answer(catalog: Catalog) -> None:
    found = examples(catalog, get_task(catalog, "sax"))
    assert [(one.clip_id, one.tag, one.value) for one in found] == [(1, "sax", "foreground"), (1, "vocals", "absent")]


def test_status_as_on_the_command_line(visiting: Visiting) -> None:
    found = visiting("vi").client.get("/api/v1/status?task=sax").json()
    assert (found["recordings"], found["clips"]) == (2, 24)


def test_the_api_describes_itself(visiting: Visiting) -> None:
    paths = json.loads(visiting().client.get("/api/v1/openapi.json").text)["paths"]
    assert {"/api/v1/tasks/{task}/next", "/api/v1/tasks/{task}/submit", "/api/v1/tasks/{task}/undo"} <= set(paths)

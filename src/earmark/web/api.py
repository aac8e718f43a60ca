"""The JSON API under /api/v1: what the labeller's script asks for."""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import Annotated, Any, Literal

from anyio import to_thread
from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict, Field

from earmark.catalog import labelling, queueing
from earmark.catalog.pages import find_clip, numbers_of
from earmark.catalog.queueing import MOST_HELD, Held
from earmark.catalog.tasks import TaskInfo, list_tasks
from earmark.web.drawing import ticks
from earmark.web.site import Site
from earmark.web.sounds import Kind
from earmark.web.visits import Labeller, SeenTask, Somebody, TheSite, TheVisit, address

router = APIRouter(prefix="/api/v1", tags=["label"])

TYPES: dict[Kind, str] = {
    "audio.wav": "audio/wav",
    "picture.png": "image/png",
    "peaks.json": "application/json",
}


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Next(_Body):
    """How many clips to hold."""

    n: int = Field(3, ge=1, le=MOST_HELD)


class Sent(_Body):
    """An answer that is no label."""

    token: str = Field(max_length=64)
    took_ms: int | None = Field(None, ge=0)
    client_key: str | None = Field(None, min_length=1, max_length=64)


class Label(Sent):
    """A label: an answer for every tag of the task."""

    values: dict[str, str] = Field(max_length=500)


class Undo(_Body):
    """How many steps back."""

    steps: int = Field(1, ge=1, le=labelling.MOST_UNDONE)
    client_key: str | None = Field(None, min_length=1, max_length=64)


class Token(_Body):
    """A clip to give back."""

    token: str = Field(max_length=64)


async def limit_writes(site: TheSite, person: Somebody) -> None:
    """TooManyError where somebody writes faster than a person can."""
    site.limits.take("answers", str(person.id), most=site.settings.writes_a_minute, per_s=60)


async def limit_media(request: Request, site: TheSite, visit: TheVisit) -> None:
    """As `limit_writes`; who is not logged in is told by their address, since a cookie can be left out."""
    who = str(visit.person.id) if visit.person else address(request)
    site.limits.take("sounds and pictures", who, most=site.settings.media_a_minute, per_s=60)


Writing = Depends(limit_writes)


@router.get("/tasks")
def tasks(site: TheSite, visit: TheVisit) -> dict[str, Any]:
    """The tasks that one may see."""
    found = [task for task in list_tasks(site.catalog) if site.may_see(visit.person, task)]
    return {"tasks": [describe(site, task) for task in found]}


@router.get("/tasks/{task}")
def one_task(site: TheSite, task: SeenTask) -> dict[str, Any]:
    return describe(site, task)


def describe(site: Site, task: TaskInfo) -> dict[str, Any]:
    """A task as the API tells of it; `unsure` ends every scale."""
    return {
        "name": task.name,
        "tags": [{"name": tag, "help": task.help.get(tag, "")} for tag in task.tags],
        "scale": [*(value.value for value in task.scale), "unsure"],
        "instructions": task.instructions,
        "overlap": task.overlap,
        "lease_s": task.lease_s,
        "anyone": task.open or site.settings.anyone,
        "ticks": [{"label": label, "share": share} for label, share in ticks(site.settings.front_end)],
    }


@router.post("/tasks/{task}/next", dependencies=[Writing])
def next_clips(site: TheSite, task: SeenTask, person: Labeller, body: Next) -> dict[str, Any]:
    """Clips held for whoever asks: first those they hold already, in the order they are to be answered."""
    held = queueing.next_clips(site.catalog, task.id, person.id, body.n)
    return {"clips": [_held(task, one) for one in held]}


def _held(task: TaskInfo, one: Held) -> dict[str, Any]:
    # whether it is a gold clip is not told: it is to be labelled like any other
    seconds = (one.stop - one.start) / one.sample_rate_hz
    result = {"token": one.token, "clip": one.clip_id, "seconds": seconds, "expires_at": one.expires_at / 1e6}
    return {**result, "undone": one.undone}


@router.post("/tasks/{task}/submit", dependencies=[Writing])
def submit(site: TheSite, task: SeenTask, person: Labeller, body: Label) -> dict[str, Any]:
    """Label a clip that one holds. Sent twice under one client_key, it is one label and the same answer."""
    done = labelling.submit(
        site.catalog,
        body.token,
        body.values,
        annotator_id=person.id,
        task=task,
        took_ms=body.took_ms,
        client_key=body.client_key,
    )
    return {"annotation": done.annotation_id, "again": done.again}


@router.post("/tasks/{task}/skip", dependencies=[Writing])
def skip(site: TheSite, task: SeenTask, person: Labeller, body: Sent) -> dict[str, Any]:
    """Leave a clip to others."""
    return _other("skip", site, task, person.id, body)


@router.post("/tasks/{task}/unusable", dependencies=[Writing])
def unusable(site: TheSite, task: SeenTask, person: Labeller, body: Sent) -> dict[str, Any]:
    """Say that nobody could label a clip."""
    return _other("unusable", site, task, person.id, body)


def _other(kind: Literal["skip", "unusable"], site: Site, task: TaskInfo, person_id: int, body: Sent) -> dict[str, Any]:
    act = labelling.skip if kind == "skip" else labelling.unusable
    who = {"annotator_id": person_id, "took_ms": body.took_ms}
    done = act(site.catalog, body.token, **who, task=task, client_key=body.client_key)
    return {"annotation": done.annotation_id, "again": done.again}


@router.post("/tasks/{task}/undo", dependencies=[Writing])
def undo(site: TheSite, task: SeenTask, person: Labeller, body: Undo) -> dict[str, Any]:
    """Take back one's last answers; their clips come first in `next`."""
    done = labelling.undo(site.catalog, task.id, person.id, body.steps, client_key=body.client_key)
    return {"undone": [{"clip": u.clip_id, "token": u.token, "kind": u.kind, "values": u.values} for u in done]}


@router.post("/tasks/{task}/return", dependencies=[Writing])
def give_back(site: TheSite, task: SeenTask, person: Labeller, body: Token) -> dict[str, Any]:
    """Give a clip back unanswered."""
    queueing.return_lease(site.catalog, body.token, annotator_id=person.id)
    return {"returned": True}


@router.get("/tasks/{task}/me")
def mine(site: TheSite, task: SeenTask, person: Somebody) -> dict[str, Any]:
    """One's own progress."""
    found = numbers_of(site.catalog, task.id, person.id)
    counts = {"labels": found.labels, "skips": found.skips, "unusable": found.unusable, "today": found.today}
    return {"name": person.name, **counts, "days": [list(day) for day in found.days]}


@router.get("/tasks/{task}/clips/{clip}/{kind}", dependencies=[Depends(limit_media)], response_class=FileResponse)
async def media(site: TheSite, task: SeenTask, clip: int, kind: Annotated[Kind, Path()]) -> FileResponse:
    """A clip's sound (Range requests are answered), its spectrogram, or its waveform."""

    def find() -> FilePath:
        return site.sounds.path(find_clip(site.catalog, task.id, clip), kind)

    # with threads of their own: recordings that take long to decode hold up no labels
    path = await to_thread.run_sync(find, limiter=site.media_threads)
    # a clip's sound never changes, but whether one may hear it can
    return FileResponse(path, media_type=TYPES[kind], headers={"Cache-Control": "private, max-age=3600"})

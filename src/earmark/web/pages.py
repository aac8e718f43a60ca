"""The pages of those who label: front, a task's intro, the labeller, the finished page, one's own progress."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from earmark.catalog.pages import examples, numbers_of
from earmark.catalog.tasks import list_tasks
from earmark.web.api import describe
from earmark.web.bars import bars_of
from earmark.web.visits import Labeller, SeenTask, Somebody, TheSite, TheVisit

router = APIRouter(include_in_schema=False)


@router.get("/")
def front(request: Request, site: TheSite, visit: TheVisit) -> Response:
    tasks = [task for task in list_tasks(site.catalog) if site.may_see(visit.person, task)]
    return site.page(request, "front.html", {"tasks": tasks})


@router.get("/favicon.ico")
def icon() -> Response:
    return RedirectResponse("/static/icon.svg", 301)


@router.get("/tasks/{task}")
def intro(request: Request, site: TheSite, visit: TheVisit, task: SeenTask) -> Response:
    """What the task is, how to label, and examples to hear."""
    found: dict[str, list[Any]] = {}
    for example in examples(site.catalog, task):
        found.setdefault(example.tag, []).append(example)
    done = numbers_of(site.catalog, task.id, visit.person.id).labels if visit.person else 0
    return site.page(request, "intro.html", {"task": task, "examples": found, "done": done})


@router.get("/tasks/{task}/label")
def labeller(request: Request, site: TheSite, person: Labeller, task: SeenTask) -> Response:
    return site.page(request, "label.html", {"task": task, "described": describe(site, task)})


@router.get("/tasks/{task}/done")
def finished(request: Request, site: TheSite, person: Somebody, task: SeenTask) -> Response:
    numbers = numbers_of(site.catalog, task.id, person.id)
    return site.page(request, "done.html", {"task": task, "numbers": numbers})


@router.get("/me")
def me(request: Request, site: TheSite, person: Somebody) -> Response:
    """One's own progress, task by task; nobody is ranked against others."""
    tasks = [task for task in list_tasks(site.catalog) if site.may_see(person, task)]
    rows = [(task, numbers_of(site.catalog, task.id, person.id)) for task in tasks]
    drawn = [(task, numbers, bars_of(numbers.days)) for task, numbers in rows]
    return site.page(request, "me.html", {"rows": drawn})

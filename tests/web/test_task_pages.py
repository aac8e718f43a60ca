"""Tasks are made and changed by admins, in forms."""

from __future__ import annotations

import re

import pytest
from web_labels import LABEL, Visiting

from earmark.catalog.database import Catalog
from earmark.catalog.people import log
from earmark.catalog.scoring import set_scores
from earmark.catalog.tasks import get_task, list_tasks, progress_of

FIELDS = {
    "name": "birds",
    "tags": "wren: trills\nrobin\n\n",
    "scale": "foreground,background,absent",
    "instructions": "Listen.\r\n\r\nThen say.",
    "overlap": "2",
    "policy": "balanced",
    "gold_percent": "5",
    "lease_min": "2.5",
    "anyone": "yes",
}


def test_a_task_is_made_of_every_clip(visiting: Visiting, catalog: Catalog) -> None:
    ada = visiting("ada")
    assert "New task" in ada.look("/admin")
    ada.look("/admin/new-task")
    answer = ada.form("/admin/new-task", **FIELDS)
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin/tasks/birds")
    task = get_task(catalog, "birds")
    assert (task.tags, dict(task.help)) == (("wren", "robin"), {"wren": "trills"})
    assert (list(task.scale), task.overlap, task.policy) == (["foreground", "background", "absent"], 2, "balanced")
    assert (task.gold_share, task.lease_s, task.open) == (0.05, 150.0, True)
    assert task.instructions == "Listen.\n\nThen say."
    assert progress_of(catalog, "birds") == (24, 0)
    assert log(catalog, 1)[0]["what"] == "task made"
    assert "wren" in visiting().look("/tasks/birds")


def test_a_task_by_uncertainty_says_its_order_until_there_are_scores(visiting: Visiting, catalog: Catalog) -> None:
    ada = visiting("ada")
    ada.look("/admin/new-task")
    ada.form("/admin/new-task", **{**FIELDS, "policy": "uncertainty"})
    said = "no model has been asked how sure it is of the clips, so they come in random order"
    assert said in ada.look("/admin/tasks/birds")
    assert said not in ada.look("/admin/tasks/sax")
    set_scores(catalog, "birds", {1: 0.5}, model="by hand")
    assert said not in ada.look("/admin/tasks/birds")


def test_a_task_is_changed_and_its_form_shows_it_as_it_is(visiting: Visiting, catalog: Catalog) -> None:
    ada = visiting("ada")
    page = ada.look("/admin/tasks/sax/edit")
    assert "sax: Any saxophone.\nvocals</textarea>" in page
    assert re.search(r"<option value=\"foreground,background,absent\" selected>", page)
    changed = {**FIELDS, "tags": "sax: Loud or soft.\nvocals", "name": "ignored"}
    changed.pop("anyone")
    assert ada.form("/admin/tasks/sax/edit", **changed).status_code == 303
    task = get_task(catalog, "sax")
    assert (task.help["sax"], task.overlap, task.open) == ("Loud or soft.", 2, False)
    assert [one.name for one in list_tasks(catalog)] == ["sax", "closed"]
    assert log(catalog, 1)[0]["detail"]["overlap"] == "2"
    assert visiting().client.get("/tasks/sax", follow_redirects=False).status_code == 303  # to the login


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"name": "sax"}, 409, "choose another name"),
        ({"name": "a/b"}, 422, "letters, digits"),
        ({"tags": ""}, 422, "expected at least one"),
        ({"tags": "a\na"}, 422, "each once"),
        ({"scale": "loud"}, 422, "no answer that is known"),
        ({"overlap": "two"}, 422, "People a clip: expected a whole number"),
        ({"gold_percent": "99"}, 422, "expected a share"),
        ({"lease_min": "nan"}, 422, "expected seconds"),
        ({"policy": "best"}, 422, "expected one of"),
    ],
)
def test_a_form_that_cannot_be_is_shown_again_as_it_was_filled_in(
    visiting: Visiting, catalog: Catalog, change: dict[str, str], status: int, words: str
) -> None:
    ada = visiting("ada")
    answer = ada.form("/admin/new-task", **{**FIELDS, **change})
    assert answer.status_code == status
    assert words in answer.text
    assert "Then say." in answer.text
    assert [one.name for one in list_tasks(catalog)] == ["sax", "closed"]


def test_questions_that_were_answered_stay(visiting: Visiting, catalog: Catalog) -> None:
    ada, bo = visiting("ada"), visiting("bo")
    clip = bo.post("closed/next", n=1).json()["clips"][0]
    assert bo.post("closed/submit", token=clip["token"], values=LABEL).status_code == 200
    assert "People have answered" in ada.look("/admin/tasks/closed/edit")
    answer = ada.form("/admin/tasks/closed/edit", **FIELDS)
    assert answer.status_code == 409
    assert "make another task" in answer.text
    assert get_task(catalog, "closed").tags == ("sax", "vocals")


def test_only_admins_make_and_change_tasks(visiting: Visiting, catalog: Catalog) -> None:
    bo = visiting("bo")
    assert bo.client.get("/admin/new-task").status_code == 403
    assert bo.form("/admin/new-task", **FIELDS).status_code == 403
    assert bo.form("/admin/tasks/sax/edit", **FIELDS).status_code == 403
    assert bo.form("/admin/tasks/sax/refresh").status_code == 403
    assert get_task(catalog, "sax").overlap == 1


def test_new_clips_are_put_in_by_a_button(visiting: Visiting, catalog: Catalog) -> None:
    ada = visiting("ada")
    assert "Put new clips in" in ada.look("/admin/tasks/sax")
    assert ada.form("/admin/tasks/sax/refresh").status_code == 303
    assert log(catalog, 1)[0]["detail"] == {"task": "sax", "clips": 0}

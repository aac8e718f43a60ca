"""What is done beside labelling is in the log, whoever does it and from where."""

from __future__ import annotations

from pathlib import Path

import pytest
from catalog_rows import add_person, add_song, label_all

from earmark.catalog import people, tasks
from earmark.catalog.auditing import in_words, log
from earmark.catalog.database import Catalog, Workspace
from earmark.catalog.exchange.exporting import export_labels
from earmark.catalog.ordering import set_policy
from earmark.catalog.sets import freeze
from earmark.catalog.trusting import reopen_places, set_trust
from earmark.errors import NotAllowedError, NotFoundError


def last(catalog: Catalog) -> tuple[str | None, str, dict[str, object]]:
    entry = log(catalog, 1)[0]
    return entry["who"], entry["what"], entry["detail"]


def test_everything_that_is_done_to_a_task_is_in_the_log(
    catalog: Catalog, workspace: Workspace, tmp_path: Path
) -> None:
    clips = add_song(catalog, "songs/a.wav", seconds=10)
    ada, bo = add_person(catalog, "ada", "admin"), add_person(catalog, "bo")
    tasks.new_task(catalog, "sax", ["sax", "vocals"])
    assert last(catalog) == (None, "task made", {"task": "sax", "tags": ["sax", "vocals"]})
    tasks.new_task(catalog, "drums", ["drums"], by=ada)
    assert last(catalog)[:2] == ("ada", "task made")
    tasks.refresh(catalog, "sax", by=ada)
    assert last(catalog) == ("ada", "clips joined a task", {"task": "sax", "clips": 2})
    set_policy(catalog, "sax", "balanced")
    assert last(catalog) == (None, "queue ordered", {"task": "sax", "order": "balanced"})
    label_all(catalog, bo, {clip: {"sax": "present", "vocals": "absent"} for clip in clips})
    freeze(catalog, "sax", "first")
    assert last(catalog) == (None, "set frozen", {"task": "sax", "set": "first", "clips": 2})
    export_labels(workspace, catalog, "sax", tmp_path / "out.csv")
    assert last(catalog) == (
        *(None, "labels exported"),
        {"task": "sax", "file": "out.csv", "who": "everybody", "rows": 2},
    )
    set_trust(catalog, "sax", bo, "aside", by=ada)
    reopen_places(catalog, "sax")
    done = {"task": "sax", "aside": ["bo"], "back": [], "freed": 2, "taken": 0}
    assert last(catalog) == (None, "places reopened", done)
    assert in_words(done) == "task sax, aside bo, freed 2, taken 0"


def test_what_came_to_nothing_is_not(catalog: Catalog) -> None:
    tasks.new_task(catalog, "sax", ["sax"])
    before = log(catalog)
    with pytest.raises(NotFoundError):
        freeze(catalog, "drums", "first")
    assert log(catalog) == before


def test_who_comes_goes_and_is_refused_is_in_the_log(catalog: Catalog) -> None:
    secret = people.invite(catalog)
    ada, session = people.accept_invite(catalog, secret, "ada")
    assert last(catalog)[:2] == ("ada", "session began")
    people.end_session(catalog, session)
    assert last(catalog) == ("ada", "logged out", {})
    entries = len(log(catalog))
    people.end_session(catalog, session)  # is over, and a stranger's cookie is nobody's
    people.end_session(catalog, "nobody's")
    assert len(log(catalog)) == entries
    with pytest.raises(NotAllowedError):
        people.accept_invite(catalog, secret, "eve")
    assert last(catalog) == (None, "invite refused", {"name": "eve"})
    assert secret not in str(log(catalog))
    assert ada.name == "ada"

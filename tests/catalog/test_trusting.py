"""Places of people who are set aside: their clips are asked again, and the laws of the queue hold all the while."""

from __future__ import annotations

import numpy as np
import pytest
import sqlalchemy as sa
from queue_rows import add_person, add_recording, beyond, wrongs

from earmark.catalog.agreeing import consensus
from earmark.catalog.database import Catalog
from earmark.catalog.labelling import submit, undo
from earmark.catalog.people import log
from earmark.catalog.queueing import next_clips
from earmark.catalog.status import status
from earmark.catalog.tables import TaskClip
from earmark.catalog.tasks import TaskInfo, add_clips_to_task, new_task
from earmark.catalog.trusting import Reopened, reopen_places, set_trust
from earmark.errors import CatalogError, NotFoundError

N_CLIPS = 48
PEOPLE = ("ann", "bob", "eve", "dice")


@pytest.fixture
def task(catalog: Catalog) -> TaskInfo:
    """Labelled by four, of whom the last one does not listen; each clip by all but one of them."""
    add_recording(catalog, "a", N_CLIPS)
    task = new_task(catalog, "sax", ["sax"], overlap=3)
    add_clips_to_task(catalog, "sax")
    who = {name: add_person(catalog, name) for name in PEOPLE}
    while [name for name in PEOPLE if _answer(catalog, name, who[name])]:  # in turns, until nobody has any left
        pass
    return task


def _answer(catalog: Catalog, name: str, who: int) -> bool:
    """Whether there was a clip for them."""
    held = next((one for one in next_clips(catalog, "sax", who)), None)
    if held is None:
        return False
    rng = np.random.default_rng(held.clip_id)
    value = "present" if (rng.random() < 0.5 if name == "dice" else held.clip_id % 3 == 0) else "absent"
    submit(catalog, held.token, {"sax": value})
    return True


def _people(catalog: Catalog) -> dict[str, int]:
    from earmark.catalog.people import list_people

    return {person.name: person.id for person in list_people(catalog)}


def _laws(catalog: Catalog, task: TaskInfo) -> None:
    with catalog.read() as connection:
        assert wrongs(connection, task) == []
        assert beyond(connection, task) == set()


def _done(catalog: Catalog) -> int:
    with catalog.read() as connection:
        return connection.execute(sa.select(sa.func.count()).where(TaskClip.done)).scalar_one()


def test_their_clips_are_asked_again_until_the_overlap_holds_of_answers_that_count(catalog: Catalog, task: TaskInfo):
    who = _people(catalog)
    assert _done(catalog) == N_CLIPS
    before = status(catalog, "sax")
    assert {name: one.aside for name, one in before.per_annotator.items()} == dict.fromkeys(PEOPLE, "") | {
        "dice": "rule"
    }
    dices = before.per_annotator["dice"].labels
    assert before.places_to_reopen == dices > 25
    assert before.per_annotator["ann"].skill > 0.9 > 0.4 > before.per_annotator["dice"].skill
    assert reopen_places(catalog, "sax") == Reopened(("dice",), (), dices, 0)
    _laws(catalog, task)
    assert _done(catalog) == N_CLIPS - dices
    assert status(catalog, "sax").places_to_reopen == 0
    again = 0
    for name in ("ann", "bob", "eve"):  # each is asked what they have not answered
        while _answer(catalog, name, who[name]):
            again += 1
    assert again == dices
    assert next_clips(catalog, "sax", who["dice"]) == []
    _laws(catalog, task)
    assert _done(catalog) == N_CLIPS
    with catalog.read() as connection:
        found = consensus(connection, task)
    assert {clip: tags["sax"].people for clip, tags in found.clips.items()} == dict.fromkeys(found.clips, 3)
    assert all((tags["sax"].value == "present") == (clip % 3 == 0) for clip, tags in found.clips.items())
    assert reopen_places(catalog, "sax") == Reopened(("dice",), (), 0, 0)


def test_an_admin_puts_somebody_back_or_sets_them_aside_and_the_rule_stays_out_of_it(catalog: Catalog, task: TaskInfo):
    who = _people(catalog)
    freed = reopen_places(catalog, "sax").freed
    set_trust(catalog, "sax", who["dice"], "trusted", by=who["ann"])
    assert status(catalog, "sax").per_annotator["dice"].aside == ""
    assert reopen_places(catalog, "sax") == Reopened((), ("dice",), 0, freed)
    _laws(catalog, task)
    assert _done(catalog) == N_CLIPS
    assert reopen_places(catalog, "sax") == Reopened((), (), 0, 0)
    set_trust(catalog, "sax", who["eve"], "aside")
    found = status(catalog, "sax")
    assert (found.per_annotator["eve"].aside, found.places_to_reopen) == ("hand", found.per_annotator["eve"].labels)
    assert reopen_places(catalog, "sax").aside == ("eve",)
    _laws(catalog, task)
    for name in ("eve", "dice"):
        set_trust(catalog, "sax", who[name], "rule")
    assert reopen_places(catalog, "sax").aside == ("dice",)
    _laws(catalog, task)
    entry = next(one for one in reversed(log(catalog)) if one["what"] == "trust changed")
    assert (entry["what"], entry["who"]) == ("trust changed", "ann")
    assert entry["detail"] == {"person": who["dice"], "task": "sax", "trust": "trusted"}


def test_an_answer_whose_place_went_to_others_can_be_undone(catalog: Catalog, task: TaskInfo):
    who = _people(catalog)
    reopen_places(catalog, "sax")
    undone = undo(catalog, "sax", who["dice"], 3)
    assert len(undone) == 3
    _laws(catalog, task)
    for one in undone:
        submit(catalog, one.token, {"sax": "absent"})
    _laws(catalog, task)
    assert reopen_places(catalog, "sax").freed == 3  # answers that came since take places until then
    _laws(catalog, task)


def test_what_cannot_be_said_of_trust(catalog: Catalog, task: TaskInfo):
    with pytest.raises(CatalogError, match=r"trust 'maybe': expected trusted, aside or rule"):
        set_trust(catalog, "sax", 1, "maybe")
    with pytest.raises(NotFoundError, match=r"person 99: there is nobody of this number"):
        set_trust(catalog, "sax", 99, "aside")
    with pytest.raises(NotFoundError, match=r"no task 'drums'"):
        reopen_places(catalog, "drums")

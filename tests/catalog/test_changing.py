"""Changing a task while people label: the queue follows, and what was answered keeps its questions."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from queue_rows import add_person, add_recording, wrongs

from earmark.catalog.changing import Wanted, change_task
from earmark.catalog.database import Catalog
from earmark.catalog.labelling import submit
from earmark.catalog.queueing import next_clips
from earmark.catalog.tasks import add_clips_to_task, get_task, new_task, progress_of, set_gold
from earmark.errors import CatalogError, ConflictError

SAME = Wanted(
    tags=["sax"],
    scale=["present", "absent"],
    help={},
    instructions="",
    overlap=1,
    policy="random",
    gold_share=0.0,
    lease_s=600.0,
    open=False,
)


@pytest.fixture
def people(catalog: Catalog) -> list[int]:
    add_recording(catalog, "song", 6)
    new_task(catalog, "sax", ["sax"])
    add_clips_to_task(catalog, "sax")
    return [add_person(catalog, name) for name in ("ada", "bo")]


def _label(catalog: Catalog, person: int, most: int = 10) -> int:
    done = 0
    while done < most and (held := next_clips(catalog, "sax", person)):
        submit(catalog, held[0].token, {"sax": "present"})
        done += 1
    return done


def _wrongs(catalog: Catalog) -> list[str]:
    with catalog.read() as connection:
        return wrongs(connection, get_task(catalog, "sax"))


def test_words_and_rules_change_at_any_time(catalog: Catalog, people: list[int]) -> None:
    _label(catalog, people[0], 2)
    words = {"instructions": "Listen twice.", "help": {"sax": "Any saxophone."}, "gold_share": 0.1}
    wanted = replace(SAME, **words, lease_s=60.0, open=True, policy="balanced")
    changed = change_task(catalog, "sax", wanted)
    assert changed == get_task(catalog, "sax")
    assert (changed.instructions, dict(changed.help), changed.policy) == (
        "Listen twice.",
        {"sax": "Any saxophone."},
        "balanced",
    )
    assert (changed.gold_share, changed.lease_s, changed.open) == (0.1, 60.0, True)


def test_more_overlap_opens_what_was_full_and_less_closes_what_was_open(catalog: Catalog, people: list[int]) -> None:
    ada, bo = people
    assert _label(catalog, ada) == 6
    assert _label(catalog, bo) == 0
    change_task(catalog, "sax", replace(SAME, overlap=2))
    assert _wrongs(catalog) == []
    assert _label(catalog, bo, 2) == 2  # whoever had come to the end finds them too
    assert progress_of(catalog, "sax") == (6, 2)
    change_task(catalog, "sax", SAME)
    assert _wrongs(catalog) == []
    assert progress_of(catalog, "sax") == (6, 6)
    assert _label(catalog, bo) == 0


def test_what_was_answered_keeps_its_questions(catalog: Catalog, people: list[int]) -> None:
    other = replace(SAME, tags=["piano", "sax"], scale=["foreground", "background", "absent"])
    assert change_task(catalog, "sax", other).tags == ("piano", "sax")
    change_task(catalog, "sax", SAME)
    _label(catalog, people[0], 1)
    with pytest.raises(ConflictError, match=r"'sax' has answers, so its tags \(sax\) and its scale"):
        change_task(catalog, "sax", other)
    assert get_task(catalog, "sax").tags == ("sax",)


def test_gold_clips_keep_their_questions_too(catalog: Catalog, people: list[int]) -> None:
    clip = next_clips(catalog, "sax", people[0])[0].clip_id
    set_gold(catalog, "sax", {clip: {"sax": "present"}})
    with pytest.raises(ConflictError, match="has gold clips"):
        change_task(catalog, "sax", replace(SAME, tags=["piano"]))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"overlap": 0}, "overlap 0"),
        ({"tags": []}, "expected at least one"),
        ({"scale": ["present"]}, "expected absent"),
        ({"policy": "best"}, "policy 'best'"),
        ({"gold_share": 2.0}, "gold_share 2"),
        ({"help": {"piano": "x"}}, "help for 'piano'"),
        ({"lease_s": 0.0}, "lease_s 0"),
    ],
)
def test_what_cannot_be_is_told_and_changes_nothing(
    catalog: Catalog, people: list[int], change: dict[str, object], words: str
) -> None:
    before = get_task(catalog, "sax")
    with pytest.raises(CatalogError, match=words):
        change_task(catalog, "sax", replace(SAME, **change))  # type: ignore[arg-type]
    assert get_task(catalog, "sax") == before


def test_labels_that_come_meanwhile_are_counted_by_one_overlap_or_the_other(catalog: Catalog) -> None:
    add_recording(catalog, "song", 40)
    new_task(catalog, "sax", ["sax"])
    add_clips_to_task(catalog, "sax")
    labelling = [add_person(catalog, f"person {i}") for i in range(4)]
    threads = [threading.Thread(target=_label, args=(catalog, who, 12)) for who in labelling]
    for thread in threads:
        thread.start()
    for overlap in (3, 1, 2):
        change_task(catalog, "sax", replace(SAME, overlap=overlap))
    for thread in threads:
        thread.join(120)
    assert _wrongs(catalog) == []

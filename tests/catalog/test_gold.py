"""What is shown with its answer tests nobody, over both databases."""

from __future__ import annotations

import random

import pytest
from queue_rows import add_person, add_recording, wrongs

from earmark.catalog.database import Catalog
from earmark.catalog.gold import gold_of
from earmark.catalog.labelling import submit
from earmark.catalog.pages import examples
from earmark.catalog.queueing import next_clips
from earmark.catalog.tasks import TaskInfo, add_clips_to_task, get_task, new_task, set_gold

TAGS = ("sax", "vocals")
ANSWERS = [{"sax": "present", "vocals": "absent"}, {"sax": "absent", "vocals": "present"}]


def with_gold(catalog: Catalog, gold: int, *, share: float) -> tuple[TaskInfo, set[int]]:
    """A task of 40 clips of which `gold` have known answers, by turns each of ANSWERS; gives these clips."""
    _, clips = add_recording(catalog, "a", 40)
    task = new_task(catalog, "t", TAGS, gold_share=share)
    add_clips_to_task(catalog, "t")
    set_gold(catalog, "t", {clip: ANSWERS[i % 2] for i, clip in enumerate(clips[:gold])})
    return task, set(clips[:gold])


def shown_to(catalog: Catalog, name: str) -> set[int]:
    """Every gold clip that somebody new is shown, when it is time for one whenever they ask."""
    who, shown = add_person(catalog, name), set()

    class Always(random.Random):
        def random(self) -> float:
            return 0.0

    while (held := next_clips(catalog, "t", who, rng=Always())) and held[0].gold:
        shown.add(held[0].clip_id)
        submit(catalog, held[0].token, {"sax": "absent", "vocals": "absent"})
    return shown


def test_examples_are_no_tests_and_all_others_are(catalog: Catalog) -> None:
    task, gold = with_gold(catalog, 20, share=0.3)
    found = examples(catalog, task)
    assert [(one.tag, one.value) for one in found] == [(tag, value) for tag in TAGS for value in ("present", "absent")]
    printed = {one.clip_id for one in found}
    assert len(printed) == 2  # one of each of ANSWERS holds all four
    for name in ("ann", "bob"):
        assert shown_to(catalog, name) == gold - printed
    assert examples(catalog, task) == found  # whatever was answered
    known = gold_of(catalog, "t")
    assert (known.clips, known.examples, known.tests, known.lack) == (20, 2, 18, "")
    with catalog.read() as connection:
        assert wrongs(connection, task) == []


@pytest.mark.parametrize(("gold", "printed"), [(0, 0), (1, 0), (2, 1), (3, 1), (4, 2)])
def test_of_few_half_are_left_to_test(catalog: Catalog, gold: int, printed: int) -> None:
    task, clips = with_gold(catalog, gold, share=0.1)
    shown = {one.clip_id for one in examples(catalog, task)}
    assert len(shown) == printed
    assert shown_to(catalog, "ann") == clips - shown
    assert ("no clip has one" if not gold else f"as examples {printed}, to test people {gold - printed};") in gold_of(
        catalog, "t"
    ).lack
    assert "or by the tick where disputes are settled" in gold_of(catalog, "t").lack


def test_without_a_share_all_may_be_examples(catalog: Catalog) -> None:
    task, clips = with_gold(catalog, 2, share=0.0)
    assert {one.clip_id for one in examples(catalog, task)} == clips
    assert gold_of(catalog, "t").lack == ""


def test_what_is_unsure_is_no_example(catalog: Catalog) -> None:
    _, clips = with_gold(catalog, 1, share=0.0)
    set_gold(catalog, "t", {clips.pop(): {"sax": "unsure", "vocals": "present"}})
    assert [(one.tag, one.value) for one in examples(catalog, get_task(catalog, "t"))] == [("vocals", "present")]

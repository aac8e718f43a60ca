from __future__ import annotations

import pytest
from queue_rows import add_recording

from earmark.catalog.database import Catalog
from earmark.catalog.tasks import add_clips_to_task, get_task, list_tasks, new_task, progress_of, set_gold
from earmark.catalog.values import UnknownTagError
from earmark.errors import CatalogError, ConflictError, NotFoundError
from earmark.types import LabelValue


def test_a_task_is_what_it_was_made_of(catalog: Catalog):
    made = new_task(
        catalog,
        "sax",
        ["sax", "vocals"],
        scale=["foreground", "background", "absent", "unsure"],
        instructions="Listen.",
        help={"sax": "any saxophone"},
        overlap=3,
        policy="balanced",
        gold_share=0.1,
        lease_s=90,
        open=True,
    )
    assert made == get_task(catalog, "sax") == get_task(catalog, made.id)
    assert (made.tags, made.help) == (("sax", "vocals"), {"sax": "any saxophone"})
    assert made.scale == (LabelValue.FOREGROUND, LabelValue.BACKGROUND, LabelValue.ABSENT)
    assert (made.overlap, made.policy, made.gold_share, made.lease_s, made.open) == (3, "balanced", 0.1, 90.0, True)
    other = new_task(catalog, "b", ["vocals", "sax"])
    assert other.tags == ("vocals", "sax")  # tags are shared, their order is each task's own
    assert other.tag_ids == made.tag_ids
    assert [task.name for task in list_tasks(catalog)] == ["sax", "b"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"tags": []}, r"tags \(none\): expected at least one, each once"),
        ({"tags": ["a", "a"]}, r"tags a, a: expected at least one, each once"),
        ({"tags": ["a=b"]}, r"tag 'a=b': expected up to 100 letters"),
        ({"name": "sax@1"}, r"task 'sax@1': expected up to 100 letters"),
        ({"scale": ["yes", "absent"]}, r"scale: 'yes' is no answer that is known"),
        ({"scale": ["present"]}, r"scale present: expected absent, and at least one kind of present"),
        ({"scale": ["present", "background", "absent"]}, r"says the same as foreground and background; leave it out"),
        ({"scale": ["absent", "present", "absent"]}, r"each word may stand once"),
        ({"policy": "best"}, r"policy 'best': expected one of random, balanced, uncertainty, disagreement"),
        ({"overlap": 0}, r"overlap 0: expected how many people"),
        ({"gold_share": 1.0}, r"gold_share 1: expected a share from 0 to 0\.9"),
        ({"lease_s": float("inf")}, r"lease_s inf: expected seconds"),
        ({"help": {"b": "?"}}, r"help for 'b': no tag of task 't'"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(catalog: Catalog, arguments: dict, said: str):
    with pytest.raises(CatalogError, match=said):
        new_task(catalog, **{"name": "t", "tags": ["a"], **arguments})
    assert list_tasks(catalog) == []


def test_a_name_is_taken_once_and_an_unknown_one_names_those_there_are(catalog: Catalog):
    with pytest.raises(NotFoundError, match=r"no task 'sax': there is none yet"):
        get_task(catalog, "sax")
    new_task(catalog, "sax", ["a"])
    with pytest.raises(ConflictError, match=r"there is a task 'sax' already"):
        new_task(catalog, "sax", ["a"])
    with pytest.raises(NotFoundError, match=r"no task 'piano': there are sax"):
        get_task(catalog, "piano")


def test_gold_is_of_clips_and_tags_of_the_task(catalog: Catalog):
    _, clips = add_recording(catalog, "a", 4)
    new_task(catalog, "t", ["a"])
    add_clips_to_task(catalog, "t", clips[:3])
    assert progress_of(catalog, "t") == (3, 0)
    with pytest.raises(NotFoundError, match=rf"clip {clips[3]} is not in task 't'"):
        set_gold(catalog, "t", {clips[3]: {"a": "absent"}})
    with pytest.raises(UnknownTagError):
        set_gold(catalog, "t", {clips[0]: {"b": "absent"}})

from __future__ import annotations

import random
from collections import Counter

import pytest
import sqlalchemy as sa
from queue_rows import add_person, add_recording, beyond, wrongs

from earmark.catalog.database import Catalog
from earmark.catalog.labelling import skip, submit
from earmark.catalog.queueing import MOST_HELD, expire, next_clips, return_lease
from earmark.catalog.tables import TaskClip
from earmark.catalog.tasks import add_clips_to_task, new_task, refresh, set_gold
from earmark.errors import CatalogError, NotAllowedError, NotFoundError

SECOND = 1_000_000


def _all(catalog: Catalog, task: str, who: int, *, now: int = 0, answer: str = "absent") -> list[int]:
    """Everything that somebody gets when they label all that they are given, in order."""
    given = []
    while held := next_clips(catalog, task, who, now=now):
        given.append(held[0].clip_id)
        submit(catalog, held[0].token, {"sax": answer}, now=now)
    return given


def test_one_person_gets_every_clip_once_in_the_order_drawn(catalog: Catalog):
    _, clips = add_recording(catalog, "a", 30)
    who = add_person(catalog, "ann")
    task = new_task(catalog, "sax", ["sax"], overlap=2)
    assert add_clips_to_task(catalog, "sax") == 30
    given = _all(catalog, "sax", who)
    assert sorted(given) == clips
    assert given != clips  # it is drawn, not counted
    with catalog.read() as connection:
        order = sa.select(TaskClip.clip_id).order_by(TaskClip.place.desc())
        assert given == list(connection.execute(order).scalars())
        assert wrongs(connection, task) == []


def test_the_overlap_is_reached_and_not_passed(catalog: Catalog):
    add_recording(catalog, "a", 8)
    task = new_task(catalog, "sax", ["sax"], overlap=2)
    add_clips_to_task(catalog, "sax")
    people = [add_person(catalog, name) for name in "abc"]
    given = Counter(clip for who in people for clip in _all(catalog, "sax", who))
    assert set(given.values()) == {2}
    assert len(given) == 8
    with catalog.read() as connection:
        assert wrongs(connection, task) == []
        assert beyond(connection, task) == set()
        assert connection.execute(sa.select(sa.func.count()).where(TaskClip.done)).scalar() == 8


def test_what_is_held_is_given_again_until_it_is_answered(catalog: Catalog):
    add_recording(catalog, "a", 9)
    who = add_person(catalog, "ann")
    new_task(catalog, "sax", ["sax"])
    add_clips_to_task(catalog, "sax")
    two = next_clips(catalog, "sax", who, 2, now=0)
    assert next_clips(catalog, "sax", who, 2, now=5)[1].token == two[1].token
    submit(catalog, two[0].token, {"sax": "absent"}, now=6)
    after = next_clips(catalog, "sax", who, 2, now=7)
    assert after[0].token == two[1].token
    assert after[1].clip_id not in {held.clip_id for held in two}
    with pytest.raises(CatalogError, match=r"5 clips: expected 1 to 4"):
        next_clips(catalog, "sax", who, MOST_HELD + 1)


def test_two_people_never_hold_one_clip_with_overlap_1(catalog: Catalog):
    add_recording(catalog, "a", 6)
    new_task(catalog, "sax", ["sax"])
    add_clips_to_task(catalog, "sax")
    people = [add_person(catalog, name) for name in "ab"]
    held = [held.clip_id for who in people for held in next_clips(catalog, "sax", who, 3)]
    assert len(set(held)) == 6
    assert next_clips(catalog, "sax", add_person(catalog, "c")) == []


def test_a_lease_that_ran_out_comes_back_to_those_who_went_past_it(catalog: Catalog):
    add_recording(catalog, "a", 5)
    new_task(catalog, "sax", ["sax"], lease_s=60)
    add_clips_to_task(catalog, "sax")
    a, b = add_person(catalog, "a"), add_person(catalog, "b")
    left = next_clips(catalog, "sax", a, now=0)[0]
    assert len(_all(catalog, "sax", b, now=30 * SECOND)) == 4  # past the one that a holds
    assert [held.clip_id for held in next_clips(catalog, "sax", b, now=61 * SECOND)] == [left.clip_id]


def test_a_lease_is_renewed_while_its_clip_is_shown(catalog: Catalog):
    add_recording(catalog, "a", 1)
    new_task(catalog, "sax", ["sax"], lease_s=60)
    add_clips_to_task(catalog, "sax")
    a, b = add_person(catalog, "a"), add_person(catalog, "b")
    next_clips(catalog, "sax", a, now=0)
    assert next_clips(catalog, "sax", a, now=50 * SECOND)[0].expires_at == 110 * SECOND
    assert next_clips(catalog, "sax", b, now=100 * SECOND) == []
    assert expire(catalog, "sax", now=100 * SECOND) == 0
    assert expire(catalog, "sax", now=111 * SECOND) == 1


def test_a_clip_that_is_given_back_goes_to_others_and_only_its_owner_gives_it_back(catalog: Catalog):
    add_recording(catalog, "a", 1)
    new_task(catalog, "sax", ["sax"])
    add_clips_to_task(catalog, "sax")
    a, b = add_person(catalog, "a"), add_person(catalog, "b")
    held = next_clips(catalog, "sax", a)[0]
    assert next_clips(catalog, "sax", b) == []
    with pytest.raises(NotAllowedError, match=r"held by somebody else"):
        return_lease(catalog, held.token, annotator_id=b)
    return_lease(catalog, held.token, annotator_id=a)
    return_lease(catalog, held.token)  # twice is once
    assert next_clips(catalog, "sax", b)[0].clip_id == held.clip_id
    with pytest.raises(NotFoundError, match=r"no clip is held by the token 'x'"):
        return_lease(catalog, "x")


def test_a_skip_goes_to_those_who_went_past_it_and_not_back(catalog: Catalog):
    add_recording(catalog, "a", 3)
    new_task(catalog, "sax", ["sax"])
    add_clips_to_task(catalog, "sax")
    a, b = add_person(catalog, "a"), add_person(catalog, "b")
    held = next_clips(catalog, "sax", a)[0]
    assert len(_all(catalog, "sax", b)) == 2
    skip(catalog, held.token)
    assert next_clips(catalog, "sax", a) == []
    assert _all(catalog, "sax", b) == [held.clip_id]


def test_clips_that_join_later_are_found_wherever_they_fall(catalog: Catalog):
    add_recording(catalog, "a", 10)
    new_task(catalog, "sax", ["sax"])
    add_clips_to_task(catalog, "sax")
    who = add_person(catalog, "a")
    first = _all(catalog, "sax", who)
    _, later = add_recording(catalog, "b", 10)
    assert next_clips(catalog, "sax", who) == []
    assert refresh(catalog, "sax") == 10
    assert refresh(catalog, "sax") == 0
    assert sorted(_all(catalog, "sax", who)) == later
    assert not set(first) & set(later)


def test_copies_are_left_out_of_the_queue_and_may_be_named(catalog: Catalog):
    original, clips = add_recording(catalog, "a", 2)
    _, copies = add_recording(catalog, "a again", 2, copy_of=original)
    new_task(catalog, "sax", ["sax"])
    assert add_clips_to_task(catalog, "sax") == 2
    assert sorted(_all(catalog, "sax", add_person(catalog, "a"))) == clips
    assert add_clips_to_task(catalog, "sax", copies) == 2
    with pytest.raises(NotFoundError, match=r"clip 9999: the catalog holds no such clip"):
        add_clips_to_task(catalog, "sax", [9999])


def test_balanced_takes_a_clip_of_every_group_before_the_second_of_any(catalog: Catalog):
    groups = {}
    for name, size in (("long", 20), ("mid", 5), ("short", 2)):
        for clip in add_recording(catalog, name, size, group=name)[1]:
            groups[clip] = name
    new_task(catalog, "sax", ["sax"], policy="balanced")
    add_clips_to_task(catalog, "sax")
    given = [groups[clip] for clip in _all(catalog, "sax", add_person(catalog, "a"))]
    assert [sorted(given[start : start + 3]) for start in (0, 3)] == [["long", "mid", "short"]] * 2
    assert Counter(given[6:12]) == {"long": 3, "mid": 3}
    # what comes later goes on where its group is
    for clip in add_recording(catalog, "new", 1, group="new")[1]:
        groups[clip] = "new"
    add_recording(catalog, "long again", 1, group="long")
    refresh(catalog, "sax")
    with catalog.read() as connection:
        lowest = connection.execute(sa.select(sa.func.min(TaskClip.priority))).scalar()
    assert lowest == -20.0


def test_disagreement_asks_a_third_person_where_two_disagree(catalog: Catalog):
    add_recording(catalog, "a", 12)
    task = new_task(catalog, "sax", ["sax"], overlap=3, policy="disagreement")
    add_clips_to_task(catalog, "sax")
    a, b, c = (add_person(catalog, name) for name in "abc")
    order = _all(catalog, "sax", a)
    disputed = {order[4], order[9]}
    while held := next_clips(catalog, "sax", b):
        submit(catalog, held[0].token, {"sax": "present" if held[0].clip_id in disputed else "absent"})
    given = _all(catalog, "sax", c)
    assert set(given[:2]) == disputed
    assert len(given) == 12
    with catalog.read() as connection:
        assert wrongs(connection, task) == []
        assert beyond(connection, task) == set()


def test_gold_clips_are_shown_to_everybody_at_their_share(catalog: Catalog):
    _, clips = add_recording(catalog, "a", 60)
    task = new_task(catalog, "sax", ["sax"], gold_share=0.5)
    add_clips_to_task(catalog, "sax")
    gold = set(clips[:10])
    set_gold(catalog, "sax", {clip: {"sax": "present"} for clip in gold})
    rng = random.Random(0)
    for name in "ab":
        who = add_person(catalog, name)
        shown = []
        for _ in range(16):
            held = next_clips(catalog, "sax", who, rng=rng)[0]
            shown.append(held.clip_id)
            assert held.gold == (held.clip_id in gold)
            submit(catalog, held.token, {"sax": "present"})
        assert 4 <= len(gold & set(shown)) <= 10
        assert len(set(shown)) == 16
    with catalog.read() as connection:
        assert wrongs(connection, task) == []
    set_gold(catalog, "sax", dict.fromkeys(gold))
    with catalog.read() as connection:
        assert wrongs(connection, task) == []
        assert beyond(connection, task) <= gold  # of which nobody else is asked

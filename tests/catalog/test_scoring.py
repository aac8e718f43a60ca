from __future__ import annotations

import pytest
import sqlalchemy as sa
from queue_rows import add_person, add_recording

from earmark.catalog import scoring
from earmark.catalog.database import Catalog
from earmark.catalog.labelling import submit
from earmark.catalog.queueing import next_clips
from earmark.catalog.scoring import count_open, has_scores, keep_scores, order_by_scores, set_scores, unscored
from earmark.catalog.tables import Score
from earmark.catalog.tasks import add_clips_to_task, get_task, new_task, set_gold
from earmark.errors import CatalogError, ConflictError


def _given(catalog: Catalog, task: str, who: int, n: int) -> list[int]:
    """The next `n` clips that somebody is asked, each of which they answer."""
    given = []
    for _ in range(n):
        held = next_clips(catalog, task, who)[0]
        given.append(held.clip_id)
        submit(catalog, held.token, {"sax": "absent"})
    return given


def test_uncertainty_asks_the_least_sure_first(catalog: Catalog):
    _, clips = add_recording(catalog, "a", 6)
    new_task(catalog, "sax", ["sax"], policy="uncertainty")
    add_clips_to_task(catalog, "sax")
    who = add_person(catalog, "a")
    held = next_clips(catalog, "sax", who)[0]  # before there are scores
    rest = [clip for clip in clips if clip != held.clip_id]
    scores = {rest[0]: 0.1, rest[1]: 0.9, rest[2]: 0.5, 12345: 3.0}
    assert set_scores(catalog, "sax", scores) == 3
    given = _given(catalog, "sax", who, 6)
    assert given[0] == held.clip_id
    assert given[1:4] == [rest[1], rest[2], rest[0]]
    assert sorted(given) == clips
    with pytest.raises(CatalogError, match=r"expected a finite number"):
        set_scores(catalog, "sax", {rest[0]: float("nan")})
    new_task(catalog, "other", ["sax"])
    with pytest.raises(ConflictError, match=r"orders its queue by random: only uncertainty takes scores"):
        set_scores(catalog, "other", {})


def test_what_is_still_asked_and_not_scored_comes_in_pages(catalog: Catalog):
    recording, clips = add_recording(catalog, "a", 8)
    task = new_task(catalog, "sax", ["sax"])
    add_clips_to_task(catalog, "sax")
    (done,) = _given(catalog, "sax", add_person(catalog, "a"), 1)
    gold = next(clip for clip in clips if clip != done)
    set_gold(catalog, "sax", {gold: {"sax": "absent"}})
    asked = [clip for clip in clips if clip not in (done, gold)]
    assert count_open(catalog, task.id, "m") == (6, 0)
    keep_scores(catalog, task.id, {asked[1]: 0.5, asked[4]: 0.1}, "m")
    assert count_open(catalog, task.id, "m") == (6, 2)
    assert count_open(catalog, task.id, "other") == (6, 0)
    left = [asked[i] for i in (0, 2, 3, 5)]
    first = unscored(catalog, task.id, "m", limit=3)
    assert [one.clip_id for one in first] == left[:3]
    assert [one.clip_id for one in unscored(catalog, task.id, "m", after=left[2], limit=3)] == left[3:]
    assert {(one.recording_id, one.uri, one.sample_rate_hz, one.stop - one.start) for one in first} == {
        (recording, "a.wav", 8000, 8000)
    }


def test_another_model_begins_anew_and_the_order_changes_when_all_is_there(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(scoring, "_PAGE", 2)
    _, clips = add_recording(catalog, "a", 6)
    task = new_task(catalog, "sax", ["sax"], overlap=9)
    add_clips_to_task(catalog, "sax")
    drawn = _given(catalog, "sax", add_person(catalog, "a"), 6)
    assert not has_scores(catalog, task.id)
    assert keep_scores(catalog, task.id, {clip: i / 10 for i, clip in enumerate(clips)} | {999: 1.0}, "old") == 6
    assert _given(catalog, "sax", add_person(catalog, "b"), 6) == drawn
    order_by_scores(catalog, "sax", "old")
    assert get_task(catalog, "sax").policy == "uncertainty"
    assert _given(catalog, "sax", add_person(catalog, "c"), 6) == clips[::-1]
    keep_scores(catalog, task.id, {clips[2]: 0.9, clips[3]: 0.95}, "new")
    order_by_scores(catalog, "sax", "new")
    given = _given(catalog, "sax", add_person(catalog, "d"), 6)
    assert given[:2] == [clips[3], clips[2]]
    assert given[2:] == [clip for clip in drawn if clip not in given[:2]]  # no word of the old model is left
    with catalog.read() as connection:
        assert set(connection.execute(sa.select(Score.model)).scalars()) == {"new"}

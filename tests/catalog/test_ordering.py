from __future__ import annotations

import pytest
import sqlalchemy as sa
from queue_rows import add_person, add_recording

from earmark.catalog import ordering
from earmark.catalog.database import Catalog
from earmark.catalog.labelling import submit
from earmark.catalog.ordering import set_policy
from earmark.catalog.queueing import next_clips
from earmark.catalog.scoring import set_scores
from earmark.catalog.tables import TaskClip
from earmark.catalog.tasks import add_clips_to_task, get_task, new_task
from earmark.errors import CatalogError


def test_another_policy_orders_what_is_left_from_what_is_known(catalog: Catalog, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ordering, "_PAGE", 3)  # several pages
    groups = {clip: name for name in ("x", "y") for clip in add_recording(catalog, name, 5, group=name)[1]}
    task = new_task(catalog, "t", ["sax"], overlap=3)
    add_clips_to_task(catalog, "t")
    ann, bob, eve = (add_person(catalog, name) for name in ("ann", "bob", "eve"))
    disputed = 0
    for who, odd in ((ann, "absent"), (bob, "present")):
        for i in range(4):
            held = next_clips(catalog, "t", who)[0]
            submit(catalog, held.token, {"sax": odd if i == 2 else "absent"})
            disputed = held.clip_id if i == 2 else disputed

    def priorities() -> dict[int, float]:
        with catalog.read() as connection:
            rows = connection.execute(sa.select(TaskClip.clip_id, TaskClip.priority))
            return {row.clip_id: row.priority for row in rows}

    set_policy(catalog, "t", "disagreement")
    assert {clip for clip, value in priorities().items() if value} == {disputed}
    assert next_clips(catalog, "t", eve)[0].clip_id == disputed
    set_policy(catalog, "t", "balanced")
    for name in ("x", "y"):
        assert sorted(value for clip, value in priorities().items() if groups[clip] == name) == [-4, -3, -2, -1, 0]
    set_policy(catalog, "t", "uncertainty")
    scored = sorted(groups)[3]
    set_scores(catalog, "t", {scored: 0.5})
    set_policy(catalog, "t", "random")
    assert set(priorities().values()) == {0.0}
    set_policy(catalog, "t", "uncertainty")
    assert priorities()[scored] == 0.5
    assert get_task(catalog, task.id).policy == "uncertainty"
    with pytest.raises(CatalogError, match=r"policy 'best': expected one of"):
        set_policy(catalog, "t", "best")

"""The report: counts, what changed, pace, and who does well."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from catalog_rows import add_person, add_song, sax_task

from earmark.catalog.current import ANSWERS, labels_of
from earmark.catalog.database import Catalog, now_us
from earmark.catalog.exchange.importing import import_labels
from earmark.catalog.labelling import skip, submit, unusable
from earmark.catalog.queueing import next_clips
from earmark.catalog.status import status, task_names
from earmark.catalog.tables import Quarantined, StatusReport
from earmark.catalog.tasks import get_task
from earmark.errors import NotFoundError

DAY_US = 86_400_000_000
SAX, NONE = {"sax": "foreground", "vocals": "absent"}, {"sax": "absent", "vocals": "absent"}


@pytest.fixture
def songs(catalog: Catalog) -> Catalog:
    """A song of ten clips, each to be labelled by two."""
    add_song(catalog, "songs/a.wav", seconds=50)
    sax_task(catalog)
    with catalog.write() as connection:
        bad = {"uri": "songs/bad.wav", "name": "bad.wav", "reason": "empty", "message": "empty", "added_at": 0}
        connection.execute(sa.insert(Quarantined).values(**bad))
    return catalog


def test_an_empty_task(songs: Catalog) -> None:
    found = status(songs, "sax").to_json()
    assert {name: found[name] for name in ("recordings", "quarantined", "clips", "labelled", "skipped", "done")} == {
        "recordings": 1,
        "quarantined": 1,
        "clips": 10,
        "labelled": 0,
        "skipped": 0,
        "done": 0,
    }
    assert found["per_tag"] == {"sax": {}, "vocals": {}}
    assert (found["per_annotator"], found["since_last"], found["days_to_finish"]) == ({}, None, None)
    assert found["speed"] == {"labels_a_day": None, "median_s": None}
    with pytest.raises(NotFoundError, match="no task 'drums'"):
        status(songs, "drums")


def label_some(songs: Catalog) -> None:
    """Ada labels five clips, skips one and calls one unusable; Eve labels three."""
    ada, eve = add_person(songs, "ada"), add_person(songs, "eve")
    order = []
    for turn in range(7):
        held = next_clips(songs, "sax", ada)[0]
        order.append(held.clip_id)
        if turn < 5:
            submit(songs, held.token, SAX if turn < 2 else NONE, took_ms=2000 + 1000 * turn)
        else:
            (skip if turn == 5 else unusable)(songs, held.token, took_ms=500)
    for _ in range(3):
        held = next_clips(songs, "sax", eve)[0]
        submit(songs, held.token, SAX if held.clip_id in order[:2] else NONE, took_ms=4000)


def test_counts_and_people(songs: Catalog) -> None:
    label_some(songs)
    found = status(songs, "sax")
    with songs.read() as connection:
        said = list(labels_of(connection, get_task(songs, "sax").id, kinds=ANSWERS))
    labelled = {one.clip_id for one in said if one.kind == "label"}
    assert found.labelled == len(labelled)
    assert found.skipped == len({one.clip_id for one in said if one.kind == "skip"} - labelled)
    assert sum(found.per_tag["sax"].values()) == sum(found.per_tag["vocals"].values()) == 8
    assert found.per_tag["vocals"] == {"absent": 8}
    ada = found.per_annotator["ada"]
    assert (ada.labels, ada.skips, ada.unusable) == (5, 1, 1)
    assert (found.per_annotator["eve"].labels, found.per_annotator["eve"].unskilled) == (3, ())
    assert found.agreement["vocals"].alpha is None  # nobody ever said anything else
    assert found.speed["median_s"] == pytest.approx(4.0)


def test_what_changed_since_the_last_report_that_was_remembered(songs: Catalog, tmp_path: Path) -> None:
    status(songs, "sax", remember=True, now=1_000_000)
    label_some(songs)
    first = status(songs, "sax", remember=True)
    assert first.since_last is not None
    assert first.since_last["at"] == "1970-01-01T00:00:01.000000+00:00"
    assert (first.since_last["labelled"], first.since_last["skipped"]) == (first.labelled, first.skipped)
    assert first.since_last["per_tag"]["vocals"] == {"absent": 8}
    assert first.since_last["per_annotator"] == {"ada": 5, "eve": 3}
    again = status(songs, "sax")
    assert again.since_last is not None
    assert (again.since_last["labelled"], again.since_last["clips"]) == (0, 0)
    (tmp_path / "t.csv").write_text("recording,start_s,stop_s,sax,vocals\na.wav,1,6,absent,unsure\n", encoding="utf-8")
    import_labels(songs, "sax", tmp_path / "t.csv")
    last = status(songs, "sax")
    assert last.since_last is not None
    assert (last.since_last["labelled"], last.since_last["clips"]) == (1, 1)
    assert last.since_last["per_tag"]["vocals"] == {"absent": 0, "unsure": 1}
    assert last.since_last["per_annotator"] == {"ada": 0, "eve": 0, "import t.csv": 1}


def test_a_report_that_did_not_count_people_is_compared_without_them(songs: Catalog) -> None:
    """As earlier versions remembered them; and what was taken back is a minus."""
    label_some(songs)
    with songs.write() as connection:
        body = {"labelled": 1, "per_tag": {"sax": {"foreground": 1, "background": 2}}}
        row = {"task_id": get_task(songs, "sax").id, "at": 1, "body": body}
        connection.execute(sa.insert(StatusReport).values(**row))
    since = status(songs, "sax").since_last
    assert since is not None
    assert since["per_annotator"] == {}
    assert since["per_tag"]["sax"]["background"] == -2


def test_pace_and_days_to_finish(songs: Catalog) -> None:
    ada = add_person(songs, "ada")
    now = now_us()
    for _ in range(10):
        held = next_clips(songs, "sax", ada)[0]
        submit(songs, held.token, NONE, now=now)
    found = status(songs, "sax", now=now + 2 * DAY_US)
    assert found.speed["labels_a_day"] == pytest.approx(5.0, rel=0.01)
    assert found.days_to_finish == pytest.approx(2.0, rel=0.01)  # ten answers by somebody else are still to come
    assert status(songs, "sax", now=now + 30 * DAY_US).days_to_finish is None


def test_the_whole_catalog(songs: Catalog) -> None:
    label_some(songs)
    found = status(songs)
    assert (found.task, found.clips, found.agreement) == (None, 10, {})
    assert found.per_tag["sax"] == status(songs, "sax").per_tag["sax"]
    assert task_names(songs) == ["sax"]

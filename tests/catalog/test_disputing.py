"""Clips in dispute are found in the whole of a task, and are those that training leaves out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from catalog_rows import add_person, add_song, label_all, sax_task

from earmark.catalog import disputing
from earmark.catalog.agreeing import consensus
from earmark.catalog.database import Catalog, Workspace
from earmark.catalog.disputing import clips_in_dispute
from earmark.catalog.exchange.importing import import_labels
from earmark.catalog.labelling import adjudicate, submit, undo, unusable
from earmark.catalog.pages import disputes, page_of_disputes
from earmark.catalog.people import find_person
from earmark.catalog.queueing import next_clips
from earmark.catalog.sets import labelled
from earmark.catalog.status import status
from earmark.catalog.tasks import get_task, set_gold
from earmark.catalog.trusting import set_trust

SAX, NONE = {"sax": "foreground", "vocals": "absent"}, {"sax": "absent", "vocals": "absent"}


def found(catalog: Catalog) -> list[int]:
    with catalog.read() as connection:
        return [one.clip_id for one in clips_in_dispute(connection, get_task(catalog, "sax"))]


def left_out(catalog: Catalog) -> list[int]:
    """Clips with a tag that the consensus of the whole task leaves out of training."""
    with catalog.read() as connection:
        return sorted(consensus(connection, get_task(catalog, "sax")).disputed)


@pytest.fixture
def clips(catalog: Catalog) -> list[int]:
    """Sixty clips, which ada and eve have labelled; they disagree about the sax in the first, third and last."""
    made = add_song(catalog, "songs/a.wav", seconds=300)
    sax_task(catalog, overlap=3)
    for name in ("ada", "eve"):
        other = {made[0], made[2], made[-1]} if name == "eve" else set()
        said = {clip: SAX if (i % 2 == 0) != (clip in other) else NONE for i, clip in enumerate(made)}
        label_all(catalog, add_person(catalog, name), said)
    return made


@pytest.mark.parametrize("looked_at", [3000, 20])
def test_old_disputes_are_shown_counted_and_those_that_training_leaves_out(
    catalog: Catalog, workspace: Workspace, clips: list[int], looked_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disputing, "LOOKED_AT", looked_at)
    monkeypatch.setattr("earmark.catalog.status.LOOKED_AT", 5)  # clips labelled last: none of them is in dispute
    wanted = [clips[0], clips[2], clips[-1]]
    assert sorted(found(catalog)) == wanted == left_out(catalog)
    assert sorted(one.clip.clip_id for one in disputes(catalog, "sax")) == wanted
    one = next(one for one in disputes(catalog, "sax") if one.clip.clip_id == clips[0])
    assert one.said == {"ada": SAX, "eve": NONE}
    assert (one.agreed["sax"].disputed, one.agreed["vocals"].disputed, one.agreed["vocals"].value) == (
        *(True, False),
        "absent",
    )
    assert {tag: of.disputed for tag, of in status(catalog, "sax").agreement.items()} == {"sax": 3, "vocals": 0}
    assert labelled(workspace, catalog, "sax", "sax=foreground vs absent").left_out == {"in dispute": 3}


def test_pages_of_disputes_are_all_of_them_once(catalog: Catalog, clips: list[int]) -> None:
    pages = [page_of_disputes(catalog, "sax", start=start, limit=2) for start in (0, 2, 4)]
    assert [count for count, _ in pages] == [3, 3, 3]
    assert [len(some) for _, some in pages] == [2, 1, 0]
    assert sorted(one.clip.clip_id for _, some in pages for one in some) == [clips[0], clips[2], clips[-1]]


def test_what_is_settled_or_known_or_of_people_set_aside_is_in_no_dispute(catalog: Catalog, clips: list[int]) -> None:
    boss = add_person(catalog, "boss", "admin")
    adjudicate(catalog, "sax", clips[0], boss, SAX)
    assert sorted(found(catalog)) == [clips[2], clips[-1]] == left_out(catalog)
    set_gold(catalog, "sax", {clips[2]: SAX})
    assert found(catalog) == [clips[-1]] == left_out(catalog)
    eve = find_person(catalog, "eve").id
    set_trust(catalog, "sax", eve, "aside")
    assert found(catalog) == [] == left_out(catalog)
    set_trust(catalog, "sax", eve, "trusted")
    assert found(catalog) == [clips[-1]] == left_out(catalog)


def test_what_is_taken_back_is_in_no_dispute(catalog: Catalog) -> None:
    made = add_song(catalog, "songs/a.wav", seconds=5)
    sax_task(catalog)
    ada, eve = add_person(catalog, "ada"), add_person(catalog, "eve")
    label_all(catalog, ada, {made[0]: SAX})
    label_all(catalog, eve, {made[0]: NONE})
    assert found(catalog) == made == left_out(catalog)
    undo(catalog, "sax", eve)
    assert found(catalog) == [] == left_out(catalog)


def test_a_clip_that_most_call_unusable_is_in_no_dispute(catalog: Catalog) -> None:
    made = add_song(catalog, "songs/a.wav", seconds=10)
    sax_task(catalog, overlap=4)
    for i, name in enumerate(("ada", "eve", "bo", "cy")):
        held = next(one for one in next_clips(catalog, "sax", add_person(catalog, name), 2) if one.clip_id == made[0])
        submit(catalog, held.token, (SAX, NONE)[i]) if i < 2 else unusable(catalog, held.token)
        assert found(catalog) == ([made[0]] if i in (1, 2) else []) == left_out(catalog)


def test_a_word_on_some_of_the_tags_is_in_dispute_and_the_later_of_one_person_counts(
    catalog: Catalog, tmp_path: Path
) -> None:
    """Imported labels that leave tags out take no place, so whoever gave them may be asked the whole of it too."""
    clips = add_song(catalog, "songs/a.wav", seconds=30)
    sax_task(catalog)
    said = {clip: SAX if i % 2 == 0 else NONE for i, clip in enumerate(clips)}
    label_all(catalog, add_person(catalog, "ada"), said)
    rows = "".join(f"a.wav,{5 * i},{5 * i + 5},absent,cy\n" for i in (1, 3, 4))
    (tmp_path / "t.csv").write_text("recording,start_s,stop_s,sax,annotator\n" + rows, encoding="utf-8")
    import_labels(catalog, "sax", tmp_path / "t.csv")
    assert found(catalog) == [clips[4]] == left_out(catalog)
    label_all(catalog, find_person(catalog, "cy").id, said)
    assert found(catalog) == [] == left_out(catalog)


@pytest.mark.parametrize("seed", range(4))
def test_any_answers_are_in_the_same_disputes_for_the_page_and_for_training(catalog: Catalog, seed: int) -> None:
    rng = np.random.default_rng(seed)
    made = add_song(catalog, "songs/a.wav", seconds=200)
    sax_task(catalog, overlap=4)
    truth = rng.choice(["foreground", "background", "absent"], len(made))
    for i in range(5):
        person = add_person(catalog, f"p{i}")
        while held := next_clips(catalog, "sax", person):
            words = {
                tag: str(truth[made.index(held[0].clip_id)])
                if rng.random() < 0.95 - 0.12 * i
                else str(rng.choice(["foreground", "background", "absent", "unsure"]))
                for tag in ("sax", "vocals")
            }
            submit(catalog, held[0].token, words)
    assert sorted(found(catalog)) == left_out(catalog)
    assert 0 < len(left_out(catalog)) < len(made)

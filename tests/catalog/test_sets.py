"""Sets of clips: what is taken, what is left out, and that a frozen one never changes."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from catalog_rows import add_person, add_song, sax_task

from earmark.catalog.database import Catalog, Workspace
from earmark.catalog.exchange.importing import import_labels
from earmark.catalog.labelling import adjudicate
from earmark.catalog.sets import ClipSet, freeze, labelled, load, sets_of
from earmark.catalog.tables import Clip
from earmark.catalog.tasks import add_clips_to_task, get_task
from earmark.errors import ConflictError, InputError, NotFoundError
from earmark.types import LabelValue

F, B, A, U = (LabelValue(word) for word in ("foreground", "background", "absent", "unsure"))
HEAD = "recording,start_s,stop_s,annotator,kind,sax,vocals\n"


@pytest.fixture
def songs(catalog: Catalog, workspace: Workspace) -> Catalog:
    """Three songs of 12 clips, the third of them a copy of the first; a task with an overlap of two."""
    add_song(catalog, "songs/a.wav", group="Chuck Berry")
    add_song(catalog, "songs/b.wav")
    with catalog.read() as connection:
        first = connection.execute(sa.select(Clip.recording_id).order_by(Clip.id)).scalars().first()
    copy = add_song(catalog, "songs/copy.mp3", group="somebody else", copy_of=first)
    sax_task(catalog)
    add_clips_to_task(catalog, "sax", copy)
    return catalog


def say(catalog: Catalog, workspace: Workspace, *rows: str) -> None:
    """Rows of a table, imported."""
    file = workspace.root / "labels.csv"
    file.write_text(HEAD + "".join(f"songs/{row}\n" for row in rows), encoding="utf-8")
    import_labels(catalog, "sax", file)


def spans(found: ClipSet) -> list[tuple[str, float, str | None]]:
    return [(row.recording, row.start_s, row.class_name) for row in found.rows]


ROWS = (
    "a.wav,0,5,ada,label,foreground,absent",
    "a.wav,5,10,ada,label,background,absent",
    "a.wav,10,15,ada,label,absent,foreground",
    "b.wav,0,5,ada,label,unsure,unsure",
    "b.wav,5,10,ada,unusable,,",
    "b.wav,10,15,ada,label,unsure,absent",
    "b.wav,15,20,ada,skip,,",
    "copy.mp3,0,5,ada,label,foreground,absent",
)


def test_classes_are_made_and_the_rest_is_left_out(songs: Catalog, workspace: Workspace) -> None:
    say(songs, workspace, *ROWS)
    found = labelled(workspace, songs, "sax", "sax=foreground vs absent")
    assert found.classes == ("sax", "not sax")
    assert spans(found) == [
        ("songs/a.wav", 0.0, "sax"),
        ("songs/a.wav", 10.0, "not sax"),
        ("songs/copy.mp3", 0.0, "sax"),
    ]
    assert found.left_out == {"of no class": 3, "unusable": 1}  # background, and two of whose sax nobody is sure
    assert found.counts() == {"sax": 2, "not sax": 1}
    first = found.rows[0]
    assert (first.path, first.start, first.stop) == (workspace.root / "songs/a.wav", 0, 40000)
    assert first.values == {"sax": (F, 1.0)}


def test_a_copy_is_of_its_originals_group(songs: Catalog, workspace: Workspace) -> None:
    say(songs, workspace, *ROWS)
    groups = {row.recording: row.group for row in labelled(workspace, songs, "sax").rows}
    assert groups == {"songs/a.wav": "Chuck Berry", "songs/b.wav": None, "songs/copy.mp3": "Chuck Berry"}


def test_without_classes_every_tag_that_is_known_counts(songs: Catalog, workspace: Workspace) -> None:
    say(songs, workspace, *ROWS)
    found = labelled(workspace, songs, "sax")
    assert found.classes == ()
    assert found.left_out == {"unsure": 1, "unusable": 1}
    known = {(row.recording, row.start_s): {tag: value for tag, (value, _) in row.values.items()} for row in found.rows}
    assert known["songs/a.wav", 5.0] == {"sax": B, "vocals": A}
    assert known["songs/b.wav", 10.0] == {"vocals": A}
    assert found.counts() == {"sax": 3, "vocals": 1}
    only = labelled(workspace, songs, "sax", "vocals=absent")
    assert (len(only.rows), only.classes, only.left_out["of no class"]) == (4, (), 2)


def test_what_people_disagree_on_is_left_out_until_it_is_settled(songs: Catalog, workspace: Workspace) -> None:
    boss = add_person(songs, "boss", "admin")
    say(
        songs,
        workspace,
        "a.wav,0,5,ada,label,foreground,absent",
        "a.wav,0,5,eve,label,absent,absent",
        "a.wav,5,10,ada,label,absent,absent",
        "a.wav,5,10,eve,label,absent,absent",
    )
    found = labelled(workspace, songs, "sax", "sax=present vs absent")
    assert spans(found) == [("songs/a.wav", 5.0, "not sax")]
    assert found.left_out == {"in dispute": 1}
    with songs.read() as connection:
        clip = connection.execute(sa.select(sa.func.min(Clip.id))).scalar_one()
    adjudicate(songs, "sax", clip, boss, {"sax": "foreground", "vocals": "absent"})
    found = labelled(workspace, songs, "sax", "sax=present vs absent")
    assert spans(found) == [("songs/a.wav", 0.0, "sax"), ("songs/a.wav", 5.0, "not sax")]
    assert found.rows[0].values["sax"] == (F, 1.0)


def test_a_frozen_set_stays_when_labels_change(songs: Catalog, workspace: Workspace) -> None:
    say(songs, workspace, *ROWS)
    assert freeze(songs, "sax", "one", "sax=foreground vs absent") == {"sax": 2, "not sax": 1}
    before = load(workspace, songs, "sax", "one")
    say(songs, workspace, "a.wav,0,5,ada,label,absent,absent", "b.wav,0,5,ada,label,absent,absent")
    assert load(workspace, songs, "sax", "one") == before
    assert before.classes == ("sax", "not sax")
    assert labelled(workspace, songs, "sax", "sax=foreground vs absent").counts() == {"sax": 1, "not sax": 3}
    with pytest.raises(ConflictError, match="has a set 'one' already, and it never changes"):
        freeze(songs, "sax", "one")
    with pytest.raises(InputError, match=r"was frozen with classes \(sax vs not sax\)"):
        load(workspace, songs, "sax", "one", "sax=present vs absent")
    with songs.read() as connection:
        assert sets_of(connection, get_task(songs, "sax").id) == ["one"]


def test_a_set_without_classes_can_be_given_some_later(songs: Catalog, workspace: Workspace) -> None:
    say(songs, workspace, *ROWS)
    assert freeze(songs, "sax", "all") == {"sax": 3, "vocals": 1}
    found = load(workspace, songs, "sax", "all", "sax=foreground vs background")
    assert found.counts() == {"sax foreground": 2, "sax background": 1}
    assert found.left_out == {"of no class": 2}


def test_a_balanced_set_has_as_many_of_each_and_follows_its_seed(songs: Catalog, workspace: Workspace) -> None:
    say(
        songs,
        workspace,
        *(f"a.wav,{5 * i},{5 * i + 5},ada,label,foreground,absent" for i in range(12)),
        *(f"b.wav,{5 * i},{5 * i + 5},ada,label,absent,absent" for i in range(4)),
    )
    where = "sax=foreground vs absent"
    for name, seed in (("x", 1), ("y", 1), ("z", 2)):
        assert freeze(songs, "sax", name, where, balanced=True, seed=seed) == {"sax": 4, "not sax": 4}
    x, y, z = (spans(load(workspace, songs, "sax", name)) for name in "xyz")
    assert x == y != z


@pytest.mark.parametrize(
    ("name", "where", "balanced", "said"),
    [
        ("a@b", None, False, "set 'a@b': expected a name"),
        ("", None, False, "set '': expected a name"),
        ("s", None, True, "--balanced needs classes"),
        ("s", "sax=background vs vocals=background", False, "no clip of the class 'vocals'"),
        ("s", "sax=foreground & vocals=foreground", False, "has no labelled clip to freeze where"),
    ],
)
def test_what_cannot_be_frozen(
    songs: Catalog, workspace: Workspace, name: str, where: str | None, balanced: bool, said: str
) -> None:
    say(songs, workspace, *ROWS)
    with pytest.raises(InputError) as caught:
        freeze(songs, "sax", name, where, balanced=balanced)
    assert said in str(caught.value)
    with songs.read() as connection:
        assert sets_of(connection, get_task(songs, "sax").id) == []


def test_what_is_not_there_is_said(songs: Catalog, workspace: Workspace) -> None:
    with pytest.raises(NotFoundError, match="no task 'drums': there are sax"):
        labelled(workspace, songs, "drums")
    with pytest.raises(NotFoundError, match="no set 'x'; it has none: `earmark catalog freeze` makes them"):
        load(workspace, songs, "sax", "x")

"""Imports and exports over both databases: nothing lost on the way round, nothing left behind by a file that fails."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import sqlalchemy as sa
from catalog_rows import add_person, add_song, sax_task
from queue_rows import wrongs

from earmark.catalog.agreeing import consensus
from earmark.catalog.current import ANSWERS, labels_of
from earmark.catalog.database import Catalog, Workspace
from earmark.catalog.exchange.exporting import export_labels
from earmark.catalog.exchange.importing import Choices, format_of, import_gold, import_labels
from earmark.catalog.labelling import skip
from earmark.catalog.queueing import next_clips
from earmark.catalog.sets import labelled, load
from earmark.catalog.tables import Annotator, Base, Clip, Recording, TaskClip
from earmark.catalog.tasks import get_task
from earmark.catalog.trusting import reopen_places, set_trust
from earmark.errors import ConflictError, InputError, NotFoundError
from earmark.types import LabelValue

TABLE = """recording,start_s,stop_s,kind,annotator,at,took_ms,origin,sax,vocals
songs/a.wav,0,5,label,ada,2024-05-01T12:30:00.000001+00:00,4100,person,foreground,absent
songs/a.wav,0,5,label,grace,2024-05-01T12:31:00.000002+00:00,,person,background,absent
songs/a.wav,5,10,skip,ada,2024-05-01T12:32:00.000003+00:00,900,person,,
songs/a.wav,5,10,label,grace,2024-05-01T12:33:00.000004+00:00,3000,correction,unsure,foreground
songs/b.wav,0,5,unusable,ada,2024-05-01T12:34:00.000005+00:00,1500,person,,
songs/b.wav,5,10,label,boss,2024-05-01T12:35:00.000006+00:00,,adjudication,absent,absent
songs/b.wav,2.5,7.5,label,ada,2024-05-01T12:36:00.000007+00:00,,import,absent,background
"""


@pytest.fixture
def filled(catalog: Catalog) -> Catalog:
    """Two songs of 12 clips each, and a task with all of them; two labels a clip."""
    for song, first in (("songs/a.wav", 0), ("songs/b.wav", 12)):
        add_song(catalog, song, first_chunk=first)
    sax_task(catalog)
    return catalog


@pytest.fixture
def other(tmp_path: Path) -> Catalog:
    """A second workspace with the same songs under other paths, re-encoded."""
    catalog = Workspace.init(tmp_path / "other").catalog()
    for song, first in (("audio/songs/a.flac", 0), ("audio/songs/b.flac", 12)):
        add_song(catalog, song, first_chunk=first)
    sax_task(catalog)
    return catalog


def words(catalog: Catalog) -> set[tuple[object, ...]]:
    """All that the catalog knows of its labels."""
    with catalog.read() as connection:
        names = {row.id: row.name for row in connection.execute(sa.select(Annotator.id, Annotator.name))}
        clips = connection.execute(sa.select(Clip.id, Clip.start, Clip.stop, Recording.name).join(Recording))
        places = {row.id: (row.name.split(".")[0], row.start, row.stop) for row in clips}
        return {
            (
                *(*places[said.clip_id], names[said.annotator_id], said.kind, *sorted(said.values.items())),
                *(said.at, said.took_ms, said.origin),
            )
            for said in labels_of(connection, get_task(catalog, "sax").id, kinds=ANSWERS)
        }


def answers(catalog: Catalog) -> dict[tuple[str, int, int], dict[str, LabelValue]]:
    """The consensus by recording and span."""
    with catalog.read() as connection:
        clips = connection.execute(sa.select(Clip.id, Clip.start, Clip.stop, Recording.name).join(Recording))
        places = {row.id: (row.name.split(".")[0], row.start, row.stop) for row in clips}
        found = consensus(connection, get_task(catalog, "sax"))
        return {places[clip]: {tag: one.value for tag, one in tags.items()} for clip, tags in found.clips.items()}


def everything(catalog: Catalog) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table."""
    with catalog.read() as connection:
        return {
            name: sorted(tuple(map(str, row)) for row in connection.execute(sa.select(table)))
            for name, table in Base.metadata.tables.items()
        }


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_table_comes_in_whole(filled: Catalog, tmp_path: Path) -> None:
    done = import_labels(filled, "sax", write(tmp_path / "t.csv", TABLE))
    assert (done.labels, done.skipped, done.unusable, done.known, done.clips) == (5, 1, 1, 0, 1)
    found = words(filled)
    assert len(found) == 7
    assert (
        *("a", 0, 40000, "ada", "label"),
        *(("sax", LabelValue.FOREGROUND), ("vocals", LabelValue.ABSENT)),
        *(1714566600000001, 4100, "person"),
    ) in found
    with filled.read() as connection:
        kinds = dict(connection.execute(sa.select(Annotator.name, Annotator.kind)).all())
    assert kinds == {"ada": "import", "grace": "import", "boss": "import"}


@pytest.mark.parametrize(("form", "name"), [("csv", "x.csv"), ("parquet", "x.parquet"), ("labelstudio", "x.json")])
def test_everybodys_words_go_round_without_loss(
    filled: Catalog, workspace: Workspace, other: Catalog, tmp_path: Path, form: str, name: str
) -> None:
    import_labels(filled, "sax", write(tmp_path / "t.csv", TABLE))
    import_gold(filled, "sax", write(tmp_path / "g.csv", KNOWN + "a.wav,20,25,background,absent\n"))
    with filled.write() as connection:
        connection.execute(sa.update(Recording).where(Recording.name == "b.wav").values(group_name="Berry"))
    done = export_labels(workspace, filled, "sax", tmp_path / name, form)
    assert (done.rows, done.who) == (11, "everybody")  # four answers are known, of one clip that nobody labelled
    assert import_labels(other, "sax", tmp_path / name).gold == 4
    assert words(other) == words(filled)
    assert answers(other) == answers(filled)
    assert gold(other) == gold(filled)
    with other.read() as connection:
        query = sa.select(Recording.name, Recording.group_name).order_by(Recording.id)
        assert [tuple(row) for row in connection.execute(query)] == [("a.flac", None), ("b.flac", "Berry")]
    assert import_labels(other, "sax", tmp_path / name).gold == 0


@pytest.mark.parametrize(("form", "name"), [("audacity", "tracks"), ("raven", "x.txt")])
def test_the_consensus_goes_round_without_loss(
    filled: Catalog, workspace: Workspace, other: Catalog, tmp_path: Path, form: str, name: str
) -> None:
    import_labels(filled, "sax", write(tmp_path / "t.csv", TABLE))
    export_labels(workspace, filled, "sax", tmp_path / name, form)
    import_labels(other, "sax", tmp_path / name)
    assert answers(other) == answers(filled)


def test_one_persons_words_can_be_had_alone(filled: Catalog, workspace: Workspace, tmp_path: Path) -> None:
    import_labels(filled, "sax", write(tmp_path / "t.csv", TABLE))
    assert export_labels(workspace, filled, "sax", tmp_path / "x.csv", who="grace").rows == 2
    with pytest.raises(NotFoundError, match="nobody is called 'eve'"):
        export_labels(workspace, filled, "sax", tmp_path / "y.csv", who="eve")
    with pytest.raises(InputError, match="raven holds one answer a clip"):
        export_labels(workspace, filled, "sax", tmp_path / "y.txt", "raven", who="everybody")


def test_the_same_file_again_adds_nothing(filled: Catalog, tmp_path: Path) -> None:
    file = write(tmp_path / "t.csv", TABLE)
    import_labels(filled, "sax", file)
    before = words(filled)
    again = import_labels(filled, "sax", file)
    assert (again.labels, again.skipped, again.unusable, again.known) == (0, 0, 0, 7)
    assert words(filled) == before


def test_a_later_answer_of_the_same_person_replaces(filled: Catalog, tmp_path: Path) -> None:
    head = "recording,start_s,stop_s,annotator,kind,sax,vocals\n"
    import_labels(filled, "sax", write(tmp_path / "t.csv", head + "a.wav,0,5,ada,label,absent,absent\n"))
    done = import_labels(filled, "sax", write(tmp_path / "u.csv", head + "a.wav,0,5,ada,skip,,\n"))
    assert (done.skipped, done.replaced) == (1, 1)
    assert [row[4] for row in words(filled)] == ["skip"]
    assert open_places(filled)["a", 0] == 2  # the place that the label took is free again


def open_places(catalog: Catalog) -> dict[tuple[str, int], int]:
    with catalog.read() as connection:
        query = sa.select(Recording.name, Clip.start, TaskClip.open_places).join_from(TaskClip, Clip).join(Recording)
        return {(row.name.split(".")[0], row.start // 8000): row.open_places for row in connection.execute(query)}


def test_imported_answers_take_places_like_any_other(filled: Catalog, tmp_path: Path) -> None:
    import_labels(filled, "sax", write(tmp_path / "t.csv", TABLE))
    left = open_places(filled)
    assert left["a", 0] == 0  # two answers of two
    assert left["a", 5] == 1  # a label and a skip
    assert left["b", 0] == 1  # one called it unusable
    assert left["b", 5] == 0  # adjudicated
    assert left["b", 2] == 1  # a clip that the file brought
    assert left["b", 10] == 2
    ada = next(row.id for row in people(filled) if row.name == "ada")
    shown = []
    while held := next_clips(filled, "sax", ada):
        shown.append((held[0].uri, held[0].start // 8000))
        with filled.write() as connection:
            connection.execute(sa.text("UPDATE lease SET expires_at = 0"))
        if len(shown) > 40:
            break
    assert not {("songs/a.wav", 0), ("songs/a.wav", 5), ("songs/b.wav", 0), ("songs/b.wav", 2)} & set(shown)


def people(catalog: Catalog) -> list[sa.Row[tuple[int, str]]]:
    with catalog.read() as connection:
        return list(connection.execute(sa.select(Annotator.id, Annotator.name)).all())


def test_an_answer_for_some_tags_leaves_the_clip_in_the_queue(filled: Catalog, tmp_path: Path) -> None:
    text = "recording,start_s,stop_s,annotator,sax\na.wav,0,5,ada,foreground\n"
    assert import_labels(filled, "sax", write(tmp_path / "t.csv", text)).labels == 1
    assert open_places(filled)["a", 0] == 2
    text = "recording,start_s,stop_s,annotator,vocals\na.wav,0,5,ada,absent\n"
    import_labels(filled, "sax", write(tmp_path / "u.csv", text), choices=Choices())
    assert answers(filled)["a", 0, 40000] == {"sax": LabelValue.FOREGROUND, "vocals": LabelValue.ABSENT}
    assert open_places(filled)["a", 0] == 1  # every tag is answered now


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("songs/a.wav,0,5,loud,absent", "t.csv row 900, tag 'sax': found 'loud'"),
        ("songs/none.wav,0,5,absent,absent", "t.csv row 900: no recording 'songs/none.wav' in the catalog"),
        (
            "songs/a.wav,58,65,absent,absent",
            "t.csv row 900: the span runs from 58 s to 65 s, but songs/a.wav ends at 60",
        ),
        ("songs/a.wav,,,absent,absent", "t.csv row 900: songs/a.wav is cut into"),
        (
            "songs/a.wav,0,1e306,absent,absent",
            "t.csv row 900: the span runs from 0 s to 1e+306 s, but songs/a.wav ends at 60 s",
        ),
        ("songs/a.wav,1e306,,absent,absent", "t.csv row 900: the span runs from 1e+306 s to 60 s"),
        (
            "songs/a.wav,5,5.00001,absent,absent",
            "t.csv row 900: the span runs from 5 s to 5.00001 s, which holds no sample of songs/a.wav",
        ),
    ],
)
def test_a_file_that_fails_on_row_900_leaves_nothing_behind(
    filled: Catalog, tmp_path: Path, row: str, said: str
) -> None:
    good = [f"songs/{'ab'[i % 2]}.wav,{i / 50},{i / 50 + 5},foreground,absent" for i in range(898)]
    file = write(tmp_path / "t.csv", "\n".join(["recording,start_s,stop_s,sax,vocals", *good, row]) + "\n")
    before = everything(filled)
    with pytest.raises(InputError) as caught:
        import_labels(filled, "sax", file)
    assert said in str(caught.value)
    assert everything(filled) == before


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (
            {"annotator": "a\x00b"},
            "t.csv row 2: the annotator's name 'a\\x00b' holds a character that cannot be printed",
        ),
        ({"annotator": "a\nb"}, "t.csv row 2: the annotator's name 'a\\nb' holds a character"),
        ({"annotator": "x" * 3000}, "t.csv row 2: the annotator's name has 3000 characters; expected up to 500"),
        ({"group": "Nad\x00ine"}, "t.csv row 2: the group 'Nad\\x00ine' holds a character"),
        ({"recording": "", "chunk_id": "0000\x001"}, "t.csv row 2: chunk_id '0000\\x001' holds a character"),
        ({"recording": "a\x00.wav"}, "t.csv row 2: no recording 'a\\x00.wav' in the catalog"),
    ],
)
def test_a_name_that_no_database_holds_is_refused(
    filled: Catalog, tmp_path: Path, row: dict[str, str], said: str
) -> None:
    cells = {"recording": "songs/a.wav", "start_s": "0", "stop_s": "5", "sax": "absent", "vocals": "absent"} | row
    with (tmp_path / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows([cells.keys(), cells.values()])
    before = everything(filled)
    with pytest.raises(InputError) as caught:
        import_labels(filled, "sax", tmp_path / "t.csv")
    assert said in str(caught.value)
    assert everything(filled) == before


def test_half_a_character_is_refused_in_a_name(filled: Catalog, tmp_path: Path) -> None:
    result = {"from_name": "sax", "type": "choices", "value": {"choices": ["absent"]}}
    annotation = {"completed_by": {"email": "\ud800"}, "result": [result]}
    data = {"audio": "songs/a.wav", "start_s": 0, "stop_s": 5}
    file = write(tmp_path / "p.json", json.dumps([{"data": data, "annotations": [annotation]}]))
    with pytest.raises(InputError, match=r"p\.json task 1 annotation 1: the annotator's name '\\ud800' holds"):
        import_labels(filled, "sax", file)


@pytest.mark.parametrize(("took", "kept"), [("4100.4", 4100), ("3e9", 86_400_000), ("1e308", 86_400_000)])
def test_an_answer_takes_a_day_at_most(filled: Catalog, tmp_path: Path, took: str, kept: int) -> None:
    text = f"recording,start_s,stop_s,took_ms,sax,vocals\nsongs/a.wav,0,5,{took},absent,absent\n"
    import_labels(filled, "sax", write(tmp_path / "t.csv", text))
    data = {"audio": "songs/b.wav", "start_s": 0, "stop_s": 5}
    choices = [{"from_name": tag, "type": "choices", "value": {"choices": ["absent"]}} for tag in ("sax", "vocals")]
    annotation = {"lead_time": float(took) / 1000, "result": choices}
    import_labels(filled, "sax", write(tmp_path / "p.json", json.dumps([{"data": data, "annotations": [annotation]}])))
    with filled.read() as connection:
        assert {said.took_ms for said in labels_of(connection, get_task(filled, "sax").id)} == {kept}


def test_two_words_of_one_person_on_one_clip_are_refused(filled: Catalog, tmp_path: Path) -> None:
    text = "recording,start_s,stop_s,annotator,sax\na.wav,0,5,ada,absent\na.wav,0,5,ada,foreground\n"
    with pytest.raises(InputError, match=r"t.csv row 3: the same person labelled this clip in t.csv row 2 already"):
        import_labels(filled, "sax", write(tmp_path / "t.csv", text))


def mongo(path: Path, records: list[dict[str, object]]) -> Path:
    return write(path, "".join(json.dumps(record) + "\n" for record in records))


RECORDS: list[dict[str, object]] = [
    {
        "chunk_id": "000007",
        "song_name": "Nadine",
        "labeled": True,
        "skipped": False,
        "sax": 2,
        "vocals": 0,
        "sax1203": 1,
    },
    {
        "chunk_id": "000008",
        "song_name": "Nadine",
        "labeled": True,
        "skipped": False,
        "sax": 0,
        "vocals": 1,
        "sax1203": 1,
    },
    {"chunk_id": "000009", "song_name": "Merry", "labeled": True, "skipped": True, "sax": 1, "vocals": 1, "sax1203": 0},
    {"chunk_id": "000010", "song_name": "Merry", "labeled": False, "skipped": False, "sax1203": 0},
]


def test_records_of_mongoexport_with_their_chunk_files(catalog: Catalog, workspace: Workspace, tmp_path: Path) -> None:
    clips = [add_song(catalog, f"wav_chunks/{n:06d}.mp3", seconds=5.0, chunk_s=None)[0] for n in (7, 8, 9, 10)]
    sax_task(catalog, overlap=1)
    done = import_labels(catalog, "sax", mongo(tmp_path / "samples.json", RECORDS))
    assert (done.labels, done.skipped, done.unlabelled, done.sets) == (2, 1, 1, ["sax1203"])
    kept = load(workspace, catalog, "sax", "sax1203", "sax=foreground vs absent")
    assert [row.clip_id for row in kept.rows] == clips[:2]
    assert [row.group for row in kept.rows] == ["Nadine", "Nadine"]
    assert kept.counts() == {"sax": 1, "not sax": 1}
    export_labels(workspace, catalog, "sax", tmp_path / "again.json", "mongoexport")
    told = export_labels(workspace, catalog, "sax", tmp_path / "again.csv").notes
    assert told == ["frozen sets (sax1203) are not in it; mongoexport is the format that has them"]
    again = [json.loads(line) for line in (tmp_path / "again.json").read_text(encoding="utf-8").splitlines()]
    skipped = {**RECORDS[2], "labeled": False}  # skips count as skipped
    del skipped["sax"], skipped["vocals"]
    assert again == [*RECORDS[:2], skipped, RECORDS[3]]


def test_numbers_of_another_catalog_are_not_taken_for_ours(filled: Catalog, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"chunk '000007' is cut from songs/a\.wav here, but the row says 'Nadine'"):
        import_labels(filled, "sax", mongo(tmp_path / "samples.json", RECORDS))
    ours = [{**RECORDS[0], "song_name": "a"}]
    assert import_labels(filled, "sax", mongo(tmp_path / "ours.json", ours)).labels == 1
    assert answers(filled) == {("a", 280000, 320000): {"sax": LabelValue.FOREGROUND, "vocals": LabelValue.ABSENT}}


def test_a_set_that_says_otherwise_is_refused(catalog: Catalog, tmp_path: Path) -> None:
    for n in (7, 8, 9, 10):
        add_song(catalog, f"wav_chunks/{n:06d}.mp3", seconds=5.0, chunk_s=None)
    sax_task(catalog)
    import_labels(catalog, "sax", mongo(tmp_path / "s.json", RECORDS))
    before = everything(catalog)
    with pytest.raises(ConflictError, match="a frozen set never changes"):
        import_labels(catalog, "sax", mongo(tmp_path / "s.json", [RECORDS[0], {**RECORDS[1], "sax1203": 0}]))
    assert everything(catalog) == before


INTERVALS = "file,start,end\na.ogg,2.4,11\n"


def test_a_clip_has_the_tag_where_enough_of_it_is_covered(filled: Catalog, tmp_path: Path) -> None:
    file = write(tmp_path / "i.csv", INTERVALS)
    F, A = LabelValue.FOREGROUND, LabelValue.ABSENT
    done = import_labels(filled, "sax", file, choices=Choices(tag="sax"))
    assert done.labels == 12
    found = answers(filled)
    assert [found["a", start * 40000, start * 40000 + 40000]["sax"] for start in range(4)] == [F, F, A, A]
    done = import_labels(filled, "sax", file, choices=Choices(tag="sax", share=0.2, others_absent=True))
    assert (done.labels, done.replaced, done.known) == (13, 1, 11)
    found = answers(filled)
    assert [found["a", start * 40000, start * 40000 + 40000]["sax"] for start in range(4)] == [F, F, F, A]
    assert {tags["sax"] for (song, *_), tags in found.items() if song == "b"} == {A}


def test_intervals_go_round_as_presence(filled: Catalog, workspace: Workspace, other: Catalog, tmp_path: Path) -> None:
    import_labels(filled, "sax", write(tmp_path / "i.csv", INTERVALS), choices=Choices(tag="sax", others_absent=True))
    export_labels(workspace, filled, "sax", tmp_path / "out.csv", "intervals")
    assert (tmp_path / "out.csv").read_text(encoding="utf-8") == "file,start,end,tag\nsongs/a.wav,0.0,10.0,sax\n"
    import_labels(other, "sax", tmp_path / "out.csv", choices=Choices(others_absent=True))
    assert answers(other) == answers(filled)


@pytest.mark.parametrize(
    ("choices", "text", "said"),
    [
        (Choices(share=0), INTERVALS, "--share 0: expected a share"),
        (Choices(), INTERVALS, "i.csv row 2: it names no tag; say which with --tag"),
        (Choices(tag="drums"), INTERVALS, "i.csv row 2: task 'sax' has no tag 'drums'"),
        (Choices(tag="sax"), "file,start,end\nc.ogg,1,2\n", "i.csv row 2: no recording 'c.ogg' in the catalog"),
    ],
)
def test_intervals_that_cannot_be_meant(
    filled: Catalog, tmp_path: Path, choices: Choices, text: str, said: str
) -> None:
    with pytest.raises(InputError) as caught:
        import_labels(filled, "sax", write(tmp_path / "i.csv", text), choices=choices)
    assert said in str(caught.value)


def test_a_name_that_could_be_two_recordings_is_refused(catalog: Catalog, tmp_path: Path) -> None:
    add_song(catalog, "one/a.wav")
    add_song(catalog, "two/a.flac")
    sax_task(catalog)
    head = "recording,start_s,stop_s,sax,vocals\n"
    with pytest.raises(InputError, match=r"'a.ogg' could be one/a.wav or two/a.flac"):
        import_labels(catalog, "sax", write(tmp_path / "t.csv", head + "a.ogg,0,5,absent,absent\n"))
    assert import_labels(catalog, "sax", write(tmp_path / "t.csv", head + "two/a.ogg,0,5,absent,absent\n")).labels == 1


def test_gold_of_label_studio_is_gold(filled: Catalog, tmp_path: Path) -> None:
    result = [
        {"from_name": tag, "to_name": "audio", "type": "choices", "value": {"choices": [value]}}
        for tag, value in (("sax", "foreground"), ("vocals", "absent"))
    ]
    data = {"audio": "a.wav", "start_s": 0, "stop_s": 5}
    tasks = [{"data": data, "annotations": [{"completed_by": 1, "ground_truth": True, "result": result}]}]
    import_labels(filled, "sax", write(tmp_path / "p.json", json.dumps(tasks)))
    with filled.read() as connection:
        gold = connection.execute(sa.select(TaskClip.gold).where(TaskClip.gold.is_not(None))).scalars().all()
    assert gold == [{"sax": "foreground", "vocals": "absent"}]
    assert open_places(filled)["a", 0] == 0


def gold(catalog: Catalog) -> dict[tuple[str, int], dict[str, str]]:
    """Known answers by recording and second."""
    with catalog.read() as connection:
        query = sa.select(Recording.name, Clip.start, TaskClip.gold).join_from(TaskClip, Clip).join(Recording)
        rows = connection.execute(query.where(TaskClip.gold.is_not(None)))
        return {(row.name.split(".")[0], row.start // 8000): row.gold for row in rows}


KNOWN = """recording,start_s,stop_s,sax,vocals
a.wav,0,5,foreground,absent
b.wav,5,10,absent,absent
b.wav,2.5,7.5,background,foreground
"""


def test_a_table_says_what_is_known(filled: Catalog, tmp_path: Path) -> None:
    file = write(tmp_path / "g.csv", KNOWN)
    done = import_gold(filled, "sax", file)
    assert (done.gold, done.known, done.clips, done.labels) == (3, 0, 1, 0)
    assert gold(filled) == {
        ("a", 0): {"sax": "foreground", "vocals": "absent"},
        ("b", 5): {"sax": "absent", "vocals": "absent"},
        ("b", 2): {"sax": "background", "vocals": "foreground"},
    }
    assert words(filled) == set()  # nobody gave them
    assert (open_places(filled)["a", 0], open_places(filled)["a", 5]) == (0, 2)
    again = import_gold(filled, "sax", write(tmp_path / "h.csv", KNOWN.replace("0,5,foreground", "0,5,background")))
    assert (again.gold, again.known) == (1, 2)
    assert gold(filled)["a", 0] == {"sax": "background", "vocals": "absent"}
    assert import_gold(filled, "sax", file, forget=True).gold == 3
    assert gold(filled) == {}
    assert open_places(filled)["a", 0] == 2
    with filled.read() as connection:
        assert wrongs(connection, get_task(filled, "sax")) == []


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("a.wav,5,10,foreground,", "g.csv row 5: a known answer says every tag, and 'vocals' is not in it"),
        ("a.wav,0,5,absent,absent", "g.csv row 5: another answer for this clip is known by g.csv row 2"),
        ("a.wav,5,10,present,loud", "g.csv row 5, tag 'vocals': found 'loud'"),
        ("c.wav,5,10,absent,absent", "g.csv row 5: no recording 'c.wav' in the catalog"),
    ],
)
def test_known_answers_that_cannot_be_leave_nothing_behind(
    filled: Catalog, tmp_path: Path, row: str, said: str
) -> None:
    before = everything(filled)
    with pytest.raises(InputError) as caught:
        import_gold(filled, "sax", write(tmp_path / "g.csv", KNOWN + row + "\n"))
    assert said in str(caught.value)
    assert everything(filled) == before


def test_of_a_file_that_marks_known_answers_only_these_are_taken(filled: Catalog, tmp_path: Path) -> None:
    head, row = "recording,start_s,stop_s,kind,sax,vocals\n", "a.wav,0,5,gold,absent,absent\n"
    file = write(tmp_path / "g.csv", head + row + "a.wav,0,5,label,foreground,absent\n")
    assert import_gold(filled, "sax", file).notes == ["g.csv: 1 rows are no known answer; left out"]
    assert gold(filled) == {("a", 0): {"sax": "absent", "vocals": "absent"}}
    twice = write(tmp_path / "h.csv", head + row + row.replace("gold,absent", "gold,foreground"))
    with pytest.raises(InputError, match=r"h\.csv row 3: another answer for this clip is known by h\.csv row 2"):
        import_labels(filled, "sax", twice)


def test_what_is_in_no_task_cannot_be_forgotten(filled: Catalog, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"g\.csv row 4: its clip is not in task 'sax'"):
        import_gold(filled, "sax", write(tmp_path / "g.csv", KNOWN), forget=True)


def test_a_person_of_the_catalog_keeps_their_name(filled: Catalog, tmp_path: Path) -> None:
    ada = add_person(filled, "ada")
    import_labels(filled, "sax", write(tmp_path / "t.csv", TABLE))
    assert sum(row.name == "ada" for row in people(filled)) == 1
    with filled.read() as connection:
        said = labels_of(connection, get_task(filled, "sax").id, kinds=ANSWERS)
        assert sum(one.annotator_id == ada for one in said) == 4


@pytest.mark.parametrize(
    ("name", "text", "form"),
    [
        ("a.csv", "recording,sax\n", "csv"),
        ("a.csv", "file,start,end\n", "intervals"),
        ("a.tsv", "file\tstart\tend\n", "intervals"),
        ("a.json", '{"chunk_id": "000001"}\n', "mongoexport"),
        ("a.json", '\ufeff[{"data": {}}]', "labelstudio"),
        ("a.txt", "0.0\t1.0\tsax\n", "audacity"),
        ("a.txt", "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\n", "raven"),
        ("a.parquet", "PAR1", "parquet"),
    ],
)
def test_the_format_is_seen_from_the_file(tmp_path: Path, name: str, text: str, form: str) -> None:
    assert format_of(write(tmp_path / name, text)) == form


def test_what_is_labelled_can_be_trained_on_at_once(filled: Catalog, workspace: Workspace, tmp_path: Path) -> None:
    import_labels(filled, "sax", write(tmp_path / "i.csv", INTERVALS), choices=Choices(tag="sax", others_absent=True))
    found = labelled(workspace, filled, "sax", "sax=present vs absent")
    assert found.counts() == {"sax": 2, "not sax": 22}


def test_an_import_puts_what_people_disagree_on_first(catalog: Catalog, tmp_path: Path) -> None:
    for song, first in (("songs/a.wav", 0), ("songs/b.wav", 12)):
        add_song(catalog, song, first_chunk=first)
    sax_task(catalog, tags=("sax",), overlap=3, policy="disagreement")
    table = tmp_path / "t.csv"
    rows = [f"songs/{song}.wav,{at},{at + 5}" for song in "ab" for at in range(0, 60, 5)]
    lines = [f"{row},{who},{_said(i, who)}" for i, row in enumerate(rows) for who in ("ada", "grace")]
    table.write_text("recording,start_s,stop_s,annotator,sax\n" + "\n".join(lines) + "\n", encoding="utf-8")
    assert import_labels(catalog, "sax", table, "csv", Choices()).labels == 48
    who = add_person(catalog, "third")
    given = []
    while held := next_clips(catalog, "sax", who):
        given.append(held[0].clip_id)
        skip(catalog, held[0].token)
    with catalog.read() as connection:
        priorities = dict(connection.execute(sa.select(TaskClip.clip_id, TaskClip.priority)).all())
        clips = list(connection.execute(sa.select(Clip.id).order_by(Clip.id)).scalars())
    disputed = {clips[3], clips[17]}
    assert {clip for clip, priority in priorities.items() if priority > 0} == disputed == set(given[:2])
    assert len(given) == 24


def _said(row: int, who: str) -> str:
    return "foreground" if row in (3, 17) and who == "ada" else "absent"


def test_an_import_over_answers_that_were_set_aside_keeps_the_counts(catalog: Catalog, tmp_path: Path) -> None:
    add_song(catalog, "songs/a.wav", first_chunk=0)
    task = sax_task(catalog, tags=("sax",), overlap=2)
    table = tmp_path / "t.csv"

    def give(value: str) -> None:
        lines = [f"songs/a.wav,{at},{at + 5},{'skip' if value == 'skip' else 'label'},eve,{value}" for at in (0, 5, 10)]
        text = "recording,start_s,stop_s,kind,annotator,sax\n" + "\n".join(lines) + "\n"
        table.write_text(text.replace(",skip\n", ",\n"), encoding="utf-8")
        import_labels(catalog, "sax", table, "csv", Choices())
        with catalog.read() as connection:
            assert wrongs(connection, task) == []

    give("absent")
    with catalog.read() as connection:
        eve = connection.execute(sa.select(Annotator.id).where(Annotator.name == "eve")).scalar_one()
    set_trust(catalog, "sax", eve, "aside")
    assert reopen_places(catalog, "sax").freed == 3
    give("foreground")
    assert reopen_places(catalog, "sax").freed == 0
    give("skip")
    give("background")
    assert reopen_places(catalog, "sax").freed == 3

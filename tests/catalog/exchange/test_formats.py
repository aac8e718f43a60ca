"""Every format reads what it wrote, without loss of what it can hold, and names the row that it cannot read."""

from __future__ import annotations

import copy
import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from earmark.catalog.exchange import audacity, audiofolder, intervals, labelstudio, mongoexport, raven, table
from earmark.catalog.exchange.importing import FORMATS
from earmark.catalog.exchange.importing import read as read_as
from earmark.catalog.exchange.rows import Found, Row, time_of, time_text
from earmark.errors import InputError
from earmark.types import LabelValue

F, B, A, U, P = (LabelValue(word) for word in ("foreground", "background", "absent", "unsure", "present"))
TAGS = ("sax", "vocals", "start_s", "tag:odd, name")

quick = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
times = st.integers(0, 4_102_444_800_000_000)
names = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=12).map(str.strip)
answers = st.dictionaries(st.sampled_from(TAGS), st.sampled_from([F, B, A, U]), min_size=1)


@st.composite
def clips(draw: st.DrawFn) -> list[Row]:
    """Clips of 5 s on a grid, each with one to three people's words, some with a known answer, some in a group."""
    rows = []
    groups = draw(st.lists(st.none() | names.filter(bool), min_size=5, max_size=5))
    for i in draw(st.lists(st.integers(0, 30), unique=True, min_size=1, max_size=6)):
        clip = Row("", f"songs/song {i // 7}, live.ogg", 5.0 * i, 5.0 * i + 5, f"{i:06d}", group=groups[i // 7])
        if draw(st.booleans()):
            known = {tag: draw(st.sampled_from([F, B, A, U])) for tag in TAGS}
            rows.append(replace(clip, kind="gold", values=known))
        for who in draw(st.lists(st.sampled_from(["ada", "grace@x.org", "Zoë"]), unique=True, min_size=1)):
            kind = draw(st.sampled_from(["label", "label", "skip", "unusable"]))
            rows.append(
                replace(
                    clip,
                    kind=kind,
                    values=draw(answers) if kind == "label" else {},
                    annotator=who,
                    at=draw(times),
                    took_ms=draw(st.none() | st.integers(0, 10**7)),
                    origin=draw(st.sampled_from(["person", "import", "correction", "adjudication"])),
                )
            )
    return rows


def bare(rows: list[Row]) -> list[Row]:
    """Without where they stood in the file."""
    return [Row(**{**{field: getattr(row, field) for field in Row.__slots__}, "where": ""}) for row in rows]


@quick
@given(clips(), st.sampled_from(["csv", "parquet"]))
def test_our_table_holds_everything(tmp_path: Path, rows: list[Row], suffix: str) -> None:
    file = tmp_path / f"labels.{suffix}"
    table.write(file, rows, TAGS)
    found = table.read(file, TAGS)
    assert bare(found.rows) == rows
    assert found.notes == []


@quick
@given(clips())
def test_label_studio_holds_everything(tmp_path: Path, rows: list[Row]) -> None:
    file = tmp_path / "tasks.json"
    labelstudio.write(file, rows, TAGS, [F, B, A])
    assert bare(labelstudio.read(file, TAGS).rows) == rows


@quick
@given(clips())
def test_audacity_and_raven_hold_the_answers(tmp_path_factory: pytest.TempPathFactory, rows: list[Row]) -> None:
    folder = tmp_path_factory.mktemp("spans")
    one_each = list({(row.recording, row.start_s): row for row in rows}.values())
    answered = {(row.recording, row.start_s, row.stop_s): dict(row.values) for row in one_each if row.values}
    audacity.write(folder / "tracks", one_each)
    found = audacity.read(folder / "tracks")
    assert {(row.recording, row.start_s, row.stop_s): dict(row.values) for row in found.rows} == answered
    assert set(found.recordings) == {row.recording for row in one_each}
    raven.write(folder / "table.txt", one_each)
    found = raven.read(folder / "table.txt")
    assert {(f"songs/{row.recording}", row.start_s, row.stop_s): dict(row.values) for row in found.rows} == answered
    assert found.heard == []


@quick
@given(
    st.lists(
        st.tuples(
            st.sampled_from([2, 1, 0]), st.sampled_from([2, 1, 0]), st.sampled_from(["label", "skip", "none"]), names
        ),
        min_size=1,
        max_size=8,
    ),
    st.data(),
)
def test_mongoexport_holds_records_and_sets(
    tmp_path: Path, records: list[tuple[int, int, str, str]], data: st.DataObject
) -> None:
    values = {2: F, 1: B, 0: A}
    rows = [
        Row(
            where="",
            recording="",
            chunk_id=f"{i:06d}",
            kind=kind,  # type: ignore[arg-type]
            values={"sax": values[sax], "piano": values[piano]} if kind == "label" else {},
            sets=tuple(data.draw(st.sets(st.sampled_from(["sax1203", "sax1204"])).map(sorted))),
            group=song,
        )
        for i, (sax, piano, kind, song) in enumerate(records)
    ]
    file = tmp_path / "samples.json"
    mongoexport.write(file, rows, ("sax", "piano"), ("sax1203", "sax1204"))
    found = mongoexport.read(file, ("sax", "piano"))
    assert bare(found.rows) == rows
    assert found.sets == ("sax1203", "sax1204")


RECORD = {
    "_id": {"$oid": "5a0f1c"},
    "chunk_id": "000123",
    "song_name": "Nadine",
    "labeled": True,
    "skipped": False,
    "sax": 2,
    "piano": {"$numberInt": "0"},
    "vocals": {"$numberDouble": "1.0"},
    "sax1203": 1,
    "chunk_length": 5000,
}


def mongo(path: Path, *changes: dict[str, object]) -> Path:
    lines = [json.dumps({**RECORD, "chunk_id": f"{i:06d}", **change}) for i, change in enumerate(changes)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_record_of_mongoexport(tmp_path: Path) -> None:
    found = mongoexport.read(
        mongo(tmp_path / "s.json", {}, {"skipped": True}, {"labeled": False, "sax": None, "sax1203": 0}),
        ("sax", "piano", "vocals"),
    )
    first, skipped, waiting = found.rows
    assert (first.chunk_id, first.group, first.sets) == ("000000", "Nadine", ("sax1203",))
    assert first.values == {"sax": F, "piano": A, "vocals": B}
    assert (skipped.kind, skipped.values) == ("skip", {})  # though it is `labeled` too
    assert (waiting.kind, waiting.sets) == ("none", ())
    assert found.notes == ["s.json: field 'chunk_length' is not used"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sax": 3}, "line 900, field 'sax': found 3, expected 2"),
        ({"sax": "2"}, "line 900, field 'sax': found '2'"),
        ({"sax": [2]}, "line 900, field 'sax': found [2], expected 2"),
        ({"sax": {"$numberInt": "x"}}, "line 900, field 'sax': found {'$numberInt': 'x'}"),
        ({"sax": {"$numberInt": 10**400}}, "line 900, field 'sax': found {'$numberInt': 1000"),
        ({"chunk_id": None}, "line 900, field 'chunk_id': found None"),
        ({"labeled": "yes"}, "line 900, field 'labeled': found 'yes'"),
        ({"chunk_id": "000007"}, "line 900: chunk_id '000007' stands in s.json line 8 too"),
        ({"sax": None, "piano": None, "vocals": None}, "line 900: labeled, but it has none of the task's tags"),
    ],
)
def test_a_bad_record_is_named(tmp_path: Path, change: dict[str, object], said: str) -> None:
    file = mongo(tmp_path / "s.json", *[{}] * 899, change)
    with pytest.raises(InputError) as caught:
        mongoexport.read(file, ("sax", "piano", "vocals"))
    assert said in str(caught.value)


def test_what_mongoexport_cannot_hold_is_refused(tmp_path: Path) -> None:
    row = Row("clip 1", "a.wav", chunk_id="000001", values={"sax": U})
    with pytest.raises(InputError, match="clip 1, tag 'sax' is unsure"):
        mongoexport.write(tmp_path / "s.json", [row], ("sax",))
    with pytest.raises(InputError, match="clip 1 has no chunk_id"):
        mongoexport.write(tmp_path / "s.json", [Row("clip 1", "a.wav", values={"sax": F})], ("sax",))
    with pytest.raises(InputError, match="the set 'sax' is named like another field"):
        mongoexport.write(tmp_path / "s.json", [], ("sax",), ("sax",))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("recording,sax\na.wav,loud\n", "t.csv row 2, tag 'sax': found 'loud', expected one of present, foreground"),
        ("recording,sax\n,absent\n", "t.csv row 2, column 'recording': it is empty"),
        ("recording,sax\na.wav,\n", "t.csv row 2: no tag is answered"),
        ("recording,kind,sax\na.wav,skip,absent\n", "t.csv row 2: kind is 'skip', but 'sax' is answered"),
        ("recording,kind,sax\na.wav,gold,\n", "t.csv row 2: no tag is answered"),
        ("recording,start_s,stop_s,sax\na.wav,5,3,absent\n", "t.csv row 2: the span runs from 5 s to 3 s"),
        ("recording,start_s,sax\na.wav,-1,absent\n", "t.csv row 2, column 'start_s': found '-1'"),
        ("recording,at,sax\na.wav,soon,absent\n", "t.csv row 2, column 'at': found 'soon'"),
        ("recording,piano\na.wav,absent\n", "t.csv row 1: no column is named like a tag of the task (sax)"),
        ("sax\nabsent\n", "t.csv row 1: no column 'recording' or 'chunk_id'"),
        ("recording,sax\na.wav,absent,x\n", "t.csv row 2: 3 cells, but the header has 2"),
        ("recording,origin,sax\na.wav,nowhere,absent\n", "t.csv row 2, column 'origin': found 'nowhere'"),
    ],
)
def test_a_bad_row_of_a_table_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        table.read(tmp_path / "t.csv", ("sax",))
    assert said in str(caught.value)


def test_a_table_by_hand(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("file;start_s;end_s;sax;mood\na.wav;5;10;Present;sad\n", encoding="utf-8")
    found = table.read(tmp_path / "t.csv", ("sax", "vocals"))
    assert bare(found.rows) == [Row("", "a.wav", 5.0, 10.0, values={"sax": P})]
    assert found.notes == ["t.csv: column 'mood' is not used"]


def test_times_are_exact_to_a_microsecond() -> None:
    assert time_text(1_500_000_000_000_001) == "2017-07-14T02:40:00.000001+00:00"
    assert time_of("2017-07-14T04:40:00.000001+02:00", "") == 1_500_000_000_000_001
    assert time_of("2017-07-14 02:40", "") == 1_500_000_000_000_000
    assert (time_text(None), time_of("", "")) == ("", None)


def test_a_track_drawn_by_hand_says_when_a_tag_sounds(tmp_path: Path) -> None:
    (tmp_path / "nadine.txt").write_text("0.5\t2.0\tsax\n3.0\t4.0\tsax=loud\n", encoding="utf-8")
    (tmp_path / "merry.txt").write_text("", encoding="utf-8")
    found = audacity.read(tmp_path)
    assert [(span.recording, span.start_s, span.stop_s, span.tag) for span in found.heard] == [
        ("nadine", 0.5, 2.0, "sax"),
        ("nadine", 3.0, 4.0, "sax=loud"),
    ]
    assert found.recordings == ("merry", "nadine")


def test_two_answers_for_one_clip_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("0.0\t5.0\tsax=absent\n0.0\t5.0\tsax=present\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"a.txt label 2: tag 'sax' of this clip is present, and absent before"):
        audacity.read(tmp_path / "a.txt")


def test_raven_cannot_tell_two_files_of_one_name_apart(tmp_path: Path) -> None:
    rows = [Row("", f"{folder}/x.wav", 0.0, 5.0, values={"sax": F}) for folder in "ab"]
    with pytest.raises(InputError, match=r"a/x\.wav and b/x\.wav have one file name"):
        raven.write(tmp_path / "t.txt", rows)


STUDIO = [
    {
        "id": 7,
        "data": {"audio": "/data/upload/1/5f3a9b1c-nadine.ogg"},
        "annotations": [
            {
                "completed_by": 3,
                "created_at": "2024-05-01T12:30:00.250000Z",
                "lead_time": 4.1,
                "was_cancelled": False,
                "ground_truth": True,
                "result": [
                    {"from_name": "sax", "to_name": "audio", "type": "choices", "value": {"choices": ["Absent"]}},
                    {"from_name": "mood", "to_name": "audio", "type": "choices", "value": {"choices": ["sad"]}},
                    {
                        "from_name": "label",
                        "to_name": "audio",
                        "type": "labels",
                        "original_length": 60.0,
                        "value": {"start": 1.5, "end": 3.25, "channel": 0, "labels": ["vocals"]},
                    },
                ],
            },
            {"completed_by": {"email": "ada@x.org"}, "was_cancelled": True, "result": []},
        ],
    },
    {"data": {"song": "/data/local-files/?d=songs/merry%20song.ogg"}, "annotations": []},
]


def test_an_export_of_label_studio(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text(json.dumps(STUDIO), encoding="utf-8")
    found = labelstudio.read(tmp_path / "p.json", ("sax", "vocals"))
    assert found.recordings == ("nadine.ogg", "merry song.ogg")
    label, skip = found.rows
    assert (label.recording, label.values, label.annotator) == ("nadine.ogg", {"sax": A}, "label-studio-3")
    assert (label.kind, label.at, label.took_ms) == ("label", 1_714_566_600_250_000, 4100)
    assert found.notes == ["p.json task 1 annotation 1: a ground truth without 'vocals' is taken as a label only"]
    assert (skip.kind, skip.annotator) == ("skip", "ada@x.org")
    assert [(span.start_s, span.stop_s, span.tag) for span in found.heard] == [(1.5, 3.25, "vocals")]


def test_a_ground_truth_is_a_label_and_a_known_answer(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text(json.dumps(STUDIO), encoding="utf-8")
    label, known, skip = labelstudio.read(tmp_path / "p.json", ("sax",)).rows
    assert [row.kind for row in (label, known, skip)] == ["label", "gold", "skip"]
    assert (label.annotator, known.annotator, known.at, known.values) == ("label-studio-3", None, None, {"sax": A})


def test_of_a_clip_with_a_known_answer_no_label_is_ground_truth(tmp_path: Path) -> None:
    clip = Row("", "a.wav", 0.0, 5.0, values={"sax": F})
    rows = [
        replace(clip, kind="gold"),
        replace(clip, annotator="ada"),
        replace(clip, annotator="eve", values={"sax": A}),
    ]
    labelstudio.write(tmp_path / "t.json", rows, ["sax"], [F, A])
    (task,) = json.loads((tmp_path / "t.json").read_text(encoding="utf-8"))
    assert [one["ground_truth"] for one in task["annotations"]] == [True, False, False]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"result": [{"from_name": "sax", "type": "choices", "value": {"choices": ["loud"]}}]}, "found 'loud'"),
        ({"result": [{"from_name": "sax", "type": "choices", "value": {"choices": []}}]}, "0 choices, expected one"),
        ({"created_at": "soon"}, "column 'created_at': found 'soon'"),
        ({"lead_time": "long"}, "column 'lead_time': found 'long'"),
        ({"result": ["sax"]}, "result 1: expected an object with an object 'value'"),
        ({"result": [{"type": "labels", "value": [1, 2]}]}, "result 1: expected an object with an object 'value'"),
        ({"result": [{"type": "labels", "value": {"start": "a", "end": 2}}]}, "result 1, column 'start': found 'a'"),
        ({"result": [{"type": "labels", "value": {"start": 3, "end": 2}}]}, "result 1: it runs from 3 s to 2 s"),
        ({"result": [{"type": "labels", "value": {"start": 1, "end": 2, "labels": "sax"}}]}, "found 'sax', expected a"),
        ({"result": [{"from_name": "sax", "type": "choices", "value": {"choices": 5}}]}, "'choices': found '5'"),
        ({"completed_by": [3]}, "'completed_by': found '[3]', expected a number, a name or an address"),
    ],
)
def test_a_bad_annotation_is_named(tmp_path: Path, change: dict[str, object], said: str) -> None:
    good = {"result": [{"from_name": "sax", "type": "choices", "value": {"choices": ["absent"]}}]}
    tasks = [
        {"data": {"audio": "a.wav"}, "annotations": [good]},
        {"data": {"audio": "b.wav"}, "annotations": [good | change]},
    ]
    (tmp_path / "p.json").write_text(json.dumps(tasks), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        labelstudio.read(tmp_path / "p.json", ("sax",))
    assert str(caught.value).startswith("p.json task 2 annotation 1")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '[{"data": {"audio": "a.wav"}, "annotations": 5}]',
            "p.json task 1, 'annotations': found '5', expected a list",
        ),
        ('[{"data": {"audio": "http://["}}]', "p.json task 1, 'audio': 'http://[' is no address of a sound"),
        ("[" * 100_000, "p.json is not JSON"),
    ],
)
def test_a_bad_task_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "p.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        labelstudio.read(tmp_path / "p.json", ("sax",))
    assert said in str(caught.value)


def test_a_region_without_a_label_is_a_span_without_a_tag(tmp_path: Path) -> None:
    region = {"type": "labels", "value": {"start": 1, "end": 2}}
    tasks = [{"data": {"audio": "a.wav"}, "annotations": [{"result": [region]}]}]
    (tmp_path / "p.json").write_text(json.dumps(tasks), encoding="utf-8")
    heard = labelstudio.read(tmp_path / "p.json", ("sax",)).heard
    assert intervals.by_tag(heard, "sax") == {("a.wav", "sax"): [(1.0, 2.0)]}
    with pytest.raises(InputError, match=r"p.json task 1 annotation 1 result 1: it names no tag; say which with --tag"):
        intervals.by_tag(heard, None)


def test_the_labelling_interface_escapes_names() -> None:
    import xml.etree.ElementTree as ET

    view = ET.fromstring(labelstudio.interface(['sax "& more"'], ["present", "absent"]))
    choices = view.find("Choices")
    assert choices is not None
    assert choices.get("name") == 'sax "& more"'
    assert [choice.get("value") for choice in choices] == ["present", "absent", "unsure"]


@quick
@given(st.lists(st.booleans(), min_size=1, max_size=30), st.sampled_from([0.01, 0.5, 1.0]))
def test_intervals_say_again_which_clips_had_the_tag(tmp_path: Path, heard: list[bool], share: float) -> None:
    rows = [
        Row("", "a.wav", 5.0 * i, 5.0 * i + 5, values={"sax": (F if i % 2 else B) if has else A})
        for i, has in enumerate(heard)
    ]
    intervals.write(tmp_path / "i.csv", rows)
    spans = intervals.by_tag(intervals.read(tmp_path / "i.csv").heard, None).get(("a.wav", "sax"), [])
    again = [intervals.covered(5.0 * i, 5.0 * i + 5, spans) >= share for i in range(len(heard))]
    assert again == heard
    assert len(spans) == sum(now and not before for before, now in zip([False, *heard], heard, strict=False))


def test_cover_counts_what_overlaps_once() -> None:
    spans = intervals.merged([(4.0, 6.0), (0.0, 1.0), (5.0, 7.0), (7.0, 8.0)])
    assert spans == [(0.0, 1.0), (4.0, 8.0)]
    assert intervals.covered(0.0, 5.0, spans) == pytest.approx(0.4)
    assert intervals.covered(8.0, 9.0, spans) == 0.0


def test_intervals_of_one_tag_need_its_name(tmp_path: Path) -> None:
    (tmp_path / "i.csv").write_text("file,start,end\na.wav,0.5,6.25\n", encoding="utf-8")
    heard = intervals.read(tmp_path / "i.csv").heard
    assert intervals.by_tag(heard, "sax") == {("a.wav", "sax"): [(0.5, 6.25)]}
    with pytest.raises(InputError, match=r"i.csv row 2: it names no tag; say which with --tag"):
        intervals.by_tag(heard, None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("file,start\na.wav,1\n", "i.csv row 1: no column 'end'"),
        ("file,start,end\na.wav,3,1\n", "i.csv row 2: the interval runs from 3 to 1"),
        ("file,start,end\na.wav,x,1\n", "i.csv row 2, column 'start': found 'x'"),
        ("file,start,end\n,1,2\n", "i.csv row 2, column 'file': it is empty"),
    ],
)
def test_a_bad_interval_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "i.csv").write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        intervals.read(tmp_path / "i.csv")
    assert said in str(caught.value)


# ------------------------------------------------------------------ whatever stands in a file

STRANGE = st.sampled_from(
    [
        *("", "x", "-1", "1e306", "1e308", "nan", "inf", "-inf", "\x00", "\ud800", "0001-01-01T00:00:00+23:59"),
        *("9999-12-31T23:59:59.999999-23:59", "http://[", "a.wav", "sax=absent", "\\", "|", "skip", "label"),
        *(0, -1, 5, 2**31, 2**63, 10**400, 1e306, -0.5, float("nan"), float("inf"), None, True, False, [], {}),
    ]
)
JSON = st.recursive(
    STRANGE | st.text(max_size=8) | st.integers() | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.just("$numberInt"), inner),
    max_leaves=6,
)
CELL = (STRANGE.filter(lambda cell: cell != "\ud800") | st.text(max_size=8)).map(str)


def places(value: object) -> Iterator[tuple[str | int, ...]]:
    """The way to everything within it."""
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield (key,)
        yield from ((key, *rest) for rest in places(value[key]))


@st.composite
def damaged(draw: st.DrawFn, good: object) -> object:
    """`good` with something else in one place of it."""
    made: Any = copy.deepcopy(good)
    *way, last = draw(st.sampled_from(list(places(good))))
    reduce(lambda at, key: at[key], way, made)[last] = draw(JSON)
    return made


def survives(read: Callable[[], Found]) -> None:
    """The file is understood, or it is said in a sentence why not."""
    try:
        read()
    except InputError as error:
        said = str(error)
    else:
        return
    assert said.endswith(".")


whatever = settings(quick, max_examples=60)


@settings(whatever, max_examples=200)
@given(damaged(STUDIO))
def test_whatever_stands_in_an_export_of_label_studio_it_is_read_or_refused(tmp_path: Path, document: object) -> None:
    (tmp_path / "p.json").write_text(json.dumps(document), encoding="utf-8")
    survives(lambda: labelstudio.read(tmp_path / "p.json", ("sax", "vocals")))


@whatever
@given(JSON.map(lambda found: [found]) | JSON)
def test_whatever_json_is_read_as_label_studio_or_refused(tmp_path: Path, document: object) -> None:
    (tmp_path / "p.json").write_text(json.dumps(document), encoding="utf-8")
    survives(lambda: labelstudio.read(tmp_path / "p.json", ("sax", "vocals")))


@whatever
@given(st.lists(damaged(RECORD) | JSON, min_size=1, max_size=3))
def test_whatever_json_is_read_as_mongoexport_or_refused(tmp_path: Path, documents: list[object]) -> None:
    (tmp_path / "s.json").write_text("\n".join(json.dumps(one) for one in documents), encoding="utf-8")
    survives(lambda: mongoexport.read(tmp_path / "s.json", ("sax", "piano", "vocals")))


@whatever
@given(
    st.lists(
        st.sampled_from(
            [
                *(
                    "recording",
                    "file",
                    "file_name",
                    "start_s",
                    "stop_s",
                    "end_s",
                    "chunk_id",
                    "kind",
                    "annotator",
                    "at",
                ),
                *("took_ms", "origin", "sax", "tag:sax", "group", "labels", "start", "end", "tag", "clip_start_s"),
                *("clip_stop_s", "Begin Time (s)", "End Time (s)", "Begin File", "File Offset (s)", "Selection", "Tag"),
            ]
        ),
        unique=True,
        min_size=2,
        max_size=9,
    ),
    st.data(),
)
def test_whatever_cell_is_read_or_refused(tmp_path: Path, header: list[str], data: st.DataObject) -> None:
    good = {"recording": "a.wav", "file": "a.wav", "file_name": "a.wav", "sax": "absent", "start": "1", "end": "2"}
    good |= {"Begin Time (s)": "1", "End Time (s)": "2", "Begin File": "a.wav"}
    cells = [data.draw(CELL | st.just(good.get(name, ""))) for name in header]
    for name, delimiter in (("t.csv", ","), ("t.txt", "\t")):
        with (tmp_path / name).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, delimiter=delimiter).writerows([header, cells])
    pq.write_table(pa.table({name: [cell] for name, cell in zip(header, cells, strict=True)}), tmp_path / "t.parquet")
    for read in (table.read, audiofolder.read):
        survives(lambda read=read: read(tmp_path / "t.csv", ("sax",)))
        survives(lambda read=read: read(tmp_path / "t.parquet", ("sax",)))
    survives(lambda: intervals.read(tmp_path / "t.csv"))
    survives(lambda: raven.read(tmp_path / "t.txt"))
    (tmp_path / "t.txt").write_text("\t".join(cells), encoding="utf-8")
    survives(lambda: audacity.read(tmp_path / "t.txt"))


@whatever
@given(st.binary(max_size=40) | st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_whatever_bytes_are_read_or_refused(tmp_path: Path, content: bytes) -> None:
    for name in ("a.csv", "a.parquet", "a.txt", "a.json"):
        (tmp_path / name).write_bytes(content)
    for form in FORMATS:
        for name in ("a.csv", "a.parquet", "a.txt", "a.json"):
            survives(lambda form=form, name=name: read_as(tmp_path / name, form, ("sax",)))

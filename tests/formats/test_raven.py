from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from earmark.errors import InputError
from earmark.formats.raven import read, write
from earmark.formats.spans import Span

TABLE = """\
Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tSpecies\tConfidence
1\tWaveform 1\t1\t1.500\t2.750\t0.0\t24000.0\towl\t0.8
1\tSpectrogram 1\t1\t1.500\t2.750\t350.2\t1200.0\towl\t0.8
2\tSpectrogram 1\t1\t4.000\t4.500\t2000\t3000\twren\t

"""


def test_reads_ravens_table_and_counts_both_views_once(tmp_path: Path):
    (tmp_path / "t.txt").write_text(TABLE)
    spans, files = read(tmp_path / "t.txt")
    assert spans == [Span(1.5, 2.75, "owl", 0.8, 350.2, 1200.0), Span(4.0, 4.5, "wren", None, 2000.0, 3000.0)]
    assert files == [None, None]


def test_times_of_a_table_over_several_files_are_each_files_own(tmp_path: Path):
    (tmp_path / "t.txt").write_text(
        "Selection\tBegin Time (s)\tEnd Time (s)\tBegin File\tFile Offset (s)\tTag\n"
        "1\t61.0\t63.5\tnight_2.wav\t1.0\tfox\n"
        "2\t5.0\t6.0\tC:\\sounds\\night_1.wav\t5.0\towl\n"
    )
    spans, files = read(tmp_path / "t.txt")
    assert spans == [Span(1.0, 3.5, "fox"), Span(5.0, 6.0, "owl")]
    assert files == ["night_2.wav", "night_1.wav"]


def test_writes_columns_that_are_needed_and_no_others(tmp_path: Path):
    write(tmp_path / "t.txt", [Span(0, 1.5, "fox", 0.5)])
    assert (tmp_path / "t.txt").read_text() == (
        "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tTag\tProbability\n"
        "1\tSpectrogram 1\t1\t0.000000\t1.500000\tfox\t0.500000\n"
    )
    write(tmp_path / "u.txt", [Span(0, 1, "fox", None, 100, 900), Span(1, 2, "owl")], begin_file="n.wav")
    assert (tmp_path / "u.txt").read_text().splitlines() == [
        (
            "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tBegin File"
            "\tFile Offset (s)\tTag"
        ),
        "1\tSpectrogram 1\t1\t0.000000\t1.000000\t100.000000\t900.000000\tn.wav\t0.000000\tfox",
        "2\tSpectrogram 1\t1\t1.000000\t2.000000\t0.000000\t900.000000\tn.wav\t1.000000\towl",
    ]


def test_a_table_without_a_selection_has_the_columns_of_one_that_has(tmp_path: Path):
    write(tmp_path / "some.txt", [Span(0, 1.5, "fox", 0.5)], begin_file="n.wav", scored=True)
    write(tmp_path / "none.txt", [], begin_file="n.wav", scored=True)
    header = (tmp_path / "none.txt").read_text()
    assert header == (tmp_path / "some.txt").read_text().splitlines(keepends=True)[0]
    assert header.endswith("\tBegin File\tFile Offset (s)\tTag\tProbability\n")
    assert read(tmp_path / "none.txt") == ([], [])


times = st.integers(0, 10**9).map(lambda micro: micro / 1e6)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(times, times, st.none() | st.integers(0, 10**6).map(lambda n: n / 1e6)), max_size=6),
    st.booleans(),
)
def test_round_trip(tmp_path: Path, rows: list[tuple[float, float, float | None]], named: bool):
    spans = [Span(min(a, b), max(a, b), f"tag {k} é", p) for k, (a, b, p) in enumerate(rows)]
    names = [f"f{k}.wav" for k in range(len(spans))] if named else None
    write(tmp_path / "t.txt", spans, begin_file=names)
    back, files = read(tmp_path / "t.txt")
    assert [s.tag for s in back] == [s.tag for s in spans]
    assert files == (names if named else [None] * len(spans))
    for one, other in zip(spans, back, strict=True):
        assert other.start_s == pytest.approx(one.start_s, abs=2e-6)
        assert other.stop_s == pytest.approx(one.stop_s, abs=2e-6)
        assert other.probability == (None if one.probability is None else pytest.approx(one.probability))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b,c\n1,2,3\n", "row 1: column 'Begin Time (s)' is missing, found a,b,c"),
        ("", "row 1: column 'Begin Time (s)' is missing, found nothing"),
        ("Begin Time (s)\tEnd Time (s)\n1\tx\n", "row 2, column End Time (s): found 'x'"),
        ("Begin Time (s)\tEnd Time (s)\n1\n", "row 2, column End Time (s): found ''"),
        ("Begin Time (s)\tEnd Time (s)\n\n3\t2\n", "row 3: the span runs from 3 s to 2 s"),
        ("Begin Time (s)\tEnd Time (s)\tScore\n1\t2\t7\n", "row 2, column Score: found 7, expected 0 to 1"),
    ],
)
def test_errors_name_row_and_column(tmp_path: Path, text: str, words: str):
    (tmp_path / "bad.txt").write_text(text)
    with pytest.raises(InputError) as caught:
        read(tmp_path / "bad.txt")
    assert words in str(caught.value)


def test_a_tag_column_can_be_named(tmp_path: Path):
    (tmp_path / "t.txt").write_text("Begin Time (s)\tEnd Time (s)\tTag\tKind of call\n1\t2\tx\tsong\n")
    assert read(tmp_path / "t.txt", tag_column="Kind of call")[0] == [Span(1.0, 2.0, "song")]
    with pytest.raises(InputError, match="column 'Wrong' is missing"):
        read(tmp_path / "t.txt", tag_column="Wrong")


def test_begin_files_must_match(tmp_path: Path):
    with pytest.raises(InputError, match="2 begin files for 1 spans"):
        write(tmp_path / "t.txt", [Span(0, 1, "x")], begin_file=["a", "b"])

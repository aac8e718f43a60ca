from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from earmark.errors import InputError
from earmark.formats.audacity import read, write
from earmark.formats.spans import Span


def test_reads_what_audacity_writes(tmp_path: Path):
    track = tmp_path / "labels.txt"
    track.write_bytes(
        b"0.000000\t1.500000\tcuckoo\r\n"
        b"2.250000\t2.250000\tpoint\r\n"
        b"3.000000\t4.000000\ttawny owl, far\r\n"
        b"\\\t350.5\t1200.000000\r\n"
        b"5.000000\t6.000000\t\r\n"
        b"\\\t-1.000000\t900.0\r\n"
    )
    assert read(track) == [
        Span(0.0, 1.5, "cuckoo"),
        Span(2.25, 2.25, "point"),
        Span(3.0, 4.0, "tawny owl, far", None, 350.5, 1200.0),
        Span(5.0, 6.0, "", None, None, 900.0),
    ]


def test_writes_what_audacity_reads(tmp_path: Path):
    track = tmp_path / "labels.txt"
    write(track, [Span(0, 1.5, "Käuzchen", 0.93124), Span(2, 3, "sax", None, 100.0, 4000.0)])
    assert track.read_text(encoding="utf-8") == (
        "0.000000\t1.500000\tKäuzchen (0.9312)\n2.000000\t3.000000\tsax\n\\\t100.000000\t4000.000000\n"
    )
    assert read(track) == [Span(0, 1.5, "Käuzchen", 0.9312), Span(2, 3, "sax", None, 100.0, 4000.0)]


def test_decimal_commas_and_a_byte_order_mark(tmp_path: Path):
    track = tmp_path / "labels.txt"
    track.write_bytes("\ufeff0,5\t1,25\towl\n".encode())
    assert read(track) == [Span(0.5, 1.25, "owl")]


tags = st.text(st.characters(blacklist_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=12).map(
    lambda text: "t" + text.strip() + "t"
)
times = st.integers(0, 10**9).map(lambda micro: micro / 1e6)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(times, times, tags, st.none() | st.integers(0, 10000).map(lambda n: n / 1e4), st.none() | times),
        max_size=5,
    )
)
def test_round_trip(tmp_path: Path, rows: list[tuple[float, float, str, float | None, float | None]]):
    spans = [Span(min(a, b), max(a, b), tag, p, low, None if low is None else low + 1.0) for a, b, tag, p, low in rows]
    write(tmp_path / "l.txt", spans)
    back = read(tmp_path / "l.txt")
    assert [(s.tag, s.probability) for s in back] == [(s.tag, s.probability) for s in spans]
    for one, other in zip(spans, back, strict=True):
        assert other.start_s == pytest.approx(one.start_s, abs=1e-6)
        assert other.stop_s == pytest.approx(one.stop_s, abs=1e-6)
        assert (one.low_hz is None) == (other.low_hz is None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0.0\tx\tcat\n", "row 1, column end: found 'x'"),
        ("0.0\t1.0\tcat\nabc\t2\tdog\n", "row 2, column start: found 'abc'"),
        ("2.0\t1.0\tcat\n", "row 1: the span runs from 2 s to 1 s"),
        ("only words\n", "row 1: found 'only words'"),
        ("\\\t1\t2\n", "row 1: a frequency range needs a label"),
        ("0\t1\tcat\n\\\t1\n", "row 2: a frequency range"),
        ("nan\t1\tcat\n", "row 1, column start"),
    ],
)
def test_errors_name_row_and_column(tmp_path: Path, text: str, words: str):
    track = tmp_path / "bad.txt"
    track.write_text(text)
    with pytest.raises(InputError) as caught:
        read(track)
    assert words in str(caught.value)
    assert "bad.txt" in str(caught.value)


def test_a_tag_that_a_line_cannot_hold_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="tab or line break"):
        write(tmp_path / "l.txt", [Span(0, 1, "a\tb")])


def test_a_file_that_is_no_text(tmp_path: Path):
    (tmp_path / "l.txt").write_bytes(b"\x80\x81\xff")
    with pytest.raises(InputError, match="not UTF-8"):
        read(tmp_path / "l.txt")
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path / "absent.txt")

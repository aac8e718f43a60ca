from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.errors import EarmarkError, InputError
from earmark.tagging.journal import JournaledFile, PathSet

OPTIONS = {"model": "a" * 64, "top": 3, "min_gap_s": 0.5, "threshold": None}


def journaled(path: Path, **options) -> JournaledFile:
    restart = options.pop("restart", False)
    return JournaledFile(path, b"head\n", {**OPTIONS, **options}, restart=restart)


def test_a_run_goes_on_where_the_last_one_stopped(tmp_path: Path):
    out = tmp_path / "deep" / "out.csv"
    first = journaled(out)
    first.add("a.wav", b"a1\na2\n")
    first.close()
    second = journaled(out)
    assert "a.wav" in second.done
    assert "./a.wav" in second.done
    assert "b.wav" not in second.done
    second.add("b.wav", b"b1\n")
    second.close()
    assert out.read_bytes() == b"head\na1\na2\nb1\n"


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_wherever_a_kill_cuts_the_files_nothing_is_lost_or_doubled(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("kill") / "out.csv"
    rows = {f"{name}.wav": f"{name}\n".encode() * (number % 3) for number, name in enumerate("abcdefgh")}
    first = journaled(out)
    for path, row in rows.items():
        first.add(path, row)
        first.commit()
    first.close()
    # a kill leaves any prefix of the journal, and at least as much output as the prefix vouches for; a power cut may
    # leave less output than the journal says
    journal = first.journal_path.read_bytes()
    first.journal_path.write_bytes(journal[: data.draw(st.integers(0, len(journal)))])
    written = out.read_bytes()
    cut = data.draw(st.integers(0, len(written)))
    out.write_bytes(written[:cut] + (b"half a row" if cut == len(written) else b""))

    second = journaled(out)
    for path, row in rows.items():
        if path not in second.done:
            second.add(path, row)
    second.close()

    lines = out.read_bytes()
    assert lines.startswith(b"head\n")
    assert sorted(lines.splitlines()[1:]) == sorted(b"".join(rows.values()).splitlines())


def test_what_was_written_but_not_vouched_for_is_cut_off(tmp_path: Path):
    out = tmp_path / "out.csv"
    first = journaled(out)
    first.add("a.wav", b"a\n")
    first.commit()
    first.add("b.wav", b"b\n")
    first._file.flush()  # the rows are out, the journal line is not: here the kill comes
    first._journal.close()  # as the system does for the dead: their locks are gone
    assert out.read_bytes() == b"head\na\nb\n"
    second = journaled(out)
    assert "b.wav" not in second.done
    second.close()
    assert out.read_bytes() == b"head\na\n"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "b" * 64}, "begun with model aaaaaaaaaaaa…, now it is bbbbbbbbbbbb…"),
        ({"top": 5}, "begun with top 3, now it is 5"),
        ({"threshold": 0.5}, "begun with threshold null, now it is 0.5"),
    ],
)
def test_another_model_or_option_is_refused_and_named(tmp_path: Path, change, message):
    out = tmp_path / "out.csv"
    first = journaled(out)
    first.add("a.wav", b"a\n")
    first.close()
    with pytest.raises(InputError, match=message):
        journaled(out, **change)
    assert out.read_bytes() == b"head\na\n"
    anew = journaled(out, **change, restart=True)
    assert "a.wav" not in anew.done
    anew.close()
    assert out.read_bytes() == b"head\n"


def test_a_file_of_somebody_else_is_not_written_over(tmp_path: Path):
    out = tmp_path / "out.csv"
    out.write_text("my thesis")
    with pytest.raises(InputError, match="has no journal to go on from"):
        journaled(out)
    assert out.read_text() == "my thesis"


def test_two_runs_do_not_write_to_one_output(tmp_path: Path):
    out = tmp_path / "out.csv"
    first = journaled(out)
    first.add("a.wav", b"a\n")
    for restart in (False, True):
        with pytest.raises(InputError, match=r"out.csv: another run is writing to it"):
            journaled(out, restart=restart)
    first.add("b.wav", b"b\n")
    first.close()
    assert out.read_bytes() == b"head\na\nb\n"
    journaled(out).close()


def test_what_is_refused_leaves_no_journal_behind(tmp_path: Path):
    (tmp_path / "out.csv").write_text("my thesis")
    with pytest.raises(InputError):
        journaled(tmp_path / "out.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        journaled(tmp_path / "folder.csv", restart=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.csv", "out.csv"]


def test_an_output_that_cannot_be_written_is_bad_input(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot be written .*; choose another --out"):
        journaled(tmp_path / "file" / "out.csv", restart=True)


def test_a_full_disk_is_one_sentence_and_costs_nothing_that_was_done(tmp_path: Path):
    out = tmp_path / "out.csv"
    first = journaled(out)
    first.add("a.wav", b"a\n")
    first.commit()
    with open("/dev/full", "wb", buffering=0) as full:
        real, first._file = first._file, full
        with pytest.raises(EarmarkError, match=r"No space left on device.*what is done is kept") as error:
            first.add("b.wav", b"b\n")
        assert error.value.exit_code == 1
        first.close()  # does not fail once more
        real.close()
    second = journaled(out)
    assert "a.wav" in second.done
    assert "b.wav" not in second.done
    second.close()


def test_paths_that_are_not_utf8_survive(tmp_path: Path):
    out = tmp_path / "out.csv"
    strange = "a\udcff.wav"  # a byte 0xff in a file name
    first = journaled(out)
    first.add(strange, b"x\n")
    first.close()
    assert strange in journaled(out).done
    assert all(json.loads(line) for line in first.journal_path.read_text("ascii").splitlines())


def test_path_set_against_a_set():
    paths = [f"/data/{number % 70_000}.wav" for number in range(140_000)]
    ours = PathSet()
    assert [ours.add(path) for path in paths[:70_000]] == [True] * 70_000
    assert not any(ours.add(path) for path in paths[70_000:])
    assert len(ours) == 70_000
    assert "/data/70000.wav" not in ours

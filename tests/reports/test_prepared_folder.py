from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.errors import InputError
from earmark.reports.prepared_folder import JOURNAL_NAME, RECORD_NAME, PreparedFolder, read_record, reset


def everything(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() if p.is_file() else b"/" for p in folder.rglob("*")}


@settings(max_examples=25, deadline=None)
@given(st.sets(st.sampled_from(["a.npz", "dog/a.npz", "dog/b.npz", "cat/x/y.npz", "Größe/ä b.npz"])))
def test_a_reset_gives_back_the_folder_as_it_was(tmp_path_factory: pytest.TempPathFactory, names: set[str]) -> None:
    folder = tmp_path_factory.mktemp("prepared")
    (folder / "dog").mkdir()
    (folder / "dog/rex.wav").write_bytes(b"sound")
    (folder / "empty").mkdir()
    before = everything(folder)
    with PreparedFolder(folder, {"command": "x"}) as out:
        for name in sorted(names):
            out.write(name, name.encode())
    assert set(read_record(folder).files) == names  # type: ignore[union-attr]
    assert sorted(reset(folder, dry_run=True).removed) == sorted(names)
    assert set(everything(folder)) >= names
    assert sorted(reset(folder).removed) == sorted(names)
    assert everything(folder) == before


def test_a_changed_file_is_kept_and_named(tmp_path: Path) -> None:
    with PreparedFolder(tmp_path / "out", {}) as out:
        out.write("dog/a.npz", b"1")
        out.write("dog/b.npz", b"2")
    (tmp_path / "out/dog/a.npz").write_bytes(b"mine now")
    (tmp_path / "out/dog/b.npz").unlink()
    found = reset(tmp_path / "out")
    assert (found.removed, found.changed, found.missing, found.folders) == ([], ["dog/a.npz"], ["dog/b.npz"], [])
    assert everything(tmp_path / "out") == {"dog": b"/", "dog/a.npz": b"mine now"}
    with pytest.raises(InputError, match="prepared nothing"):
        reset(tmp_path / "out")


def test_after_a_kill_the_journal_still_knows(tmp_path: Path) -> None:
    out = PreparedFolder(tmp_path / "out", {"command": "x"})
    out.__enter__()
    out.write("dog/a.npz", b"1")
    with (tmp_path / "out" / JOURNAL_NAME).open("a") as journal:
        journal.write('{"file": "dog/b.npz", "sha')  # killed while writing this line
    (tmp_path / "out/dog/a.npz.part").write_bytes(b"half")
    assert not (tmp_path / "out" / RECORD_NAME).exists()
    found = reset(tmp_path / "out")
    assert found.removed == ["dog/a.npz"]
    assert everything(tmp_path / "out") == {}


def test_what_is_done_is_known_after_kills(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    for number in (1, 2, 3):  # each of them is killed while it writes a line
        out = PreparedFolder(folder, {"command": "x"})
        out.__enter__()
        assert [out.done(str(before)) for before in range(1, number + 1)] == [
            *({"n": b} for b in range(1, number)),
            None,
        ]
        out.write(f"{number}.npz", b"1")
        out.note_done(str(number), {"n": number})
        with (folder / JOURNAL_NAME).open("a") as journal:
            journal.write('{"file": "dog/b.npz", "sha')
    with PreparedFolder(folder, {"command": "x"}) as out:
        assert out.holds("1.npz")
        (folder / "2.npz").write_bytes(b"2")
        (folder / "3.npz").unlink()
        assert not out.holds("2.npz")
        assert not out.holds("3.npz")
        assert not out.holds("4.npz")
    assert PreparedFolder(folder, {"command": "x"}).done("3") == {"n": 3}
    assert reset(folder).removed == ["1.npz"]


def test_a_second_run_goes_on_and_another_one_is_refused(tmp_path: Path) -> None:
    for content in (b"1", b"2"):
        with PreparedFolder(tmp_path, {"format": "npz"}) as out:
            out.write("a.npz", content)
    assert (tmp_path / "a.npz").read_bytes() == b"2"
    with pytest.raises(InputError, match="other settings"):
        PreparedFolder(tmp_path, {"format": "npy"})


def test_nobody_elses_file_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"mine")
    with pytest.raises(InputError, match="not Earmark's own"), PreparedFolder(tmp_path, {}) as out:
        out.write("a.npz", b"1")
    assert (tmp_path / "a.npz").read_bytes() == b"mine"


@pytest.mark.parametrize("name", ["../victim.txt", "/tmp/victim.txt", "link/victim.txt", ""])
def test_a_record_that_points_outside_touches_nothing(tmp_path: Path, name: str) -> None:
    outside = tmp_path / "victim.txt"
    outside.write_bytes(b"")
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path)
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    (folder / RECORD_NAME).write_text(f'{{"format": 1, "what": {{}}, "files": {{"{name}": "{empty}"}}, "folders": []}}')
    with pytest.raises(InputError, match="not inside the folder"):
        reset(folder)
    assert outside.exists()


def test_no_record_no_reset(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"x")
    with pytest.raises(InputError, match="nothing is removed"):
        reset(tmp_path)
    (tmp_path / RECORD_NAME).write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        reset(tmp_path)

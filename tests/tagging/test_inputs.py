from __future__ import annotations

import io
import os
import tracemalloc
from pathlib import Path

import pytest

from earmark.audio.find import find_audio
from earmark.errors import AudioError, InputError
from earmark.tagging.inputs import Listing, count_files, expand
from earmark.tagging.journal import PathSet


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("b/2.wav", "b/10.flac", "a ü/1.mp3", "a ü/deep/x.OGG", ".hidden/y.wav", "b/.z.wav", "b/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "b" / "loop").symlink_to(tmp_path, target_is_directory=True)
    return tmp_path


def test_a_folder_gives_what_find_audio_finds_each_once(tree: Path):
    found = list(expand([str(tree)]))
    assert sorted(found) == [str(path) for path in find_audio(tree)]
    assert [Path(name).name for name in found] == ["1.mp3", "x.OGG", "10.flac", "2.wav"]


def test_patterns_and_files_keep_their_order(tree: Path, monkeypatch):
    monkeypatch.chdir(tree)
    assert list(expand(["b/notes.txt", "b/*.wav", "gone.wav"])) == ["b/notes.txt", "b/2.wav", "gone.wav"]
    assert list(expand(["a*/**/*.OGG"])) == ["a ü/deep/x.OGG"]


def test_a_name_with_brackets_that_exists_is_no_pattern(tree: Path, monkeypatch):
    monkeypatch.chdir(tree)
    (tree / "take [1].wav").touch()
    assert list(expand(["take [1].wav"])) == ["take [1].wav"]


def test_lists_by_line_and_by_nul(tree: Path):
    assert list(expand(["-"], io.BytesIO(b"a b.wav\r\n\n\xc3\xbc.wav\nlast.wav"))) == ["a b.wav", "ü.wav", "last.wav"]
    names = [f"dir/{number}\nx.wav" for number in range(20_000)]
    listing = io.BytesIO("\0".join(names).encode())
    assert list(expand(["-"], listing, zero_separated=True)) == names


def test_an_input_in_which_nothing_is_found_costs_only_itself(tree: Path):
    (tree / "empty").mkdir()
    good, pattern = str(tree / "b/2.wav"), str(tree / "*.nope")
    first, second, third, fourth = expand([good, str(tree / "empty"), pattern, good])
    assert (first, fourth) == (good, good)
    for error, name, why in ((second, str(tree / "empty"), "no audio"), (third, pattern, "as a pattern it matches")):
        assert isinstance(error, AudioError)
        assert (error.path, error.reason) == (name, "missing")
        assert str(error).startswith(f"{name}: ")
        assert why in str(error)


def test_files_are_counted_each_once_and_without_those_that_are_done(tree: Path):
    done = PathSet()
    done.add(str(tree / "b/2.wav"))
    inputs = [str(tree), str(tree / "b" / "*.wav"), "gone.wav", "*.nope"]
    assert count_files(inputs) == 5
    assert count_files(inputs, done) == 4
    assert count_files(["-"]) is None


def pipe(content: bytes, *, closed: bool) -> tuple[Listing, int]:
    ours, theirs = os.pipe()
    os.write(theirs, content)
    if closed:
        os.close(theirs)
    return Listing(ours), theirs


NAMES = ["a.wav", "b.wav", "./a.wav", "c.wav", "d.wav"]


def test_a_list_that_is_over_is_counted_and_still_there_to_be_read(tmp_path: Path):
    done = PathSet()
    done.add("c.wav")
    text = "\n".join(NAMES).encode()
    (tmp_path / "list").write_bytes(b"head.wav\n" + text)
    with (tmp_path / "list").open("rb", buffering=0) as file:
        file.read(len("head.wav\n"))  # somebody else, `read` of a shell say, has had the first line
        listing = Listing(file.fileno())
        assert count_files(["x.wav", "-"], done, listing) == 4
        assert list(expand(["-"], listing)) == NAMES
        assert list(expand(["-"], listing)) == []
    listing, _ = pipe(text.replace(b"\n", b"\0"), closed=True)
    assert count_files(["-"], done, listing, zero_separated=True) == 3
    assert list(expand(["-"], listing, zero_separated=True)) == NAMES


def test_a_list_that_may_go_on_is_not_waited_for():
    listing, theirs = pipe(b"a.wav\nb.wav\nc.w", closed=False)
    assert count_files(["-"], None, listing) is None
    os.write(theirs, b"av\nd.wav")
    os.close(theirs)
    assert list(expand(["-"], listing)) == ["a.wav", "b.wav", "c.wav", "d.wav"]


def test_a_list_of_a_million_takes_its_hashes_and_no_more(tmp_path: Path):
    # as a file's lines, one million of 60 bytes would be 60 MB, and as Python strings twice that
    with (tmp_path / "list").open("w") as file:
        file.writelines(f"/data/field recordings/2024/site {n // 1000}/{n:07}.wav\n" for n in range(100_000))
    with (tmp_path / "list").open("rb") as file:
        listing = Listing(file.fileno())
        tracemalloc.start()
        assert count_files(["-"], None, listing) == 100_000
        assert sum(1 for _ in expand(["-"], listing)) == 100_000
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    # 65,536 recent hashes lie in a set until they are sorted into the array: that does not grow
    assert peak < 16e6


def test_a_list_that_cannot_be_read_is_one_sentence(tmp_path: Path):
    folder = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(InputError, match=r"-: the list on stdin cannot be read \(Is a directory\); give one path"):
        list(expand(["-"], Listing(folder)))
    os.close(folder)
    with pytest.raises(InputError, match=r"cannot be read \(Bad file descriptor\)"):
        Listing(folder)

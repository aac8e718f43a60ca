from __future__ import annotations

from pathlib import Path

import pytest

from earmark.audio.find import find_audio, looks_like_audio, walk_audio
from earmark.errors import InputError


def test_suffixes():
    assert looks_like_audio("a.WAV")
    assert looks_like_audio(Path("x/y.webm"))
    assert not looks_like_audio("a.csv")
    assert not looks_like_audio("wav")


def test_what_is_found(tmp_path: Path):
    for name in ("b/2.wav", "a/1.mp3", "a/notes.txt", ".git/x.wav", "a/.hidden.wav", "a/ü 3.FLAC", "c/deep/er/4.ogg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found = find_audio(tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in found] == [
        "a/1.mp3",
        "a/ü 3.FLAC",
        "b/2.wav",
        "c/deep/er/4.ogg",
    ]
    everything = [path.name for path in find_audio(tmp_path, any_suffix=True)]
    assert "notes.txt" in everything
    assert ".hidden.wav" not in everything
    assert find_audio(tmp_path / "a" / "notes.txt") == [tmp_path / "a" / "notes.txt"]


def test_links_are_followed_once(tmp_path: Path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "1.wav").write_bytes(b"x")
    (tmp_path / "real" / "loop").symlink_to(tmp_path)
    (tmp_path / "elsewhere").symlink_to(tmp_path / "real")
    (tmp_path / "linked.wav").symlink_to(tmp_path / "real" / "1.wav")
    found = [path.relative_to(tmp_path).as_posix() for path in find_audio(tmp_path)]
    assert found == ["real/1.wav"]


def test_a_link_takes_nothing_over_from_what_is_real(tmp_path: Path):
    pool = tmp_path / "pool"
    for name in ("set/zoo/dog/1.wav", "set/zoo/cat/2.wav", "pool/3.wav", "pool/4.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    root = tmp_path / "set"
    (root / "alias").symlink_to(root / "zoo" / "dog")
    (root / "zoo" / "cat" / "1.wav").symlink_to(root / "zoo" / "dog" / "1.wav")
    (root / "zoo" / "cat" / "3.wav").symlink_to(pool / "3.wav")  # from outside, twice
    (root / "zoo" / "dog" / "3.wav").symlink_to(pool / "3.wav")
    (root / "zoo" / "more").symlink_to(pool)
    found = [path.relative_to(root).as_posix() for path in find_audio(root)]
    assert found == ["zoo/cat/2.wav", "zoo/dog/1.wav", "zoo/more/3.wav", "zoo/more/4.wav"]
    assert sorted(walk_audio(root)) == find_audio(root)
    assert list(walk_audio(root)) == list(walk_audio(root))


def test_a_missing_folder(tmp_path: Path):
    with pytest.raises(InputError, match="does not exist"):
        find_audio(tmp_path / "absent")

from __future__ import annotations

from pathlib import Path

import pytest

from earmark.audio.find import find_audio, looks_like_audio
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
    assert len(found) == 2
    assert "linked.wav" in found
    assert {name for name in found if name != "linked.wav"} <= {"real/1.wav", "elsewhere/1.wav"}


def test_a_missing_folder(tmp_path: Path):
    with pytest.raises(InputError, match="does not exist"):
        find_audio(tmp_path / "absent")

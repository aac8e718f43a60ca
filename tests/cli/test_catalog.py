from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from earmark.errors import InputError

Earmark = Callable[..., dict[str, Any]]


def _sounds(folder: Path, count: int) -> None:
    folder.mkdir()
    for i in range(count):
        rng = np.random.default_rng(i)
        soundfile.write(folder / f"band{i}_song.wav", 0.1 * rng.standard_normal(24000), 8000)


def test_from_nothing_to_a_task_that_is_ordered_anew(earmark: Earmark, tmp_path: Path) -> None:
    _sounds(tmp_path / "songs", 2)
    (tmp_path / "songs" / "broken.wav").write_bytes(b"no")
    assert earmark("init")["workspace"] == str(tmp_path)
    added = earmark("add", "songs", "--chunk", "500ms", "--group-by", r"^(band\d)")
    assert added["recordings"] == ["songs/band0_song.wav", "songs/band1_song.wav"]
    assert (added["clips"], [one["path"] for one in added["quarantined"]]) == (12, ["songs/broken.wav"])
    scale = ("--scale", "foreground,background,absent")
    made = earmark("task", "new", "sax", "--tags", "sax, vocals", *scale, "--overlap", "2", "--lease", "5m")
    assert (made["tags"], made["clips"]) == (["sax", "vocals"], 12)
    assert earmark("queue", "sax", "--by", "balanced") == {"task": "sax", "by": "balanced", "scored": None}
    (tmp_path / "scores.csv").write_text("clip,score\n1,0.5\n2,0.9\n99,1\n")
    assert earmark("queue", "sax", "--by", "uncertainty", "--scores", "scores.csv")["scored"] == 2
    (listed,) = earmark("task", "list")["tasks"]
    assert (listed["policy"], listed["overlap"], listed["clips"], listed["done"]) == ("uncertainty", 2, 12, 0)
    assert earmark("task", "refresh", "sax")["clips"] == 0
    assert earmark("backup", "copy.db")["bytes"] == (tmp_path / "copy.db").stat().st_size
    assert earmark("people", "log")["log"][0]["what"] == "backup written"
    (tmp_path / "catalog.db").unlink()
    earmark("init")
    assert earmark("restore", "copy.db")["rows"] > 14  # clips and recordings among them
    assert earmark("people", "log")["log"][0]["what"] == "catalog restored"
    assert earmark("task", "list")["tasks"] == [listed]


def test_adding_again_tells_what_was_moved_and_what_lies_there_twice(earmark: Earmark, tmp_path: Path) -> None:
    _sounds(tmp_path / "songs", 2)
    earmark("init")
    earmark("add", "songs")
    (tmp_path / "songs" / "band0_song.wav").rename(tmp_path / "nadine.wav")
    shutil.copy(tmp_path / "songs" / "band1_song.wav", tmp_path / "songs" / "twice.wav")
    added = earmark("add", "songs", "nadine.wav")
    assert (added["recordings"], added["clips"], len(added["known"])) == ([], 0, 3)
    assert added["moved"] == [{"from": "songs/band0_song.wav", "to": "nadine.wav"}]
    assert added["same"] == [{"path": "songs/twice.wav", "uri": "songs/band1_song.wav"}]
    assert (earmark("status")["recordings"], earmark("status")["duplicates"]) == (2, 1)


def test_people_come_and_go(earmark: Earmark) -> None:
    earmark("init")
    earmark("people", "add", "ann", "--role", "admin")
    earmark("people", "add", "bob")
    invited = earmark("people", "invite", "--uses", "3", "--days", "1", "--note", "class")
    assert len(invited["invite"]) > 40
    assert invited["link"] == f"http://127.0.0.1:8000/invite/{invited['invite']}"
    outside = earmark("people", "invite", "--url", "https://label.example.org/")
    assert outside["link"] == f"https://label.example.org/invite/{outside['invite']}"
    with pytest.raises(InputError, match=r"--url 'label\.example\.org': expected http:// or https://"):
        earmark("people", "invite", "--url", "label.example.org")
    earmark("people", "role", "bob", "--to", "viewer")
    earmark("people", "shut-out", "bob")
    rows = {row["name"]: row for row in earmark("people", "list")["people"]}
    assert (rows["ann"]["role"], rows["bob"]["role"], rows["bob"]["active"]) == ("admin", "viewer", False)
    earmark("people", "let-in", "bob")
    done = [entry["what"] for entry in earmark("people", "log")["log"]]
    assert done[0] == "let in again"
    assert "invite made" in done
    with pytest.raises(InputError, match=r"a password cannot be asked for with --json"):
        earmark("people", "password", "bob")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["add", "x", "--chunk", "five"], r"--chunk 'five': expected a length such as 5s"),
        (["add", "nothing"], r"nothing does not exist"),
        (["add", "x", "--chunk", "5s", "--write", "ogg", "--bitrate", "96"], r"a bit rate is of chunk files in mp3"),
        (["task", "new", "t", "--tags", ""], r"tags \(none\)"),
        (["task", "new", "t", "--tags", "a", "--tag-help", "a"], r"--tag-help 'a': expected TAG=TEXT"),
        (["task", "new", "t", "--tags", "a", "--instructions", "@none"], r"@none: the file cannot be read"),
        (["queue", "t", "--by", "random", "--scores", "s.csv"], r"--scores orders by uncertainty"),
        (["queue", "t", "--by", "random"], r"no task 't': there is none yet"),
        (["people", "role", "eve", "--to", "admin"], r"there is nobody of this name"),
    ],
)
def test_bad_input_is_one_sentence(earmark: Earmark, arguments: list[str], said: str) -> None:
    earmark("init")
    with pytest.raises(InputError, match=said):
        earmark(*arguments)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n", r"expected the columns clip and score, found a, b"),
        ("clip,score\n1,x\n", r"line 2: expected a clip and a number, found '1', 'x'"),
    ],
)
def test_a_table_of_scores_that_cannot_be_read_names_the_line(
    earmark: Earmark, tmp_path: Path, text: str, said: str
) -> None:
    earmark("init")
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(InputError, match=said):
        earmark("queue", "t", "--by", "uncertainty", "--scores", "s.csv")


def test_without_a_workspace_it_says_how_to_make_one(earmark: Earmark) -> None:
    with pytest.raises(InputError, match=r"no folder above it is one: .*make one with `earmark catalog init`"):
        earmark("task", "list")

"""Labels on the command line: import, status, export, freeze, and training data from it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from catalog_rows import add_song

from earmark.catalog.database import Workspace
from earmark.catalog.tasks import add_clips_to_task, new_task


def earmark(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The command as somebody types it."""
    clean = {name: value for name, value in os.environ.items() if name != "EARMARK_DATABASE_URL"}
    command = [sys.executable, "-m", "earmark", *map(str, words)]
    return subprocess.run(command, cwd=cwd, env=clean, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    with Workspace.init(tmp_path / "w").catalog() as catalog:
        add_song(catalog, "songs/a.wav", seconds=20)
        add_song(catalog, "songs/b.wav", seconds=20)
        new_task(catalog, "sax", ["sax"])
        add_clips_to_task(catalog, "sax")
    (tmp_path / "w" / "i.csv").write_text("file,start,end\na.ogg,0,10\n", encoding="utf-8")
    return tmp_path / "w"


def test_labels_in_a_report_and_labels_out(root: Path) -> None:
    done = earmark("catalog", "import", "i.csv", "--task", "sax", "--tag", "sax", "--others-absent", cwd=root)
    assert done.returncode == 0, done.stderr
    assert "i.csv: 8 labels; 0 known already, 0 replaced" in done.stdout
    assert "Next: earmark catalog status sax" in done.stdout
    told = json.loads(earmark("catalog", "status", "--json", cwd=root).stdout)
    assert (told["task"], told["labelled"], told["since_last"]) == ("sax", 8, None)
    assert told["per_tag"] == {"sax": {"absent": 6, "present": 2}}
    assert {"recordings", "quarantined", "clips", "skipped", "per_annotator", "agreement"} <= set(told)
    said = earmark("catalog", "status", "--peek", cwd=root).stdout
    assert "2 recordings, 0 quarantined, 8 clips, 8 labelled" in said
    assert "import i.csv" in said
    done = earmark("catalog", "export", "out.csv", "--task", "sax", "--json", cwd=root)
    assert json.loads(done.stdout) == {"file": "out.csv", "rows": 8, "clips": 8, "who": "everybody", "notes": []}
    done = earmark("catalog", "freeze", "sax", "s", "--where", "sax=present vs absent", "--balanced", cwd=root)
    assert "set s: 2 sax, 2 not sax" in done.stdout
    done = earmark("catalog", "import", "out.csv", "--task", "sax", "--json", cwd=root)
    assert (json.loads(done.stdout)["labels"], json.loads(done.stdout)["known"]) == (0, 8)


def test_known_answers_come_from_a_table_and_a_share_without_any_is_told(root: Path) -> None:
    lack = "A clip with a known answer is to be shown 5 % of the time, and no clip has one: give some with"
    made = earmark("catalog", "task", "new", "b", "--tags", "sax", "--gold-share", "0.05", cwd=root)
    assert lack in made.stdout
    assert lack in earmark("catalog", "status", "b", cwd=root).stdout
    (root / "g.csv").write_text("file,start_s,end_s,sax\na.wav,0,5,present\nb.wav,5,10,absent\n", encoding="utf-8")
    done = earmark("catalog", "task", "gold", "b", "g.csv", cwd=root)
    assert done.stdout.startswith("g.csv: 2 known answers, 0 known already; task b has 2 in all, 1 of them examples\n")
    few = "Clips with a known answer: 2, as examples 1, to test people 1; it takes 10 tests to tell by them alone"
    assert few in earmark("catalog", "status", "b", cwd=root).stdout
    told = json.loads(earmark("catalog", "status", "b", "--json", cwd=root).stdout)
    assert told["per_annotator"] == {}  # nobody said it
    done = earmark("catalog", "task", "gold", "sax", "g.csv", cwd=root)
    assert "They are examples only: the task's gold share is 0" in done.stdout
    done = earmark("catalog", "task", "gold", "b", "g.csv", "--forget", "--json", cwd=root)
    assert json.loads(done.stdout) == {"task": "b", "gold": 2, "known": 0, "clips": 0, "notes": []}
    assert lack in done.stderr


def test_each_task_is_reported_where_none_is_named(root: Path) -> None:
    with Workspace.open(root).catalog() as catalog:
        new_task(catalog, "drum kit", ["drums"])
        add_clips_to_task(catalog, "drum kit")
    told = json.loads(earmark("catalog", "status", "--json", cwd=root).stdout)
    assert (told["task"], told["labelled"], list(told["tasks"])) == (None, 0, ["sax", "drum kit"])
    (root / "two.csv").write_text(
        "recording,start_s,stop_s,sax,annotator\n"
        + "".join(
            f"a.wav,{5 * i},{5 * i + 5},{'present' if i < 2 else 'absent'},{who}\n" for i in range(4) for who in "ab"
        ),
        encoding="utf-8",
    )
    done = earmark("catalog", "import", "two.csv", "--task", "sax", cwd=root)
    assert done.returncode == 0, done.stderr
    said = earmark("catalog", "status", cwd=root).stdout
    assert "2 recordings, 0 quarantined, 8 clips, 4 (+4) labelled" in said
    assert "task sax: 2 recordings, 0 quarantined, 8 clips, 4 (+4) labelled" in said
    assert "task drum kit: 2 recordings, 0 quarantined, 8 clips, 0 labelled" in said
    assert re.search(r"sax +4 \(\+4\) +4 \(\+4\) +1\.00 +0", said)
    assert len(re.findall(r"^ +[ab] +4 \(\+4\) ", said, re.MULTILINE)) == 2
    assert "Next: earmark catalog status sax" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("task", "gold", "sax", "i.csv"), "i.csv row 2: it marks when a tag sounds, and a known answer is about"),
        (("import", "none.csv", "--task", "sax"), "none.csv: no such file"),
        (("import", "i.csv", "--task", "drums"), "no task 'drums': there are sax"),
        (("import", "i.csv", "--task", "sax"), "i.csv row 2: it names no tag; say which with --tag"),
        (("import", "i.csv", "--task", "sax", "--tag", "sax", "--present-as", "loud"), "--present-as 'loud'"),
        (("export", "x.doc", "--task", "sax"), "its format is not plain from its name; say --format"),
        (("export", "x.csv", "--task", "sax", "--format", "word"), "--format 'word': expected one of"),
        (("freeze", "sax", "s", "--method", "best"), "--method 'best': expected auto, majority or dawid-skene"),
        (("freeze", "sax", "s"), "task 'sax' has no labelled clip to freeze"),
    ],
)
def test_what_is_wrong_is_one_sentence(root: Path, words: tuple[str, ...], said: str) -> None:
    done = earmark("catalog", *words, cwd=root)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1

"""`earmark tag` as it is typed: its output, its exit codes, and what a kill leaves behind."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile as sf

from earmark.formats import audacity, raven
from earmark.tagging.tagger import Tagger

COLUMNS = ["path", "start_s", "end_s", "tag", "probability", "logit"]


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of eight recordings of three tones in turn."""
    folder = tmp_path_factory.mktemp("field")
    rng = np.random.default_rng(0)
    for number in range(8):
        tones = [
            0.3 * np.sin(2 * np.pi * hz * np.arange(int(rng.uniform(4_000, 16_000))) / 8000)
            for hz in rng.permutation([200, 800, 2000])
        ]
        path = folder / ("near" if number < 4 else "far away") / f"{number}.flac"
        path.parent.mkdir(exist_ok=True)
        sf.write(path, np.concatenate(tones), 8000)
    return folder


def earmark(*arguments: object, stdin: bytes = b"", **options) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "earmark.cli.main", *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, timeout=120, check=False, **options)


def table(path: Path) -> pd.DataFrame:
    return pd.read_csv(path)


def test_the_command_python_and_a_batch_give_identical_numbers(toy, tagger: Tagger, field, tmp_path):
    path = field / "near" / "0.flac"
    one = earmark("tag", toy.bundle.path, path, "--format", "csv", "--all")
    assert one.returncode == 0, one.stderr
    rows = list(csv.DictReader(one.stdout.decode().splitlines()))
    assert list(rows[0]) == COLUMNS
    summary, step = one.stderr.decode().splitlines()
    assert summary.startswith("tagged 1 recording (")
    assert step == (
        f"Next: earmark tag {toy.bundle.path} ... --out tags.csv  "
        "(the same rows in a file, which a run that was stopped goes on with)"
    )

    expected = tagger.tag(path).to_frame().sort_values(["start_s", "tag"], ignore_index=True)
    single = pd.DataFrame(rows).astype({"start_s": float}).sort_values(["start_s", "tag"], ignore_index=True)
    for column in ("probability", "logit"):
        np.testing.assert_array_equal(np.float32(single[column].tolist()), expected[column])

    batch = earmark("tag", toy.bundle.path, field, "--all", "--out", tmp_path / "all.csv", "--workers", 2)
    assert batch.returncode == 0, batch.stderr
    everything = table(tmp_path / "all.csv")
    assert everything["path"].nunique() == 8
    same = everything[everything["path"] == str(path)].sort_values(["start_s", "tag"], ignore_index=True)
    for column in ("start_s", "end_s", "tag"):
        assert same[column].tolist() == expected[column].tolist()
    for column in ("probability", "logit"):
        np.testing.assert_array_equal(np.float32(same[column]), expected[column])


def test_every_format_holds_the_same_events(toy, field, tmp_path):
    for name in ("e.csv", "e.parquet", "e.json", "e.jsonl"):
        done = earmark("tag", toy.bundle.path, field, "--events", "--min-gap", 0.2, "--out", tmp_path / name)
        assert done.returncode == 0, done.stderr
    for name in ("audacity", "raven"):
        done = earmark("tag", toy.bundle.path, field, "--format", name, "--min-gap", 0.2, "--out", tmp_path / name)
        assert done.returncode == 0, done.stderr
    events = table(tmp_path / "e.csv")
    assert events["tag"].value_counts().to_dict() == {"low": 8, "mid": 8, "high": 8}
    key = ["path", "start_s", "tag"]
    events = events.sort_values(key, ignore_index=True)
    parquet = pd.read_parquet(tmp_path / "e.parquet").sort_values(key, ignore_index=True)
    pd.testing.assert_frame_equal(events, parquet, check_dtype=False, rtol=1e-6)
    document = json.loads((tmp_path / "e.json").read_text())
    lines = [json.loads(line) for line in (tmp_path / "e.jsonl").read_text().splitlines()]
    for recordings in (document["recordings"], lines):
        found = [(entry["path"], event["start_s"], event["tag"]) for entry in recordings for event in entry["events"]]
        assert sorted(found) == list(events[key].itertuples(index=False, name=None))
    path = field / "near" / "0.flac"
    mine = events[events["path"] == str(path)]
    label_file = tmp_path / "audacity" / path.relative_to("/")
    spans = audacity.read(label_file.with_name("0.flac.txt"))
    assert [span.tag for span in spans] == mine["tag"].tolist()
    assert [span.start_s for span in spans] == pytest.approx(mine["start_s"].tolist(), abs=1e-5)
    table_file = tmp_path / "raven" / path.relative_to("/")
    selections, files = raven.read(table_file.with_name("0.flac.selections.txt"))
    assert [span.stop_s for span in selections] == pytest.approx(mine["end_s"].tolist(), abs=1e-5)
    assert files == ["0.flac"] * len(mine)


def test_a_refused_file_costs_only_itself_and_is_named(toy, field, tmp_path):
    (tmp_path / "note.wav").write_text("no sound")
    good = field / "near" / "1.flac"
    done = earmark("tag", toy.bundle.path, good, tmp_path / "note.wav", "gone.wav", "--json")
    assert done.returncode == 1
    summary = json.loads(done.stdout)
    assert (summary["tagged"], summary["refused"], summary["reasons"]) == (1, 2, {"missing": 1, "not-audio": 1})
    assert {entry["reason"]: Path(entry["path"]).name for entry in summary["refusals"]} == {
        "missing": "gone.wav",
        "not-audio": "note.wav",
    }
    assert [entry["path"] for entry in summary["recordings"]] == [str(good)]
    assert b"2 refused (1 missing, 1 not-audio)" in done.stderr
    nothing = earmark("tag", toy.bundle.path, "gone.wav")
    assert nothing.returncode == 2
    assert b"refused (missing): gone.wav" in nothing.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone", "x.wav"], b"gone: no such folder"),
        (["MODEL", "EMPTY"], b"no audio file in it"),
        (["MODEL", "x.wav", "--format", "xml"], b"expected one of csv"),
        (["MODEL", "x.wav", "--overlap", "1"], b"expected 0 <= overlap < 1"),
        (
            ["MODEL", "EMPTY", "EMPTY/*.wav"],
            b"no audio file in it; expected WAV, FLAC, OGG, MP3, M4A and the like. (and",
        ),
        (["MODEL", "x.wav", "--top", "0"], b"top is 0; expected 1 or more"),
        (["MODEL", "x.wav", "--timeout", "inf"], b"--timeout is inf: expected seconds"),
        (["MODEL", "x.wav", "--out", "BELOW"], b"cannot be written (a file stands where its folder should be)"),
        (["MODEL", "x.wav", "--on", "0.2", "--off", "0.3", "--events"], b"expected off at most on"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_2(toy, field, tmp_path, arguments, message):
    places = {"MODEL": str(toy.bundle.path), "EMPTY": str(tmp_path), "x.wav": str(field / "near" / "0.flac")}
    places["BELOW"] = places["x.wav"] + "/o.csv"
    done = earmark("tag", *[places.get(argument, argument) for argument in arguments], cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count(b"\n") == 1
    assert done.stdout == b""


def test_rows_and_the_json_object_cannot_share_stdout(toy):
    done = earmark("tag", toy.bundle.path, "x.wav", "--json", "--format", "csv")
    assert done.returncode == 2
    assert "both want stdout" in json.loads(done.stdout)["error"]


def test_a_pattern_that_matches_nothing_costs_only_itself(toy, field, tmp_path):
    good = field / "near" / "1.flac"
    done = earmark("tag", toy.bundle.path, good, "x*.wav", tmp_path, "--json", cwd=tmp_path)
    assert done.returncode == 1
    summary = json.loads(done.stdout)
    assert (summary["tagged"], summary["refused"]) == (1, 2)
    assert [entry["path"] for entry in summary["refusals"]] == ["x*.wav", str(tmp_path)]
    assert b"refused (missing): x*.wav: no such file, and as a pattern it matches none." in done.stderr


def test_a_full_disk_behind_the_rows_is_one_sentence(toy, field):
    command = [sys.executable, "-m", "earmark.cli.main", "tag", str(toy.bundle.path), str(field), "--format", "csv"]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command, stdout=full, stderr=-1, check=False, timeout=60)
    assert done.returncode == 1
    assert done.stderr == (
        b"earmark: the output: No space left on device; free some space and run the same command again.\n"
    )


def test_restart_takes_old_labels_away_and_nothing_else(toy, field, tmp_path):
    out = tmp_path / "labels"
    command = ["tag", toy.bundle.path, "--format", "audacity", "--out", out]
    assert earmark(*command, field).returncode == 0
    assert len(_labels(out)) == 8
    (out / "notes.md").write_text("mine")
    done = earmark(*command, field / "near", "--restart", "--on", 0.9)
    assert done.returncode == 0, done.stderr
    assert b"Next: open a recording in Audacity" in done.stdout
    assert sorted(path.name for path in _labels(out)) == ["0.flac.txt", "1.flac.txt", "2.flac.txt", "3.flac.txt"]
    assert (out / "notes.md").read_text() == "mine"
    assert not list(out.rglob("far away"))


@pytest.mark.parametrize("given", ["folder", "file", "pipe"])
def test_progress_of_a_folder_and_of_a_list_knows_its_end(toy, field, tmp_path, given):
    ours, theirs = os.openpty()
    named = str(field) if given == "folder" else "-"
    command = [sys.executable, "-m", "earmark.cli.main", "tag", str(toy.bundle.path), named, "--json"]
    (tmp_path / "list").write_text("\n".join(map(str, field.rglob("*.flac"))))
    with (tmp_path / "list").open("rb") as listing:
        stdin = -1 if given == "pipe" else listing
        run = subprocess.Popen(command, stdin=stdin, stdout=subprocess.DEVNULL, stderr=theirs)
        if run.stdin is not None:
            run.stdin.write(listing.read())
            run.stdin.close()
    os.close(theirs)
    told = b""
    while True:
        try:
            told += os.read(ours, 4096)
        except OSError:
            break
    assert run.wait() == 0
    assert b"8/8" in told


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_stopped_without_out_it_claims_nothing_kept(toy, field, how):
    command = [sys.executable, "-m", "earmark.cli.main", "tag", str(toy.bundle.path), "-"]
    run = subprocess.Popen(command, stdin=-1, stdout=-1, stderr=-1)
    assert run.stdin is not None
    assert run.stdout is not None
    run.stdin.write(f"{field / 'near' / '0.flac'}\n".encode())
    run.stdin.flush()
    run.stdout.readline()  # it has tagged the first, and waits for the next name
    run.send_signal(how)
    assert run.wait(timeout=30) == 1
    # its row is printed a moment before it is counted
    told = (b"0 recordings", b"1 recording")
    expected = [b"earmark: stopped after %b; nothing of it is kept.\n" % count for count in told]
    assert run.communicate()[1] in expected


def test_a_changed_byte_in_the_model_stops_the_command(toy, field, tmp_path):
    from shutil import copytree

    copytree(toy.bundle.path, tmp_path / "m")
    graph = bytearray((tmp_path / "m" / "model.onnx").read_bytes())
    graph[100] ^= 1
    (tmp_path / "m" / "model.onnx").write_bytes(graph)
    done = earmark("tag", tmp_path / "m", field / "near" / "0.flac")
    assert done.returncode == 2
    assert b"model.onnx: changed since the model was written" in done.stderr


def test_lists_on_stdin(toy, field):
    paths = sorted(field.rglob("*.flac"))
    lines = "\n".join(map(str, paths)).encode()
    done = earmark("tag", toy.bundle.path, "-", "--format", "jsonl", "--per", "recording", stdin=lines)
    assert sorted(json.loads(line)["path"] for line in done.stdout.splitlines()) == sorted(map(str, paths))
    done = earmark("tag", toy.bundle.path, "-", "-0", "--json", stdin=lines.replace(b"\n", b"\0"))
    assert json.loads(done.stdout)["tagged"] == 8


def test_a_second_run_does_only_what_is_new_and_another_option_is_refused(toy, field, tmp_path):
    out = tmp_path / "o.csv"
    first = earmark("tag", toy.bundle.path, field / "near", field / "near" / "0.flac", "--out", out, "--json")
    assert json.loads(first.stdout)["tagged"] == 4
    second = earmark("tag", toy.bundle.path, field, "--out", out, "--json")
    assert (json.loads(second.stdout)["tagged"], json.loads(second.stdout)["already"]) == (4, 4)
    assert table(out)["path"].nunique() == 8
    before = out.read_bytes()
    other = earmark("tag", toy.bundle.path, field, "--out", out, "--top", 2)
    assert other.returncode == 2
    assert b"was begun with top null, now it is 2" in other.stderr
    assert out.read_bytes() == before


@pytest.mark.parametrize(
    "name",
    ["o.csv", pytest.param("o.parquet", marks=pytest.mark.slow), pytest.param("labels", marks=pytest.mark.slow)],
)
def test_killed_at_any_moment_nothing_is_tagged_twice_and_nothing_lost(toy, field, tmp_path, name):
    many = tmp_path / "many"
    many.mkdir()
    for copy in range(12):
        for path in field.rglob("*.flac"):
            os.link(path, many / f"{copy:02}-{path.name}")
    kind = ["--format", "audacity"] if name == "labels" else []
    command = [
        sys.executable,
        "-m",
        "earmark.cli.main",
        "tag",
        str(toy.bundle.path),
        str(many),
        "--workers",
        "2",
        *kind,
    ]
    whole = subprocess.run([*command, "--out", str(tmp_path / f"whole-{name}")], capture_output=True, check=False)
    assert whole.returncode == 0, whole.stderr
    rng = random.Random(name)
    kills = 0
    for _ in range(6):
        run = subprocess.Popen([*command, "--out", str(tmp_path / name)], stdout=-3, stderr=-3)
        time.sleep(rng.uniform(0.2, 0.9))
        kills += run.poll() is None
        run.send_signal(signal.SIGKILL)
        run.wait()
    last = subprocess.run([*command, "--out", str(tmp_path / name)], capture_output=True, check=False)
    assert last.returncode == 0, last.stderr
    assert kills >= 1
    if name == "labels":
        expected = {
            path.relative_to(tmp_path / "whole-labels"): path.read_bytes()
            for path in _labels(tmp_path / "whole-labels")
        }
        found = {path.relative_to(tmp_path / "labels"): path.read_bytes() for path in _labels(tmp_path / "labels")}
        assert len(found) == 96
    elif name == "o.csv":
        expected, found = (sorted((tmp_path / n).read_bytes().splitlines()) for n in (f"whole-{name}", name))
        assert len({line.split(b",")[0] for line in found}) == 97
    else:
        frames = [pd.read_parquet(tmp_path / n).sort_values(["path", "start_s"]) for n in (f"whole-{name}", name)]
        expected, found = (frame.to_csv(index=False) for frame in frames)
    assert found == expected


def _labels(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*.txt") if not path.name.startswith(".")]


def test_ctrl_c_says_what_is_kept(toy, field, tmp_path):
    out = tmp_path / "o.csv"
    # a list that never ends: the command waits for the next name
    command = [
        sys.executable,
        "-m",
        "earmark.cli.main",
        "tag",
        str(toy.bundle.path),
        "-",
        "--out",
        str(out),
        "--workers",
        "1",
    ]
    run = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    assert run.stdin is not None
    names = [str(path) for path in sorted(field.rglob("*.flac"))]
    run.stdin.write("\n".join([*names, ""]).encode())
    run.stdin.flush()
    for _ in range(200):
        if out.exists() and len(out.read_bytes().splitlines()) > 1:
            break
        time.sleep(0.05)
    run.send_signal(signal.SIGINT)
    assert run.wait(timeout=30) == 1  # although its stdin is still open
    error = run.communicate()[1]
    assert b"what is done is kept, run the same command again to go on" in error
    assert b"Traceback" not in error
    again = earmark("tag", toy.bundle.path, field, "--out", out, "--json")
    counts = json.loads(again.stdout)
    assert counts["tagged"] + counts["already"] == 8
    assert counts["already"] >= 1
    assert table(out)["path"].nunique() == 8


def test_every_file_of_the_messy_set_gets_a_verdict(toy, data_dir, tmp_path):
    done = earmark(
        "tag", toy.bundle.path, data_dir / "messy", "--out", tmp_path / "o.csv", "--per", "recording", "--json"
    )
    assert done.returncode == 1, done.stderr
    summary = json.loads(done.stdout)
    assert summary["tagged"] + summary["refused"] == 208
    assert summary["tagged"] > 80
    assert set(summary["reasons"]) <= {"empty", "not-audio", "unsupported", "too-short", "silent", "non-finite"}
    rows = table(tmp_path / "o.csv")
    assert rows["path"].nunique() == summary["tagged"]
    assert not {entry["path"] for entry in summary["refusals"]} & set(rows["path"])

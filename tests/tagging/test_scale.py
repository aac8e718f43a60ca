"""A run over very many files, killed again and again; and what a long journal costs at the start."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from earmark.tagging.journal import JournaledFile

FILES = 20_000
TONES = {"low": 200.0, "mid": 800.0, "high": 2000.0}


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20,000 recordings of 0.1 s in 20 folders: links to three tones, which their names tell."""
    root = tmp_path_factory.mktemp("crowd")
    tones = root / "tones"
    tones.mkdir()
    for tag, hz in TONES.items():
        sf.write(tones / f"{tag}.wav", 0.3 * np.sin(2 * np.pi * hz * np.arange(800) / 8000), 8000)
    for number in range(FILES):
        tag = list(TONES)[number % 3]
        folder = root / "many" / f"{number % 20:02}"
        folder.mkdir(parents=True, exist_ok=True)
        os.link(tones / f"{tag}.wav", folder / f"{number:05}-{tag}.wav")
    return root / "many"


@pytest.mark.slow
@pytest.mark.parametrize("given", ["folder", "list"])
def test_twenty_thousand_files_and_a_kill_every_few_seconds(toy, crowd: Path, tmp_path: Path, given: str):
    out = tmp_path / "tags.csv"
    named = str(crowd) if given == "folder" else "-"
    command = [sys.executable, "-m", "earmark.cli.main", "tag", str(toy.bundle.path), named, "--out", str(out)]
    command += ["--per", "recording", "--top", "1", "--workers", "2", "--json"]
    (tmp_path / "list").write_text("".join(f"{path}\n" for path in sorted(crowd.rglob("*.wav"))))
    rng = random.Random(given)
    lines = 0
    kills = 0
    for _ in range(60):
        with (tmp_path / "list").open("rb") as listing:
            run = subprocess.Popen(command, stdin=listing, stdout=-1, stderr=subprocess.DEVNULL)
        try:
            told, _ = run.communicate(timeout=rng.uniform(0.3, 5.0))
            break
        except subprocess.TimeoutExpired:
            run.send_signal(rng.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM]))
            run.communicate()
            kills += 1
            journal = tmp_path / "tags.csv.journal"
            now = journal.read_bytes().count(b"\n") if journal.exists() else 0
            assert now >= lines  # nothing that was done is forgotten
            lines = now
    else:
        with (tmp_path / "list").open("rb") as listing:
            told = subprocess.run(command, stdin=listing, stdout=-1, check=True).stdout
    summary = json.loads(told)
    assert kills >= 3
    assert summary["already"] > 0
    assert summary["tagged"] + summary["already"] == FILES
    rows = [line.rsplit(",", 5) for line in out.read_text().splitlines()[1:]]
    times = Counter(row[0] for row in rows)
    assert set(times) == {str(path) for path in crowd.rglob("*.wav")}
    assert set(times.values()) == {1}
    assert all(Path(path).stem.endswith(tag) for path, _, _, tag, _, _ in rows)


@pytest.mark.slow
def test_the_start_takes_time_in_proportion_to_the_journal(tmp_path: Path):
    took = {}
    for n in (20_000, 80_000):
        out = tmp_path / f"{n}.csv"
        entries = [{"path": f"/field/{i // 1000}/{i:07}.wav", "end": 2 * (i + 1)} for i in range(n)]
        lines = [json.dumps(entry) for entry in [{"earmark-tag": 1}, *entries]]
        out.with_name(f"{n}.csv.journal").write_text("\n".join(lines) + "\n")
        out.write_bytes(b"x\n" * n)
        best = float("inf")
        for _ in range(3):
            began = time.process_time()
            file = JournaledFile(out, b"", {})
            best = min(best, time.process_time() - began)
            assert len(file.done) == n
            file.close()
        took[n] = best
    assert took[80_000] < 7 * took[20_000]  # four times the lines; quadratic would be sixteen
    assert took[80_000] < 10

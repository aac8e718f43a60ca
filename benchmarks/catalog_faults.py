"""`earmark catalog add` is killed with SIGKILL at random moments: nothing is left half added, nothing needs repair.

A folder of sounds is added by the command itself, with and without `--write`, and killed at a moment drawn uniformly
from the time that a whole run takes, less half of what it needs to begin; the same command goes on from there. After
each kill the catalog is opened as it is and looked through: every recording has all its clips, every clip of it its
whole file, and the database is sound. When all is in, one more run is let end, and then everything has to be there
once. Then it begins anew in an empty workspace, until there were enough kills.

    python -m benchmarks.catalog_faults [kills]
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import soundfile as sf
import sqlalchemy as sa

from benchmarks.harness import Figure, finish
from earmark.audio.read import read
from earmark.catalog.database import Workspace
from earmark.catalog.tables import Clip, FingerprintKey, Recording
from earmark.errors import AudioError

KILLS = 50
FILES = 120
RATE_HZ = 8000


@dataclass
class Outcome:
    """kills: that hit a run under way. wrong: what was found. rounds: workspaces that were filled."""

    kills: int = 0
    rounds: int = 0
    left_at_kill: list[int] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def make_sounds(folder: Path, files: int = FILES) -> None:
    """Files of 2 to 5 s, each with a tune of its own."""
    folder.mkdir()
    for number in range(files):
        rng = np.random.default_rng(number)
        n = (2 + number % 4) * RATE_HZ
        pitch = np.repeat(220 * 2 ** (rng.integers(0, 24, n // 1000 + 1) / 12), 1000)[:n]
        phase = 2 * np.pi * np.cumsum(pitch) / RATE_HZ
        samples = 0.1 * sum(np.sin(k * phase) / k for k in range(1, 6)) + 0.01 * rng.standard_normal(n)
        sf.write(folder / f"{number:03d}.wav", samples, RATE_HZ)


def kill_again_and_again(folder: Path, kills: int, *, write: str | None, files: int = FILES, seed: int = 0) -> Outcome:
    """Everything, within an empty `folder`."""
    rng, found = random.Random(seed), Outcome()
    make_sounds(folder / "songs", files)
    moments = (0.0, 0.0)
    while found.kills < kills or not found.rounds:
        root = folder / f"workspace{found.rounds}"
        Workspace.init(root)
        if not found.rounds:  # how long a run takes, in which the moments fall
            moments = _timed(root, folder / "songs", write)
        else:
            _until_done(root, folder / "songs", write, kills, moments, rng, found)
            done = _run(root, folder / "songs", write)
            done.wait()
            if done.returncode != 0:
                found.wrong.append(f"the run after the last kill ended with {done.returncode}")
        found.wrong += _half_added(root) + _not_once(root, files, write)
        found.rounds += 1
    return found


def _timed(root: Path, songs: Path, write: str | None) -> tuple[float, float]:
    """Seconds to half of what a run needs to begin, and to its end."""
    began, first_s = time.perf_counter(), 0.0
    process = _run(root, songs, write)
    while process.poll() is None:
        if not first_s and _recordings(root):
            first_s = time.perf_counter() - began
        time.sleep(0.02)
    return first_s / 2, time.perf_counter() - began


def _until_done(
    root: Path,
    songs: Path,
    write: str | None,
    kills: int,
    moments: tuple[float, float],
    rng: random.Random,
    found: Outcome,
) -> None:
    files = len(list(songs.iterdir()))
    while found.kills < kills:
        process = _run(root, songs, write)
        try:
            process.wait(timeout=rng.uniform(*moments))
            return
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        found.kills += 1
        found.wrong += _half_added(root)
        found.left_at_kill.append(files - _recordings(root))


def _run(root: Path, songs: Path, write: str | None) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "earmark", "catalog", "add", str(songs), "--chunk", "1s", "-w", str(root)]
    command += ["--write", write] if write else []
    clean = {name: value for name, value in os.environ.items() if name != "EARMARK_DATABASE_URL"}
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=clean)


def _recordings(root: Path) -> int:
    with Workspace.open(root).catalog() as catalog, catalog.read() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(Recording)).scalar_one()


def _half_added(root: Path) -> list[str]:
    """Recordings without some of their clips or keys, clips without their whole file, a database that is not sound."""
    workspace = Workspace.open(root)
    wrong = []
    with workspace.catalog() as catalog, catalog.read() as connection:
        sound = connection.exec_driver_sql("PRAGMA integrity_check").scalar()
        if sound != "ok":
            wrong.append(f"the database says: {sound}")
        keyed = set(connection.execute(sa.select(FingerprintKey.recording_id).distinct()).scalars())
        for recording in connection.execute(sa.select(Recording.__table__)):
            query = sa.select(Clip.__table__).where(Clip.recording_id == recording.id).order_by(Clip.start)
            clips = connection.execute(query).all()
            spans = [(clip.start, clip.stop) for clip in clips]
            if spans != [(at, at + RATE_HZ) for at in range(0, recording.frames, RATE_HZ)]:
                wrong.append(f"{recording.name} has the clips {spans}")
            if recording.id not in keyed:
                wrong.append(f"{recording.name} is in no index of fingerprints")
            for clip in clips:
                frames = None if clip.file is None else _frames(workspace.path_of(clip.file))
                if frames not in (None, clip.stop - clip.start):
                    wrong.append(f"{clip.file} is not the whole clip: it has {frames} samples")
    return wrong


def _frames(path: Path) -> int:
    """As many as can be decoded: a header tells how many there were to be."""
    try:
        return len(read(path).samples)
    except AudioError:
        return 0


def _not_once(root: Path, files: int, write: str | None) -> list[str]:
    """What is not there exactly once, when all is in."""
    workspace = Workspace.open(root)
    with workspace.catalog() as catalog, catalog.read() as connection:
        names = sorted(connection.execute(sa.select(Recording.name)).scalars())
        chunks = [row.file for row in connection.execute(sa.select(Clip.file).order_by(Clip.id))]
    wrong = [] if names == [f"{number:03d}.wav" for number in range(files)] else [f"there are {len(names)} recordings"]
    expected = (
        [f"audio/{number:06d}.{write}" for number in range(1, len(chunks) + 1)] if write else [None] * len(chunks)
    )
    if chunks != expected:
        wrong.append("chunks are not numbered one after the other")
    there = sorted(f"audio/{path.name}" for path in workspace.audio_dir.iterdir())
    if there != [chunk for chunk in chunks if chunk]:
        wrong.append(f"audio/ holds {len(there)} entries, the catalog names {len([c for c in chunks if c])}")
    return wrong


def main() -> None:
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else KILLS
    figures, extra = [], {}
    for name, write in (("spans", None), ("chunks", "wav")):
        with tempfile.TemporaryDirectory(prefix="earmark-faults-") as folder:
            found = kill_again_and_again(Path(folder), kills, write=write)
        extra[name] = asdict(found)
        inside = sum(0 < left < FILES for left in found.left_at_kill)
        note = f"{found.kills} kills, {inside} of them with some files in and some not, {found.rounds} workspaces"
        figures.append(Figure(f"add-faults-{name}", len(found.wrong), 0, "lower", " wrong", note))
    finish("catalog_faults", figures, baseline="none: nothing half added, nothing lost, no repair", extra=extra)


if __name__ == "__main__":
    main()

"""A workspace to label, servers as processes of their own, and labellers who keep a log of what was acknowledged."""

from __future__ import annotations

import asyncio
import os
import random
import re
import secrets
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import soundfile
import sqlalchemy as sa

from benchmarks.harness import ROOT
from earmark.audio.synthetic import recording
from earmark.catalog.adding import add
from earmark.catalog.current import labels_of
from earmark.catalog.database import Catalog, Workspace
from earmark.catalog.people import add_person, start_session
from earmark.catalog.tables import Annotation, Lease, TaskClip
from earmark.catalog.tasks import add_clips_to_task, get_task, new_task
from earmark.web.signing import Signer, load_key

TASK = "sax"
TAGS = ("sax", "vocals", "piano")
SCALE = ("foreground", "background", "absent")
RATE_HZ = 8000


@dataclass(frozen=True)
class Person:
    """A labeller and what their browser would send: cookie and page's token."""

    id: int
    headers: dict[str, str]


@dataclass
class Log:
    """What the labellers saw.

    Attributes:
        answers: annotation -> (clip, person, kind, values), as acknowledged.
        seconds: "next" and "submit" -> how long each took.
        statuses: how many answers of each status came; 0 for a connection that broke.
        wrong: what must never be seen.
    """

    answers: dict[int, tuple[int, int, str, tuple[tuple[str, str], ...]]] = field(default_factory=dict)
    seconds: dict[str, list[float]] = field(default_factory=lambda: {"next": [], "submit": []})
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def percentiles(self, what: str) -> dict[str, float]:
        """Milliseconds."""
        found = np.percentile(np.array(self.seconds[what]) * 1e3, [50, 95, 99])
        return {name: round(float(value), 2) for name, value in zip(("p50", "p95", "p99"), found, strict=True)}


def make_workspace(root: Path, url: str | None, *, clips: int, overlap: int) -> Workspace:
    """One long recording cut into `clips` clips of a second, all in the task `sax`."""
    workspace = Workspace.init(root, url)
    songs = root / "songs"
    songs.mkdir()
    tone = recording("bell", seconds=4.0, sample_rate_hz=RATE_HZ, rng=np.random.default_rng(0))
    noise = np.random.default_rng(1).normal(scale=0.05, size=clips * RATE_HZ)
    sound = np.resize(tone, clips * RATE_HZ) + noise
    soundfile.write(songs / "long.wav", np.clip(sound, -1, 1), RATE_HZ, subtype="PCM_16")
    with workspace.catalog() as catalog:
        add(workspace, catalog, [songs], chunk_s=1.0, workers=1, timeout_s=120)
        new_task(catalog, TASK, TAGS, scale=SCALE, overlap=overlap)
        assert add_clips_to_task(catalog, TASK) == clips
    return workspace


def let_in(workspace: Workspace, count: int) -> list[Person]:
    """`count` annotators who are logged in."""
    signer = Signer(load_key(workspace.root))
    found = []
    with workspace.catalog() as catalog:
        for number in range(count):
            person = add_person(catalog, f"person {number}")
            secret = start_session(catalog, person.id)
            cookie = f"earmark_session={signer.sign('session', secret)}"
            found.append(Person(person.id, {"Cookie": cookie, "X-CSRF-Token": signer.mark("csrf", secret)}))
    return found


class Server:
    """A server in a process of its own, which says "serving ... at http://..." when it can be asked."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self._log = log.open("ab")
        self.process = subprocess.Popen(
            [sys.executable, *command], cwd=ROOT, stdout=subprocess.PIPE, stderr=self._log, text=True
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.search(r"http://[\d.]+:\d+", line)
        if found is None:
            self.stop()
            raise AssertionError(f"the server did not start: {line!r}, see {log}")
        self.url = found.group(0)

    def cpu_seconds(self) -> float:
        """User and system time of the process so far; 0 where the system does not tell (only Linux has /proc)."""
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def kill(self) -> None:
        """As a crash or a power cut would: no handler runs."""
        self.process.kill()
        self.process.communicate()

    def stop(self) -> int:
        self.process.terminate()
        self.process.communicate(timeout=60)
        self._log.close()
        return self.process.returncode


def earmark_command(workspace: Workspace, url: str | None, port: int = 0) -> list[str]:
    command = ["-m", "earmark", "serve", "--workspace", str(workspace.root), "--port", str(port)]
    return command if url is None else [*command, "--database", url]


@contextmanager
def serving(command: Sequence[str], log: Path) -> Iterator[Server]:
    server = Server(command, log)
    try:
        yield server
    finally:
        server.stop()


class Labeller:
    """One person who labels until nothing is left.

    Args:
        think_s: mean time between an answer and the next, drawn from an exponential distribution.
        patience_s: how long a request is sent again while no answer comes; 0: never.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        url: str,
        person: Person,
        log: Log,
        *,
        think_s: float,
        seed: int,
        patience_s: float = 0.0,
        stop: asyncio.Event | None = None,
    ) -> None:
        self._http, self._url, self._person, self._log = http, url, person, log
        self._think_s, self._patience_s = think_s, patience_s
        self._rng = random.Random(seed)
        self._stop = stop or asyncio.Event()
        self._clips: set[int] = set()

    async def run(self) -> None:
        await asyncio.sleep(self._rng.uniform(0, self._think_s))
        while not self._stop.is_set() and (clips := await self._next()):
            await asyncio.sleep(self._rng.expovariate(1 / self._think_s))
            await self._answer(clips[0])

    async def _next(self) -> list[dict[str, Any]]:
        answer = await self._post("next", {"n": 3})
        clips: list[dict[str, Any]] = answer.get("clips", [])
        return clips

    async def _answer(self, clip: dict[str, Any]) -> None:
        draw = self._rng.random()
        kind = "unusable" if draw < 0.03 else "submit"
        body: dict[str, Any] = {"token": clip["token"], "client_key": secrets.token_hex(16), "took_ms": 900}
        values = {tag: self._rng.choice((*SCALE, "unsure")) for tag in TAGS}
        if kind == "submit":
            body["values"] = values
        sent = [self._post(kind, body)]
        if draw > 0.95:  # an impatient finger
            sent.append(self._post(kind, body))
        said = tuple(sorted(values.items())) if kind == "submit" else ()
        row = (clip["clip"], self._person.id, "label" if kind == "submit" else kind, said)
        if clip["clip"] in self._clips:
            self._log.wrong.append(f"person {self._person.id} was given clip {clip['clip']} twice")
        self._clips.add(clip["clip"])
        for answer in await asyncio.gather(*sent):
            if "annotation" in answer and self._log.answers.setdefault(answer["annotation"], row) != row:
                self._log.wrong.append(f"annotation {answer['annotation']} stands for two answers")

    async def _post(self, what: str, body: dict[str, Any]) -> dict[str, Any]:
        until = time.monotonic() + self._patience_s
        while True:
            status, answer = await self._once(what, body)
            if status not in (0, 429, 503) or time.monotonic() > until:
                break
            await asyncio.sleep(0.1)
        if status != 200:
            self._log.wrong.append(f"{what}: {status} {answer}")
        return answer if status == 200 else {}

    async def _once(self, what: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        started = time.perf_counter()
        try:
            async with self._http.post(
                f"{self._url}/api/v1/tasks/{TASK}/{what}", json=body, headers=self._person.headers
            ) as response:
                answer = await response.json(content_type=None)
                status = response.status
        except (aiohttp.ClientError, OSError) as error:
            status, answer = 0, {"error": repr(error)}
        self._log.statuses[status] += 1
        if status == 200 and what in self._log.seconds:
            self._log.seconds[what].append(time.perf_counter() - started)
        return status, answer


async def label_all(
    url: str,
    people: Sequence[Person],
    *,
    think_s: float,
    seed: int,
    patience_s: float = 0.0,
    stop: asyncio.Event | None = None,
) -> Log:
    """Everybody labels at once until nothing is left for anybody, or `stop` is set."""
    log = Log()
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(60)) as http:
        labellers = [
            Labeller(http, url, person, log, think_s=think_s, seed=1000 * seed + i, patience_s=patience_s, stop=stop)
            for i, person in enumerate(people)
        ]
        await asyncio.gather(*(labeller.run() for labeller in labellers))
    return log


def compare(catalog: Catalog, log: Log, *, overlap: int, finished: bool = True) -> list[str]:
    """What the log and the database tell differently, and clips whose answers are not as many as the overlap.

    Args:
        finished: everybody labelled until nothing was left; else clips may have fewer answers than the overlap.
    """
    with catalog.read() as connection:
        task = get_task(catalog, TASK)
        found = {
            row.annotation_id: (
                row.clip_id,
                row.annotator_id,
                row.kind,
                tuple(sorted((t, str(v)) for t, v in row.values.items())),
            )
            for row in labels_of(connection, task.id, kinds=("label", "unusable", "skip"))
        }
        rows = connection.execute(sa.select(sa.func.count()).where(Annotation.task_id == task.id)).scalar_one()
        counted = connection.execute(
            sa.select(TaskClip.clip_id, TaskClip.answers, TaskClip.leases).where(TaskClip.task_id == task.id)
        ).all()
        live = connection.execute(sa.select(Lease.clip_id).where(Lease.task_id == task.id, Lease.state == "live"))
        held = Counter(live.scalars())
    wrong = [f"acknowledged and lost: {key} {row}" for key, row in log.answers.items() if found.get(key) != row]
    wrong += [f"never acknowledged: {key} {row}" for key, row in found.items() if key not in log.answers]
    wrong += [] if rows == len(found) else [f"{rows} annotations, {len(found)} in force"]
    per_clip = Counter(clip for clip, _, _, _ in found.values())
    for clip, answers, leases in counted:
        ours = (per_clip[clip], held[clip])
        if (answers, leases) != ours:
            wrong.append(f"clip {clip} counts {answers} answers and {leases} leases, there are {ours}")
        if sum(ours) > overlap or (finished and ours != (overlap, 0)):
            wrong.append(f"clip {clip} has {ours[0]} answers and {ours[1]} leases, overlap {overlap}")
    pairs = Counter((clip, who) for clip, who, _, _ in found.values())
    wrong += [f"clip {clip} was answered by {who} {n} times" for (clip, who), n in pairs.items() if n > 1]
    return wrong

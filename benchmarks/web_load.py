"""Many labellers at once, through real HTTP against `earmark serve`: nothing lost, nothing twice, and how fast.

100 people on PostgreSQL and 25 on SQLite label one task until nothing is left, each some seconds after the clip came
(exponential, mean 5 s: as long as a clip); 3 % of answers are "unusable", and 5 % are sent twice at once. This process
is the clients; it keeps a log of every answer that was acknowledged, and compares it with the database.

The baseline is a bare FastAPI endpoint that writes one row, in a process of its own, by the same uvicorn, on the same
database with the same engine and durability; the same people ask it at the same pace, once for each "next" and once for
each "submit". Both run in turns; of each round the 95th percentile is taken, and of the rounds the median.

    python -m benchmarks.web_load [rounds]
"""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks import _postgresql
from benchmarks._labellers import Log, Person, compare, earmark_command, label_all, let_in, make_workspace, serving
from benchmarks.harness import Figure, finish
from earmark.catalog.database import Workspace

PEOPLE = {"sqlite": 25, "postgresql": 100}
ANSWERS = {"sqlite": 12, "postgresql": 9}  # by each, in one round
OVERLAP = 3
THINK_S = 5.0
ROUNDS = 3
MOST_RATIO = 2.5


async def bare(url: str, people: int, answers: int, seed: int) -> list[float]:
    """Seconds of every request to the bare endpoint, asked as labellers ask."""
    seconds: list[float] = []
    body = {"token": "t" * 24, "values": {"sax": "foreground", "vocals": "absent", "piano": "unsure"}}

    async def one(http: aiohttp.ClientSession, rng: random.Random) -> None:
        async def ask() -> None:
            started = time.perf_counter()
            async with http.post(f"{url}/row", json=body) as response:
                await response.json()
                assert response.status == 200
            seconds.append(time.perf_counter() - started)

        await asyncio.sleep(rng.uniform(0, THINK_S))
        for _ in range(answers):
            await ask()
            await asyncio.sleep(rng.expovariate(1 / THINK_S))
            await asyncio.gather(*([ask()] if rng.random() < 0.95 else [ask(), ask()]))

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        await asyncio.gather(*(one(http, random.Random(1000 * seed + i)) for i in range(people)))
    return seconds


@contextmanager
def databases(kind: str) -> Iterator[tuple[str | None, str]]:
    """The --database option of a new workspace (None: SQLite in its folder), and the URL of a database for the bare."""
    if kind == "sqlite":
        with tempfile.TemporaryDirectory(prefix="earmark-bare-") as folder:
            yield None, f"sqlite:///{folder}/bare.db"
        return
    with (
        _postgresql.server(durable=True) as server,
        _postgresql.database(server) as ours,
        _postgresql.database(server) as bares,
    ):
        yield ours, bares


def one_round(kind: str, seed: int) -> tuple[Log, list[float], list[str], dict[str, float]]:
    """Both servers, each alone; who goes first changes every round.

    Returns:
        What the labellers saw, the seconds of each bare request, what is wrong, and the processor time (ms) that each
        server spent on a request.
    """
    people, answers = PEOPLE[kind], ANSWERS[kind]
    clips = people * answers // OVERLAP
    with databases(kind) as (url, bare_url), tempfile.TemporaryDirectory(prefix="earmark-load-") as folder:
        workspace = make_workspace(Path(folder) / "workspace", url, clips=clips, overlap=OVERLAP)
        persons = let_in(workspace, people)
        log, plain = Log(), list[float]()
        spent: dict[str, float] = {}
        for which in ("ours", "bare") if seed % 2 else ("bare", "ours"):
            if which == "ours":
                log, spent["ours"] = _ours(workspace, url, persons, seed, Path(folder))
            else:
                command = ["-m", "benchmarks._bare_server", bare_url]
                with serving(command, Path(folder) / "bare.log") as server:
                    before = server.cpu_seconds()
                    plain = asyncio.run(bare(server.url, people, answers, seed))
                    spent["bare"] = 1e3 * (server.cpu_seconds() - before) / len(plain)
        with workspace.catalog() as catalog:
            wrong = log.wrong + compare(catalog, log, overlap=OVERLAP)
    return log, plain, wrong, spent


def _ours(workspace: Workspace, url: str | None, persons: list[Person], seed: int, folder: Path) -> tuple[Log, float]:
    with serving(earmark_command(workspace, url), folder / "earmark.log") as server:
        before = server.cpu_seconds()
        log = asyncio.run(label_all(server.url, persons, think_s=THINK_S, seed=seed))
        spent = 1e3 * (server.cpu_seconds() - before) / log.statuses.total()
    said = (folder / "earmark.log").read_text(encoding="utf-8")
    if said:
        log.wrong.append(f"the server wrote {said[-2000:]!r}")
    return log, spent


def main(rounds: int = ROUNDS) -> None:
    figures, extra = [], {}
    for kind, people in PEOPLE.items():
        seen: list[dict[str, Any]] = []
        wrongs: list[str] = []
        statuses: dict[int, int] = {}
        for turn in range(rounds):
            log, plain, wrong, spent = one_round(kind, turn)
            wrongs += wrong
            for status, count in log.statuses.items():
                statuses[status] = statuses.get(status, 0) + count
            base = Log(seconds={"bare": plain}).percentiles("bare")
            found = {"next": log.percentiles("next"), "submit": log.percentiles("submit"), "bare": base}
            found |= {"answers": len(log.answers), "cpu_ms_a_request": spent}
            seen.append(found)
            print(f"{kind} {people} people: {found}", flush=True)
        medians = {
            what: {p: statistics.median(one[what][p] for one in seen) for p in ("p50", "p95", "p99")}
            for what in ("next", "submit", "bare")
        }
        faults = sum(count for status, count in statuses.items() if status != 200)
        note = "; ".join(f"{what} {_words(times)}" for what, times in medians.items()) + " (ms, p50/p95/p99)"
        figures.append(Figure(f"web-{kind}-wrong-answers", len(wrongs), 0, "lower", note=f"{statuses} by status"))
        figures.append(Figure(f"web-{kind}-not-200", faults, 0, "lower"))
        for what in ("next", "submit"):
            ratio = statistics.median(one[what]["p95"] / one["bare"]["p95"] for one in seen)
            figures.append(Figure(f"web-{kind}-{what}-p95-ratio", ratio, MOST_RATIO, "lower", "x", note=note))
        cpu = statistics.median(one["cpu_ms_a_request"]["ours"] / one["cpu_ms_a_request"]["bare"] for one in seen)
        figures.append(Figure(f"web-{kind}-cpu-ratio", cpu, MOST_RATIO, "lower", "x", note="of the servers alone"))
        extra[kind] = {"people": people, "rounds": seen, "medians_ms": medians, "wrong": wrongs[:50]}
    baseline = "a bare FastAPI endpoint that writes one row, same uvicorn, engine, database and durability, same pace"
    finish("web_load", figures, baseline=baseline, extra={"think_s": THINK_S, "overlap": OVERLAP, **extra})


def _words(times: dict[str, float]) -> str:
    return "/".join(f"{times[p]:.1f}" for p in ("p50", "p95", "p99"))


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else ROUNDS)

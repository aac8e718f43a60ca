"""The server is killed with SIGKILL at random moments while people label: nothing that was acknowledged is lost.

Ten people label without pause; whoever gets no answer sends the same again, as the page does. The server is killed at a
random moment of its first four seconds, started again by the same command on the same port, and so on. In the end the
log of what was acknowledged is compared with the database, and the queue's counts with labels and leases.

    python -m benchmarks.web_faults [kills]
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks import _postgresql
from benchmarks._labellers import Log, Server, compare, earmark_command, label_all, let_in, make_workspace
from benchmarks.harness import Figure, finish
from benchmarks.web_load import databases

KILLS = 50
PEOPLE = 10
OVERLAP = 2
THINK_S = 0.3
LONGEST_UP_S = 4.0


@dataclass(frozen=True)
class Outcome:
    """What came of one run: kills, answers acknowledged, what is wrong, and how long the slowest start took."""

    kills: int
    log: Log
    wrong: list[str]
    slowest_start_s: float


def kill_again_and_again(kind: str, kills: int, seed: int = 0) -> Outcome:
    """Everything on one kind of database."""
    with databases(kind) as (url, _), tempfile.TemporaryDirectory(prefix="earmark-faults-") as folder:
        # more than they can label: each start gives everybody some seconds at most
        clips = 40 + 30 * kills
        workspace = make_workspace(Path(folder) / "workspace", url, clips=clips, overlap=OVERLAP)
        people = let_in(workspace, PEOPLE)
        command = earmark_command(workspace, url, _postgresql.free_port())
        server_log = Path(folder) / "server.log"
        starts: list[float] = []

        def start() -> Server:
            began = time.perf_counter()
            server = Server(command, server_log)
            starts.append(time.perf_counter() - began)
            return server

        async def run() -> Log:
            rng = random.Random(seed)
            stop = asyncio.Event()
            server = await asyncio.to_thread(start)
            labelling = asyncio.create_task(
                label_all(server.url, people, think_s=THINK_S, seed=seed, patience_s=120.0, stop=stop)
            )
            for _ in range(kills):
                await asyncio.sleep(rng.uniform(0, LONGEST_UP_S))
                server.kill()
                server = await asyncio.to_thread(start)
            await asyncio.sleep(1.0)
            stop.set()
            log = await labelling
            assert await asyncio.to_thread(server.stop) == 0
            return log

        log = asyncio.run(run())
        wrong = list(log.wrong)
        said = server_log.read_text(encoding="utf-8")
        if "Traceback" in said:
            wrong.append(f"the server wrote {said[-2000:]!r}")
        with workspace.catalog() as catalog:  # as it is: no repair
            wrong += compare(catalog, log, overlap=OVERLAP, finished=False)
    return Outcome(kills, log, wrong, max(starts))


def main(kills: int = KILLS) -> None:
    figures, extra = [], {}
    for kind in ("sqlite", "postgresql"):
        found = kill_again_and_again(kind, kills)
        broken = found.log.statuses[0]
        note = f"{found.kills} kills, {len(found.log.answers)} answers acknowledged, {broken} requests broke off"
        figures.append(Figure(f"web-faults-{kind}-wrong-answers", len(found.wrong), 0, "lower", note=note))
        extra[kind] = {
            "kills": found.kills,
            "answers": len(found.log.answers),
            "statuses": dict(found.log.statuses),
            "slowest_start_s": found.slowest_start_s,
            "wrong": found.wrong[:50],
        }
    finish("web_faults", figures, baseline="none: nothing acknowledged may be lost", extra=extra)


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else KILLS)

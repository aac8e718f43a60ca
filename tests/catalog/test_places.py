"""The laws of a queue's places hold whatever people do, in any order and at once."""

from __future__ import annotations

import itertools
import random
import threading

import hypothesis.strategies as st
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule
from queue_rows import add_person, add_recording, beyond, wrongs

from earmark.catalog.database import Catalog
from earmark.catalog.labelling import adjudicate, skip, submit, undo, unusable
from earmark.catalog.queueing import expire, next_clips, return_lease
from earmark.catalog.tables import TaskClip
from earmark.catalog.tasks import add_clips_to_task, new_task, set_gold
from earmark.catalog.trusting import Verdict, reopen_places, set_trust
from earmark.errors import ConflictError

SECOND = 1_000_000


@pytest.mark.parametrize("overlap", [1, 2])
def test_threads_at_once_never_pass_the_overlap_and_leave_no_clip_out(catalog: Catalog, overlap: int):
    add_recording(catalog, "a", 40)
    task = new_task(catalog, "sax", ["sax"], overlap=overlap, lease_s=3600)
    add_clips_to_task(catalog, "sax")
    people = [add_person(catalog, f"p{i}") for i in range(5)]
    given: list[tuple[int, int]] = []
    failed: list[BaseException] = []

    def label(who: int) -> None:
        rng = random.Random(who)
        tries = 0
        try:
            while tries < 3:
                held = next_clips(catalog, "sax", who, rng.choice([1, 2]))
                tries = 0 if held else tries + 1
                for one in held:
                    what = rng.random()
                    if what < 0.05:
                        return_lease(catalog, one.token)
                    elif what < 0.1:
                        submit(catalog, one.token, {"sax": "absent"})
                        undo(catalog, "sax", who)
                    else:
                        answer = submit(catalog, one.token, {"sax": "absent"}, client_key=one.token)
                        assert submit(catalog, one.token, {"sax": "absent"}, client_key=one.token).again
                        given.append((one.clip_id, answer.annotation_id))
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=label, args=(who,)) for who in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    for who in people:  # what the last ones gave back
        while held := next_clips(catalog, "sax", who):
            given.append((held[0].clip_id, submit(catalog, held[0].token, {"sax": "absent"}).annotation_id))
    assert len(given) == 40 * overlap
    with catalog.read() as connection:
        assert wrongs(connection, task) == []
        assert beyond(connection, task) == set()


NUMBERS = itertools.count()
"""Of tasks: a name that a machine before had is refused, and addresses of objects come again."""


class QueueMachine(RuleBasedStateMachine):
    """Any order of what three people and an admin can do; the laws are reckoned anew after each step."""

    held = Bundle("held")
    catalog: Catalog
    people: list[int]

    @initialize(overlap=st.integers(1, 3), policy=st.sampled_from(["random", "balanced", "disagreement"]))
    def begin(self, overlap: int, policy: str) -> None:
        self.now = 0
        self.task = new_task(self.catalog, f"t{next(NUMBERS)}", ["x", "y"], overlap=overlap, policy=policy, lease_s=10)
        add_clips_to_task(self.catalog, self.task.id, self.clips)
        self.answered: dict[int, set[int]] = {who: set() for who in self.people}
        self.by_token: dict[str, tuple[int, int]] = {}
        self.were_gold: set[int] = set()
        self.distrusted: set[int] = set()

    @rule(target=held, who=st.integers(0, 2), n=st.integers(1, 3))
    def ask(self, who: int, n: int):
        person = self.people[who]
        found = next_clips(self.catalog, self.task.id, person, n, now=self.now)
        assert len(found) <= n
        for one in found:
            assert one.clip_id not in self.answered[person], "nobody is asked twice"
            self.by_token[one.token] = (person, one.clip_id)
        if not found:
            self._nothing_was_left(person)
        return found[0].token if found else None

    def _nothing_was_left(self, person: int) -> None:
        with self.catalog.read() as connection:
            query = sa.select(TaskClip.clip_id).where(TaskClip.task_id == self.task.id, TaskClip.open_places > 0)
            left = set(connection.execute(query).scalars()) - self.answered[person]
        assert left == set(), "nothing was given, though there is something"

    @rule(token=held, value=st.sampled_from(["present", "absent", "unsure"]), kind=st.sampled_from("lllsu"))
    def answer(self, token: str | None, value: str, kind: str) -> None:
        if token is None:
            return
        person, clip = self.by_token[token]
        send = {"l": lambda: submit(self.catalog, token, {"x": value, "y": "absent"}, now=self.now)}
        send |= {"s": lambda: skip(self.catalog, token, now=self.now)}
        send |= {"u": lambda: unusable(self.catalog, token, now=self.now)}
        try:
            send[kind]()
        except ConflictError:
            return
        self.answered[person].add(clip)

    @rule(who=st.integers(0, 2), steps=st.integers(1, 3))
    def take_back(self, who: int, steps: int) -> None:
        person = self.people[who]
        undone = undo(self.catalog, self.task.id, person, steps, now=self.now)
        for one in undone:
            self.answered[person].remove(one.clip_id)
            self.by_token[one.token] = (person, one.clip_id)
        if undone:
            first = next_clips(self.catalog, self.task.id, person, now=self.now)[0]
            assert (first.clip_id, first.undone) == (undone[-1].clip_id, True), "what was undone is shown first"

    @rule(token=held)
    def give_back(self, token: str | None) -> None:
        if token is not None:
            return_lease(self.catalog, token)

    @rule(seconds=st.sampled_from([1, 6, 11]))
    def wait(self, seconds: int) -> None:
        self.now += seconds * SECOND

    @rule()
    def sweep(self) -> None:
        expire(self.catalog, self.task.id, now=self.now)

    @rule(clip=st.integers(0, 5))
    def settle(self, clip: int) -> None:
        adjudicate(self.catalog, self.task.id, self.clips[clip], self.admin, {"x": "absent", "y": "absent"})

    @rule(who=st.integers(0, 2), verdict=st.sampled_from(["trusted", "aside", "rule"]))
    def trust(self, who: int, verdict: Verdict) -> None:
        set_trust(self.catalog, self.task.id, self.people[who], verdict)
        self.distrusted.add(who)

    @rule()
    def ask_others(self) -> None:
        reopen_places(self.catalog, self.task.id)

    @rule(clip=st.integers(0, 5), on=st.booleans())
    def gold(self, clip: int, on: bool) -> None:
        self.were_gold.add(self.clips[clip])
        set_gold(self.catalog, self.task.id, {self.clips[clip]: {"x": "absent", "y": "absent"} if on else None})

    @invariant()
    def the_laws_hold(self) -> None:
        with self.catalog.read() as connection:
            assert wrongs(connection, self.task) == []
            if not self.distrusted:  # who is trusted again takes places back that others have taken since
                assert beyond(connection, self.task) <= self.were_gold


@pytest.mark.parametrize("steps", [15, pytest.param(60, marks=pytest.mark.slow)])
def test_the_laws_of_the_queue_hold_whatever_people_do(catalog: Catalog, steps: int):
    clips = [clip for name in "ab" for clip in add_recording(catalog, name, 3, group=name)[1]]
    people = [add_person(catalog, name) for name in "xyz"]
    admin = add_person(catalog, "admin", "admin")
    shared = {"catalog": catalog, "clips": clips, "people": people, "admin": admin}
    machine = type("Machine", (QueueMachine,), shared)
    check = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]
    machine.TestCase.settings = settings(
        max_examples=steps, stateful_step_count=25, deadline=None, suppress_health_check=check, database=None
    )
    machine.TestCase().runTest()

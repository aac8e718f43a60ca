from __future__ import annotations

import threading

import pytest
import sqlalchemy as sa
from queue_rows import add_person, add_recording, beyond, wrongs

from earmark.catalog.current import ANSWERS, labels_of
from earmark.catalog.database import Catalog
from earmark.catalog.labelling import LONGEST_MS, Answer, adjudicate, correct, skip, submit, undo, unusable
from earmark.catalog.queueing import expire, next_clips
from earmark.catalog.tables import Annotation, TaskClip
from earmark.catalog.tasks import TaskInfo, add_clips_to_task, new_task
from earmark.catalog.values import MissingTagError, UnknownTagError, UnknownValueError
from earmark.errors import CatalogError, ConflictError, NotAllowedError, NotFoundError
from earmark.types import LabelValue

SECOND = 1_000_000
YES = {"sax": "foreground", "piano": "absent"}
NO = {"sax": "absent", "piano": "absent"}


@pytest.fixture
def task(catalog: Catalog) -> TaskInfo:
    add_recording(catalog, "a", 6)
    made = new_task(catalog, "t", ["sax", "piano"], scale=["foreground", "background", "absent"], overlap=2, lease_s=60)
    add_clips_to_task(catalog, made.id)
    return made


def _said(catalog: Catalog, task: TaskInfo) -> list[tuple[int, int, str, str]]:
    with catalog.read() as connection:
        return [
            (said.clip_id, said.annotator_id, said.kind, said.values.get("sax", ""))
            for said in labels_of(connection, task.id, kinds=ANSWERS)
        ]


def _hold(catalog: Catalog, task: TaskInfo, who: int, *, now: int = 0) -> str:
    return next_clips(catalog, task.id, who, now=now)[0].token


def _laws(catalog: Catalog, task: TaskInfo) -> None:
    with catalog.read() as connection:
        assert wrongs(connection, task) == []
        assert beyond(connection, task) == set()


def test_a_label_knows_who_when_how_long_and_from_where(catalog: Catalog, task: TaskInfo):
    ann = add_person(catalog, "ann")
    held = next_clips(catalog, task.id, ann, now=5)[0]
    answer = submit(catalog, held.token, {"piano": "unsure", "sax": "background"}, took_ms=4200, now=9 * SECOND)
    with catalog.read() as connection:
        (said,) = labels_of(connection, task.id)
    assert (said.annotation_id, said.clip_id, said.annotator_id) == (answer.annotation_id, held.clip_id, ann)
    assert said.values == {"sax": LabelValue.BACKGROUND, "piano": LabelValue.UNSURE}
    assert (said.at, said.took_ms, said.origin, said.kind) == (9 * SECOND, 4200, "person", "label")


def test_a_submit_that_is_sent_twice_is_one_row_and_the_same_answer(catalog: Catalog, task: TaskInfo):
    ann = add_person(catalog, "ann")
    token = _hold(catalog, task, ann)
    first = submit(catalog, token, YES, client_key="k1")
    assert submit(catalog, token, YES, client_key="k1") == Answer(first.annotation_id, again=True)
    with pytest.raises(ConflictError, match=r"'k1' was used for another answer"):
        submit(catalog, token, NO, client_key="k1")
    with pytest.raises(ConflictError, match=r"this clip was answered already"):
        submit(catalog, token, YES, client_key="k2")
    with pytest.raises(ConflictError, match=r"'k1' was used for another answer"):
        submit(catalog, _hold(catalog, task, ann), YES, client_key="k1")
    without = _hold(catalog, task, ann)
    first = submit(catalog, without, YES)
    assert submit(catalog, without, YES) == Answer(first.annotation_id, again=True)
    assert len(_said(catalog, task)) == 2
    _laws(catalog, task)


def test_the_same_submit_from_many_threads_is_one_row(catalog: Catalog, task: TaskInfo):
    token = _hold(catalog, task, add_person(catalog, "ann"))
    answers: list[Answer] = []
    threads = [
        threading.Thread(target=lambda: answers.append(submit(catalog, token, YES, client_key="k"))) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.again for answer in answers) == [False] + [True] * 5
    assert len({answer.annotation_id for answer in answers}) == 1
    _laws(catalog, task)


def test_answers_that_do_not_fit_are_each_their_own_error_and_change_nothing(catalog: Catalog, task: TaskInfo):
    ann, bob = add_person(catalog, "ann"), add_person(catalog, "bob")
    token = _hold(catalog, task, ann)
    with pytest.raises(UnknownTagError, match=r"task 't' has no tag 'saxx': did you mean 'sax'\?"):
        submit(catalog, token, {**YES, "saxx": "absent"})
    with pytest.raises(UnknownValueError, match=r"tag 'sax': 'present' is not on its scale \(foreground, background"):
        submit(catalog, token, {**YES, "sax": "present"})
    with pytest.raises(MissingTagError, match=r"no answer for piano"):
        submit(catalog, token, {"sax": "absent"})
    with pytest.raises(NotFoundError, match=r"no clip is held by the token 'forged'"):
        submit(catalog, "forged", YES)
    with pytest.raises(NotAllowedError, match=r"held by somebody else"):
        submit(catalog, token, YES, annotator_id=bob)
    with pytest.raises(CatalogError, match=r"client_key of 65 characters"):
        submit(catalog, token, YES, client_key="x" * 65)
    with pytest.raises(CatalogError, match=r"what begins like this is our own"):
        submit(catalog, token, YES, client_key="lease:1")
    assert _said(catalog, task) == []
    assert not submit(catalog, token, YES, annotator_id=ann).again
    _laws(catalog, task)


def test_an_expired_lease_counts_while_the_place_is_free_and_not_after(catalog: Catalog, task: TaskInfo):
    people = [add_person(catalog, name) for name in "abc"]
    tokens = [_hold(catalog, task, who) for who in people[:2]]  # both places of the first clip
    assert expire(catalog, task.id, now=61 * SECOND) == 2
    submit(catalog, tokens[0], YES, now=62 * SECOND)
    late = _hold(catalog, task, people[2], now=63 * SECOND)  # the place that came free
    with pytest.raises(ConflictError, match=r"ran out, and others have labelled it since"):
        submit(catalog, tokens[1], YES, now=64 * SECOND)
    submit(catalog, late, NO, now=65 * SECOND)
    assert len(_said(catalog, task)) == 2
    skip(catalog, tokens[1], now=66 * SECOND)  # which needs no place
    _laws(catalog, task)


def test_an_expired_lease_is_answered_by_the_one_that_follows_it(catalog: Catalog, task: TaskInfo):
    ann = add_person(catalog, "ann")
    old = _hold(catalog, task, ann)
    new = _hold(catalog, task, ann, now=61 * SECOND)
    assert old != new
    submit(catalog, old, YES, now=62 * SECOND)
    assert next_clips(catalog, task.id, ann, now=63 * SECOND)[0].token != new
    with pytest.raises(ConflictError, match=r"answered already"):
        submit(catalog, new, YES)
    _laws(catalog, task)


def test_a_skip_and_an_unusable_clip_are_no_labels(catalog: Catalog, task: TaskInfo):
    ann = add_person(catalog, "ann")
    skip(catalog, _hold(catalog, task, ann))
    unusable(catalog, _hold(catalog, task, ann))
    assert sorted(said[2] for said in _said(catalog, task)) == ["skip", "unusable"]
    with catalog.read() as connection:
        assert list(labels_of(connection, task.id)) == []
        counts = connection.execute(sa.select(TaskClip.answers).order_by(TaskClip.answers.desc())).scalars().all()
    assert counts == [1, 0, 0, 0, 0, 0]
    _laws(catalog, task)


def test_undo_goes_back_several_and_shows_them_again_in_their_old_order(catalog: Catalog, task: TaskInfo):
    ann = add_person(catalog, "ann")
    order = []
    for answer in (YES, NO, YES):
        held = next_clips(catalog, task.id, ann)[0]
        order.append(held.clip_id)
        submit(catalog, held.token, answer)
    undone = undo(catalog, task.id, ann, 2)
    assert [(one.clip_id, one.kind, one.values["sax"]) for one in undone] == [
        (order[2], "label", "foreground"),
        (order[1], "label", "absent"),
    ]
    assert [held.clip_id for held in next_clips(catalog, task.id, ann, 2)] == [order[1], order[2]]
    assert undo(catalog, task.id, ann)[0].clip_id == order[0]
    for clip in order:
        held = next_clips(catalog, task.id, ann)[0]
        assert (held.clip_id, held.undone) == (clip, True)
        submit(catalog, held.token, NO)
    assert undo(catalog, task.id, add_person(catalog, "bob"), 5) == []
    with catalog.read() as connection:
        kinds = connection.execute(sa.select(Annotation.kind).order_by(Annotation.id)).scalars().all()
    assert kinds == ["label"] * 3 + ["retraction"] * 3 + ["label"] * 3  # nothing is ever taken away
    assert {said[3] for said in _said(catalog, task)} == {"absent"}
    _laws(catalog, task)


def test_an_undo_that_is_sent_twice_is_done_once(catalog: Catalog, task: TaskInfo):
    ann = add_person(catalog, "ann")
    for _ in range(2):
        submit(catalog, _hold(catalog, task, ann), YES)
    assert len(undo(catalog, task.id, ann, client_key="u1")) == 1
    assert undo(catalog, task.id, ann, client_key="u1") == []
    assert len(_said(catalog, task)) == 1


def test_undos_of_one_person_at_once_are_as_many_steps(catalog: Catalog, task: TaskInfo):
    ann = add_person(catalog, "ann")
    for _ in range(5):
        submit(catalog, _hold(catalog, task, ann), YES)
    threads = [threading.Thread(target=lambda: undo(catalog, task.id, ann)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(_said(catalog, task)) == 2
    _laws(catalog, task)


def test_a_skip_whose_place_went_to_others_stays_and_the_answer_before_is_undone(catalog: Catalog):
    add_recording(catalog, "a", 3)
    task = new_task(catalog, "one", ["sax"])
    add_clips_to_task(catalog, task.id)
    ann, bob = add_person(catalog, "ann"), add_person(catalog, "bob")
    first = next_clips(catalog, task.id, ann)[0]
    submit(catalog, first.token, {"sax": "absent"})
    second = next_clips(catalog, task.id, ann)[0]
    skip(catalog, second.token)
    taken = next_clips(catalog, task.id, bob)[0]
    assert taken.clip_id == second.clip_id
    assert [one.clip_id for one in undo(catalog, task.id, ann)] == [first.clip_id]
    _laws(catalog, task)


def test_a_correction_replaces_ones_own_answer_and_keeps_the_old_row(catalog: Catalog, task: TaskInfo):
    ann, bob = add_person(catalog, "ann"), add_person(catalog, "bob")
    held = next_clips(catalog, task.id, ann)[0]
    old = submit(catalog, held.token, YES)
    new = correct(catalog, task.id, held.clip_id, ann, NO, client_key="c", took_ms=2**40)
    assert correct(catalog, task.id, held.clip_id, ann, NO, client_key="c") == Answer(new.annotation_id, again=True)
    assert _said(catalog, task) == [(held.clip_id, ann, "label", "absent")]
    with catalog.read() as connection:
        row = connection.execute(sa.select(Annotation.__table__).where(Annotation.id == new.annotation_id)).one()
    assert (row.origin, row.replaces, row.took_ms) == ("correction", old.annotation_id, LONGEST_MS)
    with pytest.raises(NotFoundError, match=r"has no answer of yours to correct"):
        correct(catalog, task.id, held.clip_id, bob, NO)
    skipped = next_clips(catalog, task.id, ann)[0]
    skip(catalog, skipped.token)
    correct(catalog, task.id, skipped.clip_id, ann, YES)  # a skip becomes a label, which takes a place
    _laws(catalog, task)
    assert undo(catalog, task.id, ann)[0].clip_id == skipped.clip_id
    assert _said(catalog, task) == [(held.clip_id, ann, "label", "absent")]
    _laws(catalog, task)


def test_an_admin_settles_a_clip_and_nobody_else_is_asked(catalog: Catalog, task: TaskInfo):
    ann, boss = add_person(catalog, "ann"), add_person(catalog, "boss", "admin")
    held = next_clips(catalog, task.id, ann)[0]
    submit(catalog, held.token, YES)
    with pytest.raises(NotAllowedError, match=r"only an admin"):
        adjudicate(catalog, task.id, held.clip_id, ann, NO)
    with pytest.raises(NotFoundError, match=r"clip 999 is not in task 't'"):
        adjudicate(catalog, task.id, 999, boss, NO)
    adjudicate(catalog, task.id, held.clip_id, boss, YES)
    adjudicate(catalog, task.id, held.clip_id, boss, NO)
    with catalog.read() as connection:
        said = [(one.annotator_id, one.origin, one.values["sax"]) for one in labels_of(connection, task.id)]
    assert said == [(ann, "person", "foreground"), (boss, "adjudication", "absent")]
    bob = add_person(catalog, "bob")
    given = set()
    while found := next_clips(catalog, task.id, bob):
        given.add(found[0].clip_id)
        submit(catalog, found[0].token, NO)
    assert len(given) == 5
    assert held.clip_id not in given
    _laws(catalog, task)

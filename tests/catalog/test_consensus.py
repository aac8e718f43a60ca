"""Consensus: the paper's own example, laws that hold for any answers, and crowds with bad people in them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from earmark.catalog.consensus import (
    Answers,
    believe,
    by_the_others,
    dawid_skene,
    majority,
)
from earmark.metrics.agreement import cohen_kappa

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from benchmarks import consensus as crowd

# Dawid and Skene 1979, table 1: five anaesthetists on the fitness of 45 patients, the first of them three times
PATIENTS = """
    1111111 3334334 1122122 2223121 2223222 2223322 1222111 3333433 2222223 2322223 4444444 2223343 1111111 2223212
    1211111 1112111 1111111 1111111 2222221 2221322 2222222 2222221 2223222 2212222 1111111 1111111 2322222 1111111
    1111111 1121121 1111111 3333233 1111111 2222222 2223232 4334343 2212232 2323233 3333432 1111111 1111111 1212111
    2322222 1211111 2222222
"""
POSITIONS = np.array([0, 0, 0, 1, 2, 3, 4])


def of(*rows: str, n_values: int = 2) -> Answers:
    """A string a clip, a digit an annotator, '.' for none."""
    cells = [(clip, who, int(c)) for clip, row in enumerate(rows) for who, c in enumerate(row) if c != "."]
    clips, people, values = (np.array(column, dtype=np.int64) for column in zip(*cells, strict=True))
    return Answers(clips, people, values, len(rows), max(map(len, rows)), n_values)


def patients() -> Answers:
    values = np.array([[int(c) - 1 for c in row] for row in PATIENTS.split()])
    clips = np.repeat(np.arange(45), 7)
    return Answers(clips, np.tile(POSITIONS, 45), values.ravel(), 45, 5, 4)


def test_the_papers_own_example() -> None:
    found = dawid_skene(patients(), prior_answers=0.0, tolerance=1e-9, most_steps=1000)
    # as the paper gives them: how common each class of fitness is, and the first observer's table of errors
    assert found.shares == pytest.approx([0.40, 0.42, 0.11, 0.07], abs=0.006)
    assert found.confusion is not None
    np.testing.assert_allclose(
        found.confusion[0],
        [[0.89, 0.11, 0, 0], [0.07, 0.88, 0.05, 0], [0, 0.34, 0.66, 0], [0, 0, 0.56, 0.44]],
        atol=0.006,
    )
    assert found.best[10] == 3


def test_majority_counts_votes() -> None:
    found = majority(of("000", "011", "01.", "...", n_values=3))
    assert found.best.tolist() == [0, 1, 0, -1]
    assert found.confidence == pytest.approx([1, 2 / 3, 1 / 2, 0])


def test_gold_is_what_it_is_whatever_people_say() -> None:
    answers = of("000", "111", "000")
    for method in ("majority", "dawid-skene"):
        found = believe(answers, method, np.array([1, -1, -1]))
        assert found.best.tolist() == [1, 1, 0]
        assert found.confidence[0] == 1.0


def test_a_person_who_is_always_wrong_is_read_the_other_way_round() -> None:
    rng = np.random.default_rng(0)
    true = rng.integers(0, 2, 200)
    rows = ["".join(map(str, [t, t, t, 1 - t])) for t in true]
    answers = of(*rows[:-1], f"...{1 - true[-1]}")  # the last clip was heard by the liar alone
    found = dawid_skene(answers)
    assert (found.best == true).all()
    assert found.confusion is not None
    assert found.confusion[:, 0, 0] == pytest.approx([1, 1, 1, 0], abs=0.05)


def test_one_answer_makes_nobody_infallible() -> None:
    found = dawid_skene(of("0"))
    assert 0.5 < found.confidence[0] < 0.95


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 30), st.integers(1, 6), st.integers(2, 4), st.integers(0, 10_000))
def test_beliefs_are_probabilities_and_do_not_depend_on_order(n: int, people: int, values: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    m = rng.integers(1, n * people + 1)
    pairs = rng.permutation(n * people)[:m]
    answers = Answers(pairs // people, pairs % people, rng.integers(0, values, m), n, people, values)
    shuffle = rng.permutation(m)
    shuffled = Answers(answers.clips[shuffle], answers.annotators[shuffle], answers.values[shuffle], n, people, values)
    heard = np.bincount(answers.clips, minlength=n) > 0
    for method in ("majority", "dawid-skene"):
        found = believe(answers, method)
        np.testing.assert_allclose(found.values.sum(axis=1), heard.astype(float), atol=1e-9)
        np.testing.assert_allclose(believe(shuffled, method).values, found.values, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 25), st.integers(2, 5), st.integers(0, 10_000))
def test_by_the_others_is_the_majority_without_that_answer(n: int, people: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 3, (n, people))
    clips, who = (index.ravel() for index in np.indices((n, people)))
    answers = Answers(clips, who, values.ravel(), n, people, 3)
    found = by_the_others(answers, majority(answers))
    for i in range(len(clips)):
        left = np.bincount(np.delete(values[clips[i]], who[i]), minlength=3)
        assert left[found[i]] == left.max()


def test_by_the_others_knows_gold_and_who_was_alone() -> None:
    answers = of("0.", "01", "00")
    for found in (majority(answers), dawid_skene(answers)):
        assert by_the_others(answers, found)[0] == -1
        assert by_the_others(answers, found, np.array([1, -1, -1]))[0] == 1
        # the second person has no say: of the first one's answers nobody else speaks
        silent = by_the_others(answers, found, None, np.array([True, False]))
        assert silent.tolist() == [-1, -1, 0, -1, 0]


def test_kappa_against_the_consensus_of_the_others() -> None:
    drawn = crowd.draw(0, "random")
    answers = crowd.answers(drawn, 5)
    found = dawid_skene(answers)
    others = by_the_others(answers, found)
    kappas = []
    for person in range(crowd.N_PEOPLE):
        mine = answers.annotators == person
        kappas.append(cohen_kappa(answers.values[mine], others[mine], crowd.N_VALUES))
        assert kappas[-1] == pytest.approx(cohen_kappa_score(answers.values[mine], others[mine]))
    assert np.max(np.array(kappas)[drawn.bad]) < 0.2 < 0.6 < np.min(np.array(kappas)[~drawn.bad])


@pytest.mark.parametrize(("kind", "points"), [("random", 2.0), ("hostile", 1.0)])
def test_bad_people_cost_little(kind: crowd.Crowd, points: float) -> None:
    pairs = crowd.falls(kind, 5, "dawid-skene", seeds=8)
    assert (pairs[:, 0] - pairs[:, 1]).mean() <= points
    assert pairs[:, 0].min() > 98.5
    votes = crowd.falls(kind, 5, "majority", seeds=8)
    assert (votes[:, 0] - votes[:, 1]).mean() > points  # what Dawid-Skene is for


@pytest.mark.parametrize("overlap", [2, 3])
@pytest.mark.parametrize(("kind", "points"), [("random", 2.0), ("hostile", 1.0)])
def test_two_people_a_clip_do_where_those_who_know_nothing_are_set_aside(
    kind: crowd.Crowd, points: float, overlap: int
) -> None:
    pairs = crowd.falls(kind, overlap, "trusted", seeds=4)
    assert (pairs[:, 0] - pairs[:, 1]).mean() <= points
    if kind == "random":
        all_of_them = crowd.falls(kind, overlap, "dawid-skene", seeds=4)
        assert (all_of_them[:, 0] - all_of_them[:, 1]).mean() > points  # what the rule is for

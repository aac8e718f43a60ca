"""Agreement against published worked examples and scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from earmark.metrics.agreement import cohen_kappa, count_values, krippendorff_alpha


def alpha_of(*people: str) -> float:
    """Of one string a person, a letter a unit, '.' where there is no answer."""
    letters = sorted(set("".join(people)) - {"."})
    pairs = [(unit, letters.index(value)) for row in people for unit, value in enumerate(row) if value != "."]
    units, values = (np.array(column, dtype=np.int64) for column in zip(*pairs, strict=True))
    return krippendorff_alpha(count_values(units, values, len(people[0]), len(letters)))


@pytest.mark.parametrize(
    ("people", "published"),
    [
        # Krippendorff 2011, section A: two people, two values, nothing missing
        (("0100000010", "1110010000"), 0.095),
        # section B: two people, five values
        (("aabbdcccedda", "babbbccceddd"), 0.692),
        # section C: four people, answers missing
        (("123321412...", "1233224125.3", ".3332342251.", "12332441251."), 0.743),
    ],
)
def test_alpha_of_published_examples(people: tuple[str, ...], published: float) -> None:
    assert alpha_of(*people) == pytest.approx(published, abs=5e-4)


def test_alpha_with_most_answers_missing() -> None:
    # the example of the encyclopedia's article on the coefficient: three coders, 15 units, 0.691
    assert alpha_of(".....34121133.3", "1.213343.......", "..21344.21133.4") == (pytest.approx(0.691, abs=5e-4))


def test_alpha_says_nothing_where_nothing_can_be_said() -> None:
    assert math.isnan(krippendorff_alpha(np.zeros((3, 2), dtype=np.int64)))
    assert math.isnan(krippendorff_alpha(np.array([[1, 0], [0, 1]])))  # one answer each
    assert math.isnan(krippendorff_alpha(np.array([[2, 0], [3, 0]])))  # one value only
    assert krippendorff_alpha(np.array([[2, 0], [0, 2]])) == 1.0


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 40), st.integers(2, 5), st.integers(0, 10_000))
def test_alpha_does_not_depend_on_who_or_which(n: int, values: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 3, (n, values))
    alpha = krippendorff_alpha(counts)
    shuffled = counts[rng.permutation(n)][:, rng.permutation(values)]
    assert alpha <= 1 or math.isnan(alpha)
    np.testing.assert_allclose(krippendorff_alpha(shuffled), alpha)
    single = np.eye(values, dtype=np.int64)  # units that one person answered change nothing
    np.testing.assert_allclose(krippendorff_alpha(np.concatenate([counts, single])), alpha)


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
@settings(max_examples=50, deadline=None)
@given(st.integers(2, 60), st.integers(2, 5), st.integers(0, 10_000))
def test_kappa_equals_scikit_learn(n: int, values: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a = rng.integers(0, values, n)
    b = np.where(rng.random(n) < 0.6, a, rng.integers(0, values, n))
    if len(set(a) | set(b)) > 1:
        assert cohen_kappa(a, b, values) == pytest.approx(cohen_kappa_score(a, b))


def test_kappa_of_literals() -> None:
    # 20 yes/yes, 5 yes/no, 10 no/yes, 15 no/no: po 0.7, pe 0.5
    a = np.repeat([1, 1, 0, 0], [20, 5, 10, 15])
    b = np.repeat([1, 0, 1, 0], [20, 5, 10, 15])
    assert cohen_kappa(a, b, 2) == pytest.approx(0.4)
    assert math.isnan(cohen_kappa(a[:0], b[:0], 2))
    assert math.isnan(cohen_kappa(a[:5], a[:5], 2))

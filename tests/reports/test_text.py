import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from earmark.evaluation.evaluate import evaluate
from earmark.metrics.results import ClipPredictions
from earmark.reports import text
from earmark.types import Vocabulary


def predictions(kind: str, n: int, tags: int, seed: int) -> ClipPredictions:
    rng = np.random.default_rng(seed)
    targets = np.eye(tags)[rng.integers(0, tags, n)] if kind == "exclusive" else rng.random((n, tags)) < 0.4
    targets = targets.astype(np.float32)
    return ClipPredictions(
        uris=[str(i) for i in range(n)], start_s=np.zeros(n), stop_s=np.ones(n), groups=[str(i) for i in range(n)],
        logits=rng.normal(0, 2, (n, tags)).astype(np.float32), embeddings=np.zeros((n, 2), dtype=np.float32),
        targets=targets, weights=np.ones_like(targets),
        vocabulary=Vocabulary(tuple(f"tag {i}" * (1 + i % 3) for i in range(tags)), kind),  # type: ignore[arg-type]
    )  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(["exclusive", "multilabel"]), st.integers(1, 50), st.integers(2, 6), st.integers(0, 1000))
def test_report_is_scikit_learns_to_the_letter(kind: str, n: int, tags: int, seed: int) -> None:
    clips = predictions(kind, n, tags, seed)
    found = evaluate(clips, resamples=0)
    names = list(clips.vocabulary)
    if kind == "exclusive":
        true, said = clips.classes, found.predicted.argmax(axis=1)
        present = sorted(set(true) | set(said))
        expected = sk.classification_report(
            true, said, labels=None, target_names=[names[i] for i in present], digits=4, zero_division=0
        )
    else:
        expected = sk.classification_report(clips.truth, found.predicted, target_names=names, digits=4, zero_division=0)
    # where nothing is right scikit-learn prints its counts as floats (1.0); that is an accident, not a form
    assert text.classification_report(clips, found) == re.sub(r"( +)(\d+)\.0$", r"\1  \2", expected, flags=re.M)


def test_words() -> None:
    confusion = np.array([[5, 3], [1, 9]])
    assert text.confusion_lines(confusion, ["dog", "cat"]) == [
        "3 of 8 dog clips were taken for cat",
        "1 of 10 cat clips were taken for dog",
    ]
    assert text.refusal_lines({"known_refused": 0.05, "clips": 12.0, "refused": 0.5, "auroc": 0.9}) == [
        "5.0 % of these clips would be refused as unknown sounds",
        "of 12 clips of other kinds 50.0 % are refused; AUROC unknown against known 0.900",
    ]
    assert text.refusal_lines({"clips": 1.0, "refused": 1.0}) == ["of 1 clip of other kinds 100.0 % are refused"]
    assert text.refusal_lines({}) == []


def test_summary_has_a_line_a_figure() -> None:
    found = evaluate(predictions("exclusive", 40, 4, 0), resamples=20)
    lines = text.summary_lines(found)
    assert len(lines) == len(found.metrics)
    assert lines[0].startswith("accuracy ")
    low, high = found.intervals["accuracy"] or (0, 0)
    assert f"[{low:.4f}, {high:.4f}]" in lines[0]
    assert pytest.approx(found.metrics["accuracy"], abs=1e-4) == float(lines[0].split()[1])

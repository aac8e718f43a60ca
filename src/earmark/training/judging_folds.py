"""The nets of a cross-validation: each clip judged by the one that has not heard it, and all of them as one model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from earmark.bundle.schema import Calibration, Refusal
from earmark.evaluation.calibrate import (
    calibrate,
    fit_refusal,
    left_out_auroc,
    probabilities_of,
    refusal_scores,
    window_groups,
)
from earmark.evaluation.evaluate import evaluate
from earmark.metrics import unknown
from earmark.metrics.classification import Floats
from earmark.metrics.results import ClipPredictions, WindowAnswers
from earmark.metrics.unknown import Arrays
from earmark.training.judging import Judgement, Trained, at_most, draft, hear, left_out_details, predict_rows
from earmark.training.strangers import Strangers
from earmark.types import Progress

Array = npt.NDArray[np.float32]


def judge_folds(
    members: list[Trained], work: Path, progress: Progress, strangers: Strangers | None = None
) -> Judgement:
    """Every clip is judged by the one net that has not heard it; calibration and refusal come from those answers.

    Strangers are heard by every net: what is said of them is the mean over the nets, each against its own fold.
    """
    pieces: list[ClipPredictions] = []
    fold_metrics: list[dict[str, float]] = []
    references: list[Arrays] = []
    refused: list[Refused] = []
    components: list[dict[str, float]] = []
    for number, member in enumerate(members):
        tagger = draft([member], work / f"draft-{number}")
        found = predict_rows(tagger, member.task, member.judged, progress)
        pieces.append(found)
        fold_metrics.append(evaluate(found, resamples=0).metrics)
        train = predict_rows(tagger, member.task, at_most(member.task.train, member.task.seed), progress)
        references.append(fit_refusal(train, found)[1])
        strange = hear(tagger, strangers, member.task.seed, progress)
        refused.append(Refused.of(found, strange, references[-1]))
        if strange is not None:
            components.append(left_out_auroc(train, found, found, strange))
    judged = concatenate(pieces)
    outcome = refusal_of_folds(refused)
    calibration, thresholds = calibrate(judged)
    notes = ["probabilities of a fold are calibrated by the other folds; the model's own calibration is by all of them"]
    if thresholds:
        notes.append("tags were said from a probability of 0.5; the model's thresholds are fitted on all folds")
    reference = pooled_reference(references)
    refusal = None
    if "threshold" in reference:
        every = np.concatenate([part.windows for part in refused])
        reference["threshold"] = np.array([pooled_threshold(refused)], np.float32)
        reference["score_quantiles"] = np.quantile(every, unknown.QUANTILES).astype(np.float32)
        details: dict[str, Any] = {"method": "mean of the folds' nets", "judged_on": "folds"}
        if strangers is not None:
            details |= left_out_details(strangers, round(outcome["clips"]), components)
        refusal = Refusal(
            threshold=float(reference["threshold"][0]),
            false_refusals=outcome["known_refused"],
            auroc=outcome.get("auroc"),
            details=details,
        )
    else:
        notes.append("a class is missing from some folds' training clips: the model does not refuse unknown sounds")
    draft(members, work / "draft")
    calibrated = concatenate([calibrated_by(concatenate(_others(pieces, i)), pieces[i]) for i in range(len(pieces))])
    return Judgement(
        work / "draft",
        calibration,
        thresholds,
        refusal,
        reference,
        {"folds": judged},
        {"folds": probabilities_of(calibrated, Calibration())},
        {"folds": np.concatenate([member.judged for member in members])},
        {"folds": replace(evaluate(calibrated), unknown=outcome if refusal else {})},
        fold_metrics,
        notes,
    )


def _others(pieces: list[ClipPredictions], left_out: int) -> list[ClipPredictions]:
    return [piece for i, piece in enumerate(pieces) if i != left_out]


def calibrated_by(others: ClipPredictions, piece: ClipPredictions) -> ClipPredictions:
    """`piece` with logits that need no further calibration, fitted on `others` alone."""
    fitted, _ = calibrate(others)
    scale = np.asarray(fitted.scale or (1.0,), np.float32)
    bias = np.asarray(fitted.bias or (0.0,), np.float32)
    return replace(piece, logits=piece.logits * scale + bias)


def pooled_reference(references: list[Arrays]) -> Arrays:
    """The refusal of an ensemble whose embedding is its members' side by side.

    Its squared distance is the mean of the members' squared distances, which is one distance under a block-diagonal
    precision; the blocks alone are kept, as what lies between them is zero and would be most of the file. Its scale is
    the mean of the members' own, each of which was set on clips that member had not heard; likewise its threshold,
    until `judge_folds` sets one on the clips of all folds. Members that do not know the same classes have no common
    distance: then only what drift is measured by is in it.
    """
    every: Arrays = {name: _mean(references, name) for name in ("logit_quantiles",)}
    every["mean"] = np.concatenate([reference["mean"] for reference in references])
    every["covariance"] = np.stack([reference["covariance"] for reference in references])
    if len({tuple(reference["classes"]) for reference in references}) != 1:
        return every
    every["means"] = np.concatenate([reference["means"] for reference in references], axis=1)
    every["precision"] = np.stack([reference["precision"] for reference in references]) / np.float32(len(references))
    every |= {name: _mean(references, name) for name in ("centre", "spread", "threshold", "score_quantiles")}
    return every | {name: references[0][name] for name in ("kind", "used", "classes")}


def _mean(references: list[Arrays], name: str) -> Array:
    return np.asarray(
        np.stack([reference[name] for reference in references]).mean(axis=0, dtype=np.float64), np.float32
    )


def concatenate(pieces: list[ClipPredictions]) -> ClipPredictions:
    """Predictions of several sets of clips as one; embeddings of different nets share nothing but their length."""
    heard = [piece.heard for piece in pieces]
    firsts = np.cumsum([0, *(len(piece) for piece in pieces[:-1])])
    return ClipPredictions(
        uris=[uri for piece in pieces for uri in piece.uris],
        start_s=np.concatenate([piece.start_s for piece in pieces]),
        stop_s=np.concatenate([piece.stop_s for piece in pieces]),
        groups=[group for piece in pieces for group in piece.groups],
        logits=np.concatenate([piece.logits for piece in pieces]),
        embeddings=np.concatenate([piece.embeddings for piece in pieces]),
        targets=np.concatenate([piece.targets for piece in pieces]),
        weights=np.concatenate([piece.weights for piece in pieces]),
        vocabulary=pieces[0].vocabulary,
        windows=WindowAnswers(
            clip=np.concatenate([part.clip + first for part, first in zip(heard, firsts, strict=True)]),
            logits=np.concatenate([part.logits for part in heard]),
            embeddings=np.concatenate([part.embeddings for part in heard]),
        ),
    )


@dataclass(frozen=True)
class Refused:
    """How unknown one fold's net finds what it has not heard, on its own scale.

    Attributes:
        windows, groups: (w,) scores of the fold's windows, and their groups.
        known: (clips,) of the fold's clips; `strange`: of the strangers, None where there are none.
    """

    windows: Floats
    groups: list[str]
    known: Floats
    strange: Floats | None

    @classmethod
    def of(cls, fold: ClipPredictions, strange: ClipPredictions | None, reference: Arrays) -> Refused:
        fold = fold.labelled()
        return cls(
            unknown.score(fold.heard.logits, fold.heard.embeddings, reference),
            window_groups(fold),
            refusal_scores(fold, reference),
            None if strange is None else refusal_scores(strange, reference),
        )


def pooled_threshold(parts: list[Refused]) -> float:
    """One threshold for the scores of all folds, each on its own scale."""
    return unknown.conformal_threshold(
        np.concatenate([part.windows for part in parts]), [group for part in parts for group in part.groups]
    )


def refusal_of_folds(parts: list[Refused]) -> dict[str, float]:
    """As `Evaluation.unknown`: each fold is judged by the threshold of the others."""
    limits = [pooled_threshold(parts[:i] + parts[i + 1 :]) for i in range(len(parts))]
    known = np.concatenate([part.known > limit for part, limit in zip(parts, limits, strict=True)])
    outcome = {"known_refused": float(known.mean())}
    strange = [(part, limit) for part, limit in zip(parts, limits, strict=True) if part.strange is not None]
    if strange:
        heard = [(part.known, part.strange, limit) for part, limit in strange if part.strange is not None]
        outcome["clips"] = float(len(heard[0][1]))
        outcome["refused"] = float(np.mean([(scores > limit).mean() for _, scores, limit in heard]))
        outcome["auroc"] = float(np.mean([unknown.auroc(known, scores) for known, scores, _ in heard]))
    return outcome

"""Honest figures: what a model is worth on clips it has not been trained on, with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from earmark.bundle.schema import Calibration
from earmark.errors import InputError
from earmark.evaluation.calibrate import probabilities_of, refusal_scores
from earmark.formats.words import counted
from earmark.metrics import calibration as cal
from earmark.metrics import classification as cls
from earmark.metrics import intervals as ci
from earmark.metrics import ranking, unknown
from earmark.metrics.classification import Bools, Floats
from earmark.metrics.results import ClipPredictions, Evaluation

__all__ = ["Evaluation", "decide", "evaluate", "evaluate_strangers"]

Values = dict[str, Floats]  # name -> (b,)


def evaluate(
    predictions: ClipPredictions,
    calibration: Calibration | None = None,
    thresholds: Mapping[str, float] | None = None,
    *,
    reference: Mapping[str, npt.NDArray[np.floating[Any]]] | None = None,
    unknown_clips: ClipPredictions | None = None,
    resamples: int = ci.RESAMPLES,
    seed: int = 0,
) -> Evaluation:
    """Figures, intervals and per-tag table of `predictions`.

    Args:
        calibration: of the bundle; None: raw softmax or sigmoid.
        thresholds: tag -> probability from which it is said (multilabel; 0.5 where none is given).
        reference: the arrays of reference.npz, to judge the refusal; None or without a threshold: not judged.
        unknown_clips: sounds of kinds the model never learnt: their refusal AUROC is added.
        resamples: of the bootstrap; seed: of its random draws.

    Raises:
        InputError: no labelled clip.
    """
    clips = predictions.labelled()
    if not len(clips):
        raise InputError("no clip has a label of the model's vocabulary, so there is nothing to evaluate by.")
    probability = probabilities_of(clips, calibration or Calibration())
    decided = decide(probability, clips, thresholds)
    groups = ci.n_groups(clips.groups)
    once, tally, auc, precision = _figures(clips, probability, decided, None)
    intervals: dict[str, tuple[float, float] | None] = dict.fromkeys(once)
    if groups > 1 and resamples:
        blocks = [
            _figures(clips, probability, decided, counts)[0]
            for counts in ci.group_counts_in_blocks(clips.groups, resamples, seed=seed)
        ]
        intervals = {name: ci.interval(np.concatenate([block[name] for block in blocks])) for name in once}
    metrics = {name: float(values[0]) for name, values in once.items()}
    if not clips.is_exclusive:
        metrics["roc_auc_micro"] = ranking.micro_roc_auc(clips.truth, probability, clips.mask)
        metrics["pr_auc_micro"] = ranking.micro_average_precision(clips.truth, probability, clips.mask)
    curve, adaptive = _reliability(clips, probability)
    metrics["ece_adaptive"] = adaptive.ece
    known_thresholds = thresholds or {}
    per_tag = [
        {
            "tag": tag,
            "precision": float(tally.precision[0, column]),
            "recall": float(tally.recall[0, column]),
            "specificity": float(tally.specificity[0, column]),
            "f1": float(tally.f1[0, column]),
            "support": int(tally.support[0, column]),
            "roc_auc": float(auc[0, column]),
            "average_precision": float(precision[0, column]),
            "threshold": float("nan") if clips.is_exclusive else known_thresholds.get(tag, 0.5),
        }
        for column, tag in enumerate(clips.vocabulary.tags)
    ]
    n_tags = len(clips.vocabulary)
    confusion = cls.confusion_matrix(clips.classes, decided.argmax(axis=1), n_tags) if clips.is_exclusive else None
    return Evaluation(
        tags=clips.vocabulary.tags,
        kind=clips.vocabulary.kind,
        clips=len(clips),
        groups=groups,
        metrics=metrics,
        intervals=intervals,
        per_tag=per_tag,
        confusion=confusion,
        reliability={
            "confidence": curve.confidence.tolist(),
            "frequency": curve.frequency.tolist(),
            "count": curve.count.tolist(),
        },
        predicted=decided,
        unknown=_refusal(clips, reference, unknown_clips),
        notes=_notes(predictions, clips, groups, metrics, auc[0]),
    )


def evaluate_strangers(
    strange: ClipPredictions, reference: Mapping[str, npt.NDArray[np.floating[Any]]], notes: tuple[str, ...] = ()
) -> Evaluation:
    """What share of `strange`, sounds of kinds the model never learnt, it refuses; without known ones no more is known.

    Args:
        reference: the arrays of reference.npz, with a threshold.
    """
    refused = unknown.is_unknown(refusal_scores(strange, reference), reference)
    return Evaluation(
        tags=strange.vocabulary.tags,
        kind=strange.vocabulary.kind,
        clips=0,
        groups=0,
        metrics={},
        intervals={},
        per_tag=[],
        confusion=None,
        reliability={"confidence": [], "frequency": [], "count": []},
        predicted=np.zeros((0, len(strange.vocabulary)), dtype=bool),
        unknown={"clips": float(len(strange)), "refused": float(refused.mean())},
        notes=notes,
    )


def decide(probability: Floats, clips: ClipPredictions, thresholds: Mapping[str, float] | None) -> Bools:
    """(n, tags) which tags are said: the most probable one (exclusive), or all at or above their threshold."""
    if clips.is_exclusive:
        decided: Bools = np.eye(len(clips.vocabulary), dtype=bool)[probability.argmax(axis=1)]
        return decided
    known = thresholds or {}
    limit = np.array([known.get(tag, 0.5) for tag in clips.vocabulary.tags])
    said: Bools = probability >= limit
    return said


def _figures(
    clips: ClipPredictions, probability: Floats, decided: Bools, counts: Floats | None
) -> tuple[Values, cls.Tally, Floats, Floats]:
    """Every figure that has an interval, for each row of `counts`, and the tally and per-tag rankings behind them."""
    mask = np.ones_like(clips.mask) if clips.is_exclusive else clips.mask
    auc, precision = ranking.roc_auc_and_average_precision(clips.truth, probability, mask, counts)
    counted = np.ones((1, len(clips))) if counts is None else counts.astype(np.float64)
    values: Values = {}
    if clips.is_exclusive:
        true, said = clips.classes, decided.argmax(axis=1)
        tally = cls.tally_exclusive(true, said, len(clips.vocabulary), counted)
        values["accuracy"] = cls.accuracy(true, said, counted)
        loss = cal.negative_log_likelihood(probability, true)
        squared = cal.brier(probability, true)
        confidence, happened, owner = probability.max(axis=1), true == said, np.arange(len(clips))
    else:
        tally = cls.tally_multilabel(clips.truth, decided, mask, counted)
        values["accuracy"] = cls.subset_accuracy(clips.truth, decided, mask, counted)
        pair_loss = np.where(mask, cal.binary_log_loss(probability, clips.truth), 0.0)
        loss = pair_loss.sum(axis=1)
        squared = np.where(mask, (probability - clips.truth) ** 2, 0.0).sum(axis=1)
        confidence, happened, owner = probability[mask], clips.truth[mask], np.nonzero(mask)[0]
    pairs = counted @ (np.ones(len(clips)) if clips.is_exclusive else mask.sum(axis=1).astype(np.float64))
    values["balanced_accuracy"] = cls.balanced_accuracy(tally, exclusive=clips.is_exclusive)
    values["macro_f1"] = cls.macro_f1(tally, np.asarray(clips.truth.any(axis=0)))
    values["roc_auc_macro"] = ranking.macro(auc)
    values["pr_auc_macro"] = ranking.macro(precision)
    if not clips.is_exclusive:
        values["micro_f1"] = cls.micro_f1(tally)  # exclusive: the accuracy again
        values["lwlrap"] = ranking.lwlrap(clips.truth, probability, mask, counted)
    elif len(clips.vocabulary) > 3:
        values["top_3_accuracy"] = cls.top_k_accuracy(true, probability, 3, counted)
    values["log_loss"] = (counted @ loss) / pairs
    values["brier"] = (counted @ squared) / pairs
    values["ece"] = _ece(confidence, happened, owner, counted, pairs)
    return values, tally, auc, precision


def _ece(confidence: Floats, happened: Bools, owner: npt.NDArray[np.intp], counts: Floats, pairs: Floats) -> Floats:
    """Expected calibration error for each row of `counts`; `owner` is the clip of each (clip, tag) pair."""
    bins = cal.bin_index(confidence)
    gap = np.zeros((counts.shape[1], cal.N_BINS))  # per clip and bin: sum of (confidence - happened)
    np.add.at(gap, (owner, bins), confidence - happened)
    result: Floats = np.abs(counts @ gap).sum(axis=1) / pairs
    return result


def _reliability(clips: ClipPredictions, probability: Floats) -> tuple[cal.Reliability, cal.Reliability]:
    if clips.is_exclusive:
        confidence, happened = probability.max(axis=1), probability.argmax(axis=1) == clips.classes
    else:
        confidence, happened = probability[clips.mask], clips.truth[clips.mask]
    return cal.reliability(confidence, happened), cal.reliability(confidence, happened, adaptive=True)


def _refusal(
    clips: ClipPredictions,
    reference: Mapping[str, npt.NDArray[np.floating[Any]]] | None,
    unknown_clips: ClipPredictions | None,
) -> dict[str, float]:
    if reference is None or "threshold" not in reference:
        return {}
    inside = refusal_scores(clips, reference)
    result = {"known_refused": float(unknown.is_unknown(inside, reference).mean())}
    if unknown_clips is not None and len(unknown_clips):
        outside = refusal_scores(unknown_clips, reference)
        result["clips"] = float(len(unknown_clips))
        result["refused"] = float(unknown.is_unknown(outside, reference).mean())
        result["auroc"] = unknown.auroc(inside, outside)
    return result


def _notes(
    everything: ClipPredictions, clips: ClipPredictions, groups: int, metrics: Mapping[str, float], auc: Floats
) -> tuple[str, ...]:
    notes = []
    if len(everything) > len(clips):
        notes.append(f"Left out: {counted(len(everything) - len(clips), 'clip')} without any label.")
    if groups == 1:
        notes.append("All clips are of one group, so no interval can be given.")
    elif groups < ci.FEW_GROUPS:
        notes.append(f"Only {groups} groups: the intervals are drawn from few and are unreliable, likely too narrow.")
    absent = [tag for tag, value in zip(clips.vocabulary.tags, auc, strict=True) if np.isnan(value)]
    if absent:
        names = ", ".join(absent[:6]) + (f" and {len(absent) - 6} more" if len(absent) > 6 else "")
        few = counted(len(absent), "tag lacks", "tags lack")
        notes.append(f"{few} positives or negatives here, and the ROC-AUC mean is without: {names}.")
    if metrics["accuracy"] == 1.0:
        rate = 100 * ci.largest_error_rate(groups)
        notes.append(
            f"No mistake in {counted(groups, 'independent group')}: with 95 % confidence the true error rate is below "
            f"{rate:.1f} %; the intervals cannot show that."
        )
    return tuple(notes)

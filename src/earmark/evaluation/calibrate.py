"""Fit what a bundle stores beside its net, on clips the net was not trained on: calibration, thresholds, refusal."""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from earmark.bundle.schema import Calibration, Refusal
from earmark.errors import InputError
from earmark.metrics import calibration as scaling
from earmark.metrics import unknown
from earmark.metrics.classification import Floats
from earmark.metrics.results import ClipPredictions
from earmark.metrics.thresholds import per_tag_thresholds

_log = logging.getLogger("earmark.evaluation")

FEW_CLIPS = 30


def calibrate(val: ClipPredictions) -> tuple[Calibration, dict[str, float]]:
    """Calibration and thresholds from validation clips.

    Exclusive: one temperature, no thresholds (the most probable tag is said). Multilabel: a scale and a bias per tag
    (see `metrics.calibration.fit_per_tag`) and a threshold per tag on the calibrated probability. With no labelled
    clip nothing is fitted.
    """
    clips = val.labelled()
    if not len(clips):
        _log.warning("no labelled validation clip: the probabilities are not calibrated")
        return Calibration(), {}
    if len(clips) < FEW_CLIPS:
        _log.warning("calibrated on only %d clips: read the probabilities with care", len(clips))
    if clips.is_exclusive:
        fitted = scaling.fit_temperature(clips.logits, clips.classes)
        return Calibration.temperature(fitted.temperature[0]), {}
    fitted = scaling.fit_per_tag(clips.logits, clips.truth, clips.mask)
    result = Calibration(kind="platt", scale=tuple(1 / t for t in fitted.temperature), bias=fitted.bias)
    thresholds = per_tag_thresholds(clips.truth, probabilities_of(clips, result), clips.mask)
    return result, dict(zip(clips.vocabulary.tags, thresholds, strict=True))


def probabilities_of(predictions: ClipPredictions, calibration: Calibration) -> Floats:
    """(n, tags) calibrated probabilities in float64, so that near-certain clips keep their order."""
    scale = np.asarray(calibration.scale or (1.0,), dtype=np.float64)
    bias = np.asarray(calibration.bias or (0.0,), dtype=np.float64)
    logits = predictions.logits.astype(np.float64)
    if predictions.is_exclusive:
        logits = logits + bias / scale  # softmax(scale * logit + bias)
        return scaling.probabilities(logits, "exclusive", 1 / scale)
    return scaling.probabilities(logits, "multilabel", 1 / scale, bias)


def fit_refusal(
    train: ClipPredictions, val: ClipPredictions, *, components: Sequence[str] = unknown.DEFAULT
) -> tuple[Refusal, unknown.Arrays]:
    """When to say "none of my tags": from training embeddings and validation scores, with no unknown sound at hand.

    Everything is of windows, which is what tagging refuses. The threshold is that of
    `metrics.unknown.conformal_threshold`: some 5 % of the windows of a new group of known kinds are above it. The
    arrays belong into the bundle's reference.npz (see `reference_bytes`): those of `metrics.unknown.fit`, and
    `logit_quantiles` (101, tags) of the training windows.
    """
    train, val = train.labelled(), val.labelled()
    learnt, watched = train.heard, val.heard
    arrays = unknown.fit(
        learnt.embeddings,
        train.truth[learnt.clip],
        watched.logits,
        watched.embeddings,
        val.vocabulary.kind,
        val_groups=window_groups(val),
        components=components,
    )
    # what the scores of known sounds look like, tag by tag: drift is measured against these later
    arrays["logit_quantiles"] = np.quantile(learnt.logits, unknown.QUANTILES, axis=0).astype(np.float32)
    refusal = Refusal(
        threshold=float(arrays["threshold"][0]),
        false_refusals=float(unknown.is_unknown(refusal_scores(val, arrays), arrays).mean()),
        details={
            "method": "+".join(components),
            "train_clips": len(train),
            "validation_clips": len(val),
            "validation_groups": len(set(val.groups)),
        },
    )
    return refusal, arrays


def window_groups(clips: ClipPredictions) -> list[str]:
    """The group of each of the clips' windows."""
    return [clips.groups[clip] for clip in clips.heard.clip]


def refusal_scores(clips: ClipPredictions, arrays: unknown.Reference) -> Floats:
    """(n,) how unknown each clip is: above the threshold where more than half of its windows are."""
    heard = clips.heard
    return unknown.clip_scores(unknown.score(heard.logits, heard.embeddings, arrays), heard.clip)


def left_out_auroc(
    train: ClipPredictions,
    val: ClipPredictions,
    known: ClipPredictions,
    unknown_clips: ClipPredictions,
    *,
    components: Sequence[str] = unknown.DEFAULT,
) -> dict[str, float]:
    """How well a model trained without some classes tells their sounds from its own.

    Args:
        train, val: of the classes it was trained on, to fit the refusal.
        known: test clips of those classes; no clip of train or val.
        unknown_clips: clips of the classes that were left out; only logits and embeddings are looked at.

    Returns:
        AUROC of each single component and of `combined` (`components`), the part of `unknown_clips` that is refused
        (`refused`) and the part of `known` (`false_refusals`).
    """
    if not len(known) or not len(unknown_clips):
        raise InputError(
            f"refusal: {len(known)} clips of known classes and {len(unknown_clips)} of left-out ones; expected both."
        )
    result: dict[str, float] = {}
    for name, chosen in [*((one, (one,)) for one in unknown.COMPONENTS), ("combined", tuple(components))]:
        _, arrays = fit_refusal(train, val, components=chosen)
        inside, outside = refusal_scores(known, arrays), refusal_scores(unknown_clips, arrays)
        result[name] = unknown.auroc(inside, outside)
    result["refused"] = float(unknown.is_unknown(outside, arrays).mean())
    result["false_refusals"] = float(unknown.is_unknown(inside, arrays).mean())
    return result


def reference_bytes(arrays: Mapping[str, npt.NDArray[np.float32]]) -> bytes:
    """The content of a bundle's reference.npz."""
    buffer = io.BytesIO()
    named: dict[str, Any] = dict(arrays)
    np.savez_compressed(buffer, **named)
    return buffer.getvalue()

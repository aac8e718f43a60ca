"""Let the Tagger that will serve speak about clips that its net has not heard, and learn from that how far to trust it.

Nothing here looks at torch's own outputs: each net is exported first, and what is calibrated and judged is the file.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from earmark.bundle.export import export_onnx, tagger_graph
from earmark.bundle.load import load_bundle
from earmark.bundle.save import write_bundle
from earmark.bundle.schema import MODEL_NAME, Architecture, BundleHeader, Calibration, Refusal, Tags, Windows
from earmark.data.batches import Indices
from earmark.evaluation.calibrate import calibrate, fit_refusal, probabilities_of
from earmark.evaluation.evaluate import Evaluation, evaluate
from earmark.evaluation.predict import ClipPredictions, predict
from earmark.metrics.classification import Floats
from earmark.metrics.unknown import Arrays
from earmark.tagging.tagger import Tagger
from earmark.training.feeding import Task, clip_batches
from earmark.training.keeping import Fitted
from earmark.types import Progress

log = logging.getLogger("earmark.training")

# The statistics of the embeddings are settled long before this many clips; more would only cost time.
REFERENCE_CLIPS = 5000
GATE_CLIPS = 16

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Trained:
    """One net with what it was trained on and `judged`, the rows that it has never seen."""

    task: Task
    fitted: Fitted
    judged: Indices


@dataclass(frozen=True)
class Judgement:
    """Attributes:

    draft: a bundle of the final graph, without calibration.
    calibration, thresholds, refusal, reference: for the model folder.
    predictions: by split, with `probabilities` (clips, tags), `rows` in the manifest, and `evaluations`.
    notes: what a reader of the report must know of these figures.
    fold_metrics: one dict of metrics a fold; empty without folds.
    """

    draft: Path
    calibration: Calibration
    thresholds: dict[str, float]
    refusal: Refusal | None
    reference: Arrays
    predictions: dict[str, ClipPredictions]
    probabilities: dict[str, Floats]
    rows: dict[str, Indices]
    evaluations: dict[str, Evaluation]
    fold_metrics: list[dict[str, float]]
    notes: list[str]


def judge(member: Trained, work: Path, progress: Progress) -> Judgement:
    """Calibrate and set the refusal on the validation split; judge by the test split."""
    tagger = _draft([member], work / "draft")
    task = member.task
    rows = {"train": _at_most(task.train, task.seed), "val": task.val, "test": member.judged}
    held = [name for name in ("val", "test") if len(rows[name])]
    train = _predict(tagger, task, rows["train"], progress)
    predictions = {name: _predict(tagger, task, rows[name], progress) for name in held} or {"train": train}
    notes: list[str] = []
    calibration, thresholds, refusal = Calibration(), dict[str, float](), None
    if "val" in predictions:
        calibration, thresholds = calibrate(predictions["val"])
        refusal, reference = fit_refusal(train, predictions["val"])
    else:
        # what is fitted on the clips that judge would flatter the judgement
        notes.append("no validation clips: probabilities are not calibrated, and unknown sounds are not refused")
        _, reference = fit_refusal(train, train)
    if not held:
        notes.append("no clip was held out: these are figures of the training clips and say nothing about new sounds")
    evaluations = {
        name: evaluate(found, calibration, thresholds, reference=reference if refusal else None)
        for name, found in predictions.items()
    }
    return Judgement(
        work / "draft",
        calibration,
        thresholds,
        refusal,
        reference,
        predictions,
        {name: probabilities_of(found, calibration) for name, found in predictions.items()},
        {name: rows[name] for name in predictions},
        evaluations,
        fold_metrics=[],
        notes=notes,
    )


def judge_folds(members: list[Trained], work: Path, progress: Progress) -> Judgement:
    """Every clip is judged by the one net that has not heard it; calibration and refusal come from those answers."""
    pieces: list[ClipPredictions] = []
    fold_metrics: list[dict[str, float]] = []
    references: list[Arrays] = []
    for number, member in enumerate(members):
        tagger = _draft([member], work / f"draft-{number}")
        found = _predict(tagger, member.task, member.judged, progress)
        pieces.append(found)
        fold_metrics.append(evaluate(found, resamples=0).metrics)
        train = _predict(tagger, member.task, _at_most(member.task.train, member.task.seed), progress)
        references.append(fit_refusal(train, found)[1])
    judged = concatenate(pieces)
    calibration, thresholds = calibrate(judged)
    notes = ["probabilities of a fold are calibrated by the other folds; the model's own calibration is by all of them"]
    if thresholds:
        notes.append("tags were said from a probability of 0.5; the model's thresholds are fitted on all folds")
    reference = pooled_reference(references)
    refusal = None
    if "threshold" in reference:
        refusal = Refusal(threshold=float(reference["threshold"][0]), details={"method": "mean of the folds' nets"})
    else:
        notes.append("a class is missing from some folds' training clips: the model does not refuse unknown sounds")
    _draft(members, work / "draft")
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
        {"folds": evaluate(calibrated)},
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
    precision. Its scale and threshold are the mean of the members' own, each of which was set on clips that member had
    not heard. Members that do not know the same classes have no common distance: then only what drift is measured by is
    in it.
    """
    every: Arrays = {name: _mean(references, name) for name in ("logit_quantiles",)}
    every["mean"] = np.concatenate([reference["mean"] for reference in references])
    every["covariance"] = _blocks([reference["covariance"] for reference in references])
    if len({tuple(reference["classes"]) for reference in references}) != 1:
        return every
    every["means"] = np.concatenate([reference["means"] for reference in references], axis=1)
    every["precision"] = _blocks([reference["precision"] / np.float32(len(references)) for reference in references])
    every |= {name: _mean(references, name) for name in ("centre", "spread", "threshold", "score_quantiles")}
    return every | {name: references[0][name] for name in ("kind", "used", "classes")}


def _mean(references: list[Arrays], name: str) -> Array:
    return np.asarray(
        np.stack([reference[name] for reference in references]).mean(axis=0, dtype=np.float64), np.float32
    )


def _blocks(matrices: list[Array]) -> Array:
    """Square matrices along the diagonal of one."""
    sizes = [len(matrix) for matrix in matrices]
    whole = np.zeros((sum(sizes), sum(sizes)), np.float32)
    for start, matrix in zip(np.cumsum([0, *sizes[:-1]]), matrices, strict=True):
        whole[start : start + len(matrix), start : start + len(matrix)] = matrix
    return whole


def concatenate(pieces: list[ClipPredictions]) -> ClipPredictions:
    """Predictions of several sets of clips as one; embeddings of different nets share nothing but their length."""
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
    )


def _predict(tagger: Tagger, task: Task, rows: Indices, progress: Progress) -> ClipPredictions:
    prepared = task.prepared
    found, _ = predict(
        tagger, task.manifest.take(rows), samples_of=lambda i: prepared.samples(int(rows[i])), progress=progress
    )
    return found


def _at_most(rows: Indices, seed: int) -> Indices:
    if len(rows) <= REFERENCE_CLIPS:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, REFERENCE_CLIPS, replace=False))


def _draft(members: list[Trained], folder: Path) -> Tagger:
    """Export, prove the export on real clips, and wrap it so that the Tagger can speak before the model is whole."""
    task = members[0].task
    onnx = folder.with_suffix(".onnx")
    graph = tagger_graph([(member.fitted.front_end, member.fitted.net) for member in members])
    rng = np.random.default_rng(task.seed)
    rows = np.concatenate([task.train, task.val])
    clips = clip_batches(task.prepared, task.recipe).crops(rng.choice(rows, GATE_CLIPS, len(rows) < GATE_CLIPS), rng)
    difference = export_onnx(graph, onnx, clips)
    log.info("exported: onnxruntime and torch agree within %.1g on %d real clips", difference, len(clips))
    with torch.no_grad():
        size = int(graph(torch.from_numpy(clips[:2]))[1].shape[1])
    spec, ran = task.recipe.front_end, members[0].fitted.recipe
    header = BundleHeader(
        name=folder.name,
        vocabulary=Tags.of(task.manifest.vocabulary),
        front_end=spec,
        windows=Windows(
            length_samples=spec.n_samples,
            sample_rate_hz=spec.sample_rate_hz,
            padding=spec.padding,
            overlap=task.recipe.tagging.overlap,
        ),
        architecture=Architecture(name=ran.model.name, arguments=ran.model.arguments),
        members=len(members),
        embedding_size=size,
    )
    write_bundle(folder, header, {MODEL_NAME: onnx}, replace=True)
    onnx.unlink()
    return Tagger(load_bundle(folder, verify=False))

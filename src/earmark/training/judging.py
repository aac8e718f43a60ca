"""Let the Tagger that will serve speak about clips that its net has not heard, and learn from that how far to trust it.

Nothing here looks at torch's own outputs: each net is exported first, and what is calibrated and judged is the file.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from earmark.bundle.export import export_onnx, trained_graph
from earmark.bundle.load import load_bundle
from earmark.bundle.save import write_bundle
from earmark.bundle.schema import MODEL_NAME, Architecture, BundleHeader, Calibration, Refusal, Tags, Windows
from earmark.data.batches import Indices
from earmark.evaluation.calibrate import (
    calibrate,
    fit_refusal,
    left_out_auroc,
    probabilities_of,
)
from earmark.evaluation.evaluate import Evaluation, evaluate
from earmark.evaluation.predict import ClipPredictions, predict
from earmark.metrics import unknown
from earmark.metrics.classification import Floats
from earmark.metrics.unknown import Arrays
from earmark.models.discriminant import WithDiscriminant
from earmark.tagging.tagger import Tagger
from earmark.training.feeding import Task, clip_batches
from earmark.training.keeping import Fitted
from earmark.training.strangers import Strangers
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


def judge(member: Trained, work: Path, progress: Progress, strangers: Strangers | None = None) -> Judgement:
    """Calibrate and set the refusal on the validation split; judge by the test split, and by strangers."""
    tagger = draft([member], work / "draft")
    task = member.task
    rows = {"train": at_most(task.train, task.seed), "val": task.val, "test": member.judged}
    held = [name for name in ("val", "test") if len(rows[name])]
    train = predict_rows(tagger, task, rows["train"], progress)
    predictions = {name: predict_rows(tagger, task, rows[name], progress) for name in held} or {"train": train}
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
    strange = hear(tagger, strangers, task.seed, progress)
    main = next(name for name in ("test", "val", "train") if name in predictions)
    evaluations = {
        name: evaluate(
            found,
            calibration,
            thresholds,
            reference=reference if refusal else None,
            unknown_clips=strange if name == main else None,
        )
        for name, found in predictions.items()
    }
    if refusal is not None:
        found = evaluations[main].unknown
        details = refusal.details | {"judged_on": main}
        if strangers is not None and strange is not None:
            parts = left_out_auroc(train, predictions["val"], predictions[main], strange)
            details |= left_out_details(strangers, len(strange), [parts])
        refusal = refusal.model_copy(
            update={"false_refusals": found["known_refused"], "auroc": found.get("auroc"), "details": details}
        )
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


def left_out_details(strangers: Strangers, clips: int, parts: list[dict[str, float]]) -> dict[str, Any]:
    """For `Refusal.details`: which classes were left out, and how well each score tells them from the known."""
    aurocs = {name: float(np.mean([part[name] for part in parts])) for name in unknown.COMPONENTS}
    return {"left_out": list(strangers.tags), "left_out_clips": clips, "auroc_by_score": aurocs}


def hear(tagger: Tagger, strangers: Strangers | None, seed: int, progress: Progress) -> ClipPredictions | None:
    """What the net says of the classes that were left out; None where none were."""
    if strangers is None:
        return None
    rows, prepared = at_most(strangers.rows, seed), strangers.prepared
    found, _ = predict(
        tagger,
        prepared.manifest.take(rows),
        samples_of=lambda i: prepared.samples(int(rows[i])),
        progress=progress,
    )
    return found


def predict_rows(tagger: Tagger, task: Task, rows: Indices, progress: Progress) -> ClipPredictions:
    """What the tagger says of `rows` of the task's clips."""
    prepared = task.prepared
    found, _ = predict(
        tagger, task.manifest.take(rows), samples_of=lambda i: prepared.samples(int(rows[i])), progress=progress
    )
    return found


def at_most(rows: Indices, seed: int) -> Indices:
    """`rows`, or REFERENCE_CLIPS of them."""
    if len(rows) <= REFERENCE_CLIPS:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, REFERENCE_CLIPS, replace=False))


def draft(members: list[Trained], folder: Path) -> Tagger:
    """Export, prove the export on real clips, and wrap it so that the Tagger can speak before the model is whole."""
    task = members[0].task
    onnx = folder.with_suffix(".onnx")
    nets = [(member.fitted.front_end, member.fitted.net) for member in members]
    rng = np.random.default_rng(task.seed)
    rows = np.concatenate([task.train, task.val])
    clips = clip_batches(task.prepared, task.recipe).crops(rng.choice(rows, GATE_CLIPS, len(rows) < GATE_CLIPS), rng)
    apart = export_onnx(nets, onnx, clips)
    log.info(
        "exported: onnxruntime and the trained net agree within %.1g (embeddings %.1g) on %d real clips",
        apart.logits, apart.embedding, len(clips),
    )  # fmt: skip
    with torch.no_grad():
        size = int(trained_graph(nets)(torch.from_numpy(clips[:2]))[1].shape[1])
    spec, ran, net = task.recipe.front_end, members[0].fitted.recipe, members[0].fitted.net
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
        architecture=Architecture(
            name=ran.model.name,
            arguments=ran.model.arguments,
            members=ran.model.members,
            # of the net and not of the recipe: with several tags at once no discriminant is fitted
            discriminant=net.share if isinstance(net, WithDiscriminant) else 0.0,
        ),
        members=len(members),
        embedding_size=size,
    )
    write_bundle(folder, header, {MODEL_NAME: onnx}, replace=True)
    onnx.unlink()
    return Tagger(load_bundle(folder, verify=False))

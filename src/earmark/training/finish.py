"""From trained nets to the model folder: export, calibrate, set the refusal, judge, report, write."""

from __future__ import annotations

import io
import logging
import platform
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from earmark.bundle.card import model_card
from earmark.bundle.export import export_onnx, tagger_graph, weights_bytes
from earmark.bundle.load import load_bundle
from earmark.bundle.save import write_bundle
from earmark.bundle.schema import (
    MEMBERS_FOLDER,
    MODEL_NAME,
    REFERENCE_NAME,
    REPORT_FOLDER,
    SEEN_NAME,
    WEIGHTS_NAME,
    Architecture,
    BundleHeader,
    Calibration,
    Refusal,
    Tags,
    Windows,
)
from earmark.data.batches import Indices
from earmark.evaluation.calibrate import calibrate, fit_refusal, reference_bytes
from earmark.evaluation.evaluate import Evaluation, evaluate
from earmark.evaluation.predict import ClipPredictions, predict
from earmark.tagging.tagger import Tagger
from earmark.training.device import Device
from earmark.training.fit import Fitted, Task, clip_batches
from earmark.training.plan import Plan
from earmark.types import Progress

log = logging.getLogger("earmark.training")

# An embedding's statistics are settled long before this many clips; judging more would only cost time.
REFERENCE_CLIPS = 5000
GATE_CLIPS = 16


@dataclass(frozen=True)
class Trained:
    """One net with what it was trained on and `judged`, the rows that it has never seen."""

    task: Task
    fitted: Fitted
    judged: Indices


@dataclass(frozen=True)
class Finished:
    """Attributes:

    evaluations: by split; `folds` of a cross-validation.
    fold_metrics: a dict of metrics a fold.
    """

    evaluations: dict[str, Evaluation]
    fold_metrics: list[dict[str, float]]


@dataclass(frozen=True)
class _Judgement:
    calibration: Calibration
    thresholds: dict[str, float]
    refusal: Refusal | None
    reference: dict[str, Any]
    predictions: dict[str, ClipPredictions]
    rows: dict[str, Indices]
    evaluations: dict[str, Evaluation]
    fold_metrics: list[dict[str, float]]


def finish(
    plan: Plan,
    members: list[Trained],
    out: Path,
    work: Path,
    notes: list[str],
    device: Device,
    *,
    keep_model: bool,
    progress: Progress,
    replace: bool,
) -> Finished:
    """Write the model folder `out` (and its report) from trained nets.

    Everything is judged by the Tagger that will serve, from the exported file, never by torch.
    """
    judged = _judge_folds(plan, members, work, progress) if plan.k else _judge(members[0], work, progress)
    model = _model_file(members, work)
    report = _report(plan, members, judged, notes, device, work)
    header = _header(plan, members, out.name, judged, device)
    files: dict[str, Path | bytes] = {
        MODEL_NAME: model,
        SEEN_NAME: _seen(plan, members),
        REFERENCE_NAME: reference_bytes(judged.reference),
        **{f"{REPORT_FOLDER}/{p.relative_to(report).as_posix()}": p for p in sorted(report.rglob("*")) if p.is_file()},
    }
    if len(members) == 1:
        files[WEIGHTS_NAME] = weights_bytes(members[0].fitted.net)
    else:
        for number, member in enumerate(members):
            files[f"{MEMBERS_FOLDER}/{number}/{WEIGHTS_NAME}"] = weights_bytes(member.fitted.net)
    files["README.md"] = model_card(header).encode()
    if keep_model:
        write_bundle(out, header, files, replace=replace)
    else:
        shutil.copytree(report, out / REPORT_FOLDER, dirs_exist_ok=True)
    return Finished(judged.evaluations, judged.fold_metrics)


# ---------------------------------------------------------------------------------------------------------- judging


def _judge(member: Trained, work: Path, progress: Progress) -> _Judgement:
    """Calibrate and set the refusal on the validation split; judge by the test split."""
    tagger = _draft(member, work / "draft")
    rows = {"train": member.task.train, "val": member.task.val, "test": member.judged}
    reference_rows = rows["train"]
    if len(reference_rows) > REFERENCE_CLIPS:
        rng = np.random.default_rng(member.task.seed)
        reference_rows = np.sort(rng.choice(reference_rows, REFERENCE_CLIPS, replace=False))
    train = _predict(tagger, member.task, reference_rows, progress)
    predictions = {
        name: _predict(tagger, member.task, rows[name], progress) for name in ("val", "test") if len(rows[name])
    }
    if not predictions:
        log.warning(
            "no clip was held out: the figures are those of the training clips and say nothing about new sounds"
        )
        predictions = {"train": train}
    held_out = predictions.get("val") or next(iter(predictions.values()))
    calibration, thresholds = calibrate(held_out)
    refusal, reference = fit_refusal(train, held_out)
    evaluations = {
        name: evaluate(found, calibration, thresholds, reference=reference) for name, found in predictions.items()
    }
    kept_rows = {name: rows[name] if name != "train" else reference_rows for name in predictions}
    return _Judgement(calibration, thresholds, refusal, reference, predictions, kept_rows, evaluations, [])


def _judge_folds(plan: Plan, members: list[Trained], work: Path, progress: Progress) -> _Judgement:
    """Every clip is judged by the net that has not seen it; calibration and refusal come from those answers too."""
    pieces: list[ClipPredictions] = []
    fold_metrics: list[dict[str, float]] = []
    train_pieces: list[ClipPredictions] = []
    for number, member in enumerate(members):
        tagger = _draft(member, work / f"draft-{number}")
        found = _predict(tagger, member.task, member.judged, progress)
        pieces.append(found)
        fold_metrics.append(evaluate(found, resamples=0).metrics)
    judged = _concatenate(pieces)
    calibration, thresholds = calibrate(judged)
    # the served model is all members at once: its embedding, and so its refusal, is that of the ensemble's graph
    ensemble = _draft_of(members, work / "draft-all")
    rows = np.concatenate([member.judged for member in members])
    chosen = rows if len(rows) <= REFERENCE_CLIPS else rows[:: -(-len(rows) // REFERENCE_CLIPS)]
    train_pieces.append(_predict(ensemble, members[0].task, chosen, progress))
    refusal, reference = fit_refusal(train_pieces[0], train_pieces[0])
    evaluations = {"folds": evaluate(judged, calibration, thresholds)}
    return _Judgement(
        calibration, thresholds, refusal, reference, {"folds": judged}, {"folds": rows}, evaluations, fold_metrics
    )


def _predict(tagger: Tagger, task: Task, rows: Indices, progress: Progress) -> ClipPredictions:
    prepared = task.prepared
    found, _ = predict(
        tagger,
        task.manifest.take(rows),
        samples_of=lambda i: prepared.samples(int(rows[i])),
        progress=progress,
    )
    return found


def _concatenate(pieces: list[ClipPredictions]) -> ClipPredictions:
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


# ------------------------------------------------------------------------------------------------------------ files


def _model_file(members: list[Trained], work: Path) -> Path:
    return work / ("draft-all" if len(members) > 1 else "draft") / MODEL_NAME


def _draft(member: Trained, folder: Path) -> Tagger:
    return _draft_of([member], folder)


def _draft_of(members: list[Trained], folder: Path) -> Tagger:
    """A bundle without calibration, to let the Tagger speak before the model is whole."""
    task = members[0].task
    onnx = folder.with_suffix(".onnx")
    graph = tagger_graph([(member.fitted.front_end, member.fitted.net) for member in members])
    rng = np.random.default_rng(task.seed)
    pool = np.concatenate([task.train, task.val])
    clips = clip_batches(task.prepared, task.recipe).crops(rng.choice(pool, min(GATE_CLIPS, len(pool)), False), rng)
    if len(clips) < 2:
        clips = np.repeat(clips, 2, axis=0)
    difference = export_onnx(graph, onnx, clips)
    log.info("exported: onnxruntime and torch agree within %.1g on %d real clips", difference, len(clips))
    with torch.no_grad():
        size = int(graph(torch.from_numpy(clips[:2]))[1].shape[1])
    header = _plain_header(task, folder.name, size, len(members))
    write_bundle(folder, header, {MODEL_NAME: onnx}, replace=True)
    onnx.unlink()
    return Tagger(load_bundle(folder, verify=False))


def _plain_header(task: Task, name: str, embedding_size: int, members: int) -> BundleHeader:
    spec = task.recipe.front_end
    return BundleHeader(
        name=name,
        vocabulary=Tags.of(task.manifest.vocabulary),
        front_end=spec,
        windows=Windows(
            length_samples=spec.n_samples,
            sample_rate_hz=spec.sample_rate_hz,
            padding=spec.padding,
            overlap=task.recipe.tagging.overlap,
        ),
        architecture=Architecture(name=task.recipe.model.name, arguments=task.recipe.model.arguments),
        members=members,
        embedding_size=embedding_size,
    )


def _header(plan: Plan, members: list[Trained], name: str, judged: _Judgement, device: Device) -> BundleHeader:
    draft = load_bundle(_model_file(members, members[0].task.folder.parent).parent, verify=False).header
    return draft.model_copy(
        update={
            "name": name,
            "calibration": judged.calibration,
            "thresholds": judged.thresholds,
            "refusal": judged.refusal,
            "provenance": provenance(plan, members, judged.evaluations, device),
            "files": {},
        }
    )


def provenance(
    plan: Plan, members: list[Trained], evaluations: Mapping[str, Evaluation], device: Device
) -> dict[str, Any]:
    """How the model came to be, for `earmark.json`, the card and the report."""
    rows = plan.manifest.rows
    trained = np.unique(np.concatenate([member.task.train for member in members]))
    licences = sorted({str(licence) for licence in rows["licence"].iloc[trained] if licence})
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "recipe": plan.recipe.model_dump(mode="json"),
        "recipe_name": plan.recipe.name,
        "seed": plan.recipe.training.seed,
        "data": {
            "name": plan.manifest.name,
            "layout": plan.manifest.layout,
            "fingerprint": plan.manifest.fingerprint(),
            "clips": len(plan.manifest),
            "clips_trained_on": len(trained),
            "groups": int(rows["group"].nunique()),
            "licences": licences,
        },
        "folds": plan.k,
        "epochs": [member.fitted.epoch for member in members],
        "training_s": round(sum(member.fitted.seconds for member in members), 1),
        "device": device.sentence,
        "metrics": {name: found.to_json()["metrics"] for name, found in evaluations.items()},
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Of Python and of what decides a model's numbers."""
    names = ("earmark", "torch", "lightning", "numpy", "onnx", "onnxruntime", "soundfile", "soxr")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def _seen(plan: Plan, members: list[Trained]) -> bytes:
    """seen.parquet: the hash of every recording that was trained on or chosen by."""
    rows = np.unique(np.concatenate([np.concatenate([m.task.train, m.task.val]) for m in members]))
    hashes = sorted({plan.prepared.audio_hash(int(row)) for row in rows})
    buffer = io.BytesIO()
    pq.write_table(pa.table({"audio_sha256": pa.array(hashes, pa.string())}), buffer, compression="zstd")
    return buffer.getvalue()

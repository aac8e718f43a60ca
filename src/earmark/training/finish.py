"""From trained nets to the model folder: judged, reported, and written whole or not at all."""

from __future__ import annotations

import io
import platform
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from earmark.bundle.card import model_card
from earmark.bundle.export import weights_bytes
from earmark.bundle.load import load_bundle
from earmark.bundle.save import write_bundle
from earmark.bundle.schema import (
    CARD_NAME,
    MEMBERS_FOLDER,
    MODEL_NAME,
    REFERENCE_NAME,
    REPORT_FOLDER,
    SEEN_NAME,
    WEIGHTS_NAME,
)
from earmark.evaluation.calibrate import reference_bytes
from earmark.evaluation.evaluate import Evaluation
from earmark.training.device import Device
from earmark.training.judging import Judgement, Trained, judge
from earmark.training.judging_folds import judge_folds
from earmark.training.plan import Plan
from earmark.training.reporting import write_training_report
from earmark.types import Progress


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
) -> Judgement:
    """Judge the trained nets and write the model folder `out`; with `keep_model` False only its report.

    Raises:
        ExportError: onnxruntime and torch disagree on real clips; nothing is written.
    """
    if plan.k:
        judged = judge_folds(members, work, progress, plan.strangers)
    else:
        judged = judge(members[0], work, progress, plan.strangers)
    origin = provenance(plan, members, judged.evaluations, device)
    report = work / REPORT_FOLDER
    if report.exists():
        shutil.rmtree(report)
    nets = [member.fitted for member in members]
    write_training_report(report, plan, members[0].task, nets, judged, [*notes, *judged.notes], origin, out.name)
    if not keep_model:
        shutil.copytree(report, out / REPORT_FOLDER, dirs_exist_ok=True)
        return judged
    header = load_bundle(judged.draft, verify=False).header.model_copy(
        update={
            "name": out.name,
            "calibration": judged.calibration,
            "thresholds": judged.thresholds,
            "refusal": judged.refusal,
            "provenance": origin,
            "files": {},
        }
    )
    files: dict[str, Path | bytes] = {
        MODEL_NAME: judged.draft / MODEL_NAME,
        SEEN_NAME: _seen(plan, members),
        REFERENCE_NAME: reference_bytes(judged.reference),
        CARD_NAME: model_card(header).encode(),
    }
    for number, net in enumerate(nets):
        folder = f"{MEMBERS_FOLDER}/{number}/" if len(nets) > 1 else ""
        files[folder + WEIGHTS_NAME] = weights_bytes(net.net, net.front_end)
    for path in sorted(report.rglob("*")):
        if path.is_file():
            files[f"{REPORT_FOLDER}/{path.relative_to(report).as_posix()}"] = path
    write_bundle(out, header, files, replace=replace)
    return judged


def provenance(
    plan: Plan, members: list[Trained], evaluations: Mapping[str, Evaluation], device: Device
) -> dict[str, Any]:
    """How the model came to be, for `earmark.json`, the card and the report."""
    rows = plan.manifest.rows
    trained = np.unique(np.concatenate([member.task.train for member in members]))
    licences = sorted({str(licence) for licence in rows["licence"].iloc[trained] if licence})
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "recipe_name": plan.recipe.name,
        "recipe": members[0].fitted.recipe.model_dump(mode="json"),
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
        "left_out": list(plan.strangers.tags) if plan.strangers else [],
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

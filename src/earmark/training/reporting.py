"""What a training tells its report, and the files that stand beside it under the names people know."""

from __future__ import annotations

import io
import math
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from earmark.data.batches import Indices
from earmark.features.reference import log_mel
from earmark.recipes import render_recipe
from earmark.reports.content import ReportContent
from earmark.reports.html import write_report
from earmark.reports.tables import data_table, write_split_tables
from earmark.training.feeding import Task, clip_batches
from earmark.training.judging import Judgement
from earmark.training.keeping import Fitted
from earmark.training.plan import Plan
from earmark.types import Samples


def write_training_report(
    folder: Path,
    plan: Plan,
    task: Task,
    fitted: list[Fitted],
    judged: Judgement,
    notes: list[str],
    provenance: Mapping[str, object],
    title: str,
) -> None:
    """Write report.html and its companions, the split's tables, and the state dict, into `folder`.

    Args:
        task: of the (first) net, for sounds and pictures.
        judged: whose rows say which clip of the manifest each prediction is of.
    """

    def samples_of(split: str, clip: int) -> tuple[Samples, int]:
        return plan.prepared.samples(int(judged.rows[split][clip])), plan.recipe.front_end.sample_rate_hz

    def spectrogram_of(split: str, clip: int) -> npt.NDArray[np.float32]:
        return _picture(task, fitted[0], judged.rows[split], clip)

    manifest = plan.manifest if plan.k is None else plan.manifest.by_fold()
    content = ReportContent(
        title=title,
        vocabulary=plan.manifest.vocabulary,
        evaluations=judged.evaluations,
        predictions=judged.predictions,
        probabilities=judged.probabilities,
        history=mean_history([net.history for net in fitted]),
        # `mean_history` of one leaves out what is not finite
        fold_histories=[mean_history([net.history]) for net in fitted] if plan.k is not None else [],
        recipe_yaml=render_recipe(fitted[0].recipe),
        data_table=data_table(manifest, plan.prepared.lengths / plan.recipe.front_end.sample_rate_hz),
        notes=[*notes, *(f"{bad.reason}: {bad.message}" for bad in plan.prepared.quarantine)],
        provenance=provenance,
        samples_of=samples_of,
        spectrogram_of=spectrogram_of,
    )
    write_report(folder, content)
    spec = plan.recipe.front_end.model_dump(mode="json")
    write_split_tables(folder, manifest, seed=plan.split_seed, spec=spec)
    (folder / "recipe.yaml").write_text(render_recipe(fitted[0].recipe), encoding="utf-8")
    _write_state_dicts(folder, fitted, judged, plan.recipe.training.seed)
    names = [f"fold-{fold}" for fold in plan.folds] or ["."]
    for name, net in zip(names, fitted, strict=True):
        # `tensorboard --logdir model/report/tensorboard` shows the folds of a cross-validation side by side
        shutil.copytree(net.logs, folder / "tensorboard" / name)


def _picture(task: Task, fitted: Fitted, rows: Indices, clip: int) -> npt.NDArray[np.float32]:
    """(bands, frames) of the clip's first window, as the net sees it."""
    positions, windows = next(clip_batches(task.prepared, task.recipe).covering(rows[clip : clip + 1], 1))
    assert positions[0] == 0
    picture: npt.NDArray[np.float32] = log_mel(windows[0], task.recipe.front_end, fitted.front_end.statistics)[0]
    return picture


def _write_state_dicts(folder: Path, fitted: list[Fitted], judged: Judgement, seed: int) -> None:
    """`best_model.pt` and the same under a name that says epoch, accuracy and seed; plain tensors only."""
    if len(fitted) > 1:
        return
    name = "val" if "val" in judged.evaluations else next(iter(judged.evaluations))
    metrics = judged.evaluations[name].metrics
    exclusive = judged.predictions[name].is_exclusive
    figure, value = ("acc", metrics["accuracy"]) if exclusive else ("lwlrap", metrics["lwlrap"])
    buffer = io.BytesIO()
    torch.save(fitted[0].net.state_dict(), buffer)
    for file in ("best_model.pt", f"best_epoch_{fitted[0].epoch:03d}_{figure}_{value:.3f}_seed_{seed}.pt"):
        (folder / file).write_bytes(buffer.getvalue())


def mean_history(histories: list[list[dict[str, float]]]) -> list[dict[str, float | None]]:
    """One row an epoch: the mean of the nets that got so far; None where a figure does not exist."""
    rows: list[dict[str, float | None]] = []
    for epoch in range(max(len(history) for history in histories)):
        here = [history[epoch] for history in histories if epoch < len(history)]
        values = {name: float(np.mean([row[name] for row in here if name in row])) for name in here[0]}
        rows.append({name: value if math.isfinite(value) else None for name, value in values.items()})
    return rows

"""A finished net on disk, so that a run that goes on does not train its first folds again."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors.torch import load as load_safetensors
from torch import nn

from earmark.bundle.export import weights_bytes
from earmark.features.torch import LogMel
from earmark.models import build
from earmark.recipes import Recipe, parse_recipe, render_recipe
from earmark.training.guards import Finding, OneBatch


@dataclass(frozen=True)
class Fitted:
    """A trained net.

    Attributes:
        net: with the chosen weights, on the CPU, float32, in evaluation mode.
        front_end: with its statistics.
        recipe: as it ran in the end; a restart may have changed it.
        history: a dict an epoch: epoch, train_loss, lr, val_loss, val_accuracy ...
        epoch: whose weights were chosen.
        one_batch: the check before the run, if it was asked for.
        notes: what a reader of the report should know: restarts, balancing, early stop.
        seconds: that it took, over all the times it was started.
        clips_per_s: of the last stretch, training only.
        logs: the folder of TensorBoard's event files.
    """

    net: nn.Module
    front_end: LogMel
    recipe: Recipe
    history: list[dict[str, float]]
    epoch: int
    one_batch: OneBatch | None
    notes: list[str]
    seconds: float
    clips_per_s: float
    logs: Path


def keep(folder: Path, fitted: Fitted) -> None:
    """Write `fitted` into `folder`; the last file written marks it as whole."""
    (folder / "net.safetensors").write_bytes(weights_bytes(fitted.net, fitted.front_end))
    content = {
        "recipe": render_recipe(fitted.recipe),
        "history": [
            {name: value if math.isfinite(value) else None for name, value in row.items()} for row in fitted.history
        ],
        "epoch": fitted.epoch,
        "one_batch": asdict(fitted.one_batch) if fitted.one_batch else None,
        "notes": fitted.notes,
        "seconds": fitted.seconds,
        "clips_per_s": fitted.clips_per_s,
        "logs": fitted.logs.relative_to(folder).as_posix(),
    }
    part = folder / "fitted.part"
    part.write_text(json.dumps(content), encoding="utf-8")
    part.replace(folder / "fitted.json")


def recall(folder: Path, n_tags: int) -> Fitted | None:
    """What `keep` wrote into `folder`; None where nothing whole is there."""
    marker = folder / "fitted.json"
    if not marker.exists():
        return None
    content = json.loads(marker.read_text(encoding="utf-8"))
    recipe = parse_recipe(content["recipe"])
    state = load_safetensors((folder / "net.safetensors").read_bytes())
    chosen = recipe.model
    net = build(
        chosen.name,
        chosen.arguments,
        n_tags=n_tags,
        shape=recipe.front_end.shape(),
        members=chosen.members,
        discriminant=chosen.discriminant if "net.discriminant.weight" in state else 0.0,
    )
    front_end = LogMel(recipe.front_end)
    for prefix, module in (("net.", net), ("front_end.", front_end)):
        module.load_state_dict({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})
    one_batch = content["one_batch"]
    if one_batch is not None:
        finding = one_batch.pop("finding")
        one_batch = OneBatch(**one_batch, finding=Finding(**finding) if finding else None)
    return Fitted(
        net.eval(),
        front_end.eval(),
        recipe,
        [{name: math.nan if value is None else value for name, value in row.items()} for row in content["history"]],
        content["epoch"],
        one_batch,
        content["notes"],
        content["seconds"],
        content["clips_per_s"],
        folder / content["logs"],
    )

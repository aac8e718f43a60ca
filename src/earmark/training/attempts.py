"""The ladder of safer settings that a collapsed run climbs."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from earmark.errors import TrainingError
from earmark.models import build
from earmark.recipes import Recipe
from earmark.training.feeding import Task
from earmark.training.guards import Collapsed
from earmark.training.module import mixed_seed

SAFER = 0.3
"""What a restart multiplies the learning rate by."""


def fresh_net(task: Task, recipe: Recipe, seed: int) -> nn.Module:
    """The recipe's net with weights drawn from `seed`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tags = len(task.manifest.vocabulary)
        chosen = recipe.model
        shape = recipe.front_end.shape()
        return build(chosen.name, chosen.arguments, n_tags=tags, shape=shape, members=chosen.members)


@dataclass
class Attempts:
    """The ladder of safer settings; kept on disk, so that a resumed run does not climb it again."""

    task: Task
    number: int = 0
    notes: list[str] = field(default_factory=list)
    whole_logits: bool = False

    def __post_init__(self) -> None:
        if self._path.exists():
            state = json.loads(self._path.read_text(encoding="utf-8"))
            self.number, self.notes, self.whole_logits = state["number"], state["notes"], state["whole_logits"]

    @property
    def _path(self) -> Path:
        return self.task.folder / "attempts.json"

    @property
    def folder(self) -> Path:
        return self.task.folder / f"attempt-{self.number}"

    def current(self) -> tuple[Recipe, int, nn.Module]:
        """Recipe, seed and a fresh net of this attempt."""
        recipe = self.task.recipe
        if self.number:
            rate = recipe.optimiser.learning_rate * SAFER**self.number
            optimiser = recipe.optimiser.model_copy(update={"learning_rate": rate, "gradient_clip": 1.0})
            recipe = recipe.model_copy(update={"optimiser": optimiser})
        arguments = dict(recipe.model.arguments)
        if self.whole_logits:
            arguments["output_relu"] = False
        seed = mixed_seed(self.task.seed, self.number) if self.number else self.task.seed
        recipe = recipe.model_copy(update={"model": recipe.model.model_copy(update={"arguments": arguments})})
        return recipe, seed, fresh_net(self.task, recipe, seed)

    def restart(self, collapse: Collapsed, net: nn.Module) -> None:
        """Choose the next setting, or give up."""
        finding = collapse.finding
        if self.number >= self.task.recipe.guards.restarts:
            raise TrainingError(
                f"training failed: {finding.sentence}, also after {self.number} restarts with safer settings; "
                "lower optimiser.learning_rate, or check the labels with `earmark check`."
            )
        self.number += 1
        remedy = f"restarting with new weights, {SAFER**self.number:.2g} x the learning rate and clipped gradients"
        if finding.zero and getattr(net, "output_relu", False):
            self.whole_logits = True
            remedy = f"the net clips its logits at zero, where no gradient leads out; {remedy}, without that clipping"
        self.notes.append(f"collapse guard: {finding.sentence}; {remedy} (restart {self.number})")
        self.task.folder.mkdir(parents=True, exist_ok=True)
        state = {"number": self.number, "notes": self.notes, "whole_logits": self.whole_logits}
        self._path.write_text(json.dumps(state), encoding="utf-8")

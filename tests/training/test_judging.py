"""The model folder's header alone builds the net again, and its weights give what the model file gives."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load as load_safetensors
from small_picture import PICTURE

from earmark.bundle.export import weights_bytes
from earmark.bundle.load import load_bundle
from earmark.data.prepared import Prepared
from earmark.features.torch import LogMel
from earmark.models import build
from earmark.recipes import load_recipe
from earmark.training.attempts import fresh_net
from earmark.training.discriminant import with_discriminant
from earmark.training.feeding import Task, clip_batches
from earmark.training.fit import fitted_front_end
from earmark.training.judging import Trained, draft
from earmark.training.keeping import Fitted
from earmark.types import Vocabulary


@pytest.mark.parametrize(
    ("kind", "sets", "members", "share", "keys"),
    [
        # as the default; test_run.py has one that is trained
        pytest.param(
            *("exclusive", ["model.members=2"], 2, 0.5, {"net.nets", "net.trunk", "discriminant.weight"}),
            marks=pytest.mark.slow,
        ),
        ("exclusive", ["model.members=1", "model.discriminant=0"], 1, 0.0, {"head.weight", "head.bias"}),
        # the default's share is for tags of which one alone is right
        ("multilabel", ["model.members=2"], 2, 0.0, {"nets.0", "nets.1", "trunk.0"}),
    ],
)
def test_the_header_alone_builds_the_net_again(
    two_instruments: Prepared, tmp_path: Path, kind: str, sets: list[str], members: int, share: float, keys: set[str]
) -> None:
    manifest = two_instruments.manifest
    prepared = replace(
        two_instruments, manifest=replace(manifest, vocabulary=Vocabulary(manifest.vocabulary.tags, kind))
    )
    recipe = load_recipe("small-cnn", [*PICTURE, "front_end.n_mels=8", "model.arguments.widths=[8, 16]", *sets])
    order = np.random.default_rng(0).permutation(len(prepared)).astype(np.int64)
    task = Task(prepared, order[:44], order[44:], recipe, 0, tmp_path)
    front_end = fitted_front_end(task)
    net = with_discriminant(fresh_net(task, recipe, 0).eval(), front_end, recipe, task)
    fitted = Fitted(net, front_end, recipe, [], 1, None, [], math.nan, math.nan, tmp_path)
    tagger = draft([Trained(task, fitted, order[44:])], tmp_path / "draft")
    weights = weights_bytes(net, front_end)

    header = load_bundle(tmp_path / "draft").header
    assert (header.architecture.members, header.architecture.discriminant) == (members, share)
    found = build(
        header.architecture.name,
        header.architecture.arguments,
        n_tags=len(header.vocabulary.tags),
        shape=header.front_end.shape(),
        members=header.architecture.members,
        discriminant=header.architecture.discriminant,
    ).eval()
    assert {".".join(name.split(".")[:2]) for name in found.state_dict()} >= keys
    state = load_safetensors(weights)
    heard = LogMel(header.front_end)
    for prefix, module in (("net.", found), ("front_end.", heard)):
        module.load_state_dict({name.removeprefix(prefix): x for name, x in state.items() if name.startswith(prefix)})
    windows = clip_batches(prepared, recipe).crops(order[44:], np.random.default_rng(1))
    with torch.no_grad():
        logits = found(heard(torch.from_numpy(windows)))[0].numpy()
    np.testing.assert_allclose(tagger.run(windows)[0], logits, atol=1e-4, rtol=1e-4)

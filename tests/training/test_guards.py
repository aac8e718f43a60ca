"""The guards see a collapse, and nothing else."""

from __future__ import annotations

import math

import pytest
import torch

from earmark.models import build
from earmark.training.guards import CollapseWatch, guessing_loss, overfit_one_batch, plain_loss


def test_guessing_is_the_entropy_of_the_labels() -> None:
    balanced = torch.eye(4).repeat(5, 1)
    assert guessing_loss(balanced, "exclusive") == pytest.approx(math.log(4))
    skewed = torch.tensor([[1.0, 0.0]] * 3 + [[0.0, 1.0]])
    assert guessing_loss(skewed, "exclusive") == pytest.approx(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)))
    assert guessing_loss(skewed, "multilabel") == pytest.approx(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)))


def test_clipped_logits_at_zero_are_seen_as_dead() -> None:
    watch = CollapseWatch("exclusive")
    targets = torch.eye(2).repeat(8, 1)
    findings = [watch.see(step, math.log(2), torch.zeros(16, 2), targets) for step in range(12)]
    assert findings[:9] == [None] * 9
    found = findings[9]
    assert found is not None
    assert (found.kind, found.zero) == ("dead", True)
    assert "exactly zero" in found.sentence
    assert "0.693" in found.sentence


def test_a_net_stuck_at_guessing_is_seen_after_a_while_only() -> None:
    watch = CollapseWatch("exclusive", stuck_steps=50)
    targets = torch.eye(8).repeat(2, 1)
    torch.manual_seed(0)
    findings = [watch.see(step, 2.08, torch.randn(16, 8) * 0.01, targets) for step in range(60)]
    assert all(finding is None for finding in findings[:49])
    assert findings[49] is not None
    assert findings[49].kind == "stuck"


def test_constant_outputs_that_are_right_are_no_collapse() -> None:
    """All clips of a batch being of one class, and told so, is a good answer."""
    watch = CollapseWatch("exclusive")
    targets = torch.tensor([[1.0, 0.0]]).repeat(16, 1)
    logits = torch.tensor([[9.0, 0.0]]).repeat(16, 1)
    loss = float(plain_loss(logits, targets, "exclusive"))
    # guessing loses nothing here either, so only a spell of this many such batches could be mistaken
    assert all(watch.see(step, loss, logits + torch.randn(16, 2) * 0.01, targets) is None for step in range(100))


def test_nan_is_seen_at_once() -> None:
    found = CollapseWatch("exclusive").see(7, math.nan, torch.zeros(4, 2), torch.eye(2).repeat(2, 1))
    assert found is not None
    assert found.kind == "nan"
    assert "step 7" in found.sentence


def test_one_batch_is_learnt_by_heart_and_the_net_left_as_it_was() -> None:
    torch.manual_seed(0)
    net = build("small-cnn", {"widths": [8, 16, 16, 16]}, n_tags=4, shape=(1, 32, 40))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    features, targets = torch.randn(12, 1, 32, 40), torch.eye(4).repeat(3, 1)
    found = overfit_one_batch(net, features, targets, "exclusive")
    assert found.passed
    assert found.loss_after < 0.7 * found.guessing
    assert "learnt by heart" in found.sentence
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_contradicting_labels_are_not_learnt_by_heart() -> None:
    torch.manual_seed(0)
    net = build("conv-gap", {}, n_tags=2, shape=(1, 32, 40))
    features = torch.randn(1, 1, 32, 40).repeat(8, 1, 1, 1)
    found = overfit_one_batch(net, features, torch.eye(2).repeat(4, 1), "exclusive", steps=60)
    assert not found.passed

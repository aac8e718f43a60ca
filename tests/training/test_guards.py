"""The guards see a collapse, and nothing else."""

from __future__ import annotations

import math

import pytest
import torch

from earmark.models import build
from earmark.training.guards import CollapseWatch, overfit_one_batch
from earmark.training.losses import guessing_loss, tag_loss


def test_guessing_is_the_entropy_of_the_labels() -> None:
    balanced = torch.eye(4).repeat(5, 1)
    assert guessing_loss(balanced, torch.ones_like(balanced), "exclusive") == pytest.approx(math.log(4))
    skewed = torch.tensor([[1.0, 0.0]] * 3 + [[0.0, 1.0]])
    assert guessing_loss(skewed, torch.ones_like(skewed), "exclusive") == pytest.approx(
        -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    )
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert guessing_loss(skewed, torch.ones_like(skewed), "multilabel") == pytest.approx(entropy)


def test_unlabelled_tags_count_in_neither_loss() -> None:
    targets = torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    weights = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 1.0], [1.0, 1.0]])
    logits = torch.zeros(4, 2)
    # tag 0: two of four; tag 1: two of the two that are labelled, so guessing loses nothing on it
    assert guessing_loss(targets, weights, "multilabel") == pytest.approx(math.log(2) * 4 / 6, abs=1e-4)
    assert float(tag_loss(logits, targets, weights, "multilabel")) == pytest.approx(math.log(2))
    moved = targets.clone()
    moved[0, 1] = 1.0  # an unlabelled pair
    assert guessing_loss(moved, weights, "multilabel") == guessing_loss(targets, weights, "multilabel")


def test_clipped_logits_at_zero_are_seen_as_dead() -> None:
    watch = CollapseWatch("exclusive")
    targets = torch.eye(2).repeat(8, 1)
    findings = [
        watch.see(step, math.log(2), torch.zeros(16, 2), targets, torch.ones_like(targets)) for step in range(12)
    ]
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
    findings = [
        watch.see(step, 2.08, torch.randn(16, 8) * 0.01, targets, torch.ones_like(targets)) for step in range(60)
    ]
    assert all(finding is None for finding in findings[:49])
    assert findings[49] is not None
    assert findings[49].kind == "stuck"


def test_constant_outputs_that_are_right_are_no_collapse() -> None:
    """All clips of a batch being of one class, and told so, is a good answer."""
    watch = CollapseWatch("exclusive")
    targets = torch.tensor([[1.0, 0.0]]).repeat(16, 1)
    logits = torch.tensor([[9.0, 0.0]]).repeat(16, 1)
    weights = torch.ones_like(targets)
    loss = float(tag_loss(logits, targets, weights, "exclusive"))
    assert all(watch.see(step, loss, logits, targets, weights) is None for step in range(300))


def test_nan_is_seen_at_once() -> None:
    found = CollapseWatch("exclusive").see(7, math.nan, torch.zeros(4, 2), torch.eye(2).repeat(2, 1), torch.ones(4, 2))
    assert found is not None
    assert found.kind == "nan"
    assert "step 7" in found.sentence


def test_one_batch_is_learnt_by_heart_and_the_net_left_as_it_was() -> None:
    torch.manual_seed(0)
    net = build("small-cnn", {"widths": [8, 16, 16, 16]}, n_tags=4, shape=(1, 32, 40))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    features, targets = torch.randn(12, 1, 32, 40), torch.eye(4).repeat(3, 1)
    found = overfit_one_batch(net, features, targets, torch.ones_like(targets), "exclusive")
    assert found.passed
    assert found.loss_after < 0.7 * found.guessing
    assert "learnt by heart" in found.sentence
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_contradicting_labels_are_not_learnt_by_heart() -> None:
    torch.manual_seed(0)
    net = build("conv-gap", {}, n_tags=2, shape=(1, 32, 40))
    features = torch.randn(1, 1, 32, 40).repeat(8, 1, 1, 1)
    found = overfit_one_batch(net, features, torch.eye(2).repeat(4, 1), torch.ones(8, 2), "exclusive", steps=60)
    assert not found.passed

"""One net on real recordings: it learns, the same way each time, and goes on after being stopped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_picture import CPU, PICTURE, SAX

from earmark.data.prepared import Prepared
from earmark.errors import Interrupted, TrainingError
from earmark.models import build
from earmark.recipes import Recipe, load_recipe
from earmark.recipes.recipe import Training
from earmark.training.attempts import fresh_net
from earmark.training.discriminant import drawn, with_discriminant
from earmark.training.feeding import Task, clip_batches
from earmark.training.fit import LEAST_EPOCHS, LEAST_STEPS, MOST_CLIPS, MOST_EPOCHS, epochs_of, fit, fitted_front_end
from earmark.training.keeping import Fitted, recall
from earmark.training.module import TaggerModule
from earmark.types import Quiet

SMALL = [*PICTURE, "model.arguments.widths=[8, 16, 16, 32]", "model.discriminant=0", "training.epochs=6"]


def recipe(*more: str) -> Recipe:
    return load_recipe("small-cnn", [*SMALL, *more])


def task(prepared: Prepared, folder: Path, chosen: Recipe, seed: int = 0) -> Task:
    order = np.random.default_rng(0).permutation(len(prepared)).astype(np.int64)
    return Task(prepared, order[:44], order[44:], chosen, seed, folder)


def weights(fitted: Fitted) -> dict[str, torch.Tensor]:
    return fitted.net.state_dict()


def test_it_learns_and_the_same_seed_gives_the_same_net(two_instruments: Prepared, tmp_path: Path) -> None:
    longer = recipe("training.epochs=60")
    first = fit(task(two_instruments, tmp_path / "a", longer), CPU)
    again = fit(task(two_instruments, tmp_path / "b", longer), CPU)
    other = fit(task(two_instruments, tmp_path / "c", recipe(), seed=1), CPU)
    assert [row["epoch"] for row in first.history] == list(range(1, 61))
    assert first.history[-1]["train_loss"] < first.history[0]["train_loss"]
    assert first.history[-1]["val_accuracy"] > 0.8  # a bass drum and a saxophone
    assert first.history == again.history
    assert all(torch.equal(value, weights(again)[name]) for name, value in weights(first).items())
    assert first.history[0] != other.history[0]
    assert first.one_batch is not None
    assert first.one_batch.passed
    assert not first.net.training
    assert list((tmp_path / "a").rglob("events.out.tfevents.*")), "TensorBoard logs"


class StopAfter(Quiet):
    """Ctrl-C after so many steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def advance(self, n: float = 1, note: str = "") -> None:
        self.left -= int(n)
        if self.left == 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    "more",
    [
        ("model.arguments.dropout=0.2",),
        ("model.members=2", "loss.label_smoothing=0.1", "guards.collapse=false", "training.balance=on"),
        ("training.checkpoint=best", "training.average=0", "optimiser.learning_rate=1e-2"),
        ("training.epochs=30", "training.patience=2", "optimiser.learning_rate=3e-2", "training.average=0"),
    ],
)
def test_a_run_that_was_stopped_ends_where_the_unbroken_one_does(
    two_instruments: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...]
) -> None:
    monkeypatch.setattr("earmark.training.callbacks.CHECKPOINT_EVERY_S", 0.0)
    whole = fit(task(two_instruments, tmp_path / "whole", recipe(*more)), CPU)
    broken = task(two_instruments, tmp_path / "broken", recipe(*more))
    for steps in (3, 4):  # two steps an epoch: stopped in the second epoch, and again later
        with pytest.raises(Interrupted, match="run the same command again"):
            fit(broken, CPU, progress=StopAfter(steps + int(2 * (steps == 4))))
    resumed = fit(broken, CPU)
    assert resumed.history == whole.history
    assert resumed.epoch == whole.epoch
    assert all(torch.equal(value, weights(whole)[name]) for name, value in weights(resumed).items())
    again = fit(broken, CPU)  # finished work is not done again
    assert again.seconds == resumed.seconds
    assert again.history == resumed.history
    assert all(torch.equal(value, weights(whole)[name]) for name, value in weights(again).items())
    window = torch.randn(1, 16_000)
    assert torch.equal(again.front_end(window), resumed.front_end(window))


def test_the_best_epoch_is_kept_where_the_recipe_says_so(two_instruments: Prepared, tmp_path: Path) -> None:
    chosen = recipe("training.checkpoint=best", "training.monitor=loss", "training.average=0")
    fitted = fit(task(two_instruments, tmp_path, chosen), CPU)
    losses = [row["val_loss"] for row in fitted.history]
    assert fitted.epoch == 1 + int(np.argmin(losses))


def test_it_stops_early(two_instruments: Prepared, tmp_path: Path) -> None:
    chosen = recipe("training.epochs=60", "training.patience=3", "optimiser.learning_rate=1e-2")
    fitted = fit(task(two_instruments, tmp_path, chosen), CPU)
    assert len(fitted.history) < 60
    assert any("stopped early" in note for note in fitted.notes)


def test_rare_classes_are_drawn_as_often_as_common_ones(two_instruments: Prepared, tmp_path: Path) -> None:
    classes = two_instruments.manifest.class_indices()
    rows = np.concatenate([np.flatnonzero(classes == 0)[:28], np.flatnonzero(classes == 1)[:5]]).astype(np.int64)
    skewed = Task(two_instruments, rows, rows[:0], recipe("training.epochs=1"), 0, tmp_path)
    assert any("rare tags are drawn as often" in note for note in fit(skewed, CPU).notes)
    plain = Task(
        two_instruments, rows, rows[:0], recipe("training.epochs=1", "training.balance=off"), 0, tmp_path / "b"
    )
    assert not any("rare" in note for note in fit(plain, CPU).notes)


def test_epochs_follow_the_hours_of_sound() -> None:
    chosen = load_recipe("small-cnn", ["training.audio_hours=10"])
    assert epochs_of(chosen, 72) == 100  # 10 h of 5 s clips are 7200 clips
    assert epochs_of(chosen, 10**6) == 20
    assert epochs_of(chosen, 24) == 300
    assert epochs_of(chosen, 3) == 1000
    assert epochs_of(load_recipe("small-cnn", ["front_end.clip_s=0.5"]), 1000) == 120
    assert epochs_of(load_recipe("drone-car-speech"), 3) == 15


def test_the_recipe_s_page_states_the_limits_as_they_are() -> None:
    said = " ".join((Training.__doc__ or "").split())
    assert f"(and {MOST_CLIPS:,} clips) allow, between {LEAST_EPOCHS} and {MOST_EPOCHS}" in said
    assert f"fewer than {LEAST_STEPS} steps" in said


def test_clipped_logits_collapse_and_are_mended(two_instruments: Prepared, tmp_path: Path) -> None:
    chosen = recipe(*SAX, "optimiser.learning_rate=1e-1", "training.epochs=12")
    fitted = fit(task(two_instruments, tmp_path, chosen), CPU)
    (note,) = [note for note in fitted.notes if note.startswith("collapse guard")]
    assert "exactly zero" in note
    assert "without that clipping" in note
    assert not getattr(fitted.net, "output_relu", True)
    assert fitted.history[-1]["train_loss"] < 0.6


def test_a_collapse_that_no_setting_cures_fails_the_run(two_instruments: Prepared, tmp_path: Path) -> None:
    chosen = recipe(*SAX, "optimiser.learning_rate=1e-1", "guards.restarts=0")
    with pytest.raises(TrainingError, match="exactly zero"):
        fit(task(two_instruments, tmp_path, chosen), CPU)


def test_nan_restarts_the_run(two_instruments: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first attempt's loss is made NaN at its third step; the second is left alone."""
    from earmark.training import module

    real, calls = module.tag_loss, iter(range(10_000))

    def spoilt(*args: Any) -> torch.Tensor:
        loss = real(*args)
        return loss * float("nan") if next(calls) == 3 else loss

    monkeypatch.setattr(module, "tag_loss", spoilt)
    chosen = task(two_instruments, tmp_path, recipe())
    fitted = fit(Task(chosen.prepared, chosen.train, chosen.val[:0], chosen.recipe, 0, tmp_path), CPU)
    assert any("not a finite number" in note and "restart 1" in note for note in fitted.notes)
    assert np.isfinite([row["train_loss"] for row in fitted.history]).all()


@pytest.mark.parametrize("optimiser", ["adam", "adamw"])
def test_gradients_are_clipped_in_bfloat16_too(two_instruments: Prepared, tmp_path: Path, optimiser: str) -> None:
    more = ["model.members=2", "training.epochs=1", "training.average=0", "schedule.name=constant"]
    more += [f"optimiser.name={optimiser}", "optimiser.weight_decay=0"]
    rate = recipe().optimiser.learning_rate
    for clip, least, most in ((1.0, 0.9 * rate, 3 * rate), (1e-12, 0.0, 1e-3 * rate)):
        # Adam divides a gradient by its size: only one that is far below the 1e-8 in its divisor moves less
        chosen = recipe(*more, f"optimiser.gradient_clip={clip}")
        doing = task(two_instruments, tmp_path / str(clip), chosen)
        start = fresh_net(doing, chosen, doing.seed)
        fitted = fit(doing, replace(CPU, bf16=True))
        pairs = zip(fitted.net.parameters(), start.parameters(), strict=True)
        assert least <= max(float((new - old).detach().abs().max()) for new, old in pairs) < most


def test_a_member_is_clipped_as_if_it_learnt_alone(two_instruments: Prepared, tmp_path: Path) -> None:
    chosen = recipe("model.members=2")
    net = build("small-cnn", {"widths": [8, 8, 8, 8]}, n_tags=2, shape=(1, 32, 65), members=2)
    doing = task(two_instruments, tmp_path, chosen)
    module = TaggerModule(
        net, fitted_front_end(doing), chosen, "exclusive", seed=0, total_steps=1, val_targets=None, val_weights=None
    )
    parts = [net.trunk, *net.nets]
    for size, part in enumerate(parts, start=1):
        for parameter in part.parameters():
            parameter.grad = torch.full_like(parameter, float(size))
    module.configure_gradient_clipping(None, 1.0)
    for part in parts:
        norm = torch.stack([parameter.grad.norm() for parameter in part.parameters()]).norm()
        assert float(norm) == pytest.approx(1.0, abs=1e-4)
    module.configure_gradient_clipping(None, None)


def test_a_collapse_is_mended_in_bfloat16_too(two_instruments: Prepared, tmp_path: Path) -> None:
    """The restart clips gradients."""
    chosen = recipe(*SAX, "optimiser.learning_rate=1e-1", "training.epochs=2")
    fitted = fit(task(two_instruments, tmp_path, chosen), replace(CPU, bf16=True))
    assert any("clipped gradients" in note for note in fitted.notes)
    assert fitted.recipe.optimiser.gradient_clip == 1.0


def test_members_learn_side_by_side(two_instruments: Prepared, tmp_path: Path) -> None:
    fitted = fit(task(two_instruments, tmp_path / "a", recipe("model.members=2", "training.epochs=12")), CPU)
    again = recall(tmp_path / "a", 2)
    assert again is not None
    assert fitted.history[-1]["train_loss"] < fitted.history[0]["train_loss"]
    x = torch.randn(3, 1, 32, 65)
    common = fitted.net.eval().trunk(x)
    first, second = (net(common)[0] for net in fitted.net.nets)
    assert not torch.allclose(first, second)
    torch.testing.assert_close(fitted.net(x)[0], (first + second) / 2)
    torch.testing.assert_close(again.net(x)[0], fitted.net(x)[0])


def test_one_collapsed_member_is_not_excused_by_the_other(two_instruments: Prepared, tmp_path: Path) -> None:
    chosen = recipe("model.members=2", "guards.restarts=0", "guards.overfit_one_batch=false", "training.epochs=30")
    doing = task(two_instruments, tmp_path / "a", chosen)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("earmark.training.attempts.build", _second_member_is_dead)
        with pytest.raises(TrainingError, match=r"the same for every clip|exactly zero"):
            fit(doing, CPU)


def _second_member_is_dead(*args: Any, **how: Any) -> torch.nn.Module:
    net = build(*args, **how)
    torch.nn.init.zeros_(net.nets[1].head.weight)
    torch.nn.init.zeros_(net.nets[1].head.bias)
    net.nets[1].requires_grad_(False)
    return net


def test_a_discriminant_of_the_training_clips_votes_beside_the_net(two_instruments: Prepared, tmp_path: Path) -> None:
    chosen = recipe("model.discriminant=0.5", "training.epochs=2")
    doing = task(two_instruments, tmp_path / "with", chosen)
    fitted = fit(doing, CPU)
    alone = fit(task(two_instruments, tmp_path / "without", recipe("training.epochs=2")), CPU)
    x = torch.randn(3, 1, 32, 65)
    torch.testing.assert_close(fitted.net(x)[0], alone.net(x)[0] + 0.5 * fitted.net.discriminant(x))
    assert fitted.history == alone.history
    again = recall(tmp_path / "with", 2)
    assert again is not None
    assert torch.equal(again.net(x)[0], fitted.net(x)[0])
    right = []
    with torch.no_grad():
        for positions, samples in clip_batches(two_instruments, chosen).covering(doing.val, 16):
            said = fitted.net.discriminant(fitted.front_end(torch.from_numpy(samples))).argmax(dim=1).numpy()
            right.extend(said == doing.manifest.class_indices()[doing.val[positions]])
    assert np.mean(right) > 0.8  # a bass drum and a saxophone


def test_clips_that_count_for_nothing_teach_the_discriminant_nothing(two_instruments: Prepared, tmp_path: Path) -> None:
    """Their labels are turned round, but nobody trusts them."""
    manifest = two_instruments.manifest
    chosen = recipe("model.discriminant=0.5")
    front_end = fitted_front_end(task(two_instruments, tmp_path, chosen))
    found = []
    for turned in (False, True):
        targets, weights = manifest.targets.copy(), manifest.weights.copy()
        order = task(two_instruments, tmp_path, chosen).train
        if turned:
            targets[order[:10]] = 1.0 - targets[order[:10]]
        weights[order[:10]] = 0.0
        other = replace(two_instruments, manifest=replace(manifest, targets=targets, weights=weights))
        whole = with_discriminant(torch.nn.Identity(), front_end, chosen, task(other, tmp_path, chosen))
        found.append(whole.discriminant.weight)
    assert torch.equal(*found)
    assert bool(found[0].any())


def test_a_discriminant_that_lacks_a_tag_has_no_vote(two_instruments: Prepared, tmp_path: Path) -> None:
    """Whatever it said of a tag that it has not heard would be made up."""
    manifest = two_instruments.manifest
    chosen = recipe("model.discriminant=0.5")
    weights = manifest.weights.copy()
    weights[manifest.targets[:, 1] > 0.5] = 0.0
    doing = task(replace(two_instruments, manifest=replace(manifest, weights=weights)), tmp_path, chosen)
    net = torch.nn.Identity()
    assert with_discriminant(net, fitted_front_end(doing), chosen, doing) is net


def test_of_many_clips_the_rare_classes_are_all_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("earmark.training.discriminant.MOST_WINDOWS", 10)
    classes = np.array([0] * 50 + [1] * 3 + [2] * 40)
    rows = drawn(np.arange(93), classes, np.random.default_rng(0))
    assert np.bincount(classes[rows]).tolist() == [4, 3, 3]
    assert len(set(rows.tolist())) == 10
    assert sorted(drawn(np.arange(8), classes, np.random.default_rng(0)).tolist()) == list(range(8))


def test_several_tags_at_once_have_no_discriminant(two_instruments: Prepared, tmp_path: Path) -> None:
    manifest = two_instruments.manifest
    vocabulary = replace(manifest.vocabulary, kind="multilabel")
    several = replace(two_instruments, manifest=replace(manifest, vocabulary=vocabulary))
    chosen = recipe("model.discriminant=0.5")
    net = torch.nn.Identity()
    doing = task(several, tmp_path, chosen)
    assert with_discriminant(net, fitted_front_end(doing), chosen, doing) is net

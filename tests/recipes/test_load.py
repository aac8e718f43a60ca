"""Recipes: strict, and helpful when refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from earmark.errors import RecipeError
from earmark.features.augment_spec import AugmentSpec
from earmark.recipes import Recipe, load_recipe, parse_recipe, recipe_names, recipe_text, render_recipe
from earmark.recipes.recipe import Adapt


@pytest.mark.parametrize("name", recipe_names())
def test_every_shipped_recipe_survives_being_written_and_read(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.summary
    assert parse_recipe(render_recipe(recipe)) == recipe


def test_the_default_comes_first() -> None:
    assert recipe_names()[0] == "small-cnn"
    assert "drone-car-speech" in recipe_names()


def test_drone_car_speech_is_what_was_published() -> None:
    recipe = load_recipe("drone-car-speech")
    spec = recipe.front_end
    assert (spec.sample_rate_hz, spec.clip_s, spec.n_fft, spec.hop_length, spec.n_mels) == (16000, 2.0, 1024, 512, 64)
    assert spec.shape() == (1, 64, 63)
    # librosa's defaults, where the system names nothing else
    assert (spec.window, spec.win_length, spec.centre, spec.pad_mode) == ("hann", None, True, "constant")
    assert (spec.fmin_hz, spec.fmax_hz, spec.mel_scale, spec.mel_norm, spec.power) == (0.0, None, "slaney", "slaney", 2)
    assert (spec.scaling, spec.db_ref, spec.top_db, spec.amin) == ("db", "max", 80.0, 1e-10)
    assert (spec.normalise, spec.padding, spec.crop) == ("clip-minmax", "zero", "cover")
    assert (spec.deltas, spec.resize, spec.skip_silence_db) == (0, None, None)
    assert (recipe.model.name, recipe.model.arguments) == ("conv-gap", {"widths": [16, 32, 64]})
    assert (recipe.model.members, recipe.model.discriminant) == (1, 0.0)
    assert recipe.augment == AugmentSpec(
        noise=0.01, time_masks=1, time_mask_frames=8, mask_width="exact", mask_fill="zero"
    )
    optimiser = recipe.optimiser
    assert (optimiser.name, optimiser.learning_rate, optimiser.weight_decay) == ("adam", 3e-4, 0.0)
    assert (optimiser.gradient_clip, recipe.schedule.name) == (None, "constant")
    training = recipe.training
    assert (training.batch_size, training.epochs, training.seed, training.patience) == (32, 15, 69, None)
    assert (training.checkpoint, training.monitor, training.average) == ("best", "accuracy", 0.0)
    assert (training.balance, training.precision, recipe.loss.label_smoothing) == ("off", "float32", 0.0)
    assert (recipe.split.val, recipe.split.test, recipe.split.seed) == (0.15, 0.15, None)
    assert (recipe.vocabulary, recipe.adapt, recipe.tagging.overlap) == ("exclusive", Adapt(), 0.0)
    assert (recipe.cut.chunks, recipe.cut.remainder_s) == (True, 0.5)


def test_sax_is_what_was_published_without_its_output_relu() -> None:
    recipe = load_recipe("sax")
    spec = recipe.front_end
    assert (spec.sample_rate_hz, spec.clip_s, spec.n_fft, spec.hop_length, spec.n_mels) == (22050, 5.0, 2048, 256, 512)
    assert spec.n_frames(spec.n_samples) == 431
    assert spec.shape() == (1, 128, 108)
    assert (spec.scaling, spec.db_ref, spec.normalise) == ("db", "max", "clip-minmax-symmetric")
    assert recipe.model.arguments == {"widths": [10, 20], "hidden": 100, "output_relu": False}
    assert (recipe.optimiser.name, recipe.optimiser.learning_rate, recipe.optimiser.weight_decay) == (
        "adam",
        2e-4,
        0.01,
    )
    assert (recipe.training.batch_size, recipe.training.epochs, recipe.loss.label_smoothing) == (16, 12, 0.0)
    assert recipe.augment == AugmentSpec()


def test_a_misspelt_field_is_told_rather_than_the_right_one_that_it_leaves_missing() -> None:
    text = recipe_text("small-cnn").replace("\nmodel:", "\nmodle:").replace("\nfront_end:", "\nfrontend:")
    with pytest.raises(RecipeError, match=r"unknown field '(frontend|modle)'; did you mean '(front_end|model)'"):
        parse_recipe(text)


def test_set_changes_one_field_and_no_other() -> None:
    plain = load_recipe("small-cnn")
    changed = load_recipe("small-cnn", ["training.epochs=20", "optimiser.learning_rate=3e-4", "augment.mixup_alpha=0"])
    assert changed.training.epochs == 20
    assert changed.optimiser.learning_rate == 3e-4
    assert changed.augment.mixup_alpha == 0
    assert changed.front_end == plain.front_end
    assert changed.model == plain.model
    assert load_recipe("small-cnn", ["training.balance=off"]).training.balance == "off"


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("training.epoch=3", "unknown field 'training.epoch'; did you mean 'training.epochs'?"),
        ("epochs=3", "unknown field 'epochs'; did you mean 'training.epochs'?"),
        ("training.batch_size=1", "field 'training.batch_size' is 1: input should be greater than or equal to 2."),
        ("front_end.n_mel=3", "the front end has no field 'n_mel'; did you mean 'n_mels'?"),
        ("front_end.fmax_hz=20000", "fmax_hz is 20000, expected at most 16000"),
        ("training.epochs=0", "epochs: 0, expected at least 1"),
        ("split.val=0.9", "split.val"),
        ("cut.remainder_s=0", "field 'cut.remainder_s' is 0: input should be greater than 0."),
        ("cut.chunk=true", "unknown field 'cut.chunk'; did you mean 'cut.chunks'?"),
        ("training", "expected field.path=value, such as training.epochs=20"),
        ("name.first=x", "name is a value, it holds no field 'first'"),
    ],
)
def test_a_wrong_field_is_named_with_the_nearest_right_one(override: str, said: str) -> None:
    with pytest.raises(RecipeError) as refused:
        load_recipe("small-cnn", [override])
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_wrong_recipe_name_is_met_with_the_nearest() -> None:
    with pytest.raises(RecipeError, match="did you mean 'small-cnn'"):
        load_recipe("smal-cnn")


def test_a_file_that_is_missing_broken_or_no_recipe(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="No such file"):
        load_recipe(tmp_path / "none.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("name: x\ntraining: [1,\n", encoding="utf-8")
    with pytest.raises(RecipeError, match=r"broken\.yaml line \d+: not valid YAML"):
        load_recipe(broken)
    broken.write_text("just words", encoding="utf-8")
    with pytest.raises(RecipeError, match="found str, expected fields"):
        load_recipe(broken)
    broken.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match="not UTF-8"):
        load_recipe(broken)
    broken.write_text("name: mine\n", encoding="utf-8")
    with pytest.raises(RecipeError, match="field 'front_end' is missing"):
        load_recipe(broken)


def test_a_recipe_of_ones_own_is_read_from_a_file(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(recipe_text("small-cnn").replace("batch_size: 32", "batch_size: 48"), encoding="utf-8")
    recipe = load_recipe(mine)
    assert isinstance(recipe, Recipe)
    assert recipe.training.batch_size == 48

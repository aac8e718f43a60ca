"""Which clips are kept from a training, and which of them may be heard afterwards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from earmark.data.manifest import Item, Manifest, build
from earmark.data.prepare import prepare
from earmark.errors import InputError
from earmark.recipes import load_recipe
from earmark.settings import Settings
from earmark.training.strangers import part, prepare_strangers
from earmark.types import Quiet

RATE = 8000


def manifest(tmp_path: Path, labels: dict[str, tuple[str, ...]], **copies: str) -> Manifest:
    """A second of noise a name; `copies` says whose noise a name has instead of its own."""
    rng = np.random.default_rng(0)
    noise = {name: rng.normal(0, 0.1, RATE) for name in labels}
    for name in labels:
        soundfile.write(tmp_path / f"{name}.wav", noise[copies.get(name, name)], RATE)
    return build([Item(tmp_path / f"{name}.wav", tags) for name, tags in labels.items()], root=tmp_path, layout="x")


def test_several_tags_a_clip_that_has_the_tag_is_a_stranger_whatever_else_it_has(tmp_path: Path) -> None:
    labels = {"a": ("rain",), "b": ("dog", "rain"), "c": ("dog",), "d": ("cat",), "e": ("owl", "dog"), "f": ()}
    known, strange = part(manifest(tmp_path, labels), ["dog"])
    assert known.vocabulary.tags == strange.vocabulary.tags == ("cat", "rain")  # of owl no clip is left
    assert [Path(uri).stem for uri in known.rows["uri"]] == ["a", "d", "f"]
    assert [Path(uri).stem for uri in strange.rows["uri"]] == ["b", "c", "e"]
    assert known.targets.tolist() == [[0, 1], [1, 0], [0, 0]]
    assert not strange.weights.any()
    assert not strange.targets.any()


def test_refuses_in_one_sentence(tmp_path: Path) -> None:
    whole = manifest(tmp_path, {"a": ("rain",), "b": ("dog",), "c": ("cat",)})
    with pytest.raises(InputError, match="did you mean 'rain'"):
        part(whole, ["rian"])
    with pytest.raises(InputError, match="leaves only 'rain' of 3 classes"):
        part(whole, ["dog", "cat"])
    with pytest.raises(InputError, match="leaves no class of 3 classes"):
        part(whole, ["dog", "cat", "rain"])


def test_a_copy_of_a_clip_that_is_trained_on_is_no_stranger(tmp_path: Path) -> None:
    labels = {"a": ("rain",), "b": ("cat",), "c": ("dog",), "d": ("dog",)}
    known, strange = part(manifest(tmp_path, labels, d="a"), ["dog"])
    settings = Settings(cache_dir=tmp_path / "cache", workers=1, decode_timeout_s=60)
    prepared = prepare(known, sample_rate_hz=RATE, cache_dir=settings.cache_dir, workers=1, timeout_s=60)
    notes: list[str] = []
    found = prepare_strangers(strange, ["dog"], prepared, load_recipe("small-cnn"), settings, Quiet(), notes)
    assert [Path(found.prepared.manifest.rows["uri"][row]).stem for row in found.rows] == ["c"]
    assert any("(1 clip)" in note for note in notes)
    assert any("not heard: 1 more clip of those, a copy of" in note for note in notes)
    with pytest.raises(InputError, match="copies of clips of other classes: 1"):
        prepare_strangers(strange.take([1]), ["dog"], prepared, load_recipe("small-cnn"), settings, Quiet(), notes)


def test_strangers_are_cut_as_what_is_learnt_is(tmp_path: Path) -> None:
    known, strange = part(manifest(tmp_path, {"a": ("rain",), "b": ("cat",), "c": ("dog",)}), ["dog"])
    settings = Settings(cache_dir=tmp_path / "cache", workers=1, decode_timeout_s=60)
    recipe = load_recipe(
        "drone-car-speech", [f"front_end.sample_rate_hz={RATE}", "front_end.clip_s=0.4", "cut.remainder_s=0.2"]
    )
    prepared = prepare(known, sample_rate_hz=RATE, cache_dir=settings.cache_dir, workers=1, timeout_s=60)
    found = prepare_strangers(strange, ["dog"], prepared, recipe, settings, Quiet(), [])
    assert [found.prepared.span(int(row)) for row in found.rows] == [(0, 3200), (3200, 6400), (6400, 8000)]

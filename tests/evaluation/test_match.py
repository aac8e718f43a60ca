from pathlib import Path

import numpy as np
import pytest

from earmark.data.manifest import Item, Manifest, build
from earmark.errors import InputError
from earmark.evaluation.match import match_tags
from earmark.types import Vocabulary


def manifest(tmp_path: Path, labels: list[tuple[str, ...]]) -> Manifest:
    items = []
    for i, tags in enumerate(labels):
        path = tmp_path / f"{i}.wav"
        path.write_bytes(b"x")
        items.append(Item(path, tags))
    return build(items, root=tmp_path, layout="folder", name="more")


def test_columns_by_name(tmp_path: Path) -> None:
    data = manifest(tmp_path, [("dog",), ("cat",)])
    matched = match_tags(data, Vocabulary(("dog", "bird", "cat"), "exclusive"))
    assert matched.known.targets.tolist() == [[1, 0, 0], [0, 0, 1]]
    assert (matched.known.weights == 1).all()
    assert matched.absent_tags == ("bird",)
    assert len(matched.unknown) == 0


def test_a_tag_nobody_looked_for_is_unlabelled_for_a_multilabel_model(tmp_path: Path) -> None:
    data = manifest(tmp_path, [("dog", "cat"), ("cat",)])
    matched = match_tags(data, Vocabulary(("bird", "cat", "dog"), "multilabel"))
    assert matched.known.weights.tolist() == [[0, 1, 1], [0, 1, 1]]


def test_new_tags_are_named_or_counted_as_unknown(tmp_path: Path) -> None:
    data = manifest(tmp_path, [("dog",), ("whale",), ("cat",)])
    vocabulary = Vocabulary(("cat", "dog"), "exclusive")
    with pytest.raises(InputError, match=r"does not know whale.*--unknown"):
        match_tags(data, vocabulary)
    matched = match_tags(data, vocabulary, unknown=True)
    assert [Path(uri).name for uri in matched.unknown.rows["uri"]] == ["1.wav"]
    assert len(matched.known) == 2
    assert not np.any(matched.unknown.weights)


def test_nothing_in_common(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none in common"):
        match_tags(manifest(tmp_path, [("dog",), ("cat",)]), Vocabulary(("Dog", "Cat"), "exclusive"))


def test_two_tags_for_an_exclusive_model(tmp_path: Path) -> None:
    data = manifest(tmp_path, [("dog", "cat"), ("cat",)])
    with pytest.raises(InputError, match=r"0\.wav: has the tags cat, dog"):
        match_tags(data, Vocabulary(("cat", "dog"), "exclusive"))


def test_strangers_alone_are_strangers(tmp_path: Path) -> None:
    """Who says --unknown and brings unknown sounds only is not told to rename them."""
    matched = match_tags(manifest(tmp_path, [("owl",)]), Vocabulary(("cat", "dog"), "exclusive"), unknown=True)
    assert matched.only_strangers
    assert (len(matched.known), len(matched.unknown)) == (0, 1)
    assert not match_tags(
        manifest(tmp_path, [("owl",), ("cat",)]), Vocabulary(("cat", "dog"), "exclusive"), unknown=True
    ).only_strangers

"""A small real model for all tests of this room: `toy_model`."""

from __future__ import annotations

import pytest
from toy_model import Toy, write_toy

from earmark.tagging.tagger import Tagger


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """An exclusive model of three tones, windows of half a second, overlap one half."""
    return write_toy(tmp_path_factory.mktemp("toy") / "model")


@pytest.fixture(scope="session")
def tagger(toy: Toy) -> Tagger:
    return Tagger(toy.bundle, threads=1)

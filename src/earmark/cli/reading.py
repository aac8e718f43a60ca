"""What a recipe is to learn from, read before torch is loaded: that takes seconds, and most mistakes are in a name."""

from __future__ import annotations

from pathlib import Path

from earmark import layouts
from earmark.cli.console import Console
from earmark.data.manifest import Manifest
from earmark.layouts import catalog
from earmark.recipes import Recipe


def read_for(
    recipe: Recipe, data: Path, where: str | None, layout: str | None, console: Console
) -> tuple[Path, Manifest]:
    """The manifest of `data`, and the name that stands for it: a task of many tags, for a recipe that tells classes
    apart, gets the condition that makes classes of it, and people are told."""
    data = catalog.with_where(data, where)
    manifest = layouts.read(data, layout=layout)
    if recipe.vocabulary == "exclusive" and not manifest.is_exclusive and catalog.is_catalog(data):
        data = Path(catalog.in_classes(data))
        _, _, chosen = catalog.parse(str(data))
        console.say(f"recipe {recipe.name} tells classes apart: {chosen} (--where says otherwise)")
        manifest = layouts.read(data, layout=layout)
    return data, manifest

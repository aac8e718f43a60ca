"""Write docs/recipes/fields.md from the Recipe itself: every field, its default, and what its docstring says."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from earmark.recipes.recipe import Recipe

PAGE = Path(__file__).resolve().parents[1] / "docs" / "recipes" / "fields.md"

# what no docstring says yet
ALSO = {
    "name": "of the recipe; it goes into the model folder and the report.",
    "summary": "one sentence, which `earmark recipes` prints.",
    "vocabulary": "`exclusive` (exactly one tag a clip), `multilabel` (any number), or `auto`: as the data says.",
    "optimiser.weight_decay": "strength of the pull of all weights towards 0.",
    "optimiser.gradient_clip": "the longest gradient (L2 norm over all weights) a step may take; null: no limit.",
}

HEAD = """# Every field of a recipe

A recipe is a YAML file with these fields. Whatever it leaves out has the default below. `--set` changes one field for
one run: `--set training.epochs=20`, `--set augment.mixup_alpha=0`. An unknown field or an impossible value stops the
run before anything is prepared, and the message names the nearest right one.

This page is written by `scripts/write_recipe_fields.py` from the code.
"""


def _inner(annotation: object) -> type[BaseModel] | None:
    for kind in (annotation, *get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None


def meanings(model: type[BaseModel]) -> dict[str, str]:
    """Field -> what the `Attributes:` of the docstring say of it."""
    text = inspect.cleandoc(model.__doc__ or "").partition("Attributes:")[2]
    found: dict[str, str] = {}
    names: list[str] = []
    for line in text.splitlines():
        entry = re.match(r"\s*([a-z_0-9]+(?:, [a-z_0-9]+)*): (.*)$", line)
        if entry and set(entry[1].split(", ")) <= set(model.model_fields):
            names = entry[1].split(", ")
            found.update(dict.fromkeys(names, entry[2]))
        else:
            found.update({name: f"{found[name]} {line.strip()}".strip() for name in names})
    for field in model.model_fields:
        if field not in found:
            # a pair is often told in one place: "`noise` is its probability"
            also = [text for text in found.values() if f"`{field}`" in text]
            if also:
                found[field] = also[0]
    return found


def _default(model: type[BaseModel], name: str) -> str:
    default = model.model_fields[name].default
    return "required" if default is PydanticUndefined else f"`{json.dumps(default)}`"


def sections() -> Iterator[tuple[str, str, list[tuple[str, str, str]]]]:
    """(heading, what it is about, rows of (field path, default, meaning)), the recipe's own fields first."""
    own = [name for name, field in Recipe.model_fields.items() if _inner(field.annotation) is None]
    yield "The recipe", "", [(name, _default(Recipe, name), ALSO.get(name, "")) for name in own]
    for section, field in Recipe.model_fields.items():
        inner = _inner(field.annotation)
        if inner is None:
            continue
        told = {name: ALSO.get(f"{section}.{name}", "") for name in inner.model_fields} | meanings(inner)
        about = inspect.cleandoc(inner.__doc__ or "").partition("Attributes:")[0].strip().split("\n\n")[0]
        rows = [
            (f"{section}.{name}", _default(inner, name), told.get(name) or ALSO.get(f"{section}.{name}", ""))
            for name in inner.model_fields
        ]
        yield f"`{section}`", about.replace("\n", " "), rows


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for heading, about, rows in sections():
        cells = (f"| `{path}` | {default} | {meaning.replace('|', chr(92) + '|')} |" for path, default, meaning in rows)
        table = "\n".join(["| Field | Default | What it does |", "| --- | --- | --- |", *cells])
        parts.append("\n\n".join(part for part in (f"## {heading}", about, table) if part) + "\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
    print(f"written: {PAGE.name}")

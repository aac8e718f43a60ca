"""Read a Recipe by name or from a YAML file, with `--set field.path=value` on top."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from earmark.errors import RecipeError
from earmark.recipes.recipe import Recipe

_SHIPPED = resources.files("earmark.recipes") / "shipped"


def recipe_names() -> list[str]:
    """The shipped recipes, the default first."""
    names = sorted(entry.name.removesuffix(".yaml") for entry in _SHIPPED.iterdir() if entry.name.endswith(".yaml"))
    return sorted(names, key=lambda name: (name != "small-cnn", name))


def recipe_text(name: str) -> str:
    """The YAML of a shipped recipe, comments included; RecipeError names the nearest one."""
    if name not in recipe_names():
        near = difflib.get_close_matches(name, recipe_names(), n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"shipped are {', '.join(recipe_names())}"
        raise RecipeError(f"recipe {name!r}: no such recipe and no such file; {hint}")
    return (_SHIPPED / f"{name}.yaml").read_text(encoding="utf-8")


def load_recipe(name_or_path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """A shipped recipe by its name, or one from a YAML file.

    Args:
        overrides: `field.path=value` each, the value in YAML: `training.epochs=20`, `augment.mixup=0`.

    Raises:
        RecipeError: an unknown field (the nearest right one is named), an impossible value, a file that is no YAML.
    """
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml"):
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise RecipeError(
                f"recipe {path}: {error.strerror}; name a file that exists, or one of {', '.join(recipe_names())}."
            ) from None
        except UnicodeDecodeError:
            raise RecipeError(f"recipe {path}: not UTF-8 text; a recipe is a YAML file.") from None
    else:
        text = recipe_text(str(name_or_path))
    return parse_recipe(text, overrides, origin=str(name_or_path))


def parse_recipe(text: str, overrides: Sequence[str] = (), *, origin: str = "recipe") -> Recipe:
    """A Recipe from YAML text; `origin` is what messages call it."""
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark else ""
        raise RecipeError(f"recipe {origin}{where}: not valid YAML ({getattr(error, 'problem', error)}).") from None
    if not isinstance(content, dict):
        raise RecipeError(f"recipe {origin}: found {type(content).__name__}, expected fields such as `training:`.")
    for override in overrides:
        _apply(content, override)
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise RecipeError(f"recipe {origin}: {explain(error, Recipe)}") from None


def render_recipe(recipe: Recipe) -> str:
    """The Recipe as YAML that `parse_recipe` reads back to an equal one."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100)


def _apply(content: dict[str, Any], override: str) -> None:
    field, equals, text = override.partition("=")
    if not equals or not field:
        raise RecipeError(f"--set {override!r}: expected field.path=value, such as training.epochs=20.")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise RecipeError(f"--set {override!r}: the value is not valid YAML; quote it.") from None
    if isinstance(value, str):
        with contextlib.suppress(ValueError):  # YAML 1.1 reads 3e-4 as text; people mean a number
            value = float(value)
    here = content
    *parents, last = field.split(".")
    for depth, name in enumerate(parents):
        here = here.setdefault(name, {})
        if not isinstance(here, dict):
            inside = ".".join(parents[: depth + 1])
            raise RecipeError(f"--set {override!r}: {inside} is a value, it holds no field {last!r}.")
    here[last] = value


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """One problem of a pydantic error in one sentence: an unknown field, with the nearest right one, or the first."""
    # a misspelt name is what makes the right one missing, so it is told first
    problem = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    # pydantic adds the branch of a union it tried (`int`, `literal['auto']`) to the place
    known_parts = {part for path in _all_fields(model) for part in path.split(".")}
    unknown = problem["type"] == "extra_forbidden"
    location = [str(part) for part in problem["loc"] if unknown or isinstance(part, int) or part in known_parts]
    field = ".".join(location)
    if unknown:
        known = _fields_at(model, location[:-1])
        # a field that sits under another heading is the commoner slip than a misspelt one
        elsewhere = [path for path in _all_fields(model) if path.split(".")[-1] == location[-1]]
        near = elsewhere or difflib.get_close_matches(field, list(_all_fields(model)), n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
        return f"unknown field {field!r}; {hint}"
    if problem["type"] == "missing":
        return f"field {field!r} is missing; `earmark recipes small-cnn` prints a whole recipe to start from."
    if problem["type"] == "value_error":
        reason = str(problem.get("ctx", {}).get("error", problem["msg"]))
        return f"{field}: {reason}" if field else reason
    said = problem["msg"][0].lower() + problem["msg"][1:]
    others = [e["msg"] for e in error.errors()[1:] if e["loc"][: len(location)] == problem["loc"][: len(location)]]
    said = " or ".join([said, *(other[0].lower() + other[1:] for other in others)])
    return f"field {field!r} is {problem['input']!r}: {said}."


def _fields_at(model: type[BaseModel], location: Sequence[str]) -> list[str]:
    for part in location:
        field = model.model_fields.get(part)
        inner = _model_of(field.annotation) if field else None
        if inner is None:
            return []
        model = inner
    return list(model.model_fields)


def _all_fields(model: type[BaseModel], prefix: str = "") -> list[str]:
    paths: list[str] = []
    for name, field in model.model_fields.items():
        paths.append(prefix + name)
        inner = _model_of(field.annotation)
        if inner is not None:
            paths.extend(_all_fields(inner, f"{prefix}{name}."))
    return paths


def _model_of(annotation: Any) -> type[BaseModel] | None:
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None

"""The command line: one file a verb."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from earmark.cli import (
    cache,
    catalog,
    check,
    convert,
    demo,
    doctor,
    evaluate,
    export,
    inspect,
    recipes,
    reset,
    serve,
    tag,
    train,
)

if TYPE_CHECKING:
    import typer

VERBS: tuple[Callable[[typer.Typer], None], ...] = (
    cache.register,
    catalog.register,
    check.register,
    convert.register,
    demo.register,
    doctor.register,
    evaluate.register,
    export.register,
    inspect.register,
    recipes.register,
    reset.register,
    serve.register,
    tag.register,
    train.register,
)

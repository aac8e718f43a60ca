"""The command line: one file a verb."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from earmark.cli import convert, demo, tag

if TYPE_CHECKING:
    import typer

VERBS: tuple[Callable[[typer.Typer], None], ...] = (convert.register, demo.register, tag.register)

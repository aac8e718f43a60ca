"""Options that mean the same in several verbs, worded once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[
    Path,
    typer.Argument(help="Folder of sounds (any layout), a manifest .csv or .parquet, or catalog:TASK[@SET][?WHERE]."),
]
Where = Annotated[
    str | None,
    typer.Option("--where", help="Of catalog:TASK, what is told apart, such as 'sax=foreground vs absent'."),
]
RecipeName = Annotated[str, typer.Option("--recipe", "-r", help="A shipped recipe, or a YAML file of your own.")]
Overrides = Annotated[list[str], typer.Option("--set", help="Change a recipe field: training.epochs=20. Repeatable.")]
Layout = Annotated[str | None, typer.Option("--layout", help="The folder's layout, where looking is not to decide.")]
GroupBy = Annotated[
    list[str],
    typer.Option("--group-by", help="REGEX or class=REGEX on file names: what must never be split. Repeatable."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object; words for people go to stderr.")]

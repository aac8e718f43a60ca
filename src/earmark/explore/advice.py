"""The next useful step after a look at a folder."""

from __future__ import annotations

import shlex
from pathlib import Path

from earmark.explore.inspect import Inspection


def next_step(found: Inspection, data: Path) -> tuple[str, str]:
    """Words, and a command where there is one to give."""
    problem = next((finding for finding in found.findings if finding.weight == "problem"), None)
    if problem is not None:
        advice = f" {problem.advice}" if problem.advice else ""
        return f"first mend this: {problem.title[0].lower()}{problem.title[1:]}.{advice}", ""
    folder = shlex.quote(str(data))
    if found.kind is None or not found.tags:
        return "say what the files are (a folder per class, or a manifest.csv with path and labels), then", (
            f"earmark train {folder} --out model/"
        )
    options = "".join(f" {guess.option}" for guess in found.guesses)
    return "train a tagger:", f"earmark train {folder}{options} --out model/"

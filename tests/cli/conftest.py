"""`earmark catalog ...` as a user types it, shared by the tests of its verbs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from earmark.cli.main import app
from earmark.errors import EarmarkError


@pytest.fixture
def earmark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """`earmark catalog ... --json` in an empty folder: its object, or the error that it raises."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EARMARK_DATABASE_URL", raising=False)

    def run(*arguments: str) -> dict[str, Any]:
        done = CliRunner().invoke(app, ["catalog", *arguments, "--json"])
        if isinstance(done.exception, EarmarkError):
            raise done.exception
        assert done.exit_code == 0, done.output
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    return run

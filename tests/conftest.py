"""Fixtures for all tests. Real recordings come from EARMARK_TEST_DATA, else from ../shared/data beside the checkout."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from chromium import browser
from postgresql import postgresql_server, postgresql_url

__all__ = ["browser", "postgresql_server", "postgresql_url"]  # one for all tests, as long as they run

# Before torch or onnxruntime is imported: a spinning thread pool slows a shared machine many times.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

_DATA = Path(os.environ.get("EARMARK_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real recordings; the test skips, saying so, where it is absent."""
    if not _DATA.is_dir():
        pytest.skip(f"no real recordings at {_DATA}: set EARMARK_TEST_DATA to run this test")
    return _DATA


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or fills the cache of whoever runs it."""
    monkeypatch.setenv("EARMARK_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "earmark-cache"))

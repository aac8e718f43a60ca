"""kill -9 of the server while people label; 50 times of it are in `benchmarks/web_faults.py`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from benchmarks import _postgresql
from benchmarks.web_faults import kill_again_and_again


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_killed_server_loses_nothing_that_was_acknowledged(kind: str) -> None:
    if kind == "postgresql" and not _postgresql.is_installed():
        pytest.skip("no PostgreSQL server is installed (on Debian: apt-get install postgresql)")
    with ThreadPoolExecutor(1) as apart:  # playwright leaves an event loop in the thread of the tests
        found = apart.submit(kill_again_and_again, kind, 4, seed=1).result()
    assert found.wrong == []
    assert len(found.log.answers) >= 20
    assert found.log.statuses[0] > 0  # some requests broke off, and were sent again

"""The whole of it, with a catalog and real songs, is tested by the command: tests/cli/test_catalog_queue.py."""

from __future__ import annotations

import pytest

from earmark.tagging.uncertainty import entropy


@pytest.mark.parametrize(
    ("probabilities", "expected"),
    [([0.5], 1.0), ([0.0, 1.0], 0.0), ([0.5, 1.0], 0.5), ([0.25], 0.8112781), ([0.9, 0.1], 0.4689956)],
)
def test_doubt_is_the_mean_binary_entropy(probabilities: list[float], expected: float) -> None:
    assert entropy(probabilities) == pytest.approx(expected, abs=1e-6)

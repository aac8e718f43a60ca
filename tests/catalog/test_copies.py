from __future__ import annotations

import pytest

from earmark.catalog.copies import LookAlike, decide

SPAN = (0.0, 1.0)
NEAR = [
    LookAlike(1, "a", 1, 0.10, SPAN, SPAN),
    LookAlike(2, "b", 9, 0.15, SPAN, SPAN),
    LookAlike(3, "c", 3, 0.20, SPAN, SPAN),
]


@pytest.mark.parametrize(
    ("heard", "uri"),
    [
        ({1: 0.7, 2: 0.9, 3: 0.1}, "b"),  # the waveform decides, not the fingerprint
        ({1: 0.3, 2: 0.2, 3: 0.0}, None),
        ({1: 0.3, 2: None, 3: None}, "b"),  # what is gone is what its fingerprint says
        ({1: None, 2: 0.2, 3: 0.8}, "c"),  # but one that was heard goes before it
        ({1: None, 2: None, 3: None}, "a"),
        ({1: 0.5, 2: 0.5, 3: 0.5}, "a"),  # of equals the most alike
    ],
)
def test_who_agrees_is_the_original_else_who_cannot_be_heard(heard: dict[int, float | None], uri: str | None):
    found = decide(NEAR, heard)
    assert (found.uri if found else None) == uri


def test_nothing_that_looks_alike_is_no_copy():
    assert decide([], {}) is None

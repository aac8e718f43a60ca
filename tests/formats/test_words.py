from __future__ import annotations

import pytest

from earmark.formats.words import counted


@pytest.mark.parametrize(
    ("count", "words"),
    [
        ((0, "group"), "0 groups"),
        ((1, "group"), "1 group"),
        ((2, "group"), "2 groups"),
        ((1, "class", "classes"), "1 class"),
        ((1234, "class", "classes"), "1,234 classes"),
        ((1, "pair of clips shares", "pairs of clips share"), "1 pair of clips shares"),
    ],
)
def test_a_noun_goes_with_its_number(count: tuple[int, str] | tuple[int, str, str], words: str) -> None:
    assert counted(*count) == words

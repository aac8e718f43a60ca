"""Numbers in sentences."""

from __future__ import annotations


def counted(count: int, one: str, many: str | None = None) -> str:
    """`count` and its noun: '1 group', '2 groups', '1,000 classes'; `many` where it is not `one` and an s."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"

"""File names as text: on most systems they are bytes, and need not be UTF-8."""

from __future__ import annotations


def printable(name: str) -> str:
    """`name` with each byte that is not UTF-8 as `\\xff`, so that any terminal, JSON reader or table takes it.

    Python holds such bytes as lone surrogates, which no encoding knows.
    """
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        plain = name.encode("utf-8", "surrogateescape" if _only_escaped(name) else "backslashreplace")
        return plain.decode("utf-8", "backslashreplace")
    return name


def _only_escaped(name: str) -> bool:
    """Whether all surrogates are those of undecodable bytes."""
    return not any("\ud800" <= letter <= "\udfff" and not "\udc80" <= letter <= "\udcff" for letter in name)

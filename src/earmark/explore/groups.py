"""Guesses at what file names say about groups: recordings, speakers, sites that a split must keep together."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

# What names in the world begin with; each is tried as a `--group-by` pattern.
CANDIDATES = (
    (r"^([^_\-. ]+)", "the first part of the name"),
    (r"^([^_\-. ]+[_\-. ][^_\-. ]+)[_\-. ]", "the first two parts of the name"),
    (r"^([^_\-. ]+[_\-. ][^_\-. ]+[_\-. ][^_\-. ]+)[_\-. ]", "the first three parts of the name"),
    (r"^[^_\-. ]+[_\-. ]([^_\-. ]+)[_\-. ]", "the second part of the name"),
    (r"^(\d+)", "the number the name begins with"),
    (r"^(\D+)\d", "the letters the name begins with"),
    (r"^(.*?)[_\-. ]*\d+\.[^.]*$", "all but the last number"),
)
SMALLEST_MEAN = 1.5  # files a group, below which a pattern groups nothing to speak of
MOST = 3


@dataclass(frozen=True, slots=True)
class GroupGuess:
    """A pattern that sorts files into groups of more than one.

    Attributes:
        tag: the class it is for; None for all files.
        regex: for `--group-by`.
        what: it in words.
        groups: how many it makes.
        largest: files in the largest.
        examples: some of the groups' names.
        partition: the group of each file, numbered as they come.
    """

    tag: str | None
    regex: str
    what: str
    groups: int
    largest: int
    examples: tuple[str, ...]
    partition: tuple[int, ...] = field(repr=False)

    @property
    def option(self) -> str:
        """As typed on the command line."""
        pattern = self.regex if self.tag is None else f"{self.tag}={self.regex}"
        return f"--group-by '{pattern}'"


def guess_groups(names: Sequence[str], tags: Sequence[str]) -> list[GroupGuess]:
    """Patterns worth a look.

    Args:
        names: file names without their folder.
        tags: the one class of each file; '' where it has none or several.

    Returns:
        Up to three guesses for each class that has any, fewest groups first; guesses for all files where the same
        patterns fit every class.
    """
    classes = sorted(set(tags) - {""})
    found = {tag: _guesses([n for n, t in zip(names, tags, strict=True) if t == tag], tag) for tag in classes}
    fitting = [{guess.regex for guess in guesses} for guesses in found.values()]
    shared = set.intersection(*fitting) if fitting else set()
    if not classes or len(shared) > 0:
        whole = [guess for guess in _guesses(names, None) if not classes or guess.regex in shared]
        if whole:
            return _distinct(whole)
    return [guess for guesses in found.values() for guess in _distinct(guesses)]


def _distinct(guesses: Sequence[GroupGuess]) -> list[GroupGuess]:
    """The first MOST that sort the files differently, fewest groups first."""
    kept = {guess.partition: guess for guess in reversed(guesses)}
    return sorted(kept.values(), key=lambda guess: guess.groups)[:MOST]


def _guesses(names: Sequence[str], tag: str | None) -> list[GroupGuess]:
    guesses = []
    for regex, what in CANDIDATES:
        matches = [re.search(regex, name) for name in names]
        keys = [match.group(1) if match else "" for match in matches]
        if not all(keys):
            continue
        sizes = Counter(keys)
        if len(sizes) < 2 or len(names) < SMALLEST_MEAN * len(sizes):
            continue
        order = list(sizes)
        rank = {key: number for number, key in enumerate(order)}
        partition = tuple(rank[key] for key in keys)
        guesses.append(GroupGuess(tag, regex, what, len(sizes), max(sizes.values()), tuple(order[:4]), partition))
    return guesses

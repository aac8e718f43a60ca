"""File names that look like numbered parts of one recording: a word of warning, with a --group-by to copy.

`inspect` and `train` both ask here, so they give the same advice.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from dataclasses import dataclass

import numpy as np

from earmark.data.manifest import Manifest

_LEAST_PARTS = 6  # so many files that begin alike are hardly chance
_LEAST_LETTERS = 4  # a shorter beginning (a fold, a digit) says nothing of a recording
_LEAST_COVERED = 0.5  # of a class's files


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One class whose files look like parts of a few recordings.

    Attributes:
        tag: the class.
        pattern: ready for `--group-by`; files it does not know keep a group of their own.
        prefixes: the beginnings of the names, each with its number of files.
    """

    tag: str
    pattern: str
    prefixes: tuple[tuple[str, int], ...]

    @property
    def option(self) -> str:
        """As typed on the command line."""
        return f"--group-by {shlex.quote(self.pattern)}"

    @property
    def message(self) -> str:
        shown = ", ".join(f"{prefix} ({count} files)" for prefix, count in self.prefixes[:6])
        more = f" and {len(self.prefixes) - 6} more" if len(self.prefixes) > 6 else ""
        return (
            f"{self.tag!r}: file names look like parts of {len(self.prefixes)} recordings: {shown}{more}. Parts of one "
            f"recording in train and test make the result look better than it is. If they are: "
            f"{self.option}"
        )


def suggest_groups(manifest: Manifest) -> list[Suggestion]:
    """The classes whose names look so, if nobody has said what the groups are.

    A beginning counts if it ends at a separator (`_`, `-`, `.` or a space), holds a digit, goes on with another
    number, is shared by at least 6 files of the class but not by all of them, and does not occur in other classes
    (that is how a whole set is named, not a recording). The shortest such beginning of a name is taken, made longer for
    as long as the same files share it: too large a group costs little, too small a one leaks.
    """
    suggestions = []
    names = [recording.rsplit("/", 1)[-1].rsplit(".", 1)[0] for recording in manifest.rows["recording"]]
    beginnings = [_beginnings(name) for name in names]
    classes: dict[str, set[str]] = {}
    for i, found in enumerate(beginnings):
        for beginning in found:
            classes.setdefault(beginning, set()).update(manifest.labels_of(i)[:1])
    given = manifest.rows["group_is_given"].to_numpy(dtype=bool)
    again = manifest.rows["recording"].duplicated().to_numpy()  # another clip of the same file
    for column, tag in enumerate(manifest.vocabulary.tags):
        mine = np.flatnonzero((manifest.targets[:, column] > 0.5) & ~again).tolist()
        if len(mine) < _LEAST_PARTS or given[mine].any():
            continue
        counts = Counter(beginning for i in mine for beginning in beginnings[i] if len(classes[beginning]) == 1)
        usable = {beginning for beginning, count in counts.items() if _LEAST_PARTS <= count < len(mine)}
        chosen = Counter(
            max((b for b in known if counts[b] == counts[known[0]]), key=len)
            for i in mine
            if (known := [b for b in beginnings[i] if b in usable])
        )
        if sum(chosen.values()) >= _LEAST_COVERED * len(mine):
            # longest first: of A_1 and A_1_2 the regular expression has to try the second before the first
            ordered = sorted(chosen, key=lambda beginning: (-len(beginning), beginning))
            rest = "" if sum(chosen.values()) == len(mine) else "|.+"
            choices = "|".join(re.escape(beginning).replace(r"\-", "-") for beginning in ordered)
            pattern = f"{tag}=^({choices}){rest}"
            suggestions.append(Suggestion(tag, pattern, tuple(chosen.most_common())))
    return suggestions


def _beginnings(name: str) -> list[str]:
    """The beginnings of `name` that could stand for a recording, shortest first."""
    return [
        name[: separator.start()]
        for separator in re.finditer(r"[_\-. ]+", name)
        if re.search(r"\d", name[: separator.start()])
        and len(re.sub(r"[_\-. ]", "", name[: separator.start()])) >= _LEAST_LETTERS
        and re.search(r"\d", name[separator.end() :])
    ]

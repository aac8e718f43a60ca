"""Can a detector cheat? Whether a class can be told by how it was recorded rather than by how it sounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

FEWEST = 8  # files of a class, and of the others, below which a difference says little
STRONG = 0.8
NOTABLE = 0.6


@dataclass(frozen=True, slots=True)
class Confound:
    """A property that tells a class from the rest.

    Attributes:
        tag: the class.
        property: column of the table of files, e.g. `sample_rate_hz`.
        strength: share of the class within the range less the share of the others within it: 1 is a perfect giveaway.
        inside: share of the class within the range.
        others: share of the other files within it.
        where: the range in words, e.g. `at 16,000 Hz` or `between 3,900 and 4,000 Hz`.
        never_natural: whether no real difference between the sounds could explain it.
    """

    tag: str
    property: str
    strength: float
    inside: float
    others: float
    where: str
    never_natural: bool

    def sentence(self) -> str:
        """In plain words, without a full stop."""
        return (
            f"{self.inside:.0%} of {self.tag!r} {_VERB[self.property]} {self.where}, "
            f"{self.others:.0%} of the other files do"
        )


_VERB = {
    "sample_rate_hz": "have a sample rate of",
    "channels": "have",
    "format": "are stored as",
    "bandwidth_hz": "end at",
    "duration_s": "last",
    "rms_db": "have a level",
    "silence": "are silent for",
    "dc_offset": "have a DC offset",
}
_NUMBERS = ("bandwidth_hz", "duration_s", "rms_db", "silence", "dc_offset")
_KINDS = ("sample_rate_hz", "channels", "format")
_NATURAL = ("bandwidth_hz", "duration_s", "rms_db", "silence")
_FLOOR = {"bandwidth_hz": 200.0, "duration_s": 0.05, "rms_db": 1.0, "silence": 0.02, "dc_offset": 0.002}
"""Ranges that differ from the rest by less than this are no difference that a detector would go by."""


def find_confounds(files: pd.DataFrame, membership: npt.NDArray[np.bool_], tags: tuple[str, ...]) -> list[Confound]:
    """Properties that give a class away.

    Args:
        files: (n,) usable files with the columns of `earmark.explore.measure.Measured`.
        membership: (n, tags), True where the file holds the tag.
        tags: names of the columns of `membership`.

    Returns:
        Strongest first; what can never be natural before what can.
    """
    found: list[Confound | None] = []
    for column, tag in enumerate(tags):
        inside = membership[:, column]
        if inside.sum() < FEWEST or (~inside).sum() < FEWEST:
            continue
        found += [_by_kind(files[name].tolist(), inside, tag, name) for name in _KINDS]
        found += [_by_range(files[name].to_numpy(np.float64), inside, tag, name) for name in _NUMBERS]
    strong = [confound for confound in found if confound is not None and confound.strength >= NOTABLE]
    return sorted(strong, key=lambda confound: (not confound.never_natural, -confound.strength))


def _by_kind(values: list[Any], inside: npt.NDArray[np.bool_], tag: str, name: str) -> Confound | None:
    """The values that are commoner in the class than outside it."""
    mine = []
    for value in dict.fromkeys(values):
        equal = np.array([other == value for other in values])
        share, other = float(equal[inside].mean()), float(equal[~inside].mean())
        if share > other:
            mine.append((value, share, other))
    if not mine:
        return None
    share, other = sum(m[1] for m in mine), sum(m[2] for m in mine)
    mine.sort(key=lambda m: -m[1])
    where = " or ".join(_kind(name, value) for value, _, _ in mine[:3])
    if name == "sample_rate_hz":
        where += " Hz"
    return Confound(tag, name, share - other, share, other, where, never_natural=True)


def _by_range(values: npt.NDArray[np.float64], inside: npt.NDArray[np.bool_], tag: str, name: str) -> Confound | None:
    """The range that holds most of the class and least of the rest: the best sum over sorted values."""
    levels, where = np.unique(values, return_inverse=True)
    gain = np.zeros(len(levels))
    np.add.at(gain, where, np.where(inside, 1 / inside.sum(), -1 / (~inside).sum()))
    total = np.concatenate([[0.0], np.cumsum(gain)])
    lowest = np.minimum.accumulate(total)
    stop = int(np.argmax(total[1:] - lowest[:-1])) + 1
    start = int(np.argmin(total[:stop]))
    low, high = levels[start], levels[stop - 1]
    within = (values >= low) & (values <= high)
    outside = values[~within]
    if len(outside) == 0 or _gap(outside, float(np.median(values[inside]))) < _FLOOR[name]:
        return None
    share, other = float(within[inside].mean()), float(within[~inside].mean())
    text = _range(name, None if start == 0 else float(low), None if stop == len(levels) else float(high))
    return Confound(tag, name, share - other, share, other, text, never_natural=name not in _NATURAL)


def _gap(outside: npt.NDArray[np.float64], typical: float) -> float:
    """How far the typical file of the class lies from the typical of the rest."""
    return abs(float(np.median(outside)) - typical)


def _kind(name: str, value: Any) -> str:
    if name == "sample_rate_hz":
        return f"{int(value):,}"
    if name == "channels":
        return "one channel" if value == 1 else f"{int(value)} channels"
    return str(value)


def _range(name: str, low: float | None, high: float | None) -> str:
    def say(value: float) -> str:
        return {
            "bandwidth_hz": f"{value:,.0f} Hz",
            "duration_s": f"{value:.2f} s",
            "rms_db": f"{value:.1f} dB",
            "silence": f"{value:.0%} of the time",
            "dc_offset": f"{value:.4f}",
        }[name]

    if low is None and high is None:
        return "of any value"
    if low is None:
        return f"{say(high or 0.0)} or less"
    if high is None:
        return f"{say(low)} or more"
    return say(low) if say(low) == say(high) else f"{say(low)} to {say(high)}"

"""From a probability per window to events: when a tag is heard, from when to when."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Event:
    """One stretch of time in which a tag is heard.

    Attributes:
        start_s, stop_s: from the start of its first window to the end of its last.
        tag: what is heard.
        probability: the largest of its windows.
        mean_probability: over its windows (those refused as unknown left out).
        logit: of the window with the largest probability.
    """

    start_s: float
    stop_s: float
    tag: str
    probability: float
    mean_probability: float
    logit: float

    @property
    def duration_s(self) -> float:
        return self.stop_s - self.start_s


def find_events(
    tag: str,
    start_s: Floats,
    stop_s: Floats,
    probabilities: Floats,
    logits: Floats,
    *,
    on: float,
    off: float,
    min_gap_s: float = 0.0,
    min_duration_s: float = 0.0,
) -> list[Event]:
    """Events of one tag, by hysteresis.

    A run of windows whose probability is at least `off` is an event if at least one of them reaches `on`. Events that
    overlap, or lie less than `min_gap_s` apart, become one (its probabilities are of all the windows it spans); then
    events shorter than `min_duration_s` are dropped.

    Args:
        tag: the tag's name, copied into the events.
        start_s, stop_s, probabilities, logits: (w,) of the windows in order of time. A negative probability marks a
            window that takes no part: it begins and holds no event, and counts in no mean.
        on: probability that starts an event.
        off: probability below which it ends, at most `on`.
    """
    held = np.asarray(probabilities) >= min(off, on)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], held, [False]]).astype(np.int8)))
    merged: list[tuple[int, int]] = []  # first window, one past the last
    for first, past in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if np.max(probabilities[first:past]) < on:
            continue
        gap = float(start_s[first] - stop_s[merged[-1][1] - 1]) if merged else np.inf
        if gap < 0 or gap < min_gap_s:
            merged[-1] = (merged[-1][0], past)
        else:
            merged.append((first, past))
    found = []
    for first, past in merged:
        spanned = np.asarray(probabilities[first:past])
        best = first + int(np.argmax(spanned))
        event = Event(
            start_s=float(start_s[first]),
            stop_s=float(stop_s[past - 1]),
            tag=tag,
            probability=float(probabilities[best]),
            mean_probability=float(np.mean(spanned[spanned >= 0])),
            logit=float(logits[best]),
        )
        if event.duration_s >= min_duration_s:
            found.append(event)
    return found

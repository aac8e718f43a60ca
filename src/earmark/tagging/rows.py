"""Which tags of a recording's Scores are shown: the one rule behind every output format."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np

from earmark.errors import InputError
from earmark.tagging.scores import UNKNOWN_TAG, Array, Row, Scores, TagScore

Per: TypeAlias = Literal["window", "recording", "event"]


@dataclass(frozen=True, slots=True)
class Choice:
    """What to show.

    Attributes:
        per: rows for each window, for each recording as a whole (mean logits), or for each event.
        threshold: show tags of at least this probability; default: each tag's own threshold. Without it a window that
            reaches no threshold shows its likeliest tag; with it such a window shows nothing.
        top: show the n likeliest tags (of at least `threshold`, where that is given).
        all_tags: show every tag.
        on, off, min_gap_s, min_duration_s: of events (`Scores.events`).
        refuse: show the tag `unknown`, without probability, for windows that are unknown.
    """

    per: Per = "window"
    threshold: float | None = None
    top: int | None = None
    all_tags: bool = False
    on: float | None = None
    off: float | None = None
    min_gap_s: float = 0.0
    min_duration_s: float = 0.0
    refuse: bool = False

    def __post_init__(self) -> None:
        for name in ("threshold", "on", "off"):
            value = getattr(self, name)
            if value is not None and not 0.0 <= value <= 1.0:
                raise InputError(f"{name} is {value}; expected a probability from 0 to 1.")
        for name in ("min_gap_s", "min_duration_s"):
            if not 0.0 <= getattr(self, name) < float("inf"):
                raise InputError(f"{name} is {getattr(self, name)}; expected seconds, 0 or more.")
        if self.top is not None and self.top < 1:
            raise InputError(f"top is {self.top}; expected 1 or more.")
        if self.on is not None and self.off is not None and self.off > self.on:
            raise InputError(f"off is {self.off} and on is {self.on}; expected off at most on.")
        if self.all_tags and (self.top is not None or self.threshold is not None or self.per == "event"):
            raise InputError("all tags and a choice among them (top, threshold, events) exclude each other; keep one.")
        if self.per == "event" and self.top is not None:
            raise InputError("top is for windows and recordings; events are chosen by on and off.")

    def pick(self, scores: Scores, probabilities: Array, logits: Array) -> list[TagScore]:
        """The tags to show among (tags,) probabilities, likeliest first."""
        everything = scores.best(probabilities, logits, len(scores.vocabulary))
        if self.all_tags:
            return everything
        if self.threshold is not None:
            # at float32, so that a threshold copied from a table picks the row that it came from
            limit = float(np.float32(self.threshold))
            return [score for score in everything if score.probability >= limit][: self.top]
        if self.top is not None:
            return everything[: self.top]
        return scores.heard(probabilities, logits) or everything[:1]


def decide_per(per: str | None, *, events: bool, format: str | None) -> Per:
    """What rows are per: as asked; else events for label files, recordings for people, windows for tables."""
    if events and per not in (None, "event"):
        raise InputError(f"--events and --per {per} exclude each other; keep one.")
    if events or per == "event":
        return "event"
    if per == "window":
        return "window"
    if per == "recording":
        return "recording"
    if per is not None:
        raise InputError(f"--per {per}: unknown; expected window, recording or event.")
    if format in ("audacity", "raven"):
        return "event"
    return "window" if format else "recording"


def rows(scores: Scores, choice: Choice) -> Iterator[Row]:
    """The rows of a recording, in order of time, likeliest first."""
    path = scores.recording
    if choice.per == "event":
        for event in _events(scores, choice):
            yield Row(path, event.start_s, event.stop_s, event.tag, event.probability, event.logit)
        return
    for start, stop, unknown, tags in _spans(scores, choice):
        if unknown and choice.refuse:
            yield Row(path, start, stop, UNKNOWN_TAG, None, None)
            continue
        for tag in tags:
            yield Row(path, start, stop, tag.tag, tag.probability, tag.logit)


def record(scores: Scores, choice: Choice) -> dict[str, Any]:
    """The same as one JSON object a recording."""
    whole = replace(choice, per="recording")
    (_, _, whole_is_unknown, tags) = next(_spans(scores, whole))
    content: dict[str, Any] = {
        "path": scores.recording,
        "duration_s": scores.duration_s,
        "unknown": scores.is_unknown,
        "warning": scores.warning,
        "tags": _tags(tags, refused=whole_is_unknown and choice.refuse),
    }
    if choice.per == "event":
        content["events"] = [
            {
                "start_s": event.start_s,
                "end_s": event.stop_s,
                "tag": event.tag,
                "probability": event.probability,
                "mean_probability": event.mean_probability,
                "logit": event.logit,
            }
            for event in _events(scores, choice)
        ]
    elif choice.per == "window":
        content["windows"] = [
            {
                "start_s": start,
                "end_s": stop,
                "unknown": unknown,
                "tags": _tags(tags, refused=unknown and choice.refuse),
            }
            for start, stop, unknown, tags in _spans(scores, choice)
        ]
    return content


def _tags(tags: list[TagScore], *, refused: bool) -> list[dict[str, Any]]:
    if refused:
        return [{"tag": UNKNOWN_TAG, "probability": None, "logit": None}]
    return [tag._asdict() for tag in tags]


def _events(scores: Scores, choice: Choice) -> list[Any]:
    return scores.events(
        on=choice.on if choice.on is not None else choice.threshold,
        off=choice.off,
        min_gap_s=choice.min_gap_s,
        min_duration_s=choice.min_duration_s,
        refuse=choice.refuse,
    )


def _spans(scores: Scores, choice: Choice) -> Iterator[tuple[float, float, bool, list[TagScore]]]:
    if choice.per == "recording":
        tags = choice.pick(scores, scores.mean_probabilities, scores.mean_logits)
        yield 0.0, scores.duration_s, scores.is_unknown, tags
        return
    unknown = scores.unknown_windows
    for i in range(len(scores)):
        tags = choice.pick(scores, scores.probabilities[i], scores.logits[i])
        yield float(scores.start_s[i]), float(scores.stop_s[i]), bool(unknown[i]), tags

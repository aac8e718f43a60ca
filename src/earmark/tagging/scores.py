"""What a model says about a recording: every tag's raw logit and calibrated probability, window by window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from earmark.errors import InputError
from earmark.tagging.events import Event, find_events
from earmark.types import Prediction, Vocabulary

if TYPE_CHECKING:
    import pandas as pd

Array = npt.NDArray[np.float32]

COLUMNS = ("path", "start_s", "end_s", "tag", "probability", "logit")
UNKNOWN_TAG = "unknown"
OFF_PART = 0.8  # an event ends below this part of the probability that starts it, unless told otherwise
EXCLUSIVE_ON = 0.5  # above a half, at most one tag of an exclusive vocabulary can start an event


class TagScore(NamedTuple):
    """A tag with its calibrated probability and raw logit."""

    tag: str
    probability: float
    logit: float


class Row(NamedTuple):
    """One line of a table of tags. For windows refused as unknown, probability and logit are None."""

    path: str
    start_s: float
    end_s: float
    tag: str
    probability: float | None
    logit: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """A recording's predictions in time.

    Attributes:
        recording: its path as it was given.
        duration_s: of the audio that was heard.
        start_s, stop_s: (w,) float64, the windows' spans in seconds, to the microsecond. A window that had to be
            filled up ends where the audio ends.
        logits: (w, tags) float32, raw.
        probabilities: (w, tags) float32, calibrated.
        mean_logits: (tags,) float32, the mean over the windows: what evaluation judges a clip by.
        mean_probabilities: (tags,) float32, calibrated, of `mean_logits` (not a mean of probabilities).
        vocabulary: the columns.
        thresholds: (tags,) probability from which a tag counts; None: the likeliest counts (exclusive model).
        bundle_hash: which model said so.
        unknown: (w,) float32, how unlike the training sounds each window is; None where the model cannot tell.
        unknown_threshold: windows above it count as unknown.
        warning: what was wrong with the file, if it could be read in part only.
    """

    recording: str
    duration_s: float
    start_s: npt.NDArray[np.float64]
    stop_s: npt.NDArray[np.float64]
    logits: Array
    probabilities: Array
    mean_logits: Array
    mean_probabilities: Array
    vocabulary: Vocabulary
    thresholds: Array | None
    bundle_hash: str
    unknown: Array | None = None
    unknown_threshold: float | None = None
    warning: str | None = None

    def __len__(self) -> int:
        """Number of windows."""
        return len(self.start_s)

    @property
    def unknown_windows(self) -> npt.NDArray[np.bool_]:
        """(w,) True where the window is unlike anything the model was trained on."""
        if self.unknown is None or self.unknown_threshold is None:
            return np.zeros(len(self), np.bool_)
        return np.asarray(self.unknown > self.unknown_threshold, np.bool_)

    @property
    def is_unknown(self) -> bool:
        """Whether more than half of the windows are unknown."""
        return bool(self.unknown_windows.mean() > 0.5)

    def top(self, n: int = 3) -> list[TagScore]:
        """The `n` likeliest tags of the whole recording, by `mean_probabilities`."""
        return self.best(self.mean_probabilities, self.mean_logits, n)

    def tags(self) -> list[str]:
        """The tags of the whole recording: those at or above their threshold, likeliest first.

        An exclusive model without thresholds gives exactly one. For what is heard at some time only, see `events`.
        """
        return [score.tag for score in self.heard(self.mean_probabilities, self.mean_logits)]

    def heard(self, probabilities: Array, logits: Array) -> list[TagScore]:
        """The tags that count among (tags,) probabilities, likeliest first."""
        if self.thresholds is None:
            return self.best(probabilities, logits, 1)
        reached = [s for s in self.best(probabilities, logits, len(self.vocabulary)) if self._reaches(s)]
        return reached[:1] if self.vocabulary.kind == "exclusive" else reached

    def events(
        self,
        *,
        on: float | None = None,
        off: float | None = None,
        min_gap_s: float = 0.0,
        min_duration_s: float = 0.0,
        refuse: bool = False,
    ) -> list[Event]:
        """When each tag is heard, in order of time (see `earmark.tagging.events.find_events` for the rule).

        Args:
            on: probability that starts an event; default: the tag's threshold, or 0.5 for an exclusive model.
            off: probability below which it ends; default: 0.8 times `on`.
            min_gap_s: pauses shorter than this are closed.
            min_duration_s: events shorter than this are dropped.
            refuse: windows that are unknown start and hold no event.
        """
        for name, value in (("on", on), ("off", off)):
            if value is not None and not 0.0 <= value <= 1.0:
                raise InputError(f"events: {name} is {value}, expected a probability from 0 to 1.")
        if on is not None and off is not None and off > on:
            raise InputError(f"events: off is {off} and on is {on}; expected off at most on.")
        known = ~self.unknown_windows if refuse else np.ones(len(self), np.bool_)
        found: list[Event] = []
        for column, tag in enumerate(self.vocabulary):
            default = EXCLUSIVE_ON if self.thresholds is None else float(self.thresholds[column])
            start = default if on is None else on
            found += find_events(
                tag,
                self.start_s,
                self.stop_s,
                np.where(known, self.probabilities[:, column], -1.0),
                self.logits[:, column],
                on=start,
                off=OFF_PART * start if off is None else off,
                min_gap_s=min_gap_s,
                min_duration_s=min_duration_s,
            )
        return sorted(found, key=lambda event: (event.start_s, event.stop_s, event.tag))

    def predictions(self) -> list[Prediction]:
        """One Prediction a window."""
        return [
            Prediction(
                self.recording,
                float(self.start_s[i]),
                float(self.stop_s[i]),
                self.bundle_hash,
                self.logits[i],
                self.probabilities[i],
            )
            for i in range(len(self))
        ]

    def to_frame(self) -> pd.DataFrame:
        """A row a window and tag: path, start_s, end_s, tag, probability, logit (float32 as the model gave them)."""
        import pandas as pd  # here: half a second that tagging to CSV need not pay

        windows, tags = self.logits.shape
        return pd.DataFrame(
            {
                "path": [self.recording] * (windows * tags),
                "start_s": np.repeat(self.start_s, tags),
                "end_s": np.repeat(self.stop_s, tags),
                "tag": list(self.vocabulary.tags) * windows,
                "probability": self.probabilities.ravel(),
                "logit": self.logits.ravel(),
            }
        )

    def best(self, probabilities: Array, logits: Array, n: int) -> list[TagScore]:
        """The `n` likeliest among (tags,) probabilities, likeliest first, ties in the vocabulary's order."""
        order = np.argsort(-probabilities, kind="stable")[:n].tolist()
        return [TagScore(self.vocabulary.tags[i], float(probabilities[i]), float(logits[i])) for i in order]

    def _reaches(self, score: TagScore) -> bool:
        assert self.thresholds is not None
        return bool(score.probability >= self.thresholds[self.vocabulary.column(score.tag)])

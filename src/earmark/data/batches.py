"""Batches of samples cut from prepared audio: random crops to train on, covering windows to judge by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from earmark.audio.signal import fit, skip_silence, windows
from earmark.types import Samples

Indices = npt.NDArray[np.int64]


class PreparedAudio(Protocol):
    """What is needed of `earmark.data.prepare.Prepared`."""

    @property
    def sample_rate_hz(self) -> int: ...

    def span(self, i: int) -> tuple[int, int]: ...

    def samples(self, i: int) -> Samples: ...

    def gather(self, rows: Indices, starts: Indices, length: int) -> tuple[npt.NDArray[np.float32], Indices]: ...


@dataclass(frozen=True)
class Windows:
    """How clips are brought to the one length that a net hears.

    Attributes:
        length: samples of a window.
        padding: what a shorter clip is filled with at its end.
        overlap: share of a window that the next one repeats when a longer clip is judged.
        skip_silence_db: spans this far below the clip's loudest are left out first; None keeps all.
    """

    length: int
    padding: Literal["zero", "loop", "noise"] = "zero"
    overlap: float = 0.5
    skip_silence_db: float | None = None

    @property
    def hop(self) -> int:
        return max(1, round((1.0 - self.overlap) * self.length))


class ClipBatches:
    """Windows of prepared clips as float32 batches of shape (b, length)."""

    def __init__(self, audio: PreparedAudio, how: Windows) -> None:
        self.audio = audio
        self.how = how

    def crops(self, rows: Indices, rng: np.random.Generator) -> npt.NDArray[np.float32]:
        """One random window of each clip, (len(rows), length); shorter clips are padded."""
        length = self.how.length
        if self.how.skip_silence_db is not None:
            out = np.empty((len(rows), length), np.float32)
            for k, row in enumerate(rows):
                samples = self._sounding(int(row))
                start = int(rng.integers(max(1, len(samples) - length + 1)))
                out[k] = self._fit(samples[start : start + length])
            return out
        spans = np.array([self.audio.span(int(row)) for row in rows], np.int64).reshape(-1, 2)
        spare = np.maximum(0, spans[:, 1] - spans[:, 0] - length)
        return self._gather(rows, rng.integers(0, spare + 1))

    def covering(
        self, rows: Indices, batch_size: int, most: int | None = None
    ) -> Iterator[tuple[Indices, npt.NDArray[np.float32]]]:
        """Windows that cover every sample of each clip: batches of (position in `rows` (b,), samples (b, length)).

        With `most`, a clip of more windows gives so many of them, spread evenly over it.
        """
        at: list[int] = []
        starts: list[int] = []
        for position, row in enumerate(rows):
            if self.how.skip_silence_db is not None:
                n = len(self._sounding(int(row)))
            else:
                start, stop = self.audio.span(int(row))
                n = stop - start
            found = [int(offset) for offset in windows(n, self.how.length, self.how.hop)]
            if most is not None and len(found) > most:
                found = [found[(2 * k + 1) * len(found) // (2 * most)] for k in range(most)]
            at += [position] * len(found)
            starts += found
        positions, offsets = np.array(at, np.int64), np.array(starts, np.int64)
        for first in range(0, len(positions), batch_size):
            here = positions[first : first + batch_size]
            offset = offsets[first : first + batch_size]
            if self.how.skip_silence_db is None:
                yield here, self._gather(rows[here], offset)
            else:
                cut = [self._sounding(int(rows[p]))[s : s + self.how.length] for p, s in zip(here, offset, strict=True)]
                yield here, np.stack([self._fit(samples) for samples in cut])

    def _gather(self, rows: Indices, starts: Indices) -> npt.NDArray[np.float32]:
        batch, filled = self.audio.gather(rows, starts, self.how.length)
        if self.how.padding != "zero":
            for k in np.flatnonzero(filled < self.how.length):
                batch[k] = self._fit(batch[k, : filled[k]])
        return batch

    def _sounding(self, row: int) -> Samples:
        assert self.how.skip_silence_db is not None
        return skip_silence(self.audio.samples(row), self.audio.sample_rate_hz, threshold_db=self.how.skip_silence_db)

    def _fit(self, samples: Samples) -> Samples:
        return fit(samples, self.how.length, self.how.padding)


def draw_epoch(
    rows: Indices, batch_size: int, rng: np.random.Generator, share: npt.NDArray[np.float64] | None = None
) -> list[Indices]:
    """The batches of one epoch: every clip at most once, or with `share` (n,) drawn in proportion to it.

    The clips left over when the last batch would not be full wait for another epoch's draw; fewer clips than a batch
    make one batch of all.
    """
    n = len(rows)
    order = rng.permutation(n) if share is None else rng.choice(n, size=n, p=share / share.sum())
    size = min(batch_size, n)
    return [rows[order[first : first + size]] for first in range(0, n - size + 1, size)]


def balancing_share(targets: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """(n,) shares that draw every tag about equally often; `targets` is (n, tags).

    A clip counts as its rarest tag (for an exclusive vocabulary: its class); clips without a tag count as one more.
    """
    heard = targets > 0.5
    heard = np.concatenate([heard, ~heard.any(axis=1, keepdims=True)], axis=1)
    counts = heard.sum(axis=0)
    per_tag = np.where(heard, 1.0 / np.maximum(counts, 1), 0.0)
    return np.asarray(per_tag.max(axis=1), np.float64)


def imbalance(targets: npt.NDArray[np.float32]) -> float:
    """Clips of the commonest tag for each of the rarest that occurs; 1 is balanced."""
    counts = (targets > 0.5).sum(axis=0)
    counts = counts[counts > 0]
    return float(counts.max() / counts.min()) if len(counts) else 1.0

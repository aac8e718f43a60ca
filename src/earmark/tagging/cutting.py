"""Cut audio that arrives in blocks into windows, with memory for little more than one window and one batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from earmark.audio.signal import fit, skip_silence
from earmark.bundle.schema import Padding
from earmark.types import Samples

Batch: TypeAlias = npt.NDArray[np.float32]
"""Windows: shape (b, length), float32."""


class WindowCutter:
    """The windows of `earmark.audio.signal.windows`, cut as samples arrive, in batches.

    Starts are 0, hop, 2 * hop, ... and last n - length, so that every sample is covered and no window is padded; audio
    of at most one window is one window, filled up at its end. Window i stands in batch i // batch, whatever the blocks
    were, so the net sees the same batches (and gives the same numbers) for a stream and for an array.

    Args:
        length: samples of a window.
        hop: samples from one window's start to the next, 1 <= hop <= length.
        batch: windows at once.
        padding: how audio shorter than a window is filled up.
        skip_silence_db: for front ends that drop silence: it is dropped within each window, which is filled up again.
        sample_rate_hz: read with skip_silence_db only.
    """

    def __init__(
        self,
        length: int,
        hop: int,
        batch: int,
        padding: Padding = "zero",
        *,
        skip_silence_db: float | None = None,
        sample_rate_hz: int = 0,
    ) -> None:
        self.n_samples = 0
        self.starts: list[int] = []
        self._length, self._hop, self._padding = length, hop, padding
        self._skip_silence_db, self._sample_rate_hz = skip_silence_db, sample_rate_hz
        self._batch = np.empty((batch, length), np.float32)
        self._filled = 0
        self._kept: Samples = np.empty(0, np.float32)  # samples from self._offset on
        self._offset = 0
        self._next = 0

    def feed(self, block: Samples) -> Iterator[Batch]:
        """Take a block (n,); yields each batch that is full. A batch is valid until the next one is asked for."""
        self._kept = np.concatenate([self._kept, block]) if len(self._kept) else block
        self.n_samples += len(block)
        while self._next + self._length <= self.n_samples:
            yield from self._put(self._next)
            self._next += self._hop
        # the next window starts here at the latest, and the last window may start as late as n - length
        keep_from = max(self._offset, min(self._next, self.n_samples - self._length))
        self._kept = self._kept[keep_from - self._offset :].copy()
        self._offset = keep_from

    def finish(self) -> Iterator[Batch]:
        """The audio is over: yields what is left, at most one window more and the last batch."""
        if self.n_samples and not self.starts:
            yield from self._put(0)
        elif self.starts and self.starts[-1] + self._length < self.n_samples:
            yield from self._put(self.n_samples - self._length)
        if self._filled:
            yield self._batch[: self._filled]
            self._filled = 0

    def _put(self, start: int) -> Iterator[Batch]:
        window = self._kept[start - self._offset : start - self._offset + self._length]
        if self._skip_silence_db is not None:
            window = skip_silence(window, self._sample_rate_hz, threshold_db=self._skip_silence_db)
        self._batch[self._filled] = window if len(window) == self._length else fit(window, self._length, self._padding)
        self.starts.append(start)
        self._filled += 1
        if self._filled == len(self._batch):
            self._filled = 0
            yield self._batch

"""A tagger's answers for the clips of a manifest, by the very Tagger that serves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from earmark.audio.pool import map_files, time_limits
from earmark.data.manifest import Manifest
from earmark.data.prepared import Quarantined
from earmark.errors import InputError
from earmark.evaluation.decode import ClipTask, decode_clips
from earmark.formats.words import counted
from earmark.metrics.results import ClipPredictions, WindowAnswers
from earmark.types import Progress, Quiet, Reason, Samples, Vocabulary

__all__ = ["ClipPredictions", "ClipTagger", "Predicted", "predict", "predict_rows"]

_QUIET = Quiet()

# The means are over all windows of a clip; of a long one, so many are kept to judge the refusal by.
KEPT_WINDOWS = 16

Array = npt.NDArray[np.float32]


class ClipTagger(Protocol):
    """The part of `earmark.tagging.Tagger` that an evaluation needs."""

    @property
    def vocabulary(self) -> Vocabulary: ...
    @property
    def sample_rate_hz(self) -> int: ...
    def clip_windows(self, samples: Samples) -> tuple[Array, Array]:
        """(w, tags) logits and (w, d) embeddings of the windows of a clip (n,) at `sample_rate_hz`."""


@dataclass(frozen=True, eq=False)
class Predicted:
    """Attributes:

    clips: answers for the clips that could be used.
    rows: (len(clips),) their rows in the manifest.
    quarantine: the files and clips that could not be used.
    seen: rows of the manifest left out because the model was trained on that very audio.
    """

    clips: ClipPredictions
    rows: npt.NDArray[np.int64]
    quarantine: list[Quarantined]
    seen: list[int]


def predict(
    tagger: ClipTagger,
    manifest: Manifest,
    *,
    samples_of: Callable[[int], Samples] | None = None,
    workers: int = 1,
    timeout_s: float = 60.0,
    progress: Progress = _QUIET,
) -> tuple[ClipPredictions, list[Quarantined]]:
    """`predict_rows` for callers that need only the answers and the quarantine."""
    found = predict_rows(
        tagger, manifest, samples_of=samples_of, workers=workers, timeout_s=timeout_s, progress=progress
    )
    return found.clips, found.quarantine


def predict_rows(
    tagger: ClipTagger,
    manifest: Manifest,
    *,
    samples_of: Callable[[int], Samples] | None = None,
    seen: frozenset[str] = frozenset(),
    workers: int = 1,
    timeout_s: float = 60.0,
    progress: Progress = _QUIET,
) -> Predicted:
    """Logits and embeddings of every clip.

    Args:
        tagger: its vocabulary must be the manifest's, column for column (see `match.match_tags`).
        samples_of: row -> (n,) float32 at the tagger's rate, e.g. `Prepared.samples`. None: the files are decoded in
            worker processes, where a bad file costs only its own clips and a span is cut after resampling, as the
            cache does.
        seen: audio hashes to leave out (only where files are decoded here).
        workers: processes that decode.
        timeout_s: for a small file; larger ones get more (`earmark.audio.pool.time_limits`).

    Raises:
        InputError: other tags in the manifest than in the tagger, or no clip that can be used.
    """
    if manifest.vocabulary.tags != tagger.vocabulary.tags:
        raise InputError(
            f"{manifest.name}: its {len(manifest.vocabulary)} tags are not the model's {len(tagger.vocabulary)}; "
            "match them by name first."
        )
    rows: list[int] = []
    logits: list[Array] = []
    embeddings: list[Array] = []
    windows: list[tuple[Array, Array]] = []
    quarantine: list[Quarantined] = []
    left_out: list[int] = []
    progress.start("evaluate", len(manifest), "clips")
    source = (
        _given(samples_of, len(manifest))
        if samples_of is not None
        else _decoded(manifest, tagger.sample_rate_hz, seen, quarantine, left_out, workers, timeout_s, progress)
    )
    try:
        for row, samples in source:
            every = tagger.clip_windows(samples)
            rows.append(row)
            logits.append(mean_of(every[0]))
            embeddings.append(mean_of(every[1]))
            windows.append((_spread(every[0]), _spread(every[1])))
            progress.advance()
    finally:
        progress.stop()
    if not rows:
        raise InputError(_nothing_left(manifest, quarantine, left_out))
    order = np.argsort(rows, kind="stable")
    kept = manifest.take([rows[i] for i in order])
    clips = ClipPredictions(
        uris=kept.rows["uri"].tolist(),
        start_s=kept.rows["start_s"].to_numpy(np.float64),
        stop_s=kept.rows["stop_s"].to_numpy(np.float64),
        groups=kept.rows["group"].tolist(),
        logits=np.stack([logits[i] for i in order]).astype(np.float32),
        embeddings=np.stack([embeddings[i] for i in order]).astype(np.float32),
        targets=np.asarray(kept.targets),
        weights=np.asarray(kept.weights),
        vocabulary=tagger.vocabulary,
        windows=WindowAnswers(
            clip=np.repeat(np.arange(len(order)), [len(windows[i][0]) for i in order]),
            logits=np.concatenate([windows[i][0] for i in order]),
            embeddings=np.concatenate([windows[i][1] for i in order]),
        ),
    )
    return Predicted(clips, np.sort(np.asarray(rows, dtype=np.int64)), quarantine, sorted(left_out))


def mean_of(windows: Array) -> Array:
    """(d,) the mean of (w, d), summed in float64: the same to the last bit however the windows were batched."""
    return np.asarray(windows.mean(axis=0, dtype=np.float64), np.float32)


def _spread(windows: Array) -> Array:
    """At most KEPT_WINDOWS of them, from the first to the last."""
    if len(windows) <= KEPT_WINDOWS:
        return windows
    return np.asarray(windows[np.linspace(0, len(windows) - 1, KEPT_WINDOWS).round().astype(np.int64)])


def _nothing_left(manifest: Manifest, quarantine: list[Quarantined], left_out: list[int]) -> str:
    reasons = []
    if left_out:
        reasons.append(
            f"{len(left_out)} of {counted(len(manifest), 'clip')} left out because the model was trained on that very "
            "audio (--include-seen judges by them all the same, and flatters)"
        )
    if quarantine:
        reasons.append(f"{len(quarantine)} cannot be used, the first: {quarantine[0].message.rstrip('.')}")
    return f"{manifest.name}: no clip is left to judge the model by; {'; '.join(reasons) or 'it holds none'}."


def _given(samples_of: Callable[[int], Samples], n: int) -> Iterator[tuple[int, Samples]]:
    for row in range(n):
        yield row, samples_of(row)


def _decoded(
    manifest: Manifest,
    sample_rate_hz: int,
    seen: frozenset[str],
    quarantine: list[Quarantined],
    left_out: list[int],
    workers: int,
    timeout_s: float,
    progress: Progress,
) -> Iterator[tuple[int, Samples]]:
    """Each usable clip with its row; the rest goes into `quarantine` and `left_out` on the way."""
    rows_of: dict[str, list[int]] = {}
    for row, uri in enumerate(manifest.rows["uri"]):
        rows_of.setdefault(uri, []).append(row)
    starts, stops = manifest.rows["start_s"].tolist(), manifest.rows["stop_s"].tolist()
    items = [
        (uri, ClipTask(uri, tuple((starts[row], stops[row]) for row in rows), sample_rate_hz))
        for uri, rows in rows_of.items()
    ]
    # the pool's own progress would count files; clips are what people wait for
    limits = time_limits(list(rows_of), timeout_s)
    for outcome in map_files(decode_clips, items, workers=workers, timeout_s=limits):
        rows = rows_of[outcome.path]
        if outcome.error is not None or outcome.value is None:
            error = outcome.error
            reason = Reason(error.reason) if error else Reason.CRASHED
            quarantine.append(Quarantined(outcome.path, reason, str(error)))
            progress.advance(len(rows), note=f"{len(quarantine)} in quarantine")
            continue
        decoded = outcome.value
        if decoded.audio_sha256 in seen:
            left_out.extend(rows)
            progress.advance(len(rows))
            continue
        for row, samples in zip(rows, decoded.clips, strict=True):
            if samples is None:
                message = (
                    f"{outcome.path}: the clip from {starts[row]:g} s lies outside the recording, which lasts "
                    f"{decoded.duration_s:.2f} s; correct the span."
                )
                quarantine.append(Quarantined(outcome.path, Reason.TOO_SHORT, message))
                progress.advance()
            else:
                yield row, samples

"""What to label next: the clips of a task's queue that a model is least sure of.

How unsure it is of a clip is the mean over tags of the binary entropy, in bits, of the calibrated probability: 1 where
it might as well toss a coin for each tag, 0 where it has no doubt about any.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
import numpy.typing as npt

from earmark.catalog.database import Catalog, Workspace
from earmark.catalog.scoring import Unscored, count_open, keep_scores, order_by_scores, unscored
from earmark.catalog.tasks import get_task
from earmark.errors import AudioError, InputError
from earmark.tagging.clips import Cut, HeardClips, hear_clips
from earmark.tagging.tagger import Tagger
from earmark.types import Progress, Quiet

_KEPT_AT_ONCE = 500  # scores that a run which is killed has to hear again at most, but for recordings under way
_MOST_NAMED = 1000
_PAGE = 5000  # clips that are looked up at once


@dataclass(slots=True)
class ScoredQueue:
    """What became of a task's clips.

    Attributes:
        known, unknown: tags of the task that the model knows, and does not.
        scored: clips that were scored now. already: by an earlier run with the same model.
        failed: clips that could not be heard. errors: of the first 1000 recordings of theirs.
    """

    known: tuple[str, ...]
    unknown: tuple[str, ...]
    scored: int = 0
    already: int = 0
    failed: int = 0
    errors: list[AudioError] = field(default_factory=list)


def entropy(probabilities: npt.ArrayLike) -> float:
    """Mean binary entropy in bits, 0 to 1, of the probabilities (tags,) of tags."""
    p = np.clip(np.asarray(probabilities, dtype=np.float64), 1e-12, 1 - 1e-12)
    return float(np.mean(-p * np.log2(p) - (1 - p) * np.log2(1 - p)))


def score_queue(
    workspace: Workspace,
    catalog: Catalog,
    task: str,
    tagger: Tagger,
    *,
    workers: int,
    timeout_s: float,
    progress: Progress | None = None,
) -> ScoredQueue:
    """Score every clip of a task that is still asked, and ask first what the model is least sure of.

    Scores are kept as they come, so a run that was stopped goes on where it was; the queue keeps its order until all
    are there. Memory grows neither with the number of clips nor with their length.

    Raises:
        NotFoundError: no such task. InputError: the model knows none of its tags.
    """
    progress = progress or Quiet()
    info = get_task(catalog, task)
    tags = tagger.vocabulary.tags
    known = tuple(tag for tag in info.tags if tag in tags)
    if not known:
        raise InputError(
            f"{tagger.bundle.path}: this model knows {_some(tags)}, and none of the tags of task {task!r} "
            f"({_some(info.tags)}); train one on catalog:{task}, or name another."
        )
    columns = [tags.index(tag) for tag in known]
    model = tagger.bundle.hash
    total, already = count_open(catalog, info.id, model)
    done = ScoredQueue(known, tuple(tag for tag in info.tags if tag not in known), already=already)
    progress.start("score", total - already, "clips")
    pending: dict[int, float] = {}
    try:
        source = _recordings(workspace, catalog, info.id, model)
        results = hear_clips(tagger, source, workers=workers, timeout_s=timeout_s, heard=progress.advance)
        with closing(results):
            for result in results:
                for clip, logits in result.logits.items():
                    pending[clip] = entropy(tagger.header.probabilities(logits)[columns])
                _note(done, result)
                if len(pending) >= _KEPT_AT_ONCE:
                    done.scored += keep_scores(catalog, info.id, pending, model)
                    pending = {}
    finally:
        progress.stop()
        done.scored += keep_scores(catalog, info.id, pending, model)
    order_by_scores(catalog, info.id, model)
    return done


def _recordings(workspace: Workspace, catalog: Catalog, task_id: int, model: str) -> Iterator[tuple[str, list[Cut]]]:
    """Path and clips of one recording after the other."""
    after = -1
    while page := unscored(catalog, task_id, model, after=after, limit=_PAGE):
        after = page[-1].clip_id
        for _, group in groupby(sorted(page, key=_by_recording), key=lambda clip: clip.recording_id):
            clips = list(group)
            cuts = [Cut(c.clip_id, c.start / c.sample_rate_hz, c.stop / c.sample_rate_hz) for c in clips]
            yield str(workspace.path_of(clips[0].uri)), cuts


def _by_recording(clip: Unscored) -> tuple[int, int]:
    return clip.recording_id, clip.start


def _note(done: ScoredQueue, result: HeardClips) -> None:
    done.failed += result.missing
    if result.error is not None and len(done.errors) < _MOST_NAMED:
        done.errors.append(result.error)


def _some(tags: tuple[str, ...]) -> str:
    return ", ".join(tags[:6]) + (f" and {len(tags) - 6} more" if len(tags) > 6 else "")

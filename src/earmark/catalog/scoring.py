"""How unsure a model is of a task's clips: which are still to be scored, their scores, and the queue in that order.

Scores are kept with the model that gave them, so that scoring can stop and go on, and another model begins anew. The
queue stays as it was until all are there.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from earmark.catalog.database import Catalog, now_us
from earmark.catalog.ordering import set_policy
from earmark.catalog.tables import Clip, Recording, Score, TaskClip
from earmark.catalog.tasks import TaskInfo, get_task, insert_new
from earmark.errors import CatalogError, ConflictError

_PAGE = 1000  # scores in one transaction, so that others can label meanwhile


@dataclass(frozen=True, slots=True)
class Unscored:
    """A clip that is to be scored. uri: of its recording; start, stop: samples at the recording's `sample_rate_hz`."""

    clip_id: int
    recording_id: int
    uri: str
    start: int
    stop: int
    sample_rate_hz: int


def unscored(catalog: Catalog, task_id: int, model: str, *, after: int = -1, limit: int = 5000) -> list[Unscored]:
    """The next clips behind the clip `after` that are still asked and that `model` has not scored, in order."""
    query = (
        sa.select(Clip.id, Clip.recording_id, Recording.uri, Clip.start, Clip.stop, Recording.sample_rate_hz)
        .join(TaskClip, TaskClip.clip_id == Clip.id)
        .join(Recording, Recording.id == Clip.recording_id)
        .where(_open(task_id), TaskClip.clip_id > after, ~_scored(model))
        .order_by(TaskClip.clip_id)
        .limit(limit)
    )
    with catalog.read() as connection:
        return [Unscored(*row) for row in connection.execute(query)]


def count_open(catalog: Catalog, task_id: int, model: str) -> tuple[int, int]:
    """How many clips are still asked, and how many of them `model` has scored already."""
    query = sa.select(sa.func.count(), sa.func.count().filter(_scored(model))).select_from(TaskClip)
    with catalog.read() as connection:
        row = connection.execute(query.where(_open(task_id))).one()
    return row[0], row[1]


def _open(task_id: int) -> sa.ColumnElement[bool]:
    return sa.and_(TaskClip.task_id == task_id, ~TaskClip.done, TaskClip.gold.is_(None))


def _scored(model: str) -> sa.ColumnElement[bool]:
    mine = (Score.task_id == TaskClip.task_id, Score.clip_id == TaskClip.clip_id, Score.model == model)
    return sa.exists().where(*mine)


def has_scores(catalog: Catalog, task_id: int) -> bool:
    """Whether anything is known of any clip."""
    with catalog.read() as connection:
        return connection.execute(sa.select(Score.clip_id).where(Score.task_id == task_id).limit(1)).first() is not None


def no_scores_yet(catalog: Catalog, task: TaskInfo) -> str | None:
    """What is to be said of a task by uncertainty of whose clips no score is known; None of any other."""
    if task.policy != "uncertainty" or has_scores(catalog, task.id):
        return None
    return (
        "no model has been asked how sure it is of the clips, so they come in random order until "
        f"`earmark catalog queue {shlex.quote(task.name)} --by uncertainty --model MODEL`."
    )


def keep_scores(catalog: Catalog, task_id: int, scores: Mapping[int, float], model: str) -> int:
    """Keep scores of clips, in place of those they had; gives how many of the clips are in the task.

    Raises:
        CatalogError: a score that is not finite; nothing is kept then.
    """
    for clip, score in scores.items():
        if not math.isfinite(score) or abs(score) > 1e300:
            raise CatalogError(f"clip {clip}: a score of {score} cannot be ordered; expected a finite number.")
    rows = sorted(scores.items())
    kept = 0
    for start in range(0, len(rows), _PAGE):
        page = dict(rows[start : start + _PAGE])

        def work(connection: Connection, page: dict[int, float] = page) -> int:
            mine = sa.and_(TaskClip.task_id == task_id, TaskClip.clip_id.in_(page))
            known = list(connection.execute(sa.select(TaskClip.clip_id).where(mine)).scalars())
            at = now_us()
            values = [
                {"task_id": task_id, "clip_id": clip, "score": page[clip], "model": model, "at": at} for clip in known
            ]
            if values:
                insert = insert_new(connection, Score)
                new = {name: insert.excluded[name] for name in ("score", "model", "at")}
                connection.execute(
                    insert.on_conflict_do_update(index_elements=["task_id", "clip_id"], set_=new), values
                )
            return len(known)

        kept += catalog.run(work)
    return kept


def order_by_scores(catalog: Catalog, task: int | str, model: str) -> None:
    """Ask first what `model` is least sure of; what others said is forgotten, and clips without a score come last."""
    info = get_task(catalog, task)
    with catalog.write() as connection:
        connection.execute(sa.delete(Score).where(Score.task_id == info.id, Score.model != model))
    set_policy(catalog, info.id, "uncertainty")


def set_scores(catalog: Catalog, task: int | str, scores: Mapping[int, float], *, model: str = "") -> int:
    """Order a task of the policy `uncertainty` by how unsure a model is; gives how many clips of it were scored.

    Args:
        scores: clip -> how unsure, the higher the sooner it is asked. Clips without one come last, in the order drawn.
        model: whose scores they are.

    Raises:
        ConflictError: the task has another policy. CatalogError: a score that is not finite.
    """
    info = get_task(catalog, task)
    if info.policy != "uncertainty":
        raise ConflictError(f"task {info.name!r} orders its queue by {info.policy}: only uncertainty takes scores.")
    with catalog.write() as connection:
        connection.execute(sa.delete(Score).where(Score.task_id == info.id))
    kept = keep_scores(catalog, info.id, scores, model)
    order_by_scores(catalog, info.id, model)
    return kept

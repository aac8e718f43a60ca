"""Gold clips: clips of a task whose answers are known to be right. How many there are, and what they are good for."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from earmark.catalog.database import Catalog
from earmark.catalog.tables import TaskClip
from earmark.catalog.tasks import find_task


@dataclass(frozen=True, slots=True)
class Gold:
    """A task's gold clips.

    Attributes:
        share: how often one is shown, 0 to 1.
        clips: how many there are.
    """

    share: float
    clips: int

    @property
    def lack(self) -> str:
        """What keeps the share from doing what it is for, in a sentence for people; '' where nothing does."""
        if self.share and not self.clips:
            return (
                f"A clip with a known answer is to be shown {100 * self.share:g} % of the time, and no clip has one: "
                "give some with `earmark catalog task gold`, or by the tick where disputes are settled."
            )
        return ""


def gold_of(catalog: Catalog, task: int | str) -> Gold:
    """NotFoundError where there is no such task."""
    with catalog.read() as connection:
        info = find_task(connection, task)
        mine = (TaskClip.task_id == info.id, TaskClip.gold.is_not(None))
        clips = connection.execute(sa.select(sa.func.count()).select_from(TaskClip).where(*mine)).scalar_one()
    return Gold(info.gold_share, clips)

"""Gold clips: clips of a task whose answers are known to be right. Some are examples on the task's first page, with
their answers; the others test people, shown now and then like any other clip. None is both: whoever reads the page
would pass.

Both are taken by the clips' places in the task's order, which are drawn once: the examples from its end, the tests from
its beginning. So which is which need not be written down, and changes little while more clips become gold.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from earmark.catalog.database import Catalog
from earmark.catalog.tables import TaskClip
from earmark.catalog.tasks import find_task
from earmark.catalog.trust import ENOUGH_GOLD
from earmark.types import LabelValue

_LAST = 200  # gold clips that examples are looked for among


@dataclass(frozen=True, slots=True)
class Gold:
    """A task's gold clips.

    Attributes:
        share: how often one is shown, 0 to 1.
        clips: how many there are. examples: how many of them are examples, and so test nobody.
    """

    share: float
    clips: int
    examples: int

    @property
    def tests(self) -> int:
        return self.clips - self.examples

    @property
    def lack(self) -> str:
        """What keeps the share from doing what it is for, in a sentence for people; '' where nothing does."""
        if not self.share or self.tests >= ENOUGH_GOLD:
            return ""
        how = "with `earmark catalog task gold`, or by the tick where disputes are settled"
        if not self.clips:
            often = f"{100 * self.share:g} % of the time"
            return f"A clip with a known answer is to be shown {often}, and no clip has one: give some {how}."
        return (
            f"Clips with a known answer: {self.clips}, as examples {self.examples}, to test people {self.tests}; it "
            f"takes {ENOUGH_GOLD} tests to tell by them alone who guesses: give more {how}."
        )


def gold_of(catalog: Catalog, task: int | str) -> Gold:
    """NotFoundError where there is no such task."""
    with catalog.read() as connection:
        info = find_task(connection, task)
        mine = (TaskClip.task_id == info.id, TaskClip.gold.is_not(None))
        clips = connection.execute(sa.select(sa.func.count()).select_from(TaskClip).where(*mine)).scalar_one()
        examples = set(examples_of(connection, info.id, info.gold_share).values())
    return Gold(info.gold_share, clips, len(examples))


_FROM_THE_END = (
    sa.select(TaskClip.clip_id, TaskClip.gold)
    .where(TaskClip.task_id == sa.bindparam("of_task", type_=sa.BigInteger), sa.text("task_clip.gold IS NOT NULL"))
    .order_by(TaskClip.place.desc())
    .limit(_LAST)
)


def examples_of(connection: Connection, task_id: int, gold_share: float) -> dict[tuple[str, str], int]:
    """(tag, answer) -> the clip that is its example, with as few clips as may be; `unsure` has none.

    Args:
        gold_share: of the task. Above 0, half of the gold clips are left to test people, also where that leaves an
            answer without an example; what is present comes first.
    """
    rows = connection.execute(_FROM_THE_END, {"of_task": task_id}).all()
    most = len(rows) // 2 if gold_share else len(rows)
    wanted = {(tag, str(value)) for row in rows for tag, value in row.gold.items() if value != LabelValue.UNSURE}
    chosen: dict[int, dict[str, str]] = {}
    found: dict[tuple[str, str], int] = {}
    for tag, value in sorted(wanted, key=lambda one: (not LabelValue(one[1]).is_present, one)):
        clip = next((clip for clip, gold in chosen.items() if gold.get(tag) == value), None)
        if clip is None and len(chosen) < most:
            row = next(row for row in rows if row.gold.get(tag) == value)
            clip = row.clip_id
            chosen[clip] = row.gold
        if clip is not None:
            found[tag, value] = clip
    return found

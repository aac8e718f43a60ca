"""What may be answered: the words of a scale, and whether somebody's answers fit a task."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from earmark.errors import CatalogError, InputError
from earmark.types import LabelValue

Policy: TypeAlias = Literal["random", "balanced", "uncertainty", "disagreement"]
"""How a queue is ordered: as drawn; a clip of every group before the second of any; the least sure of a model first;
those that people disagree about first."""


class UnknownTagError(InputError):
    """An answer for a tag that the task does not have."""


class UnknownValueError(InputError):
    """An answer that is not on the task's scale."""


class MissingTagError(InputError):
    """A label that leaves a tag of the task unanswered."""


def scale_of(words: Sequence[str]) -> tuple[LabelValue, ...]:
    """The scale that `words` name; `unsure` may always be answered and is left out.

    Raises:
        CatalogError: an unknown word, one that stands twice, or a scale that cannot say both present and absent.
    """
    known = [value.value for value in LabelValue]
    for word in words:
        if word not in known:
            raise CatalogError(f"scale: {word!r} is no answer that is known; choose of {', '.join(known)}.")
    scale = tuple(LabelValue(word) for word in words if word != LabelValue.UNSURE)
    if len(set(scale)) != len(scale):
        raise CatalogError(f"scale {', '.join(words)}: each word may stand once.")
    if LabelValue.ABSENT not in scale or not any(value.is_present for value in scale):
        raise CatalogError(f"scale {', '.join(words) or '(empty)'}: expected absent, and at least one kind of present.")
    if LabelValue.PRESENT in scale and len(scale) > 2:
        raise CatalogError(
            f"scale {', '.join(words)}: present says the same as foreground and background; leave it out."
        )
    return scale


def checked_values(
    task: str, tags: Sequence[str], scale: Sequence[LabelValue], values: Mapping[str, str]
) -> dict[str, LabelValue]:
    """`values` as answers for every tag, in the task's order.

    Raises:
        UnknownTagError, UnknownValueError, MissingTagError: each names the task, the tag and what was expected.
    """
    for tag in values:
        if tag not in tags:
            near = difflib.get_close_matches(str(tag), tags, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"its tags are {', '.join(tags)}."
            raise UnknownTagError(f"task {task!r} has no tag {tag!r}: {hint}")
    allowed = [value.value for value in (*scale, LabelValue.UNSURE)]
    for tag, value in values.items():
        if value not in allowed:
            raise UnknownValueError(
                f"task {task!r}, tag {tag!r}: {value!r} is not on its scale ({', '.join(allowed)})."
            )
    missing = [tag for tag in tags if tag not in values]
    if missing:
        raise MissingTagError(
            f"task {task!r}: no answer for {', '.join(missing)}; every tag needs one (unsure is one)."
        )
    return {tag: LabelValue(values[tag]) for tag in tags}

"""Which clips make which class: `sax=foreground vs absent`, as `--where` takes it.

    where  = class, or class " vs " class ...
    class  = [name ":"] term ["&" term ...]
    term   = [tag "="] value ["|" value ...]

A value is a word of the scale; `present` means foreground and background too. A term without a tag is about the tag of
the class before. Clips that fit no class are left out, and so are those in dispute or unsure. One class alone is a
filter: the tags stay what they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from earmark.errors import InputError
from earmark.types import LabelValue

_EXAMPLE = "expected such as 'sax=foreground vs absent'"


@dataclass(frozen=True, slots=True)
class Class:
    """name: of the class. terms: tag -> the values that fit."""

    name: str
    terms: Mapping[str, frozenset[LabelValue]]

    def fits(self, values: Mapping[str, LabelValue]) -> bool:
        """Whether a clip with these answers is of this class."""
        return all(values.get(tag) in allowed for tag, allowed in self.terms.items())


@dataclass(frozen=True, slots=True)
class Where:
    """text: as it was written. classes: one is a filter, more are what is told apart."""

    text: str
    classes: tuple[Class, ...]

    @property
    def is_filter(self) -> bool:
        return len(self.classes) == 1

    def class_of(self, values: Mapping[str, LabelValue]) -> str | None:
        """The class of a clip; None where it fits none.

        Raises:
            InputError: it fits two.
        """
        found = [one.name for one in self.classes if one.fits(values)]
        if len(found) > 1:
            said = ", ".join(f"{tag}={value}" for tag, value in values.items())
            raise InputError(
                f"--where {self.text!r}: a clip with {said} is both {found[0]!r} and {found[1]!r}; make the classes "
                "exclude each other, as in 'sax=present & piano=absent vs piano=present & sax=absent'."
            )
        return found[0] if found else None


def parse_where(text: str, tags: Sequence[str]) -> Where:
    """A where-expression of a task with these tags.

    Raises:
        InputError: an unknown tag or value, an empty part, classes of one name.
    """
    parts = text.split(" vs ")
    classes: list[Class] = []
    tag: str | None = tags[0] if len(tags) == 1 else None
    for part in parts:
        name, _, rest = part.rpartition(":")
        terms: dict[str, frozenset[LabelValue]] = {}
        for term in rest.split("&"):
            tag, values = _term(term.strip(), tag, tags, text)
            if tag in terms:
                raise InputError(f"--where {text!r}: {tag!r} stands twice in one class; write its values as a|b.")
            terms[tag] = values
        classes.append(Class(name.strip(), terms))
    named = [one if one.name else Class(_name(one, classes, len(parts)), one.terms) for one in classes]
    twice = next((one.name for one in named if sum(one.name == other.name for other in named) > 1), None)
    if twice is not None:
        raise InputError(f"--where {text!r}: two classes are named {twice!r}; name them, as in 'solo: {twice}=...'.")
    return Where(text, tuple(named))


def _term(term: str, before: str | None, tags: Sequence[str], text: str) -> tuple[str, frozenset[LabelValue]]:
    tag, mark, words = term.rpartition("=")
    name = tag.strip() if mark else before
    if name is None:
        raise InputError(f"--where {text!r}: {term!r} names no tag; {_EXAMPLE}.")
    if name not in tags:
        raise InputError(f"--where {text!r}: the task has no tag {name!r}; its tags are {', '.join(tags)}.")
    values: set[LabelValue] = set()
    for word in words.split("|"):
        try:
            value = LabelValue(word.strip())
        except ValueError:
            known = ", ".join(LabelValue)
            raise InputError(f"--where {text!r}: {word.strip()!r} is no value ({known}); {_EXAMPLE}.") from None
        if value is LabelValue.UNSURE:
            raise InputError(f"--where {text!r}: what people are unsure of is no class; {_EXAMPLE}.")
        values |= {LabelValue.FOREGROUND, LabelValue.BACKGROUND, value} if value is LabelValue.PRESENT else {value}
    return name, frozenset(values)


def _name(one: Class, classes: Sequence[Class], count: int) -> str:
    """`sax` and `not sax` where that is enough, else with the values: `sax foreground`."""
    words = []
    for tag, values in one.terms.items():
        others = [other.terms[tag] for other in classes if other is not one and tag in other.terms]
        if values == {LabelValue.ABSENT}:
            words.append(f"not {tag}")
        elif count > 1 and any(any(value.is_present for value in other) for other in others):
            words.append(f"{tag} {'|'.join(value for value in LabelValue if value in values)}")
        else:
            words.append(tag)
    if len(words) > 1:  # in a class of many terms, what is there names it
        words = [word for word in words if not word.startswith("not ")] or words
    return " & ".join(words)

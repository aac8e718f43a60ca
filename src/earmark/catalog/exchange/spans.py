"""What the formats that mark spans of a recording have in common: Audacity, Raven, interval tables.

A span's text is a tag, or `tag=value` (such as `sax=background`), which is an answer about exactly the clip of that
span. So a task that was exported reads back as it was, and a track drawn by hand reads as what sounds when.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress

from earmark.catalog.exchange.rows import Found, Heard, Row
from earmark.errors import InputError
from earmark.formats.spans import Span
from earmark.types import LabelValue


def text_of(tag: str, value: LabelValue) -> str:
    """How an answer is written."""
    return f"{tag}={value}"


def answer_of(text: str) -> tuple[str, LabelValue | None]:
    """Tag and value of a span's text; the value is None where it is only a tag."""
    tag, mark, word = text.rpartition("=")
    if mark and tag:
        with suppress(ValueError):
            return tag.strip(), LabelValue(word.strip().lower())
    return text.strip(), None


def spans_of(rows: Iterable[Row]) -> Iterator[tuple[Row, Span]]:
    """A span for every answer of every label; skips have none.

    Raises:
        InputError: a clip without an end.
    """
    for row in rows:
        for tag, value in row.values.items():
            if row.stop_s is None:
                raise InputError(f"{row.where}: the clip has no end; it cannot be written as a span.")
            yield row, Span(row.start_s or 0.0, row.stop_s, text_of(tag, value))


def found_in(marked: Iterable[tuple[str, str, Span]], recordings: Iterable[str] = ()) -> Found:
    """What spans say: answers about whole clips where a text is `tag=value`, else where a tag sounds.

    Args:
        marked: (where, recording, span).
        recordings: those that the file speaks of beside.

    Raises:
        InputError: a clip with two answers for one tag.
    """
    heard: list[Heard] = []
    values: dict[tuple[str, float, float], dict[str, LabelValue]] = {}
    places: dict[tuple[str, float, float], str] = {}
    named = dict.fromkeys(recordings)
    for where, recording, span in marked:
        named[recording] = None
        tag, value = answer_of(span.tag)
        if value is None:
            heard.append(Heard(where, recording, span.start_s, span.stop_s, tag or None))
            continue
        clip = (recording, span.start_s, span.stop_s)
        given = values.setdefault(clip, {})
        places.setdefault(clip, where)
        if given.setdefault(tag, value) is not value:
            raise InputError(
                f"{where}: tag {tag!r} of this clip is {value}, and {given[tag]} before; keep one of them."
            )
    rows = [Row(places[clip], clip[0], start_s=clip[1], stop_s=clip[2], values=given) for clip, given in values.items()]
    return Found(rows=rows, heard=heard, recordings=tuple(named))

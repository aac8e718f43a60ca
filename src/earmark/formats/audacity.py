"""Audacity's label tracks, as File > Export > Export Labels writes them.

One line a label: start, end and text, separated by tabs, times in seconds. Where a frequency range was selected, a
second line follows that begins with a backslash: `\\<tab>low<tab>high`, in Hz.
Source: the Audacity manual, "Importing and Exporting Labels".
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from earmark.errors import InputError
from earmark.formats.spans import Span, checked_times, number, read_lines, writable_tag, write_lines

_WITH_PROBABILITY = re.compile(r"^(?P<tag>.*\S) \((?P<probability>0\.\d{4}|1\.0000)\)$")


def read(path: str | os.PathLike[str]) -> list[Span]:
    """The labels of a track, in the file's order.

    A text that ends like `bird (0.9312)` is a tag with a probability, as `write` puts it.

    Raises:
        InputError: names row and column.
    """
    spans: list[Span] = []
    for row, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        cells = line.split("\t")
        if cells[0].strip() == "\\":
            spans.append(_with_range(spans.pop() if spans else None, cells, path, row))
            continue
        if len(cells) < 2:
            raise InputError(
                f"{path} row {row}: found {line[:60]!r}, expected start, end and text separated by tabs; "
                "export the label track from Audacity again."
            )
        start_s, stop_s = checked_times(
            number(cells[0], path, row, "start"), number(cells[1], path, row, "end"), path, row
        )
        text = "\t".join(cells[2:]).strip()
        found = _WITH_PROBABILITY.match(text)
        tag = found["tag"] if found else text
        spans.append(Span(start_s, stop_s, tag, float(found["probability"]) if found else None))
    return spans


def write(path: str | os.PathLike[str], spans: Iterable[Span]) -> None:
    """A label track: times to a microsecond, the probability behind the tag in brackets with four decimals.

    Raises:
        InputError: a tag with a tab or line break; a file that cannot be written.
    """
    lines = []
    for span in spans:
        text = writable_tag(span, path)
        if span.probability is not None:
            text = f"{text} ({span.probability:.4f})"
        lines.append(f"{span.start_s:.6f}\t{span.stop_s:.6f}\t{text}")
        if span.low_hz is not None and span.high_hz is not None:
            lines.append(f"\\\t{span.low_hz:.6f}\t{span.high_hz:.6f}")
    write_lines(path, lines)


def _with_range(span: Span | None, cells: list[str], path: str | os.PathLike[str], row: int) -> Span:
    if span is None or len(cells) < 3:
        raise InputError(
            f"{path} row {row}: a frequency range needs a label in the row before it, and a low and a high frequency."
        )
    low = number(cells[1], path, row, "low frequency")
    high = number(cells[2], path, row, "high frequency")
    # Audacity writes -1 for a bound that was left open
    return Span(
        span.start_s,
        span.stop_s,
        span.tag,
        span.probability,
        low if low >= 0 else None,
        high if high >= 0 else None,
    )

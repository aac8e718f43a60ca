"""A tagged span of a recording: what label tracks and selection tables hold."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

from earmark.errors import InputError


@dataclass(frozen=True, slots=True)
class Span:
    """Attributes:

    start_s, stop_s: in seconds from the recording's beginning; 0 <= start_s <= stop_s (equal: a point in time).
    tag: what is heard.
    probability: 0 to 1; None where nobody gave one.
    low_hz, high_hz: the frequency range; None where it was not marked.
    """

    start_s: float
    stop_s: float
    tag: str
    probability: float | None = None
    low_hz: float | None = None
    high_hz: float | None = None


def number(text: str | None, path: str | os.PathLike[str], row: int, column: str) -> float:
    """The number in one cell; InputError names file, row and column. A decimal comma is understood."""
    cleaned = (text or "").strip()
    try:
        value = float(cleaned.replace(",", ".") if cleaned.count(",") == 1 and "." not in cleaned else cleaned)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{path} row {row}, column {column}: found {cleaned!r}, expected a number; correct the cell.")
    return value


def checked_times(start_s: float, stop_s: float, path: str | os.PathLike[str], row: int) -> tuple[float, float]:
    """The two times; InputError where they are no span."""
    if not 0 <= start_s <= stop_s < math.inf:
        raise InputError(
            f"{path} row {row}: the span runs from {start_s:g} s to {stop_s:g} s; expected 0 <= begin <= end."
        )
    return start_s, stop_s


def writable_tag(span: Span, path: str | os.PathLike[str]) -> str:
    """The tag; InputError where a tab-separated line could not hold it."""
    if any(mark in span.tag for mark in "\t\r\n"):
        raise InputError(f"{path}: tag {span.tag!r} holds a tab or line break, which the format cannot; rename it.")
    return span.tag


def read_lines(path: str | os.PathLike[str]) -> list[str]:
    """Lines of a text file in UTF-8 (with or without byte order mark), without their ends."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            return file.read().replace("\r\n", "\n").replace("\r", "\n").split("\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text (byte {error.start}): export it again as UTF-8.") from None
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise InputError(f"{path} cannot be read: {why}; check the path.") from None


def write_lines(path: str | os.PathLike[str], lines: list[str]) -> None:
    try:
        with open(path, "w", encoding="utf-8", newline="") as file:
            file.write("".join(f"{line}\n" for line in lines))
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise InputError(f"{path} cannot be written: {why}; check the folder and the room on the disk.") from error

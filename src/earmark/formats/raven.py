"""Raven's selection tables (Cornell Lab of Ornithology): tab-separated text, one selection a row.

Columns: `Selection`, `View`, `Channel`, `Begin Time (s)`, `End Time (s)`, `Low Freq (Hz)`, `High Freq (Hz)`, then any
others. `Begin File` names the sound where a table covers several; times then count from the beginning of the first
sound, and `File Offset (s)` from the beginning of that one. Source: Raven Pro 1.6 User's Manual, chapter 6.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from earmark.errors import InputError
from earmark.formats.spans import Span, checked_times, number, read_lines, writable_tag, write_lines

BEGIN, END, LOW, HIGH = "Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)"
OFFSET, FILE, SELECTION, VIEW = "File Offset (s)", "Begin File", "Selection", "View"
TAG_COLUMNS = ("Tag", "Label", "Annotation", "Species", "Common Name", "Class", "Type")
PROBABILITY_COLUMNS = ("Probability", "Confidence", "Score")


def read(path: str | os.PathLike[str], *, tag_column: str | None = None) -> tuple[list[Span], list[str | None]]:
    """The selections of a table, and for each the `Begin File`, or None where the table names none.

    A selection that stands once for the waveform and once for the spectrogram counts once, with the spectrogram's
    frequencies. With `Begin File` and `File Offset (s)`, times are from the beginning of that file.

    Args:
        tag_column: what holds the tag; None: the first of `TAG_COLUMNS` that is there, else every tag is empty.

    Raises:
        InputError: names row and column.
    """
    lines = read_lines(path)
    header = [cell.strip() for cell in lines[0].split("\t")] if lines else []
    for needed in (BEGIN, END, *([tag_column] if tag_column else [])):
        if needed not in header:
            raise InputError(
                f"{path} row 1: column {needed!r} is missing, found {', '.join(header[:8]) or 'nothing'}; "
                "expected a Raven selection table: save it from Raven as tab-separated text."
            )
    tags = tag_column or next((name for name in TAG_COLUMNS if name in header), None)
    scores = next((name for name in PROBABILITY_COLUMNS if name in header), None)
    spans: list[Span] = []
    files: list[str | None] = []
    places: dict[str, int] = {}
    for row, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        cells = dict(zip(header, (cell.strip() for cell in line.split("\t")), strict=False))
        span, file = _selection(cells, path, row, tags, scores)
        key = cells.get(SELECTION, "")
        if key and key in places and VIEW in header:
            if "spectrogram" in cells.get(VIEW, "").lower():
                spans[places[key]] = span
            continue
        if key:
            places[key] = len(spans)
        spans.append(span)
        files.append(file)
    return spans, files


def write(
    path: str | os.PathLike[str],
    spans: Iterable[Span],
    *,
    begin_file: str | Sequence[str | None] | None = None,
    scored: bool = False,
) -> None:
    """A selection table that Raven opens; times to a microsecond, probabilities with six decimals.

    The frequency columns are left out where no span has a range (Raven then shows the whole band); where only some
    have, the others get 0 and the highest frequency of the rest.

    Args:
        begin_file: the sound's file name: one for all, or one a span; None leaves the column out.
        scored: these spans come with probabilities, so the column is there even if there is no span.

    Raises:
        InputError: a tag with a tab or line break; as many begin files as spans are not given.
    """
    rows = list(spans)
    files = [begin_file] * len(rows) if begin_file is None or isinstance(begin_file, str) else list(begin_file)
    if len(files) != len(rows):
        raise InputError(f"{path}: {len(files)} begin files for {len(rows)} spans; expected one each.")
    highs = [span.high_hz for span in rows if span.high_hz is not None]
    banded = bool(highs) or any(span.low_hz is not None for span in rows)
    named = isinstance(begin_file, str) or any(file is not None for file in files)
    header = [SELECTION, VIEW, "Channel", BEGIN, END]
    header += [LOW, HIGH] if banded else []
    header += [FILE, OFFSET] if named else []
    header += ["Tag"]
    scored = scored or any(span.probability is not None for span in rows)
    header += ["Probability"] if scored else []
    lines = ["\t".join(header)]
    for index, (span, file) in enumerate(zip(rows, files, strict=True), start=1):
        cells = [str(index), "Spectrogram 1", "1", f"{span.start_s:.6f}", f"{span.stop_s:.6f}"]
        if banded:
            high = span.high_hz if span.high_hz is not None else max(highs, default=span.low_hz or 0.0)
            cells += [f"{span.low_hz or 0.0:.6f}", f"{high:.6f}"]
        if named:
            cells += [file or "", f"{span.start_s:.6f}"]
        cells.append(writable_tag(span, path))
        if scored:
            cells.append("" if span.probability is None else f"{span.probability:.6f}")
        lines.append("\t".join(cells))
    write_lines(path, lines)


def _selection(
    cells: dict[str, str], path: str | os.PathLike[str], row: int, tags: str | None, scores: str | None
) -> tuple[Span, str | None]:
    def optional(column: str | None) -> float | None:
        return number(cells[column], path, row, column) if column and cells.get(column) else None

    begin = number(cells.get(BEGIN), path, row, BEGIN)
    end = number(cells.get(END), path, row, END)
    file = cells.get(FILE) or None
    offset = optional(OFFSET)
    if file is not None and offset is not None:
        begin, end = offset, offset + (end - begin)
    start_s, stop_s = checked_times(begin, end, path, row)
    probability = optional(scores)
    if probability is not None and not 0 <= probability <= 1:
        raise InputError(
            f"{path} row {row}, column {scores}: found {probability:g}, expected 0 to 1; correct the cell."
        )
    span = Span(start_s, stop_s, cells.get(tags, "") if tags else "", probability, optional(LOW), optional(HIGH))
    return span, Path(file.replace("\\", "/")).name if file else None

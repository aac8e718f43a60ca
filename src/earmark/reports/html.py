"""Writes the report folder of a model or an evaluation.

report/
  report.html           all of it on one page: styles, pictures and curves inside, only the players' sounds beside
  report.txt            the figures as text
  metrics.json          the figures for programs: {split: {metrics, intervals, per_tag, confusion, ...}}
  confusion_matrix.png  of the main split (test, else validation); exclusive vocabularies
  predictions.parquet   one row a clip
  true_labels.npy       of the main split: (n,) int64 class indices, or (n, tags) uint8 for a multilabel vocabulary
  pred_labels.npy       likewise, what the model said
  val_report.txt, val_confusion_matrix.png, val_true_labels.npy, val_pred_labels.npy    of the validation split
  audio/*.mp3           the worst mistakes
"""

from __future__ import annotations

import base64
import json
import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from earmark import __version__
from earmark.audio.write import write as write_audio
from earmark.errors import EarmarkError, InputError
from earmark.formats.words import counted
from earmark.metrics.results import ClipPredictions, Evaluation, plain
from earmark.reports import plots, tables, text
from earmark.reports.content import Mistake, ReportContent, worst_mistakes

_log = logging.getLogger("earmark.reports")

SNIPPET_S = 12.0
SNIPPET_KBPS = 64
_SPLIT_TITLES = {
    "test": "test clips",
    "val": "validation clips",
    "folds": "cross-validation",
    "train": "training clips",
    "data": "clips",
}


@dataclass(frozen=True, slots=True)
class _Example:
    """One worst mistake as the page shows it: `picture` a data URI or "", `sound` a relative path or ""."""

    name: str
    mistake: Mistake
    picture: str
    sound: str


def write_report(folder: Path, content: ReportContent) -> list[Path]:
    """Write all files of the report into `folder` (made if absent; files of these names are replaced).

    Returns:
        The files written, report.html first.

    Raises:
        InputError: no evaluation, or predictions that do not fit their evaluation.
    """
    _check(content)
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / "report.html"]
    main = content.main_split
    examples = _examples(folder, content, written)
    page = _environment().get_template("report.html").render(_context(content, examples))
    # file names on disk need not be UTF-8, but a page must be
    (folder / "report.html").write_text(page, encoding="utf-8", errors="replace")

    def put(name: str, data: str) -> None:
        (folder / name).write_text(data, encoding="utf-8", errors="replace")
        written.append(folder / name)

    put("report.txt", render_text(content))
    figures = {name: found.to_json() for name, found in content.evaluations.items()}
    put("metrics.json", json.dumps(figures, ensure_ascii=False, allow_nan=False, indent=2) + "\n")
    _write_labels(folder, "", content.predictions[main], content.evaluations[main], written)
    if "val" in content.evaluations:
        clips, found = content.predictions["val"].labelled(), content.evaluations["val"]
        put("val_report.txt", text.classification_report(clips, found))
        _write_labels(folder, "val_", clips, found, written)
    path = folder / "predictions.parquet"
    tables.write_predictions(
        path,
        {name: clips.labelled() for name, clips in content.predictions.items()},
        content.evaluations,
        _labelled_probabilities(content),
    )
    return [*written, path]


def render_text(content: ReportContent) -> str:
    """report.txt: what the page says, in words and columns."""
    lines = [content.title, "=" * len(content.title), ""]
    lines += [f"! {note}" for note in content.notes] + ([""] if content.notes else [])
    for name, found in content.evaluations.items():
        heading = f"{_SPLIT_TITLES.get(name, name)}: {counted(found.clips, 'clip')} of {counted(found.groups, 'group')}"
        lines += [heading, "-" * len(heading), *text.summary_lines(found), ""]
        lines += [f"! {note}" for note in found.notes] + ([""] if found.notes else [])
        lines += [*text.refusal_lines(found.unknown), ""] if found.unknown else []
        if found.confusion is not None and (mistakes := text.confusion_lines(found.confusion, found.tags)):
            lines += [*mistakes, ""]
        lines += [text.classification_report(content.predictions[name], found), *text.specificity_lines(found), ""]
    lines.append("Intervals hold 95 % and are drawn over groups, not clips.")
    return "\n".join(lines) + "\n"


def _check(content: ReportContent) -> None:
    if not content.evaluations:
        raise InputError("report: no evaluation was handed over; expected at least one split.")
    for name, found in content.evaluations.items():
        clips, probability = content.predictions.get(name), content.probabilities.get(name)
        if clips is None or probability is None or len(clips) != len(probability):
            raise InputError(f"report: split {name!r} lacks predictions or probabilities of the same clips.")
        if len(clips.labelled()) != found.clips:
            raise InputError(
                f"report: split {name!r} has {len(clips.labelled())} labelled clips but an evaluation of {found.clips}."
            )


def _labelled_probabilities(content: ReportContent) -> dict[str, Any]:
    return {name: content.probabilities[name][_labelled_rows(clips)] for name, clips in content.predictions.items()}


def _labelled_rows(clips: ClipPredictions) -> Any:
    return np.flatnonzero(clips.truth.any(axis=1) if clips.is_exclusive else clips.mask.any(axis=1))


def _write_labels(folder: Path, prefix: str, clips: ClipPredictions, found: Evaluation, written: list[Path]) -> None:
    clips = clips.labelled()
    if clips.is_exclusive:
        labels = {"true": clips.classes, "pred": found.predicted.argmax(axis=1).astype(np.int64)}
    else:
        labels = {"true": clips.truth.astype(np.uint8), "pred": found.predicted.astype(np.uint8)}
    for name, array in labels.items():
        path = folder / f"{prefix}{name}_labels.npy"
        np.save(path, array, allow_pickle=False)
        written.append(path)
    if found.confusion is not None:
        path = folder / f"{prefix}confusion_matrix.png"
        plots.save_png(plots.confusion_figure(found.confusion, found.tags), path)
        written.append(path)


def _examples(folder: Path, content: ReportContent, written: list[Path]) -> list[_Example]:
    """The worst mistakes of the main split, with picture and sound where they can be had."""
    main = content.main_split
    clips = content.predictions[main]
    rows = _labelled_rows(clips)
    mistakes = worst_mistakes(clips.labelled(), content.evaluations[main], content.probabilities[main][rows])
    result = []
    for number, mistake in enumerate(mistakes):
        clip = int(rows[mistake.clip])
        picture = sound = ""
        try:
            if content.spectrogram_of is not None:
                picture = _picture(content.spectrogram_of(main, clip))
            if content.samples_of is not None:
                samples, rate = content.samples_of(main, clip)
                path = folder / "audio" / f"{main}-{number + 1:02d}.mp3"
                path.parent.mkdir(exist_ok=True)
                snippet = np.asarray(samples[: round(SNIPPET_S * rate)], dtype=np.float32)
                write_audio(path, snippet, rate, bitrate_kbps=SNIPPET_KBPS)
                written.append(path)
                sound = f"audio/{path.name}"
        except EarmarkError as error:  # a mistake that cannot be shown must not cost the report
            _log.warning("the report shows %s without sound or picture: %s", clips.uris[clip], error)
        result.append(_Example(_span_name(clips, clip), mistake, picture, sound))
    return result


def _picture(values: Any) -> str:
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "picture.png"
        plots.spectrogram_png(path, values)
        return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def _span_name(clips: ClipPredictions, clip: int) -> str:
    name = "/".join(Path(clips.uris[clip]).parts[-2:])
    start, stop = clips.start_s[clip], clips.stop_s[clip]
    if np.isnan(start) and np.isnan(stop):
        return name
    begin = 0.0 if np.isnan(start) else start
    return f"{name}, {begin:.1f} s to " + ("the end" if np.isnan(stop) else f"{stop:.1f} s")


def _context(content: ReportContent, examples: list[_Example]) -> dict[str, Any]:
    main = content.main_split
    splits = [main, *(name for name in content.evaluations if name != main)]
    blocks = []
    for name in splits:
        found = content.evaluations[name]
        confusion = found.confusion
        blocks.append(
            {
                "name": name,
                "title": _SPLIT_TITLES.get(name, name),
                "found": found,
                "figures": [_figure_row(key, value, found) for key, value in found.metrics.items()],
                "confusion": "" if confusion is None else plots.to_svg(plots.confusion_figure(confusion, found.tags)),
                "confusion_lines": [] if confusion is None else text.confusion_lines(confusion, found.tags),
                "refusal": text.refusal_lines(found.unknown),
                "reliability": plots.to_svg(plots.reliability_figure(found.reliability)),
                "per_tag": [plain(row) for row in found.per_tag],
            }
        )
    table = content.data_table
    return {
        "title": content.title,
        "version": __version__,
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "headline": _headline(content.evaluations[main]),
        "blocks": blocks,
        "notes": list(content.notes),
        "examples": examples,
        "history": plots.to_svg(plots.history_figure(content.history, content.fold_histories))
        if content.history
        else "",
        "data_columns": [] if table is None else [str(column) for column in table.columns],
        "data_rows": [] if table is None else table.astype(object).to_numpy().tolist(),
        "recipe_yaml": content.recipe_yaml,
        "provenance": list(_flat(content.provenance).items()),
        "exclusive": content.vocabulary.kind == "exclusive",
        "n_tags": len(content.vocabulary),
    }


def _figure_row(key: str, value: float, found: Evaluation) -> dict[str, Any]:
    bounds = found.intervals.get(key)
    missing, lower_is_better = np.isnan(value), key in text.LOWER_IS_BETTER
    return {
        "name": text.NAMES.get(key, key),
        "key": key,
        "value": "–" if missing else f"{value:.3f}",
        "low": None if bounds is None else f"{bounds[0]:.3f}",
        "high": None if bounds is None else f"{bounds[1]:.3f}",
        # a bar only where 0..1 is the whole range and more is better
        "bar": None if missing or lower_is_better else [100 * part for part in (value, *(bounds or (value, value)))],
        "note": "lower is better" if lower_is_better else "",
    }


def _headline(found: Evaluation) -> dict[str, str]:
    key = "accuracy" if found.kind == "exclusive" else "lwlrap"
    bounds = found.intervals.get(key)
    percent = key == "accuracy"
    scale, digits, unit = (100, 1, " %") if percent else (1, 3, "")
    return {
        "name": "of the clips given the right tag" if percent else "lwlrap: how well the right tags rank",
        "value": f"{scale * found.metrics[key]:.{digits}f}{unit}",
        "interval": "" if bounds is None else f"{scale * bounds[0]:.{digits}f} to {scale * bounds[1]:.{digits}f}{unit}",
    }


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested provenance as `data: name` -> text; the recipe has its own section."""
    result: dict[str, str] = {}
    for key, value in plain(dict(values)).items():
        if key in ("recipe", "metrics"):
            continue
        if isinstance(value, dict):
            result |= _flat(value, f"{prefix}{key}: ")
        elif isinstance(value, list):
            result[f"{prefix}{key}"] = ", ".join(str(item) for item in value) or "none given"
        elif value is not None:
            result[f"{prefix}{key}"] = str(value)
    return result


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("earmark.reports", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["figure"] = lambda value: "–" if value is None else f"{value:.3f}"
    return environment

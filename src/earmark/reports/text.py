"""Figures as plain text: the table of a terminal, a mail or a log."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from earmark.formats.words import counted
from earmark.metrics.classification import Ints, Tally, largest_confusions, tally_exclusive, tally_multilabel
from earmark.metrics.results import ClipPredictions, Evaluation

NAMES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "F1 (macro)",
    "micro_f1": "F1 (micro)",
    "roc_auc_macro": "ROC-AUC (macro)",
    "roc_auc_micro": "ROC-AUC (micro)",
    "pr_auc_macro": "average precision (macro)",
    "pr_auc_micro": "average precision (micro)",
    "lwlrap": "lwlrap",
    "top_3_accuracy": "right tag among the best 3",
    "log_loss": "log loss",
    "brier": "Brier score",
    "ece": "calibration error (ECE)",
    "ece_adaptive": "calibration error (equal counts)",
}
LOWER_IS_BETTER = ("log_loss", "brier", "ece", "ece_adaptive")


def classification_report(clips: ClipPredictions, evaluation: Evaluation, *, digits: int = 4) -> str:
    """Precision, recall, F1 and support of each tag, in the very form of scikit-learn's `classification_report`.

    Tags that are neither in the data nor ever said are left out, as there.
    """
    clips = clips.labelled()
    if clips.is_exclusive:
        tally = tally_exclusive(clips.classes, evaluation.predicted.argmax(axis=1), len(clips.vocabulary))
    else:
        tally = tally_multilabel(clips.truth, evaluation.predicted, clips.mask)
    shown = [column for column in range(len(clips.vocabulary)) if tally.occurs[0, column] or not clips.is_exclusive]
    names = [clips.vocabulary.tags[column] for column in shown]
    rows = [
        (name, tally.precision[0, column], tally.recall[0, column], tally.f1[0, column], int(tally.support[0, column]))
        for name, column in zip(names, shown, strict=True)
    ]
    width = max([len(name) for name in names] + [len("weighted avg"), digits])
    head = " " * width + " " + "".join(f" {title:>9}" for title in ("precision", "recall", "f1-score", "support"))
    lines = [head, ""]
    lines += [_row(name, width, values, support, digits) for name, *values, support in rows]
    lines.append("")
    total = sum(row[4] for row in rows)
    numbers = np.array([row[1:4] for row in rows], dtype=np.float64)
    weights = np.array([row[4] for row in rows], dtype=np.float64)
    if clips.is_exclusive:
        accuracy = evaluation.metrics["accuracy"]
        lines.append(f"{'accuracy':>{width}} " + " " * 20 + f" {accuracy:>9.{digits}f} {total:>9}")
    else:
        lines.append(_row("micro avg", width, _micro(tally), total, digits))
    lines.append(_row("macro avg", width, numbers.mean(axis=0).tolist(), total, digits))
    weighted = (numbers * weights[:, None]).sum(axis=0) / weights.sum() if weights.sum() else np.zeros(3)
    lines.append(_row("weighted avg", width, weighted.tolist(), total, digits))
    if not clips.is_exclusive:
        lines.append(_row("samples avg", width, _per_clip(clips, evaluation), total, digits))
    return "\n".join(lines) + "\n"


def summary_lines(evaluation: Evaluation) -> list[str]:
    """The figures with their intervals, a line each, aligned."""
    rows = [
        (NAMES.get(name, name), _number(value), _interval(evaluation.intervals.get(name)))
        for name, value in evaluation.metrics.items()
    ]
    width = max(len(row[0]) for row in rows)
    return [f"{name:<{width}}  {value:>7}  {interval}".rstrip() for name, value, interval in rows]


def specificity_lines(evaluation: Evaluation) -> list[str]:
    """Specificity of each tag, which `classification_report` has no column for."""
    width = max([len(row["tag"]) for row in evaluation.per_tag], default=0)
    lines = [f"{row['tag']:>{width}}  {_number(row['specificity']):>9}" for row in evaluation.per_tag]
    return ["specificity: of the clips without a tag, the part that was not given it", "", *lines]


def confusion_lines(confusion: Ints, tags: Sequence[str], n: int = 5) -> list[str]:
    """The commonest mistakes in words."""
    sizes = confusion.sum(axis=1)
    return [
        f"{count} of {sizes[true]} {tags[true]} clips were taken for {tags[said]}"
        for true, said, count in largest_confusions(confusion, n)
    ]


def refusal_lines(unknown: dict[str, float]) -> list[str]:
    """What became of sounds that are none of the model's tags."""
    lines = []
    if "known_refused" in unknown:
        lines.append(f"{100 * unknown['known_refused']:.1f} % of these clips would be refused as unknown sounds")
    if "refused" in unknown:
        clips = counted(round(unknown["clips"]), "clip")
        line = f"of {clips} of other kinds {100 * unknown['refused']:.1f} % are refused"
        against = f"; AUROC unknown against known {unknown['auroc']:.3f}" if "auroc" in unknown else ""
        lines.append(line + against)
    return lines


def _row(name: str, width: int, values: Sequence[float], support: int, digits: int) -> str:
    return f"{name:>{width}} " + "".join(f" {value:>9.{digits}f}" for value in values) + f" {support:>9}"


def _micro(tally: Tally) -> list[float]:
    hits, wrong, missed = (
        float(part.sum()) for part in (tally.true_positive, tally.false_positive, tally.false_negative)
    )
    precision = hits / (hits + wrong) if hits + wrong else 0.0
    recall = hits / (hits + missed) if hits + missed else 0.0
    return [precision, recall, 2 * hits / (2 * hits + wrong + missed) if hits + wrong + missed else 0.0]


def _per_clip(clips: ClipPredictions, evaluation: Evaluation) -> list[float]:
    """Mean over clips of the precision, recall and F1 of its own tags; 0 where a clip has or is given none."""
    truth, said = clips.truth, evaluation.predicted & clips.mask
    hits = (truth & said).sum(axis=1)
    figures = []
    for top, bottom in ((hits, said.sum(axis=1)), (hits, truth.sum(axis=1)), (2 * hits, said.sum(1) + truth.sum(1))):
        figures.append(float(np.divide(top, bottom, out=np.zeros(len(top)), where=bottom > 0).mean()))
    return figures


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4f}"


def _interval(bounds: tuple[float, float] | None) -> str:
    return "" if bounds is None else f"[{bounds[0]:.4f}, {bounds[1]:.4f}]"

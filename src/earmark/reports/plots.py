"""Pictures of an evaluation, drawn by matplotlib without a screen and without its global state.

Every figure is drawn in INK on no background. As SVG inside a page INK becomes `currentColor`, so the picture follows
the page into the dark; as PNG it is dark ink on white.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.image import imsave

from earmark.reports.drawing import drawing

INK = "#1b1f24"
ACCENT = "#0b7a75"
WARM = "#d1603d"
_RIGHT = LinearSegmentedColormap.from_list("right", ["#0b7a7500", "#0b7a75ff"])
_WRONG = LinearSegmentedColormap.from_list("wrong", ["#d1603d00", "#d1603dff"])
_STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "svg.fonttype": "none",  # text stays text: it takes the page's font and can be searched
    "svg.hashsalt": "earmark",  # the same figure gives the same bytes
}
_MOST_NUMBERED = 30  # classes up to which every cell shows its count


def confusion_figure(confusion: npt.NDArray[np.int64], tags: Sequence[str]) -> Figure:
    """Rows are true classes and sum to 1: hits in ACCENT, mistakes in WARM. Readable up to 80 classes."""
    n = len(tags)
    rows = confusion.sum(axis=1, keepdims=True)
    share = np.divide(confusion, rows, out=np.zeros(confusion.shape), where=rows > 0)
    diagonal = np.eye(n, dtype=bool)
    size = min(max(2.2 + 0.42 * n, 4.0), 17.0)
    font = float(np.clip(11 - n * 0.09, 4.5, 10))
    longest = max((len(tag) for tag in tags), default=0)
    margin = min(0.35 + 0.075 * font / 10 * longest * 1.1, 3.2)
    with drawing(_STYLE):
        figure = Figure(figsize=(size + margin, size + margin * 0.8), layout="constrained")
        axes = figure.add_subplot()
        axes.imshow(np.ma.masked_array(share, ~diagonal), cmap=_RIGHT, vmin=0, vmax=1)
        # a mistake in one clip of twenty must be seen: full colour from a third
        axes.imshow(np.ma.masked_array(share, diagonal), cmap=_WRONG, vmin=0, vmax=0.34)
        axes.set_xticks(range(n), [_short(tag) for tag in tags], rotation=90 if n > 4 else 0, fontsize=font)
        axes.set_yticks(range(n), [_short(tag) for tag in tags], fontsize=font)
        axes.set_xlabel("said")
        axes.set_ylabel("true")
        axes.set_xticks(np.arange(n + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(n + 1) - 0.5, minor=True)
        axes.grid(which="minor", color=INK, alpha=0.12, linewidth=0.5)
        axes.tick_params(which="both", length=0)
        for side in axes.spines.values():
            side.set_visible(False)
        if n <= _MOST_NUMBERED:
            for row, column in np.argwhere(confusion > 0):
                strong = share[row, column] > (0.55 if row == column else 0.2)
                axes.text(
                    column,
                    row,
                    str(confusion[row, column]),
                    ha="center",
                    va="center",
                    fontsize=font,
                    color="#ffffff" if strong else INK,
                )
    return figure


def history_figure(history: Sequence[Mapping[str, Any]], folds: Sequence[Sequence[Mapping[str, Any]]] = ()) -> Figure:
    """Training curves by epoch: losses, validation figures where there are any, and the learning rate.

    Args:
        history: one dict an epoch: `epoch`, `train_loss`, `val_loss`, `lr`, and any `val_...` figures; what is missing
            or None is left out of its curve.
        folds: the same of each fold, where `history` is their mean: thin lines below it. The learning rate is theirs
            all alike.
    """
    figures = sorted({key for row in history for key in row if key.startswith("val_") and key != "val_loss"})
    panels = ["loss"] + (["figures"] if figures else []) + (["lr"] if any("lr" in row for row in history) else [])
    with drawing(_STYLE):
        figure = Figure(figsize=(3.6 * len(panels), 2.7), layout="constrained")
        for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            if panel == "loss":
                _curves(axes, history, folds, "train_loss", "training", ACCENT)
                _curves(axes, history, folds, "val_loss", "validation", WARM)
                axes.set_title(f"loss of {len(folds)} folds and their mean" if folds else "loss")
            elif panel == "figures":
                colours = [WARM, ACCENT, "#6b5ca5", "#8a8d91"]
                for name, colour in zip(figures, colours, strict=False):
                    _curves(axes, history, folds, name, name.removeprefix("val_").replace("_", " "), colour)
                axes.set_title("on validation clips")
            else:
                _curves(axes, history, (), "lr", "", "#8a8d91")
                axes.set_title("learning rate")
                axes.ticklabel_format(axis="y", style="sci", scilimits=(-2, 2))
            axes.set_xlabel("epoch")
            axes.grid(axis="y", color=INK, alpha=0.1)
            if panel != "lr" and axes.lines:
                axes.legend(frameon=False, fontsize=8)
    return figure


def reliability_figure(reliability: Mapping[str, Sequence[float]]) -> Figure:
    """Stated confidence against how often it was so; a dot's area grows with its clips, the diagonal is honesty."""
    with drawing(_STYLE):
        figure = Figure(figsize=(3.6, 3.3), layout="constrained")
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color=INK, alpha=0.35, linewidth=1, linestyle=(0, (4, 3)))
        count = np.asarray(reliability["count"], dtype=np.float64)
        if len(count):
            axes.plot(reliability["confidence"], reliability["frequency"], color=ACCENT, linewidth=1.2)
            area = 12 + 160 * count / count.max()
            axes.scatter(
                reliability["confidence"],
                reliability["frequency"],
                s=area,
                color=ACCENT,
                alpha=0.75,
                linewidths=0,
                clip_on=False,
            )
        axes.set_xlim(0, 1.02)
        axes.set_ylim(0, 1.02)
        axes.set_xlabel("stated probability")
        axes.set_ylabel("how often it was so")
        axes.grid(color=INK, alpha=0.1)
        axes.set_aspect("equal")
    return figure


def spectrogram_png(path: Path, picture: npt.NDArray[np.floating[Any]]) -> None:
    """A (bands, frames) picture as it is, low bands at the bottom: one pixel a value, no axes. Flat pictures too."""
    low, high = float(picture.min()), float(picture.max())
    imsave(
        path, picture[::-1], cmap="magma", vmin=low, vmax=high if high > low else low + 1.0, format="png", metadata={}
    )


def spectrogram_figure(
    picture: npt.NDArray[np.floating[Any]], *, duration_s: float, band_edges_hz: Sequence[float], title: str, unit: str
) -> Figure:
    """A (bands, frames) picture with axes: seconds and the bands' centres in Hz.

    Args:
        band_edges_hz: (bands,) centre of each band, rising.
        unit: of the values, for the colour bar.
    """
    with drawing(_STYLE):
        figure = Figure(figsize=(7.2, 3.2), layout="constrained")
        axes = figure.add_subplot()
        bands = len(picture)
        image = axes.imshow(
            picture, origin="lower", aspect="auto", cmap="magma", extent=(0, duration_s, -0.5, bands - 0.5)
        )
        ticks = np.unique(np.linspace(0, bands - 1, 6).round().astype(int))
        axes.set_yticks(ticks, [_hertz(band_edges_hz[tick]) for tick in ticks])
        axes.set_xlabel("seconds")
        axes.set_ylabel("Hz")
        axes.set_title(title)
        figure.colorbar(image, ax=axes, label=unit, pad=0.01)
    return figure


def to_svg(figure: Figure) -> str:
    """The figure as an `<svg>` element for a page; its ink is the page's own text colour."""
    buffer = io.StringIO()
    with drawing(_STYLE):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :].replace(INK, "currentColor")


def save_png(figure: Figure, path: Path, *, dots_per_inch: int = 150) -> None:
    with drawing(_STYLE):
        figure.savefig(path, format="png", dpi=dots_per_inch, facecolor="white", metadata={"Software": "Earmark"})


def _curves(
    axes: Axes,
    history: Sequence[Mapping[str, Any]],
    folds: Sequence[Sequence[Mapping[str, Any]]],
    key: str,
    label: str,
    colour: str,
) -> None:
    """One figure by epoch: thin and unnamed for each fold, so that the legend stays short, then its own line."""
    for rows, own in (*((rows, False) for rows in folds), (history, True)):
        points = [(row.get("epoch", index), row[key]) for index, row in enumerate(rows) if row.get(key) is not None]
        if points:
            axes.plot(
                *zip(*points, strict=True),
                color=colour,
                label=label if own else "_fold",  # matplotlib leaves names with a _ out of the legend
                linewidth=1.8 if own else 0.6,
                alpha=1.0 if own else 0.45,
                marker="." if len(points) < 3 else "",
            )


def _short(tag: str, most: int = 24) -> str:
    return tag if len(tag) <= most else tag[: most - 1] + "…"


def _hertz(hz: float) -> str:
    return f"{hz / 1000:.1f}k" if hz >= 1000 else f"{hz:.0f}"

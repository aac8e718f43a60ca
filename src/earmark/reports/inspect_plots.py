"""The pictures of `earmark inspect`, as PNG bytes: how long, how loud, how high, what comes with what."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from earmark.errors import MissingExtraError
from earmark.reports.drawing import drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#1f2a33"
FAINT = "#d5dde3"
ACCENT = "#0f766e"
MOST_CLASSES = 24


def require_matplotlib() -> None:
    """MissingExtraError where pictures cannot be drawn: better said before an hour of listening than after it."""
    try:
        import jinja2  # noqa: F401
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            f'the HTML report needs {error.name}, which is not installed; run `pip install "earmark[train]"`, or leave '
            "the report out with --no-report."
        ) from error


def histogram(values: npt.NDArray[np.float64], label: str, *, log: bool = False) -> bytes:
    """How a property is spread over files.

    Args:
        values: (n,), finite.
        label: of the axis, with its unit.
        log: bins of equal ratio; for values above 0 that span decades.
    """
    figure, axes = _figure(5.2, 2.6)
    low, high = float(values.min()), float(values.max())
    if log and low > 0 and high / low > 20:
        bins = np.geomspace(low, high * 1.0001, 40)
        axes.set_xscale("log")
    else:
        pad = max(1e-6, abs(low) * 1e-3) if high - low < 1e-9 else 0.0
        bins = np.linspace(low - pad, high + pad, 40)
    axes.hist(values, bins=bins.tolist(), color=ACCENT)
    axes.set_xlabel(label)
    axes.set_ylabel("files")
    return _png(figure)


@drawing()
def by_class(
    values: npt.NDArray[np.float64], classes: Sequence[npt.NDArray[np.bool_]], names: Sequence[str], label: str
) -> bytes:
    """One row a class, one dot a file, and a bar for the middle half: what gives a class away stands apart.

    Args:
        values: (n,) one a file.
        classes: (n,) membership of each class, shown from the top.
        names: of the classes.
        label: of the axis, with its unit.
    """
    classes, names = classes[:MOST_CLASSES], names[:MOST_CLASSES]
    figure, axes = _figure(5.2, 0.8 + 0.27 * len(names))
    rng = np.random.default_rng(0)  # jitter only
    for row, inside in enumerate(classes):
        mine = values[inside & np.isfinite(values)]
        if len(mine) == 0:
            continue
        shown = mine if len(mine) <= 400 else rng.choice(mine, 400, replace=False)
        axes.scatter(shown, row + rng.uniform(-0.28, 0.28, len(shown)), s=5, color=ACCENT, alpha=0.35, linewidths=0)
        low, middle, high = np.quantile(mine, [0.25, 0.5, 0.75])
        axes.plot([low, high], [row, row], color=INK, linewidth=2.2, solid_capstyle="round")
        axes.plot([middle], [row], "o", color="white", markeredgecolor=INK, markersize=4.5)
    axes.set_yticks(range(len(names)), [_short(name) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(label)
    return _png(figure)


@drawing()
def co_occurrence(counts: npt.NDArray[np.int64], names: Sequence[str]) -> bytes:
    """Share of the files of the row's tag that hold the column's tag too.

    Args:
        counts: (tags, tags) files that hold both; the diagonal holds the files of a tag.
        names: of the tags.
    """
    n = min(len(names), MOST_CLASSES)
    share = counts[:n, :n] / np.maximum(np.diag(counts)[:n, None], 1)
    np.fill_diagonal(share, np.nan)
    figure, axes = _figure(1.6 + 0.3 * n, 1.2 + 0.3 * n)
    image = axes.imshow(share, cmap="YlGnBu", vmin=0, vmax=max(0.05, float(np.nanmax(share, initial=0.0))))
    shown = [_short(name) for name in names[:n]]
    axes.set_xticks(range(n), shown, rotation=60, ha="right")
    axes.set_yticks(range(n), shown)
    axes.grid(visible=False)
    axes.tick_params(length=0)
    bar = figure.colorbar(image, ax=axes, shrink=0.7)
    bar.ax.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    bar.outline.set_visible(False)
    return _png(figure)


def spectrogram(picture: npt.NDArray[np.floating], frame_s: float, edges_hz: npt.NDArray[np.float64]) -> bytes:
    """A log-mel picture.

    Args:
        picture: (bands, frames) in dB, lowest band first.
        frame_s: seconds from one frame to the next.
        edges_hz: (bands,) centre of each band, for the labels of the axis.
    """
    figure, axes = _figure(3.4, 1.7)
    axes.imshow(
        picture,
        origin="lower",
        aspect="auto",
        cmap="magma",
        interpolation="nearest",
        extent=(0.0, picture.shape[1] * frame_s, -0.5, picture.shape[0] - 0.5),
    )
    wanted = [hz for hz in (250, 1000, 4000, 16000) if edges_hz[0] <= hz <= edges_hz[-1]]
    rows = [float(np.interp(hz, edges_hz, np.arange(len(edges_hz)))) for hz in wanted]
    axes.set_yticks(rows, [f"{hz // 1000}k" if hz >= 1000 else str(hz) for hz in wanted])
    axes.grid(visible=False)
    axes.xaxis.set_major_formatter(lambda seconds, _: f"{seconds:g} s")
    for side in axes.spines.values():
        side.set_visible(False)
    return _png(figure)


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    # without pyplot: no global state, no window, safe in a thread
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as NewFigure

    figure = NewFigure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_axisbelow(True)
    axes.grid(color=FAINT, linewidth=0.6)
    for name, side in axes.spines.items():
        side.set_visible(name == "bottom")
        side.set_color(FAINT)
    axes.tick_params(labelsize=9, colors=INK)
    axes.xaxis.label.set(fontsize=9, color=INK)
    axes.yaxis.label.set(fontsize=9, color=INK)
    return figure, axes


def _png(figure: Figure) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=160)
    return out.getvalue()


def _short(name: str) -> str:
    return name if len(name) <= 22 else name[:21] + "…"

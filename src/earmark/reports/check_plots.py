"""The picture of `earmark check`: what the net will be shown, before and after augmentation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from earmark.reports.drawing import drawing

Pictures = npt.NDArray[np.float32]


@drawing()
def augmentation_grid(before: Pictures, after: Pictures, titles: Sequence[str], path: Path) -> None:
    """Write a PNG with a column a clip: its picture as it is, and below it as the net is trained on it.

    Args:
        before, after: (n, bands, frames), the same scale of values; low bands are drawn at the bottom.
        titles: n labels.
    """
    columns = min(4, len(titles))
    rows = -(-len(titles) // columns)
    figure = Figure(figsize=(3.2 * columns, 3.3 * rows), layout="constrained")
    axes = figure.subplots(2 * rows, columns, squeeze=False)
    low, high = np.percentile(before, [1, 99])
    for place in range(rows * columns):
        row, column = divmod(place, columns)
        for offset, pictures in enumerate((before, after)):
            axis = axes[2 * row + offset][column]
            axis.set_xticks([])
            axis.set_yticks([])
            if place >= len(titles):
                axis.axis("off")
                continue
            axis.imshow(pictures[place], origin="lower", aspect="auto", vmin=low, vmax=high, cmap="magma")
            if offset == 0:
                axis.set_title(titles[place], fontsize=9)
            if column == 0:
                axis.set_ylabel(("as it is", "as trained on")[offset], fontsize=8)
    figure.savefig(path, dpi=110)

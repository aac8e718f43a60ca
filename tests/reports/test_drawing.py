"""Classes are called what people called them, also in a picture."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from matplotlib import rcParams

from earmark.reports import inspect_plots, plots
from earmark.reports.check_plots import augmentation_grid
from earmark.reports.drawing import drawing

NAMES = [r"$\frac{1$ cat", "鳥 sparrow", "عربي", "_under"]  # the first is a formula that cannot be set
PNG = b"\x89PNG"


@pytest.fixture(autouse=True)
def _no_warnings() -> None:
    warnings.simplefilter("error")


def test_confusion_with_any_name(tmp_path: Path) -> None:
    figure = plots.confusion_figure(np.eye(4, dtype=np.int64), NAMES)
    svg = plots.to_svg(figure)
    assert all(f">{name}<" in svg for name in NAMES)
    plots.save_png(figure, tmp_path / "c.png")
    assert (tmp_path / "c.png").read_bytes().startswith(PNG)


def test_inspect_with_any_name() -> None:
    values = np.arange(8.0)
    classes = [np.arange(8) // 2 == i for i in range(4)]
    assert inspect_plots.by_class(values, classes, NAMES, "level [dB]").startswith(PNG)
    assert inspect_plots.co_occurrence(np.full((4, 4), 2), NAMES).startswith(PNG)


def test_check_with_any_name(tmp_path: Path) -> None:
    pictures = np.linspace(0, 1, 4 * 8 * 9, dtype=np.float32).reshape(4, 8, 9)
    augmentation_grid(pictures, pictures, NAMES, tmp_path / "check.png")
    assert (tmp_path / "check.png").read_bytes().startswith(PNG)


def test_settings_end_with_the_picture() -> None:
    before = rcParams["text.parse_math"], rcParams["font.size"]
    with drawing({"font.size": 3}):
        assert (rcParams["text.parse_math"], rcParams["font.size"]) == (False, 3)
    assert (rcParams["text.parse_math"], rcParams["font.size"]) == before

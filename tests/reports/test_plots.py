from pathlib import Path

import numpy as np
import pytest
from matplotlib import image

from earmark.reports import plots


@pytest.mark.parametrize("n", [2, 12, 80])
def test_confusion_names_every_class(n: int, tmp_path: Path) -> None:
    tags = [f"class {i}" for i in range(n)]
    confusion = np.diag(np.arange(1, n + 1))
    figure = plots.confusion_figure(confusion, tags)
    svg = plots.to_svg(figure)
    assert svg.startswith("<svg")
    assert all(f">{tag}<" in svg for tag in tags)
    assert "currentColor" in svg
    assert plots.INK not in svg
    if n == 80:  # drawn once is enough: a large one takes seconds
        return
    plots.save_png(figure, tmp_path / "c.png")
    assert image.imread(tmp_path / "c.png").shape[0] > 300


def test_the_same_figure_gives_the_same_bytes() -> None:
    confusion = np.array([[3, 1], [0, 4]])
    assert plots.to_svg(plots.confusion_figure(confusion, "ab")) == plots.to_svg(
        plots.confusion_figure(confusion, "ab")
    )


def test_an_empty_row_is_no_trouble() -> None:
    assert "nan" not in plots.to_svg(plots.confusion_figure(np.zeros((3, 3), dtype=np.int64), "abc")).lower()


def test_history_leaves_out_what_is_missing() -> None:
    svg = plots.to_svg(plots.history_figure([{"epoch": 0, "train_loss": 1.0}, {"epoch": 1, "train_loss": 0.5}]))
    assert "training" in svg
    assert "validation" not in svg
    assert "learning rate" not in svg


def test_reliability_without_a_clip() -> None:
    assert "<svg" in plots.to_svg(plots.reliability_figure({"confidence": [], "frequency": [], "count": []}))


def test_a_picture_has_a_pixel_a_value_and_low_bands_below(tmp_path: Path) -> None:
    picture = np.zeros((4, 6), dtype=np.float32)
    picture[0, 0] = 1.0  # lowest band, first frame
    plots.spectrogram_png(tmp_path / "p.png", picture)
    pixels = image.imread(tmp_path / "p.png")
    assert pixels.shape[:2] == (4, 6)
    assert pixels[3, 0, :3].sum() > pixels[0, 0, :3].sum()
    plots.spectrogram_png(tmp_path / "flat.png", np.zeros((4, 6), dtype=np.float32))

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


@pytest.mark.parametrize("k", [2, 10])
def test_history_of_folds_is_a_thin_line_each_below_their_mean(k: int) -> None:
    epochs = range(6)
    folds = [
        [
            {"epoch": i, "train_loss": fold + 1 / (i + 1), "val_loss": 2.0, "val_accuracy": 0.1 * i, "lr": 1e-3}
            for i in epochs
        ]
        for fold in range(k)
    ]
    folds[0] = folds[0][:4]  # it stopped early
    folds[1][2]["val_loss"] = None
    mean = folds[-1]
    figure = plots.history_figure(mean, folds)
    loss, accuracy, rate = figure.axes
    assert (len(loss.lines), len(accuracy.lines), len(rate.lines)) == (2 * (k + 1), k + 1, 1)
    assert loss.get_title(loc="left") == f"loss of {k} folds and their mean"
    assert [text.get_text() for text in loss.get_legend().get_texts()] == ["training", "validation"]
    assert [text.get_text() for text in accuracy.get_legend().get_texts()] == ["accuracy"]
    thin, thick = loss.lines[:k], loss.lines[k]
    assert [line.get_ydata().tolist() for line in thin[1:]] == [
        [row["train_loss"] for row in fold] for fold in folds[1:]
    ]
    assert thin[0].get_xdata().tolist() == [0, 1, 2, 3]
    assert loss.lines[k + 2].get_xdata().tolist() == [0, 1, 3, 4, 5]
    assert thick.get_ydata().tolist() == [row["train_loss"] for row in mean]
    assert max(line.get_linewidth() for line in thin) < thick.get_linewidth()
    assert "loss of" not in plots.to_svg(plots.history_figure(mean))


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

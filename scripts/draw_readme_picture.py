"""Draw docs/images/demo.png: run `earmark demo`, and show the scene, what sounds in it, what was heard, and how right.

.venv/bin/python scripts/draw_readme_picture.py [FOLDER OF A DEMO THAT RAN]
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from PIL import Image

import earmark
from earmark.audio.read import read
from earmark.features.reference import log_mel
from earmark.features.spec import FeatureSpec

if TYPE_CHECKING:
    from matplotlib.axes import Axes

mpl.use("Agg")
from matplotlib import pyplot as plt

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "images" / "demo.png"
COLOURS = dict(
    zip(
        ("bell", "bird", "drum", "engine", "whistle", "wind"),
        ("#e6b800", "#2e9e5b", "#c0392b", "#7f5539", "#2980b9", "#7d8ca3"),
        strict=True,
    )
)


def run(folder: Path) -> dict[str, Any]:
    """`earmark demo --out folder --json`, or what it said when it ran there before."""
    kept = folder / "demo.json"
    if not kept.exists():
        command = [str(Path(sys.executable).with_name("earmark")), "demo", "--out", str(folder), "--json"]
        kept.write_text(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout, encoding="utf-8")
    document: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
    return document


def draw(demo: dict[str, Any]) -> None:
    """Spectrogram, two rows of spans, and beside them the confusion matrix."""
    scene = Path(demo["out"]) / "scene.wav"
    plt.rcParams.update({"font.family": "DejaVu Sans", "font.size": 10})
    figure = plt.figure(figsize=(12, 4.6), dpi=110, facecolor="white")
    grid = figure.add_gridspec(
        3, 2, width_ratios=(2.6, 1), height_ratios=(1, 0.16, 0.16), left=0.06, right=0.99, top=0.93, bottom=0.11
    )
    picture = figure.add_subplot(grid[0, 0])
    _spectrogram(picture, scene)
    played = [(event["start_s"], event["end_s"], event["played"]) for event in demo["scene"]]
    _spans(figure.add_subplot(grid[1, 0], sharex=picture), played, "played")
    _spans(figure.add_subplot(grid[2, 0], sharex=picture), _heard(demo["model"], scene), "heard", last=True)
    _confusion(figure.add_subplot(grid[:, 1]), demo)
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURE)
    # a palette of 192 colours cannot be told from the whole picture here, and is a third of its size
    with Image.open(PICTURE) as whole:
        small = whole.convert("RGB").quantize(192)
    small.save(PICTURE, optimize=True)


def _spectrogram(axes: Axes, scene: Path) -> None:
    audio = read(scene, sample_rate_hz=22050)
    spec = FeatureSpec(
        sample_rate_hz=22050, clip_s=30.0, n_fft=1024, hop_length=256, n_mels=96, fmax_hz=10000.0, normalise="none"
    )
    bands = log_mel(audio.samples, spec)[0]
    axes.imshow(
        bands, origin="lower", aspect="auto", cmap="magma", extent=(0, len(audio.samples) / 22050, 0, len(bands))
    )
    axes.set_yticks([])
    axes.set_ylabel("mel bands")
    axes.set_title("A recording it has not heard before", loc="left", fontsize=11)
    axes.tick_params(labelbottom=False)


def _heard(model: str, scene: Path) -> list[tuple[float, float, str]]:
    """The likeliest tag from moment to moment: that of the window whose middle is nearest, if it is likely at all."""
    scores = earmark.load(model).tag(scene, overlap=0.95)
    middles = (scores.start_s + scores.stop_s) / 2
    edges = [0.0, *((middles[:-1] + middles[1:]) / 2), scores.duration_s]
    spans: list[tuple[float, float, str]] = []
    for start_s, stop_s, probabilities in zip(edges[:-1], edges[1:], scores.probabilities, strict=True):
        tag = scores.vocabulary.tags[int(probabilities.argmax())]
        if probabilities.max() < 0.5:
            continue
        if spans and spans[-1][2] == tag and spans[-1][1] == start_s:
            start_s = spans.pop()[0]  # noqa: PLW2901 - the span before goes on
        spans.append((start_s, stop_s, tag))
    return spans


def _spans(axes: Axes, spans: list[tuple[float, float, str]], name: str, *, last: bool = False) -> None:
    for start_s, stop_s, tag in spans:
        axes.axvspan(start_s, stop_s, color=COLOURS[tag], lw=0)
        if stop_s - start_s > 0.35 * len(tag):  # room for the word
            middle = (start_s + stop_s) / 2
            axes.text(
                middle, 0.5, tag, ha="center", va="center", color="white", fontsize=9, weight="bold", clip_on=True
            )
    axes.set_ylim(0, 1)
    axes.set_yticks([])
    axes.set_ylabel(name, rotation=0, ha="right", va="center")
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)
    axes.tick_params(labelbottom=last)
    if last:
        axes.set_xlabel("seconds")


def _confusion(axes: Axes, demo: dict[str, Any]) -> None:
    counts = np.asarray(demo["confusion"], dtype=int)
    tags = demo["tags"]
    axes.imshow(counts, cmap="Greens", vmin=0, vmax=counts.max() * 1.3)
    for row in range(len(tags)):
        for column in range(len(tags)):
            if counts[row, column]:
                axes.text(column, row, str(counts[row, column]), ha="center", va="center", fontsize=10)
    axes.set_xticks(range(len(tags)), tags, rotation=45, ha="right")
    axes.set_yticks(range(len(tags)), tags)
    axes.set_xlabel("heard")
    axes.set_ylabel("played")
    axes.set_title(f"{counts.sum()} new recordings: {demo['accuracy_on_new_recordings']:.0%} right", fontsize=11)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        draw(run(Path(sys.argv[1])))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            draw(run(Path(temporary) / "demo"))
    print(f"drawn: {PICTURE.relative_to(ROOT)}")

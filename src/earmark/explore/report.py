"""From an Inspection to its page: which pictures to draw, what to list, how much of it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from earmark import __version__
from earmark.audio import read as audio
from earmark.audio.write import write as write_audio
from earmark.errors import EarmarkError
from earmark.explore.inspect import Inspection
from earmark.features.mel import mel_edges
from earmark.features.reference import log_mel
from earmark.features.spec import FeatureSpec
from earmark.formats.words import counted
from earmark.reports import inspect_plots as plots
from earmark.reports.inspect_page import Example, Picture, write_page
from earmark.types import Samples

MOST_EXAMPLES = 24
MOST_LISTED = 300
EXAMPLE_S = 5.0
EXAMPLE_HZ = 32_000
PICTURE = FeatureSpec(sample_rate_hz=EXAMPLE_HZ, clip_s=EXAMPLE_S, n_fft=1024, hop_length=320, n_mels=96, top_db=70.0)
BAND_CENTRES_HZ = mel_edges(PICTURE.n_mels, PICTURE.fmin_hz, EXAMPLE_HZ / 2, PICTURE.mel_scale)[1:-1]


def write_report(found: Inspection, path: Path, next_step: tuple[str, str]) -> None:
    """Write the HTML report of `found` to `path`; `next_step` is words and, where there is one, a command."""
    usable = found.usable
    charts, wide = _charts(found, usable) if len(usable) else ([], [])
    page = _page(found, next_step)
    write_page(path, page, charts=charts, wide=wide, examples=_examples(found))


def _page(found: Inspection, next_step: tuple[str, str]) -> dict[str, Any]:
    verdicts = found.verdicts
    root = found.root.resolve()
    names = found.files["recording"].tolist()
    quarantine = found.files[found.files["verdict"] == "quarantined"]
    partial = found.files[found.files["verdict"] == "partial"]
    combinations = found.combinations()
    several = found.kind == "multilabel"
    exact = {tuple(cluster) for cluster in found.exact}
    return {
        "name": root.name or str(root),
        "summary": summary(found),
        "version": __version__,
        "tiles": [
            _tile(f"{len(found.files):,}", "files"),
            _tile(_hours(found.hours), "of sound"),
            *([_tile(f"{len(found.tags):,}", "tags" if several else "classes")] if found.tags else []),
            _tile(f"{verdicts['read']:,}", "read"),
            _tile(f"{verdicts['partial']:,}", "read in part", "warn" if verdicts["partial"] else ""),
            _tile(f"{verdicts['quarantined']:,}", "cannot be used", "bad" if verdicts["quarantined"] else ""),
        ],
        "findings": found.findings,
        "per_tag": found.per_tag.to_dict("records"),
        "most_files": max(1, int(found.per_tag["files"].max())) if len(found.per_tag) else 1,
        "any_bad": bool(len(found.per_tag) and found.per_tag["quarantined"].any()),
        "combinations": list(combinations.head(25).items()) if several else [],
        "stored": [
            ("sample rate", [(f"{int(rate):,} Hz", n) for rate, n in found.counts("sample_rate_hz").items()]),
            ("channels", list(found.counts("channels").items())),
            ("format", list(found.counts("format").items())),
        ],
        "copies": [
            {
                "names": [names[row] for row in cluster[:12]] + (["…"] if len(cluster) > 12 else []),
                "how": "identical audio" if tuple(cluster) in exact else "another coding, gain or cut",
            }
            for cluster in found.copies[:MOST_LISTED]
        ],
        "copies_left": max(0, len(found.copies) - MOST_LISTED),
        "quarantine": [
            {"name": name, "reason": reason, "message": message}
            for name, reason, message in zip(
                quarantine["recording"], quarantine["reason"], quarantine["message"], strict=True
            )
        ][:MOST_LISTED],
        "quarantine_left": max(0, len(quarantine) - MOST_LISTED),
        "partial": [
            {"name": name, "warning": warning}
            for name, warning in zip(partial["recording"], partial["warning"], strict=True)
        ][:MOST_LISTED],
        "next_step": {"words": next_step[0], "command": next_step[1]},
    }


def summary(found: Inspection) -> str:
    """One line: what this folder is."""
    parts = [counted(len(found.files), "file"), f"{_hours(found.hours)} of sound"]
    if found.layout:
        parts.append(f"{len(found.tags)} {'tags' if found.kind == 'multilabel' else 'classes'}")
        parts.append(f"layout {found.layout}")
    else:
        parts.append("no labels")
    return ", ".join(parts)


def _charts(found: Inspection, usable: pd.DataFrame) -> tuple[list[Picture], list[Picture]]:
    rows = np.flatnonzero((found.files["verdict"] != "quarantined").to_numpy())
    membership = found.membership[rows]
    order = sorted(range(len(found.tags)), key=lambda column: -int(membership[:, column].sum()))
    classes = [membership[:, column] for column in order if membership[:, column].any()]
    names = [found.tags[column] for column in order if membership[:, column].any()]
    charts = []
    for column, title, label, scale in (
        ("duration_s", "Length", "seconds", 1.0),
        ("rms_db", "Level", "RMS, dB re full scale", 1.0),
        ("bandwidth_hz", "Upper frequency", "kHz", 1e-3),
        ("silence", "Silence", "% of the recording", 100.0),
    ):
        values = usable[column].to_numpy(np.float64) * scale
        if len(names) > 1:
            png = plots.by_class(values, classes, names, label)
            alt = f"{title} of each file, one row a class, in {label}."
        else:
            png = plots.histogram(values, label, log=column == "duration_s")
            alt = f"Histogram over files: {title.lower()} in {label}."
        charts.append(Picture(title, alt, png))
    if len(names) > 1:
        seconds = usable["duration_s"].to_numpy(np.float64)
        png = plots.histogram(seconds, "seconds", log=True)
        charts.append(Picture("Length of all files", "Histogram over files: length in seconds.", png))
    wide = []
    if found.kind == "multilabel" and len(found.tags) > 1:
        counts = found.co_occurrence().to_numpy(np.int64)[np.ix_(order, order)]
        title = "Which tags come together"
        alt = "Share of the files of the row's tag that hold the column's tag too."
        wide.append(Picture(title, alt, plots.co_occurrence(counts, [found.tags[column] for column in order])))
    return charts, wide


def _examples(found: Inspection) -> list[Example]:
    """One typical file of each class; without classes, files spread over the set."""
    examples = []
    for tag, row in _typical(found)[:MOST_EXAMPLES]:
        path = str(found.files["path"].iat[row])
        try:
            samples = _loudest(path, float(found.files["duration_s"].tolist()[row]))
        except EarmarkError:
            continue  # it was read a moment ago; a picture less is no loss
        picture = log_mel(samples, PICTURE)[0]
        png = plots.spectrogram(picture, PICTURE.hop_length / EXAMPLE_HZ, BAND_CENTRES_HZ)
        examples.append(Example(tag, str(found.files["recording"].iat[row]), png, _mp3(samples)))
    return examples


def _typical(found: Inspection) -> list[tuple[str, int]]:
    """(tag, row of files): of each class the file nearest to its medians of length, level and upper frequency."""
    good = (found.files["verdict"] != "quarantined").to_numpy()
    columns = found.files[["duration_s", "rms_db", "bandwidth_hz"]].to_numpy(np.float64)
    if not found.tags:
        rows = np.flatnonzero(good)
        return [("", int(row)) for row in rows[np.linspace(0, len(rows) - 1, min(8, len(rows))).astype(int)]]
    chosen = []
    for column, tag in enumerate(found.tags):
        rows = np.flatnonzero(found.membership[:, column] & good)
        alone = rows[found.membership[rows].sum(axis=1) == 1]
        rows = alone if len(alone) else rows
        if len(rows):
            chosen.append((tag, int(rows[np.argmin(_distance(columns[rows]))])))
    return chosen


def _distance(columns: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    middle = np.median(columns, axis=0)
    spread = np.maximum(np.median(np.abs(columns - middle), axis=0), 1e-3)
    return np.asarray((np.abs(columns - middle) / spread).sum(axis=1))


def _loudest(path: str, duration_s: float) -> Samples:
    """The loudest EXAMPLE_S of a file, of its first ten minutes, at EXAMPLE_HZ."""
    samples = audio.read(path, stop_s=min(duration_s, 600.0), sample_rate_hz=EXAMPLE_HZ).samples
    n, step = int(EXAMPLE_S * EXAMPLE_HZ), EXAMPLE_HZ // 10
    if len(samples) > n:
        energy = np.add.reduceat(samples.astype(np.float64) ** 2, np.arange(0, len(samples), step))
        window = np.convolve(energy, np.ones(n // step), mode="valid")
        start = min(int(np.argmax(window)) * step, len(samples) - n)
        samples = samples[start : start + n]
    return samples


def _mp3(samples: Samples) -> bytes:
    """For the player: every browser plays MP3. Brought to -3 dBFS, so that quiet sounds are heard."""
    loud = samples * np.float32(0.7 / max(float(np.abs(samples).max()), 1e-6))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "example.mp3"
        write_audio(path, loud, EXAMPLE_HZ, bitrate_kbps=64)
        return path.read_bytes()


def _tile(value: str, label: str, look: str = "") -> dict[str, str]:
    return {"value": value, "label": label, "look": look}


def _hours(hours: float) -> str:
    if hours >= 1:
        return f"{hours:,.1f} h"
    return f"{hours * 60:.1f} min" if hours * 60 >= 1 else f"{hours * 3600:.1f} s"

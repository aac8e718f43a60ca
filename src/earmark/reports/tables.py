"""Tables that tell what a model was trained on and what it answered."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from earmark.data.manifest import SPLITS, Manifest
from earmark.metrics.results import ClipPredictions, Evaluation, plain

SPLIT_COLUMNS = ("id", "label", "path", "src")


def data_table(
    manifest: Manifest, durations_s: Sequence[float] | npt.NDArray[np.floating[Any]] | None = None
) -> pd.DataFrame:
    """One row a tag and a last row for all: clips, groups and minutes in each split, and the licences.

    Args:
        durations_s: (n,) of the manifest's clips; None leaves the minutes out.
    """
    split = manifest.rows["split"].to_numpy()
    used = manifest.split_names
    groups = manifest.rows["group"].to_numpy()
    licences = manifest.rows["licence"].to_numpy()
    seconds = None if durations_s is None else np.asarray(durations_s, dtype=np.float64)
    heard = manifest.targets > 0.5
    everything = np.ones((len(manifest), 1), dtype=bool)
    rows = []
    for tag, has in zip((*manifest.vocabulary.tags, "all"), np.concatenate([heard, everything], axis=1).T, strict=True):
        row: dict[str, Any] = {"tag": tag}
        for name in used:
            at = has & (split == name)
            title = name or "unsplit"
            row[f"{title} clips"] = int(at.sum())
            row[f"{title} groups"] = len(set(groups[at]))
            if seconds is not None:
                row[f"{title} minutes"] = round(float(seconds[at].sum()) / 60, 1)
        row["licences"] = ", ".join(sorted({str(value) for value in licences[has] if isinstance(value, str) and value}))
        rows.append(row)
    table = pd.DataFrame(rows)
    return table if table["licences"].any() else table.drop(columns="licences")


def write_split_tables(
    folder: Path, manifest: Manifest, *, seed: int | None = None, spec: Mapping[str, Any] | None = None
) -> list[Path]:
    """`train.csv`, `val.csv`, `test.csv` (or one a fold: `fold-1.csv` ...) and `metadata.json`: which clip went where.

    Columns: `id` (recording and span), `label` (several are joined by |), `path`, `src` (the group: the recording,
    artist or speaker the clip is a part of). `metadata.json` holds the counts per split and class, the number of
    groups, the seed of the split and the front end.

    Args:
        spec: the front end, as JSON takes it.

    Returns:
        The files written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = manifest.rows
    split = rows["split"].to_numpy()
    counts: dict[str, dict[str, int]] = {}
    written = []
    used = [name for name in manifest.split_names if name not in SPLITS] or list(SPLITS)
    for name in used:
        at = np.flatnonzero(split == name)
        table = pd.DataFrame(
            {
                "id": [clip_id(manifest, int(i)) for i in at],
                "label": ["|".join(manifest.labels_of(int(i))) for i in at],
                "path": rows["uri"].to_numpy()[at],
                "src": rows["group"].to_numpy()[at],
            },
            columns=list(SPLIT_COLUMNS),
            dtype=object,  # a file name need not be UTF-8, and a column of pandas strings must be
        )
        path = folder / f"{name}.csv"
        table.to_csv(path, index=False, encoding="utf-8", errors="surrogateescape")  # a path stays the file's own
        written.append(path)
        heard = (manifest.targets[at] > 0.5).sum(axis=0)
        counts[name] = {tag: int(n) for tag, n in zip(manifest.vocabulary.tags, heard, strict=True)}
    metadata = {
        "name": manifest.name,
        "classes": list(manifest.vocabulary.tags),
        "kind": manifest.vocabulary.kind,
        "clips": {name: int((split == name).sum()) for name in used},
        "groups": {name: int(rows["group"][split == name].nunique()) for name in used},
        "counts": counts,
        "seed": seed,
        "front_end": None if spec is None else plain(dict(spec)),
        "fingerprint": manifest.fingerprint(),
    }
    path = folder / "metadata.json"
    path.write_text(json.dumps(metadata, ensure_ascii=False, allow_nan=False, indent=2) + "\n", encoding="utf-8")
    return [*written, path]


def clip_id(manifest: Manifest, row: int) -> str:
    """The recording, and the span where the clip is a part of it: `dogs/rex.wav` or `dogs/rex.wav#2-4`."""
    recording = str(manifest.rows["recording"].iat[row])
    start, stop = (float(manifest.rows[name].to_numpy(np.float64)[row]) for name in ("start_s", "stop_s"))
    if np.isnan(start) and np.isnan(stop):
        return recording
    return f"{recording}#{0.0 if np.isnan(start) else start:g}-" + ("" if np.isnan(stop) else f"{stop:g}")


def write_predictions(
    path: Path,
    predictions: Mapping[str, ClipPredictions],
    evaluations: Mapping[str, Evaluation],
    probabilities: Mapping[str, npt.NDArray[np.floating[Any]]],
) -> None:
    """`predictions.parquet`: one row a clip.

    Columns: `split`, `path`, `start_s`, `end_s`, `group`, `true` and `predicted` (lists of tags), `correct`,
    then for each tag `probability:TAG` (float64: in float32 clips that the figures rank apart would tie) and
    `logit:TAG` (float32, as the net gave it), and for multilabel `labelled:TAG` (bool).
    """
    tables = []
    for split, clips in predictions.items():
        tags = clips.vocabulary.tags
        truth, said = clips.truth, evaluations[split].predicted
        columns: dict[str, pa.Array] = {
            "split": pa.array([split] * len(clips)),
            "path": pa.array([_plain(uri) for uri in clips.uris]),
            "start_s": pa.array(clips.start_s, from_pandas=True),
            "end_s": pa.array(clips.stop_s, from_pandas=True),
            "group": pa.array([_plain(group) for group in clips.groups]),
            "true": pa.array([[tags[i] for i in np.flatnonzero(row)] for row in truth], pa.list_(pa.string())),
            "predicted": pa.array([[tags[i] for i in np.flatnonzero(row)] for row in said], pa.list_(pa.string())),
            "correct": pa.array(((truth == said) | ~clips.mask).all(axis=1)),
        }
        for column, tag in enumerate(tags):
            columns[f"probability:{tag}"] = pa.array(probabilities[split][:, column].astype(np.float64))
            columns[f"logit:{tag}"] = pa.array(clips.logits[:, column].astype(np.float32))
            if not clips.is_exclusive:
                columns[f"labelled:{tag}"] = pa.array(clips.mask[:, column])
        tables.append(pa.table(columns))
    pq.write_table(pa.concat_tables(tables), path, compression="zstd")


def _plain(name: str) -> str:
    """A path of raw bytes as text that Parquet takes."""
    return os.fspath(name).encode("utf-8", "replace").decode()

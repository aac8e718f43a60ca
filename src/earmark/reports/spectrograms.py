"""Write the pictures that a front end makes of a data set: `.npz`, `.npy` or `.png`, one a window of a clip."""

from __future__ import annotations

import io
import json
import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from earmark import __version__
from earmark.audio.pool import map_files, time_limits
from earmark.bundle.load import load_bundle
from earmark.data.manifest import Manifest
from earmark.data.prepared import Quarantined
from earmark.errors import InputError, MissingExtraError
from earmark.features import mel
from earmark.features.spec import FeatureSpec
from earmark.recipes import load_recipe
from earmark.reports.picture_worker import PictureTask, pictures
from earmark.reports.prepared_folder import PreparedFolder
from earmark.reports.tables import clip_id
from earmark.types import Progress, Quiet, Reason

Format = Literal["npz", "npy", "png"]
FORMATS: tuple[Format, ...] = ("npz", "npy", "png")
INDEX_COLUMNS = ("id", "label", "path", "src", "split", "start_s")
_QUIET = Quiet()


@dataclass(frozen=True, slots=True)
class Exported:
    """Attributes:

    folder: where the files are.
    pictures: how many there are, without the index and the metadata.
    already: how many of them an earlier run had written.
    clips: clips they are of.
    shape: of one picture, (bands, frames), or (channels, bands, frames) with deltas.
    quarantine: files that could not be used.
    """

    folder: Path
    pictures: int
    already: int
    clips: int
    shape: tuple[int, ...]
    quarantine: list[Quarantined]

    def to_json(self) -> dict[str, Any]:
        return {
            "folder": str(self.folder),
            "pictures": self.pictures,
            "already": self.already,
            "clips": self.clips,
            "shape": list(self.shape),
            "quarantine": [{"path": q.path, "reason": str(q.reason), "message": q.message} for q in self.quarantine],
        }


def check_format(name: str) -> Format:
    """`name` as a Format; InputError for another."""
    for known in FORMATS:
        if name == known:
            return known
    raise InputError(f"--format {name}: expected one of {', '.join(FORMATS)}.")


def choose_front_end(recipe: str | None, model: Path | None, overrides: Sequence[str] = ()) -> FeatureSpec:
    """The front end of a model folder, or of a recipe (default: `small-cnn`) with `overrides` on top.

    Raises:
        InputError: both, or overrides of a model.
    """
    if model is None:
        return load_recipe(recipe or "small-cnn", overrides).front_end
    if recipe is not None or overrides:
        raise InputError("--model brings its own front end; leave out --recipe and --set, or leave out --model.")
    return load_bundle(model).header.front_end


def export_spectrograms(
    manifest: Manifest,
    spec: FeatureSpec,
    out: Path,
    *,
    format: Format,
    axes: bool = False,
    workers: int = 1,
    timeout_s: float = 60.0,
    progress: Progress = _QUIET,
) -> Exported:
    """Write each clip's pictures under its own path, with `index.csv` and `metadata.json` beside them.

    A clip longer than the front end's `clip_s` becomes several windows (the last reaches back, so none is padded);
    a shorter one is padded as the front end says. With `normalise: band-statistics` the pictures are as scaled,
    because the statistics belong to a training. A recording whose pictures an earlier run has written whole is left
    out, so a run that was stopped goes on.

    Args:
        format: `npz` holds `mel` (float32) and `label` (text; several joined by |); `npy` the array alone; `png` one
            pixel a value, low bands at the bottom.
        axes: `png` with seconds, hertz and a colour bar.

    Raises:
        InputError: the folder holds another preparation, a foreign file is in the way, or no clip could be used.
        MissingExtraError: `png` without matplotlib.
    """
    if format == "png":
        _require_matplotlib()
    what = {
        "command": "export spectrograms",
        "format": format,
        "axes": axes,
        "front_end": spec.model_dump(mode="json"),
        "data": manifest.fingerprint(),
    }
    names = _names(manifest)
    tasks, rows_of = _tasks(manifest, spec)
    stamps = {path: _stamp(path) for path in rows_of}
    found = _Found(manifest, names, format)
    progress.start("export", len(manifest), "clips")
    try:
        with PreparedFolder(out, what) as folder:
            todo = []
            for path, task in tasks:
                rows = rows_of[path]
                known = folder.done(str(rows[0]))
                same = known is not None and known["of"] == stamps[path] != []
                if known is not None and same and found.are_whole(folder, rows, known["starts"]):
                    found.add(path, rows, known["starts"], tuple(known["shape"]))
                    progress.advance(len(rows))
                else:
                    todo.append((path, task))
            already = len(found.index)
            limits = time_limits([path for path, _ in todo], timeout_s)
            for outcome in map_files(pictures, todo, workers=workers, timeout_s=limits):
                rows = rows_of[outcome.path]
                progress.advance(len(rows))
                if outcome.error is not None or outcome.value is None:
                    reason = Reason(outcome.error.reason) if outcome.error else Reason.CRASHED
                    found.quarantine.append(Quarantined(outcome.path, reason, str(outcome.error)))
                    continue
                shape: tuple[int, ...] = ()
                for row, windows in zip(rows, outcome.value, strict=True):
                    for stem, (_, picture) in zip(found.stems(row, len(windows)), windows, strict=True):
                        shown = picture[0] if len(picture) == 1 else picture
                        shape = shown.shape
                        label = "|".join(manifest.labels_of(row))
                        data = _encode(shown, label, format, spec, axes=axes, title=f"{label}: {stem}")
                        folder.write(f"{stem}.{format}", data)
                starts = [[start_s for start_s, _ in windows] for windows in outcome.value]
                folder.note_done(str(rows[0]), {"of": stamps[outcome.path], "starts": starts, "shape": shape})
                found.add(outcome.path, rows, starts, shape)
            if not found.index:
                reason_text = found.quarantine[0].message if found.quarantine else "it has no clip"
                raise InputError(f"{manifest.name}: nothing to export ({reason_text}).")
            found.index.sort(key=lambda entry: str(entry["path"]))
            table = pd.DataFrame(found.index, columns=list(INDEX_COLUMNS))
            folder.write("index.csv", table.to_csv(index=False).encode())
            folder.write("metadata.json", _metadata(manifest, spec, format, found.shape, table))
    finally:
        progress.stop()
    return Exported(out, len(found.index), already, found.clips, found.shape, found.quarantine)


class _Found:
    """What an export holds, recording by recording, written now or before."""

    def __init__(self, manifest: Manifest, names: list[str], format: Format) -> None:
        self.index: list[dict[str, Any]] = []
        self.quarantine: list[Quarantined] = []
        self.clips = 0
        self.shape: tuple[int, ...] = ()
        self._manifest, self._names, self._format = manifest, names, format

    def stems(self, row: int, windows: int) -> list[str]:
        """The paths of a clip's pictures, without suffix."""
        return [self._names[row] + (f"_{number:03d}" if windows > 1 else "") for number in range(windows)]

    def are_whole(self, folder: PreparedFolder, rows: list[int], starts: list[list[float]]) -> bool:
        """Whether the pictures of a recording's clips are all there as they were written."""
        return all(
            folder.holds(f"{stem}.{self._format}")
            for row, windows in zip(rows, starts, strict=True)
            for stem in self.stems(row, len(windows))
        )

    def add(self, path: str, rows: list[int], starts: list[list[float]], shape: tuple[int, ...]) -> None:
        """A recording: of each of its clips, where its windows start, in seconds."""
        self.shape = shape or self.shape
        for row, windows in zip(rows, starts, strict=True):
            self.clips += bool(windows)
            if not windows:
                span = f"from {self._manifest.rows['start_s'].iat[row]:g} s"
                message = f"{path}: the clip {span} lies outside the recording; correct the span."
                self.quarantine.append(Quarantined(path, Reason.TOO_SHORT, message))
            label = "|".join(self._manifest.labels_of(row))
            for stem, start_s in zip(self.stems(row, len(windows)), windows, strict=True):
                self.index.append(_index_row(self._manifest, row, stem, self._format, label, start_s))


def _stamp(path: str) -> list[Any]:
    """By what a recording, and how its pictures are made, are known again."""
    try:
        found = os.stat(path)
    except OSError:
        return []
    return [__version__, found.st_size, found.st_mtime_ns]


def _tasks(manifest: Manifest, spec: FeatureSpec) -> tuple[list[tuple[str, PictureTask]], dict[str, list[int]]]:
    rows_of: dict[str, list[int]] = {}
    for row, uri in enumerate(manifest.rows["uri"]):
        rows_of.setdefault(uri, []).append(row)
    starts, stops = manifest.rows["start_s"].tolist(), manifest.rows["stop_s"].tolist()
    tasks = [
        (uri, PictureTask(uri, tuple((starts[row], stops[row]) for row in rows), spec)) for uri, rows in rows_of.items()
    ]
    return tasks, rows_of


def _names(manifest: Manifest) -> list[str]:
    """A path without suffix for each clip, like its recording's, each once, and always UTF-8."""
    bases = []
    for recording in manifest.rows["recording"]:
        path = PurePosixPath(recording)
        parts = [part for part in path.with_suffix("").parts if part not in ("..", "/")]
        bases.append(_plain("/".join(parts)))
    counts = Counter(bases)
    seen: dict[str, int] = {}
    result = []
    for base in bases:
        if counts[base] == 1:
            result.append(base)
            continue
        seen[base] = seen.get(base, 0) + 1
        result.append(f"{base}-{seen[base]}")
    return result


def _plain(name: str) -> str:
    """A name of raw bytes as text, with the replacement character for what is not UTF-8."""
    return os.fsencode(name).decode("utf-8", "replace")


def _index_row(manifest: Manifest, row: int, stem: str, format: str, label: str, start_s: float) -> dict[str, Any]:
    return {
        "id": _plain(clip_id(manifest, row)),
        "label": label,
        "path": f"{stem}.{format}",
        "src": _plain(str(manifest.rows["group"].iat[row])),
        "split": str(manifest.rows["split"].iat[row]),
        "start_s": round(start_s, 6),
    }


def _encode(
    picture: npt.NDArray[np.float32], label: str, format: Format, spec: FeatureSpec, *, axes: bool, title: str
) -> bytes:
    buffer = io.BytesIO()
    if format == "npz":
        np.savez_compressed(buffer, mel=picture, label=np.array(label))
    elif format == "npy":
        np.save(buffer, picture, allow_pickle=False)
    else:
        return _png(picture if picture.ndim == 2 else picture[0], spec, axes=axes, title=title)
    return buffer.getvalue()


def _png(picture: npt.NDArray[np.float32], spec: FeatureSpec, *, axes: bool, title: str) -> bytes:
    from earmark.reports import plots

    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "picture.png"
        if axes:
            edges = mel.mel_edges(spec.n_mels, spec.fmin_hz, spec.upper_hz, spec.mel_scale)
            centres: Sequence[float] = np.interp(
                np.linspace(0, 1, len(picture)), np.linspace(0, 1, spec.n_mels), edges[1:-1]
            ).tolist()
            figure = plots.spectrogram_figure(
                picture,
                duration_s=_duration_s(spec),
                band_edges_hz=centres,
                title=title,
                unit=_unit(spec),
            )
            plots.save_png(figure, path, dots_per_inch=110)
        else:
            plots.spectrogram_png(path, picture)
        return path.read_bytes()


def _duration_s(spec: FeatureSpec) -> float:
    frames = spec.patch_frames
    return spec.clip_s if frames is None else frames * spec.hop_length / spec.sample_rate_hz


def _unit(spec: FeatureSpec) -> str:
    if spec.normalise not in ("none", "band-statistics"):
        return "normalised"
    return {"db": "dB", "ln": "ln", "none": ""}[spec.scaling]


def _metadata(manifest: Manifest, spec: FeatureSpec, format: str, shape: tuple[int, ...], index: pd.DataFrame) -> bytes:
    counts: dict[str, dict[str, int]] = {}
    for split, label in zip(index["split"], index["label"], strict=True):
        of_split = counts.setdefault(split or "unsplit", {})
        of_split[label] = of_split.get(label, 0) + 1
    content = {
        "made_by": f"earmark {__version__}",
        "name": manifest.name,
        "format": format,
        "shape": list(shape),
        "classes": list(manifest.vocabulary.tags),
        "pictures": counts,
        "front_end": spec.model_dump(mode="json"),
        "steps": spec.describe(),
        "normalised": spec.normalise not in ("none", "band-statistics"),
    }
    return (json.dumps(content, ensure_ascii=False, indent=2) + "\n").encode()


def _require_matplotlib() -> None:
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingExtraError('png needs matplotlib: pip install "earmark[train]", or choose npz or npy.') from error

"""`earmark inspect`: what is in a folder of sounds, what is broken, is it balanced, can a detector cheat."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from earmark import layouts
from earmark.audio.find import find_audio, looks_like_audio
from earmark.audio.pool import map_files, time_limits
from earmark.data.group_names import Suggestion, suggest_groups
from earmark.data.manifest import Manifest
from earmark.data.prepared import Quarantined
from earmark.data.splits import group_by as apply_groups
from earmark.errors import InputError, Interrupted
from earmark.explore.confounds import Confound, find_confounds
from earmark.explore.copies import copied_files
from earmark.explore.findings import Finding, find_all
from earmark.explore.kept import Kept
from earmark.explore.measure import Measured, measure
from earmark.formats.words import counted
from earmark.types import Progress, Quiet, Reason, Verdict

# Files that lie beside sounds and are none; any other file in a folder without a layout gets a verdict.
NOT_SOUND = frozenset(
    f".{suffix}"
    for suffix in (
        *("csv", "tsv", "json", "jsonl", "txt", "md", "rst", "html", "pdf", "xml", "yaml", "yml", "toml", "parquet"),
        *("npy", "npz", "h5", "py", "png", "jpg", "jpeg", "gif", "svg", "webp", "log", "zip", "gz", "tar", "db"),
    )
)


@dataclass(frozen=True, eq=False)
class Inspection:
    """What was found.

    Attributes:
        root: what was looked at.
        layout: name of the layout; None where nothing says what the files are.
        layout_note: why there are no labels; empty where there are.
        kind: `exclusive`, `multilabel` or None.
        tags: names of the classes.
        files: one row a file: path (absolute), recording (relative), verdict, reason, message, tags (tuple), group,
            and the columns of `Measured` (missing values for a file in quarantine).
        membership: (files, tags) bool.
        clips: labelled clips; more than files where a file holds several.
        per_tag: one row a tag: tag, files, clips, minutes, groups, quarantined.
        exact: clusters of rows of `files` with identical audio.
        copies: clusters of rows with the same recording in another coding, identical ones included.
        confounds: properties that give a class away.
        guesses: patterns for `--group-by`, at most one a class.
        findings: what to know and to do, most pressing first.
    """

    root: Path
    layout: str | None
    layout_note: str
    kind: str | None
    tags: tuple[str, ...]
    files: pd.DataFrame
    membership: npt.NDArray[np.bool_]
    clips: int
    per_tag: pd.DataFrame
    exact: list[list[int]]
    copies: list[list[int]]
    confounds: list[Confound]
    guesses: list[Suggestion]
    findings: list[Finding]

    @property
    def verdicts(self) -> dict[str, int]:
        """How many files were read, read in part, and quarantined."""
        return {verdict.value: int((self.files["verdict"] == verdict).sum()) for verdict in Verdict}

    @property
    def quarantine(self) -> list[Quarantined]:
        rows = self.files[self.files["verdict"] == Verdict.QUARANTINED]
        return [
            Quarantined(path, Reason(reason), message)
            for path, reason, message in zip(rows["path"], rows["reason"], rows["message"], strict=True)
        ]

    @property
    def usable(self) -> pd.DataFrame:
        return self.files[self.files["verdict"] != Verdict.QUARANTINED]

    @property
    def hours(self) -> float:
        return float(self.usable["duration_s"].sum()) / 3600

    def co_occurrence(self) -> pd.DataFrame:
        """(tags, tags): files that hold both; on the diagonal, files that hold the tag."""
        counts = self.membership.astype(np.int64).T @ self.membership.astype(np.int64)
        return pd.DataFrame(counts, index=self.tags, columns=self.tags)

    def combinations(self) -> pd.Series[int]:
        """How many files have each combination of tags, commonest first."""
        return pd.Series([" + ".join(tags) for tags in self.files["tags"] if tags], dtype=object).value_counts()

    def counts(self, column: str) -> dict[str, int]:
        """How many usable files have each value of a column, commonest first."""
        values = self.usable[column]
        values = values.astype(int) if column in ("sample_rate_hz", "channels") else values
        return {str(value): int(n) for value, n in values.value_counts().items()}

    def to_json(self) -> dict[str, Any]:
        """For `--json`. `files`, `verdicts` and `quarantine` are fixed for scripts."""
        usable = self.usable
        return {
            "files": len(self.files),
            "verdicts": self.verdicts,
            "quarantine": [{"path": q.path, "reason": q.reason.value, "message": q.message} for q in self.quarantine],
            "partial": [
                {"path": path, "warning": warning}
                for path, warning in zip(usable["path"], usable["warning"], strict=True)
                if warning
            ],
            "layout": self.layout,
            "layout_note": self.layout_note,
            "kind": self.kind,
            "clips": self.clips,
            "hours": self.hours,
            "sample_rates_hz": self.counts("sample_rate_hz"),
            "channels": self.counts("channels"),
            "formats": self.counts("format"),
            "durations_s": _quantiles(usable["duration_s"]),
            "rms_db": _quantiles(usable["rms_db"]),
            "bandwidth_hz": _quantiles(usable["bandwidth_hz"]),
            "per_tag": self.per_tag.to_dict("records"),
            "combinations": {str(tags): int(n) for tags, n in self.combinations().head(50).items()},
            "exact_duplicates": [self._paths(cluster) for cluster in self.exact],
            "copies": [self._paths(cluster) for cluster in self.copies],
            "confounds": [asdict(confound) | {"sentence": confound.sentence()} for confound in self.confounds],
            "group_guesses": [
                {
                    "tag": guess.tag,
                    "pattern": guess.pattern,
                    "option": guess.option,
                    "groups": dict(guess.prefixes),
                }
                for guess in self.guesses
            ],
            "findings": [asdict(finding) for finding in self.findings],
        }

    def _paths(self, cluster: Iterable[int]) -> list[str]:
        return [str(self.files["recording"].iat[row]) for row in cluster]


def inspect(
    path: Path,
    *,
    workers: int,
    timeout_s: float,
    layout: str | None = None,
    group_by: Sequence[str] = (),
    cache_dir: Path | None = None,
    progress: Progress | None = None,
) -> Inspection:
    """Open every file under `path` and say what is there.

    Args:
        path: a folder of sounds in any layout or in none, a manifest file, or catalog:TASK.
        workers: processes that decode.
        timeout_s: for a small file; larger ones get more (`earmark.audio.pool.time_limits`).
        layout: see `earmark.layouts`; default: found by looking, or none.
        group_by: see `earmark.data.splits.group_by`.
        cache_dir: where what is measured is kept for the next look (`earmark.explore.kept`); None: nowhere.
        progress: told one `file` at a time.

    Raises:
        InputError: no such folder, or no file in it; a layout asked for that does not fit.
        Interrupted: Ctrl-C or SIGTERM while files are measured.
    """
    progress = Quiet() if progress is None else progress
    manifest, note = _labels(path, layout, group_by)
    paths = _files(path, manifest)
    if not paths:
        raise InputError(f"{path}: no audio file in it; give the folder that holds the sounds.")
    with closing(Kept(cache_dir, path, paths)) as kept:
        rows = _measure_all(paths, kept, workers=workers, timeout_s=timeout_s, progress=progress)
        kept.tidy()
    of_catalog = manifest is not None and manifest.layout == layouts.catalog.NAME
    root = manifest.root if manifest is not None and of_catalog else path if path.is_dir() else path.parent
    files = _table(rows)
    # as objects: a file name need not be UTF-8, and a column of pandas strings must be
    files.insert(1, "recording", pd.Series([_relative(p, root) for p in files["path"]], dtype=object))
    tags = manifest.vocabulary.tags if manifest else ()
    membership = _membership(files, manifest)
    files["tags"] = [tuple(tags[c] for c in np.flatnonzero(row)) for row in membership]
    files["group"] = pd.Series(_groups(files, manifest), dtype=object)
    usable = [row for row, verdict in enumerate(files["verdict"]) if verdict != Verdict.QUARANTINED]
    exact = _equal(files, usable)
    found = copied_files(
        files["path"].iloc[usable].tolist(),
        [np.frombuffer(words, "<u4") for words in files["fingerprint"].iloc[usable]],
        files["audio_sha256"].iloc[usable].tolist(),
        workers=workers,
        timeout_s=timeout_s,
        progress=progress,
    )
    pairs = [(usable[a], usable[b]) for a, b in found]
    copies = _clusters([*pairs, *((c[0], other) for c in exact for other in c[1:])])
    confounds = find_confounds(files.iloc[usable], membership[usable], tags) if len(tags) > 1 else []
    guesses = suggest_groups(manifest) if manifest is not None and not group_by else []
    per_tag = _per_tag(files, membership, tags, manifest)
    kind = manifest.vocabulary.kind if manifest else None
    outside = _outside(files, manifest)
    findings = find_all(files, per_tag, kind, note, exact, copies, confounds, guesses, outside)
    return Inspection(
        root=path,
        layout=manifest.layout if manifest else None,
        layout_note=note,
        kind=kind,
        tags=tags,
        files=files,
        membership=membership,
        clips=len(manifest) if manifest else 0,
        per_tag=per_tag,
        exact=exact,
        copies=copies,
        confounds=confounds,
        guesses=guesses,
        findings=findings,
    )


_TEXT = ("path", "verdict", "reason", "message", "format", "warning", "audio_sha256", "fingerprint")
_COLUMNS = ["path", "verdict", "reason", "message", *(field.name for field in fields(Measured))]


def _labels(path: Path, layout: str | None, group_by: Sequence[str]) -> tuple[Manifest | None, str]:
    """The manifest, or why there is none: sounds without labels are worth a look too."""
    of_catalog = layouts.catalog.is_catalog(path) and not path.exists()
    if not path.exists() and not of_catalog:
        raise InputError(f"{path}: no such folder; give the folder that holds the sounds.")
    try:
        manifest = layouts.read(path, layout=layout)
    except InputError as error:
        if layout is not None or path.is_file() or of_catalog:
            raise
        if group_by:
            raise InputError(f"--group-by needs labelled files, and there are none. {error}") from error
        return None, str(error)
    return (apply_groups(manifest, group_by) if group_by else manifest), ""


def _files(path: Path, manifest: Manifest | None) -> list[str]:
    """The manifest's files and the other sounds beside them; each once."""
    found: list[str] = []
    if path.is_dir():
        found = [
            os.path.abspath(file)
            for file in find_audio(path, any_suffix=manifest is None)
            if looks_like_audio(file) or file.suffix.lower() not in NOT_SOUND
        ]
    named = manifest.rows["uri"].tolist() if manifest else []
    files = {os.path.realpath(file): file for file in [*found, *named]}  # the manifest's own name for it counts
    return list(dict.fromkeys([*named, *files.values()]))


def _measure_all(
    paths: list[str], kept: Kept, *, workers: int, timeout_s: float, progress: Progress
) -> list[tuple[Any, ...]]:
    """A row of `_COLUMNS` for each path, in order; what is broken is opened each time, it may have been mended."""
    rows = {path: _row(path, found) for path, found in kept.rows.items()}
    nothing = [np.nan] * (len(_COLUMNS) - 4)
    items = [(path, path) for path in paths if path not in rows]
    limits = time_limits([path for path, _ in items], timeout_s)
    progress.start("Listening", len(paths), "files")
    progress.advance(len(rows))
    try:
        for outcome in map_files(measure, items, workers=workers, timeout_s=limits):
            if outcome.value is not None:
                kept.add(outcome.path, outcome.value)
                rows[outcome.path] = _row(outcome.path, outcome.value)
            elif outcome.error is not None:
                error = outcome.error
                rows[outcome.path] = (outcome.path, "quarantined", str(error.reason), str(error), *nothing)
            progress.advance(1)
    except KeyboardInterrupt:
        known = f"{len(kept.rows):,} of {counted(len(paths), 'file')}"
        raise Interrupted(f"stopped; the figures of {known} are kept, run the same command again to go on.") from None
    finally:
        progress.stop()
    return [rows[path] for path in paths]


def _row(path: str, found: Measured) -> tuple[Any, ...]:
    verdict = Verdict.PARTIAL if found.warning else Verdict.READ
    return (path, verdict.value, "", "", *(getattr(found, field.name) for field in fields(Measured)))


def _table(rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    columns = {name: [row[at] for row in rows] for at, name in enumerate(_COLUMNS)}
    return pd.DataFrame({n: pd.Series(v, dtype=object if n in _TEXT else None) for n, v in columns.items()})


def _membership(files: pd.DataFrame, manifest: Manifest | None) -> npt.NDArray[np.bool_]:
    if manifest is None:
        return np.zeros((len(files), 0), np.bool_)
    membership = np.zeros((len(files), len(manifest.vocabulary)), np.bool_)
    position = {path: row for row, path in enumerate(files["path"])}
    np.logical_or.at(membership, [position[uri] for uri in manifest.rows["uri"]], manifest.targets > 0.5)
    return membership


def _outside(files: pd.DataFrame, manifest: Manifest | None) -> list[str]:
    """Each clip of a manifest that begins where its recording has ended already, as words."""
    if manifest is None:
        return []
    length = dict(zip(files["path"], files["duration_s"], strict=True))
    rows = manifest.rows
    return [
        f"{recording} from {start_s:g} s (it is {length[uri]:.2f} s long)"
        for uri, recording, start_s in zip(rows["uri"], rows["recording"], rows["start_s"], strict=True)
        if start_s >= length.get(uri, np.nan)
    ]


def _groups(files: pd.DataFrame, manifest: Manifest | None) -> list[str]:
    """Each file's group; where nobody says, the file itself."""
    if manifest is None:
        return [str(name) for name in files["recording"]]
    of = dict(zip(manifest.rows["uri"], manifest.rows["group"], strict=True))
    return [of.get(path, name) for path, name in zip(files["path"], files["recording"], strict=True)]


def _equal(files: pd.DataFrame, usable: list[int]) -> list[list[int]]:
    clusters: dict[str, list[int]] = {}
    hashes = files["audio_sha256"].tolist()
    for row in usable:
        clusters.setdefault(hashes[row], []).append(row)
    return [cluster for cluster in clusters.values() if len(cluster) > 1]


def _clusters(pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Connected rows, each cluster sorted."""
    parent: dict[int, int] = {}

    def top(row: int) -> int:
        while parent.setdefault(row, row) != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for a, b in pairs:
        parent[top(b)] = top(a)
    clusters: dict[int, list[int]] = {}
    for row in sorted(parent):
        clusters.setdefault(top(row), []).append(row)
    return sorted(clusters.values())


def _per_tag(
    files: pd.DataFrame, membership: npt.NDArray[np.bool_], tags: tuple[str, ...], manifest: Manifest | None
) -> pd.DataFrame:
    good = (files["verdict"] != Verdict.QUARANTINED).to_numpy()
    rows = []
    for column, tag in enumerate(tags):
        inside = membership[:, column]
        assert manifest is not None
        rows.append(
            {
                "tag": tag,
                "files": int((inside & good).sum()),
                "clips": int((manifest.targets[:, column] > 0.5).sum()),
                "minutes": float(files["duration_s"][inside & good].sum()) / 60,
                "groups": int(files["group"][inside & good].nunique()),
                "quarantined": int((inside & ~good).sum()),
            }
        )
    return pd.DataFrame(rows, columns=["tag", "files", "clips", "minutes", "groups", "quarantined"])


def _quantiles(values: pd.Series[Any]) -> dict[str, float] | None:
    """min, 5 %, median, 95 %, max and mean; None of nothing."""
    known = values.dropna()
    if known.empty:
        return None
    names = {"min": 0.0, "p05": 0.05, "median": 0.5, "p95": 0.95, "max": 1.0}
    return {name: float(known.quantile(q)) for name, q in names.items()} | {"mean": float(known.mean())}


def _relative(path: str, root: Path) -> str:
    return Path(os.path.relpath(path, os.path.abspath(root))).as_posix()

"""The table that a training, an evaluation or a labelling round runs on: which clips, what is heard in them, who may
not be parted from whom. Every function here is pure: a Manifest in, a new Manifest out."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from earmark.errors import InputError, LayoutError
from earmark.formats.words import counted
from earmark.types import Vocabulary, VocabularyKind

Trust: TypeAlias = Literal["curated", "noisy"]

SPLITS = ("train", "val", "test")
TRUSTS = ("curated", "noisy")
COLUMNS = (
    "uri",
    "recording",
    "start_s",
    "stop_s",
    "group",
    "group_is_given",
    "fold",
    "split",
    "trust",
    "weight",
    "licence",
    "source",
)
# What says the same on every machine; `uri` does not.
_PORTABLE = tuple(column for column in COLUMNS if column not in ("uri", "group_is_given"))


@dataclass(frozen=True, slots=True)
class Item:
    """One clip as a layout found it, before it is a row.

    Attributes:
        path: the audio file.
        labels: the tags heard in it; none is allowed where the vocabulary is multilabel.
        start_s, stop_s: the span in seconds; None is the file's beginning, its end.
        group: what must never be split; None means that the recording is its own group.
        fold: a fold given by the data set; split: '', 'train', 'val' or 'test', given by the data set.
        weight: what the clip counts in training, above 0.
        unlabelled: tags nobody has decided on for this clip; ('*',) is every tag that is not in `labels`.
        tag_weights: tag -> what its target counts beside the clip's others, above 0, heard or not; 1 where it is not
            named. Only where the vocabulary is multilabel: a class has the `weight` of its clip.
        where: for messages, e.g. `meta/esc50.csv row 12`; rows count as a spreadsheet shows them, the header is row 1.
        path_column, labels_column: for messages, the columns of that row that name the file and its labels; '' where
            there are no columns.
    """

    path: Path
    labels: tuple[str, ...]
    start_s: float | None = None
    stop_s: float | None = None
    group: str | None = None
    fold: int | None = None
    split: str = ""
    weight: float = 1.0
    trust: Trust = "curated"
    licence: str | None = None
    source: str | None = None
    unlabelled: tuple[str, ...] = ()
    tag_weights: Mapping[str, float] = field(default_factory=dict)
    where: str = ""
    path_column: str = ""
    labels_column: str = ""

    def at(self, column: str) -> str:
        """`where`, and the column of it."""
        return f"{self.where}, column {column!r}" if self.where and column else self.where


@dataclass(frozen=True, eq=False)
class Manifest:
    """n clips and their targets for the tags of a vocabulary.

    Attributes:
        rows: n rows with a RangeIndex and always all of COLUMNS: `uri` (absolute path), `recording` (path relative
            to `root`, with '/'), `start_s` and `stop_s` (seconds; NaN: from the beginning, to the end), `group` (never
            empty), `group_is_given` (False where the group is only the recording itself), `fold` (Int64, may be
            missing), `split` ('', 'train', 'val', 'test'), `trust` ('curated', 'noisy'), `weight` (of the clip),
            `licence` and `source` (str or None).
        targets: (n, tags) float32, 1 where the tag is heard, 0 where it is not.
        weights: (n, tags) float32, 1 where that is known, 0 where the tag is unlabelled, and between where it is not
            sure. The weight of the clip is not in it: `loss_weights` has both.
        vocabulary: the map between tags and columns.
        root: the folder it was read from.
        layout: the layout it was read by.
        name: of the data set, for reports.
    """

    rows: pd.DataFrame
    targets: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float32]
    vocabulary: Vocabulary
    root: Path
    layout: str
    name: str

    def __post_init__(self) -> None:
        absent = [column for column in COLUMNS if column not in self.rows.columns]
        if absent:
            raise InputError(f"manifest {self.name!r}: column {absent[0]!r} is missing; all of {COLUMNS} are needed.")
        shape = (len(self.rows), len(self.vocabulary))
        if self.targets.shape != shape or self.weights.shape != shape:
            raise InputError(
                f"manifest {self.name!r}: targets are {self.targets.shape} and weights {self.weights.shape}, "
                f"but {shape[0]} rows and {shape[1]} tags need {shape}."
            )
        for name in ("targets", "weights"):
            frozen = getattr(self, name).view()  # a view: the caller's own array stays writable
            frozen.setflags(write=False)
            object.__setattr__(self, name, frozen)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def is_exclusive(self) -> bool:
        """Whether every clip has exactly one tag."""
        return self.vocabulary.kind == "exclusive"

    @property
    def loss_weights(self) -> npt.NDArray[np.float32]:
        """(n, tags) float32: what each target counts in a loss, the weight of the clip included."""
        return np.asarray(self.weights * self.rows["weight"].to_numpy(np.float32)[:, None], dtype=np.float32)

    def labels_of(self, i: int) -> tuple[str, ...]:
        """The tags heard in clip `i`, in the vocabulary's order."""
        return tuple(self.vocabulary.tags[column] for column in np.flatnonzero(self.targets[i] > 0.5))

    def class_indices(self) -> npt.NDArray[np.int64]:
        """(n,) int64: the one class of each clip; InputError where clips may have several tags."""
        if not self.is_exclusive:
            raise InputError(f"manifest {self.name!r} is multilabel: a clip has no one class; use its targets.")
        return np.asarray(self.targets.argmax(axis=1), dtype=np.int64)

    def take(self, indices: Sequence[int] | npt.NDArray[Any]) -> Manifest:
        """The clips `indices` (or a boolean mask of n), in that order, with the same vocabulary."""
        chosen = np.asarray(indices)
        if chosen.dtype == bool:
            chosen = np.flatnonzero(chosen)
        chosen = chosen.astype(np.int64)
        return replace(
            self,
            rows=self.rows.iloc[chosen].reset_index(drop=True),
            targets=self.targets[chosen],
            weights=self.weights[chosen],
        )

    def with_rows(self, **columns: Any) -> Manifest:
        """The same clips with some columns of `rows` replaced."""
        unknown = [column for column in columns if column not in COLUMNS]
        if unknown:
            raise InputError(f"manifest: no column {unknown[0]!r}; columns are {', '.join(COLUMNS)}.")
        return replace(self, rows=self.rows.assign(**columns))

    @property
    def split_names(self) -> list[str]:
        """The splits that have clips: train, val, test, then others (folds) by name and number, then '' (none)."""
        found = set(self.rows["split"])
        others = sorted(found - set(SPLITS) - {""}, key=lambda name: (len(name), name))
        return [name for name in (*SPLITS, *others, "") if name in found]

    def by_fold(self) -> Manifest:
        """With `fold-1`, `fold-2` ... as splits, by the folds' own numbers, and `train only` for clips in none."""
        return self.with_rows(split=["train only" if pd.isna(fold) else f"fold-{fold}" for fold in self.rows["fold"]])

    def counts(self) -> pd.DataFrame:
        """Clips per tag: one row a tag, one column for each split that is used ('' is 'unsplit'), and 'total'."""
        heard = self.targets > 0.5
        split = self.rows["split"].to_numpy()
        columns = {(name or "unsplit"): heard[split == name].sum(axis=0).astype(int) for name in self.split_names}
        columns["total"] = heard.sum(axis=0).astype(int)
        return pd.DataFrame(columns, index=pd.Index(self.vocabulary.tags, name="tag"))

    def fingerprint(self) -> str:
        """sha256, hex, of everything but where the files lie on this machine: rows, targets, weights, vocabulary."""
        digest = hashlib.sha256()
        digest.update(json.dumps([self.vocabulary.kind, *self.vocabulary.tags]).encode())
        for column in _PORTABLE:
            values = self.rows[column].tolist()
            plain = [None if pd.isna(value) else value for value in values]
            digest.update(json.dumps([column, plain], ensure_ascii=True).encode())
        digest.update(np.ascontiguousarray(self.targets, dtype="<f4").tobytes())
        digest.update(np.ascontiguousarray(self.weights, dtype="<f4").tobytes())
        return digest.hexdigest()

    def to_table(self, folder: Path) -> pd.DataFrame:
        """The table of the manifest layout, with paths relative to `folder`; optional columns only where needed.

        Raises:
            InputError: targets (exclusive: or label weights) that are not 0 or 1, which no labels column can say.
        """
        only_labels = [("target", self.targets)] + ([("weight", self.weights)] if self.is_exclusive else [])
        for what, array in only_labels:
            odd = ~np.isin(array, (0.0, 1.0))
            if odd.any():
                row, column = np.argwhere(odd)[0]
                raise InputError(
                    f"manifest {self.name!r}: the {what} of {self.vocabulary.tags[column]!r} in "
                    f"{self.rows['recording'][row]} is {array[row, column]:g}; a table of labels can only say 0 or 1."
                )
        rows = self.rows
        table = pd.DataFrame({"path": [relative_path(Path(uri), folder) for uri in rows["uri"]]})
        table["labels"] = [join_labels(self.labels_of(i)) for i in range(len(self))]
        unknown = self.weights == 0.0
        if unknown.any():
            tags = self.vocabulary.tags
            table["unlabelled"] = [join_labels(tags[column] for column in np.flatnonzero(row)) for row in unknown]
        odd = ~np.isin(self.weights, (0.0, 1.0))
        if odd.any():
            found = [[(tags, self.weights[i, tags]) for tags in np.flatnonzero(odd[i])] for i in range(len(self))]
            names = self.vocabulary.tags
            table["tag_weights"] = [join_labels(f"{names[tag]}={weight}" for tag, weight in row) for row in found]
        if not self.is_exclusive and bool((self.targets.sum(axis=1) == 1).all()):
            table["kind"] = "multilabel"  # the labels alone would read as exclusive
        for name, column in (("start_s", "start_s"), ("end_s", "stop_s")):
            if rows[column].notna().any():
                table[name] = rows[column]
        if rows["group_is_given"].any():
            table["group"] = rows["group"].where(rows["group_is_given"], "")
        if rows["fold"].notna().any():
            table["fold"] = rows["fold"]
        for name, usual in (("split", ""), ("weight", 1.0), ("trust", "curated")):
            if (rows[name] != usual).any():
                table[name] = rows[name]
        for name in ("licence", "source"):
            if rows[name].notna().any():
                table[name] = rows[name]
        return table

    def to_csv(self, path: Path) -> None:
        """Written so that the manifest layout reads the same manifest from it (a tag no clip has is not written)."""
        self.to_table(path.parent).to_csv(path, index=False, encoding="utf-8")

    def to_parquet(self, path: Path) -> None:
        """As `to_csv`, as Parquet."""
        self.to_table(path.parent).to_parquet(path, index=False)


def build(
    items: Iterable[Item],
    *,
    root: Path,
    layout: str,
    name: str | None = None,
    vocabulary: Vocabulary | None = None,
    kind: VocabularyKind | None = None,
) -> Manifest:
    """A Manifest of `items`, in their order.

    Args:
        vocabulary: the tags allowed; default: those that occur, sorted.
        kind: default: multilabel where any clip has more than one label, or none.

    Raises:
        LayoutError: no items, a file that is not there, a clip that stands twice, a label outside `vocabulary`,
            a clip without exactly one label where the kind is exclusive.
    """
    items = list(items)
    if not items:
        raise LayoutError(f"{root}: no labelled audio file found; expected at least two classes of recordings.")
    _check_files(items)
    if vocabulary is None:
        if kind is None:
            kind = "exclusive" if all(len(set(item.labels)) == 1 for item in items) else "multilabel"
        known = {tag for item in items for tag in (*item.labels, *item.unlabelled, *item.tag_weights)} - {"*"}
        vocabulary = Vocabulary(tuple(sorted(known)), kind)
    targets, weights = _targets(items, vocabulary)
    recordings = [relative_path(item.path, root) for item in items]
    _check_twice(items, recordings)
    rows = pd.DataFrame(
        {
            "uri": _text(os.path.abspath(item.path) for item in items),
            "recording": _text(recordings),
            "start_s": np.array([_nan(item.start_s) for item in items], dtype=np.float64),
            "stop_s": np.array([_nan(item.stop_s) for item in items], dtype=np.float64),
            "group": _text(item.group or recording for item, recording in zip(items, recordings, strict=True)),
            "group_is_given": np.array([bool(item.group) for item in items], dtype=bool),
            "fold": pd.array([item.fold for item in items], dtype="Int64"),
            "split": [item.split for item in items],
            "trust": [item.trust for item in items],
            "weight": np.array([item.weight for item in items], dtype=np.float64),
            "licence": _text(item.licence for item in items),
            "source": _text(item.source for item in items),
        }
    )
    return Manifest(rows, targets, weights, vocabulary, root, layout, name or root.resolve().name)


def relative_path(path: Path, root: Path) -> str:
    """`path` seen from `root`, with '/'; links are kept as they are."""
    return Path(os.path.relpath(os.path.abspath(path), os.path.abspath(root))).as_posix()


def join_labels(labels: Iterable[str]) -> str:
    r"""Labels as one cell: separated by `|`; a `\`, `|` or `,` inside a label gets a `\` before it."""
    return "|".join("".join("\\" + c if c in "\\|," else c for c in label) for label in labels)


def _text(values: Iterable[str | None]) -> pd.Series[Any]:
    """As Python's own strings: a file name need not be UTF-8, and a column of pandas strings must be."""
    return pd.Series(list(values), dtype=object)


def _nan(seconds: float | None) -> float:
    return float("nan") if seconds is None else seconds


def _targets(items: Sequence[Item], vocabulary: Vocabulary) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    targets = np.zeros((len(items), len(vocabulary)), dtype=np.float32)
    weights = np.ones_like(targets)
    for i, item in enumerate(items):
        at = item.at(item.labels_column) or str(item.path)
        try:
            columns = [vocabulary.column(tag) for tag in item.labels]
            unknown = slice(None) if "*" in item.unlabelled else [vocabulary.column(tag) for tag in item.unlabelled]
            weighed = [vocabulary.column(tag) for tag in item.tag_weights]
        except InputError as error:
            raise LayoutError(f"{at}: {error}") from None
        weights[i, unknown] = 0.0
        targets[i, columns] = 1.0
        weights[i, columns] = 1.0
        weights[i, weighed] *= np.array(list(item.tag_weights.values()), dtype=np.float32)
        if vocabulary.kind == "exclusive" and item.tag_weights:
            here = item.at("tag_weights") or str(item.path)
            raise LayoutError(
                f"{here}: weights of tags need tags that do not exclude each other; give the clip a weight."
            )
        if vocabulary.kind == "exclusive" and len(set(columns)) != 1:
            found = ", ".join(item.labels) or "none"
            raise LayoutError(f"{at}: expected exactly one label (exclusive classes), found {found}.")
    return targets, weights


def _check_files(items: Sequence[Item]) -> None:
    # os.path: Path.is_file raises where a path is too long to be one
    absent = [item for item in items if not os.path.isfile(item.path)]
    if absent:
        first = absent[0]
        more = f" (and {counted(len(absent) - 1, 'more file')})" if len(absent) > 1 else ""
        at = f"{first.at(first.path_column)}: " if first.where else ""
        raise LayoutError(f"{at}no file {first.path}{more}; put it there or remove the row.")


def _check_twice(items: Sequence[Item], recordings: Sequence[str]) -> None:
    seen: dict[tuple[str, float | None, float | None], Item] = {}
    for item, recording in zip(items, recordings, strict=True):
        first = seen.setdefault((recording, item.start_s, item.stop_s), item)
        if first is not item:
            at, before = item.at(item.path_column) or "manifest", first.where or "an item before"
            raise LayoutError(
                f"{at}: {recording} stands twice (first in {before}); put all its labels into one row, separated by |, "
                "or give the rows different start_s and end_s."
            )

"""Layouts of sound collections found in the world. `read(path)` looks at a folder and gives its Manifest.

One module a layout, each with NAME, SUMMARY, DOC (an example tree), `detect(root)` and `read(root)`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from earmark.audio.find import find_audio, looks_like_audio
from earmark.data.manifest import Manifest
from earmark.errors import InputError, LayoutError
from earmark.layouts import audiofolder, catalog, esc50, folder, manifest, urbansound8k
from earmark.layouts.tables import TABLE_SUFFIXES, columns_of, read_table
from earmark.layouts.walk import split_named, subfolders, tables_in

_LABELLING = {"labels", "label", "tags", "tag", "category", "class", "genre"}
"""Columns that most likely say what a sound is."""


class Layout(Protocol):
    """What every layout module has."""

    NAME: str
    SUMMARY: str
    DOC: str

    def detect(self, root: Path) -> bool:
        """Whether `root` looks like this layout; cheap, and never raises for a folder of something else."""

    def read(self, root: Path) -> Manifest:
        """The clips in `root`; LayoutError names file, row and column where it does not follow the layout."""


LAYOUTS: dict[str, Layout] = {
    manifest.NAME: manifest,
    esc50.NAME: esc50,
    urbansound8k.NAME: urbansound8k,
    audiofolder.NAME: audiofolder,
    folder.NAME: folder,
}


def read(path: Path | str, *, layout: str | None = None) -> Manifest:
    """The Manifest of a folder of sounds, of one manifest file, or of `catalog:TASK` (see `earmark.layouts.catalog`).

    Args:
        layout: a name of LAYOUTS; default: found by looking.

    Raises:
        InputError: nothing there, an unknown layout, a folder that fits none or more than one.
        LayoutError: the folder does not follow its layout.
    """
    root = Path(path)
    if catalog.is_catalog(path) and not root.exists():
        if layout not in (None, catalog.NAME):
            raise InputError(f"{path}: a task of the catalog; leave --layout {layout} out.")
        return catalog.read(path)
    if layout == catalog.NAME:
        raise InputError(f"{path}: --layout catalog needs a task, as in catalog:sax.")
    if not root.exists():
        raise InputError(f"{root}: no such folder; give the folder that holds the sounds.")
    if layout is not None:
        return _named(layout).read(_folder_or_table(root, layout))
    if root.is_file():
        return manifest.read(_folder_or_table(root, manifest.NAME))
    return LAYOUTS[_detected(root)].read(root)


def _named(layout: str) -> Layout:
    if layout not in LAYOUTS:
        import difflib

        near = difflib.get_close_matches(layout, LAYOUTS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise InputError(f"--layout {layout!r}: expected one of {', '.join(LAYOUTS)}.{hint}")
    return LAYOUTS[layout]


def _folder_or_table(root: Path, layout: str) -> Path:
    if not root.is_file():
        return root
    if layout == manifest.NAME and root.suffix.lower() in manifest.SUFFIXES:
        return root
    if layout == manifest.NAME:
        what = "an audio file" if looks_like_audio(root) else "a file"
        raise InputError(f"{root}: {what}; expected a folder of sounds, or a manifest (.csv, .tsv, .parquet).")
    raise InputError(f"{root}: a file; layout {layout!r} needs a folder.")


def _detected(root: Path) -> str:
    fitting = [name for name, module in LAYOUTS.items() if module.detect(root)]
    if not set(fitting) - {folder.NAME}:
        _refuse_unreadable_table(root, "If it holds no labels, say --layout folder." if fitting else "")
    if fitting == [folder.NAME]:
        _refuse_unread_table(root)
    if len(fitting) > 1:
        choices = " or ".join(f"--layout {name}" for name in fitting)
        raise InputError(f"{root}: could be {' and '.join(fitting)}; say which with {choices}.")
    if fitting:
        return fitting[0]
    raise _fits_none(root)


def _refuse_unreadable_table(root: Path, otherwise: str) -> None:
    """A table that by its name, or as the only one, is meant to hold the labels, and that cannot be read."""
    here = tables_in(root, TABLE_SUFFIXES)
    deeper = [path for part in subfolders(root) if split_named(part.name) for path in tables_in(part, TABLE_SUFFIXES)]
    meant = [path for path in (*here, *deeper) if path.stem.lower() in ("manifest", "metadata")]
    for path in [*meant, *(here if len(here) == 1 else ())]:
        try:
            read_table(path, root)
        except LayoutError as error:
            raise LayoutError(f"{error} {otherwise}".rstrip()) from None


def _refuse_unread_table(root: Path) -> None:
    """A table beside the folders that lists their files most likely holds the labels; the folders are no classes."""
    stems = {path.stem for path in find_audio(root)}
    # the one that says what they are before one that only lists them, as a form to fill in does
    for path in sorted(tables_in(root, TABLE_SUFFIXES), key=lambda path: not _LABELLING & set(columns_of(path))):
        try:
            rows = read_table(path, root).rows[:20]
        except LayoutError:
            continue
        hits = [name for row in rows for name in row.cells if Path(row.text(name)).stem in stems]
        if len(hits) >= max(1, len(rows) // 2):
            raise InputError(
                f"{root}: folders with audio, but {path.name} lists the same files (column {hits[0]!r}). If the "
                "folders are the classes, say --layout folder; if the table holds the labels, give it the columns "
                f"path (relative to it) and labels (it has {', '.join(columns_of(path)[:8])})."
            )


def _fits_none(root: Path) -> InputError:
    audio = find_audio(root)
    folders = {path.relative_to(root).parts[0] for path in audio if path.parent != root}
    ways = (
        "Make a folder per class (sounds/dog/a.wav), or write sounds/manifest.csv with the columns path and labels; "
        "docs/layouts.md shows all layouts."
    )
    if not audio:
        return InputError(f"{root}: no audio file in it. {ways}")
    if not folders:
        return InputError(f"{root}: {len(audio)} audio files and nothing that says what they are. {ways}")
    if len(folders) == 1:
        only = next(iter(folders))
        return InputError(
            f"{root}: all {len(audio)} audio files lie in one folder ({only}), so there is one class; a tagger needs "
            f"at least two. If {only} holds the class folders, give {root / only}."
        )
    return InputError(
        f"{root}: folders {', '.join(sorted(folders)[:6])} look like splits or folds, not like classes. {ways}"
    )

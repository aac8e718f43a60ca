"""A file or a whole folder written in another format, in worker processes; what cannot be read costs only itself."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from earmark.audio.find import find_audio
from earmark.audio.pool import map_files, time_limits
from earmark.audio.write import WRITABLE_SUFFIXES, check_rate, convert
from earmark.errors import AudioError, InputError
from earmark.types import Progress, Reason

_PARTIAL = re.compile(r"\.(?P<stem>.+)\.\d+\.partial(?P<suffix>\.\w+)", re.DOTALL)  # as `audio.write` names them
_CLOCK_S = 2.0  # by which a file system's clock may differ from this machine's


@dataclass(frozen=True, slots=True)
class Converted:
    """Attributes:

    written: targets, in the order of their sources.
    skipped: targets that were there already.
    warnings: one sentence for each source that could be read only in part.
    refused: one error for each source that was not written.
    """

    written: list[str]
    skipped: list[str]
    warnings: list[str]
    refused: list[AudioError]


@dataclass(frozen=True, slots=True)
class _Job:
    source: str
    target: str
    sample_rate_hz: int | None
    mono: bool
    bitrate_kbps: int | None


def convert_all(
    sources: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    suffix: str,
    *,
    sample_rate_hz: int | None = None,
    mono: bool = False,
    bitrate_kbps: int | None = None,
    force: bool = False,
    workers: int,
    timeout_s: float,
    progress: Progress | None = None,
) -> Converted:
    """Every audio file of `sources` (files, and folders with all below them) as `suffix` below `out`.

    A folder's tree is kept. Where two sources would get one name (a.wav and a.mp3), both keep their old suffix within
    the new name (a.wav.flac, a.mp3.flac). A target that is there already is left alone unless `force`. Each target
    appears only when it is whole, so a run that was stopped goes on where it was.

    Args:
        out: the folder to write to; made where it is missing. Files already below it are no sources.
        suffix: with or without its dot, e.g. `flac`.
        timeout_s: for a small file; larger ones get more (`time_limits`).

    Raises:
        InputError: no audio found, a format, rate or bit rate that cannot be written.
    """
    ending = "." + suffix.lower().lstrip(".")
    if ending not in WRITABLE_SUFFIXES:
        known = ", ".join(name.lstrip(".") for name in WRITABLE_SUFFIXES)
        raise InputError(f"--to {suffix}: not a format that can be written; choose one of {known}.")
    if sample_rate_hz is not None:
        check_rate(Path(f"x{ending}"), sample_rate_hz)
    if bitrate_kbps is not None and ending != ".mp3":
        raise InputError(f"--bitrate {bitrate_kbps}: only --to mp3 takes a bit rate; leave it out.")
    folder = Path(out)
    plan = _plan([Path(source) for source in sources], folder, ending)
    if not plan:
        named = ", ".join(str(source) for source in sources)
        raise InputError(f"{named}: no audio file was found there; check the path.")
    skipped = [str(target) for _, target in plan if target.exists() and not force]
    todo = [(source, target) for source, target in plan if force or not target.exists()]
    for _, target in todo:
        _make_folder(target.parent)
    items = [
        (str(source), _Job(str(source), str(target), sample_rate_hz, mono, bitrate_kbps)) for source, target in todo
    ]
    limits = time_limits([path for path, _ in items], timeout_s)
    began = time.time()
    try:
        outcomes = sorted(
            map_files(_convert_one, items, workers=workers, timeout_s=limits, progress=progress),
            key=lambda outcome: outcome.index,
        )
    finally:
        _sweep([target for _, target in todo], began)
    return Converted(
        written=[str(todo[outcome.index][1]) for outcome in outcomes if outcome.error is None],
        skipped=skipped,
        warnings=[outcome.value for outcome in outcomes if outcome.value],
        refused=[outcome.error for outcome in outcomes if outcome.error is not None],
    )


def _plan(sources: list[Path], out: Path, ending: str) -> list[tuple[Path, Path]]:
    """(source, target) for each file, sorted, no target twice."""
    inside = out.resolve()
    found: dict[Path, Path] = {}
    for source in sources:
        for path in find_audio(source):
            if inside not in path.resolve().parents or path == source:
                found[path] = Path(path.name) if source.is_file() else path.relative_to(source)
    stems = Counter(relative.with_suffix(ending) for relative in found.values())
    plan: dict[Path, Path] = {}
    for path, relative in sorted(found.items()):
        shared = stems[relative.with_suffix(ending)] > 1
        target = out / (relative.with_name(relative.name + ending) if shared else relative.with_suffix(ending))
        if target in plan:
            raise InputError(f"{path} and {plan[target]} would both be written to {target}; convert them one by one.")
        if target.resolve() == path.resolve():
            raise InputError(f"{path} would be written over itself; choose another folder with --out.")
        plan[target] = path
    return [(path, target) for target, path in plan.items()]


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise InputError(f"{folder} cannot be made: {why}; choose another folder with --out.") from None


def _sweep(targets: list[Path], began: float) -> None:
    """Removes what workers that were killed had begun to write (`write` cannot: it died with them)."""
    names = {(target.parent, target.stem, target.suffix) for target in targets}
    for folder in {target.parent for target in targets}:
        for path in folder.glob(".*.partial.*"):
            found = _PARTIAL.fullmatch(path.name)
            if found is None or (folder, found["stem"], found["suffix"]) not in names:
                continue
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime >= began - _CLOCK_S:  # older: of another run, which may still be at it
                    path.unlink()


def _convert_one(job: _Job) -> str | None:
    try:
        return convert(
            job.source,
            job.target,
            sample_rate_hz=job.sample_rate_hz,
            mono=job.mono,
            bitrate_kbps=job.bitrate_kbps,
        )
    except AudioError:
        raise
    except InputError as error:  # what was asked for fits the others, not this file's channels or rate
        raise AudioError(job.source, Reason.UNSUPPORTED, str(error)) from None

"""A whole `earmark tag`: recordings in, one output out, resumable, with a summary of what was refused and why."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from earmark.errors import AudioError, EarmarkError, InputError, Interrupted
from earmark.formats.words import counted
from earmark.tagging.decoder import Decoder
from earmark.tagging.journal import JournaledFile, PathSet
from earmark.tagging.many import tag_many
from earmark.tagging.output import (
    GATHERED,
    PER_RECORDING,
    Format,
    csv_header,
    csv_rows,
    gathered_json,
    gathered_parquet,
    json_line,
)
from earmark.tagging.rows import Choice
from earmark.tagging.scores import Scores
from earmark.tagging.tagger import Tagger
from earmark.types import Progress, Quiet

_MOST_NAMED = 1000  # refusals that the summary names; it counts them all


@dataclass(slots=True)
class Summary:
    """What a batch did.

    Attributes:
        tagged: recordings tagged by this run.
        already: recordings that an earlier run had tagged.
        partial: of the tagged, those read in part only.
        unknown: of the tagged, those unlike anything the model was trained on.
        refused: recordings that could not be tagged.
        reasons: the same by reason.
        refusals: path, reason and message of the first 1000 of them.
        audio_s: seconds of audio that were heard.
        wall_s: seconds that it took.
    """

    tagged: int = 0
    already: int = 0
    partial: int = 0
    unknown: int = 0
    refused: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    refusals: list[dict[str, str]] = field(default_factory=list)
    audio_s: float = 0.0
    wall_s: float = 0.0

    @property
    def exit_code(self) -> int:
        """0: all tagged; 1: some refused; 2: nothing could be tagged."""
        if not self.refused:
            return 0
        return 1 if self.tagged or self.already else 2

    def count(self, scores: Scores) -> None:
        self.tagged += 1
        self.partial += scores.warning is not None
        self.unknown += scores.is_unknown
        self.audio_s += scores.duration_s

    def refuse(self, error: AudioError) -> None:
        self.refused += 1
        self.reasons[str(error.reason)] += 1
        if len(self.refusals) < _MOST_NAMED:
            self.refusals.append({"path": error.path, "reason": str(error.reason), "message": str(error)})

    def sentence(self, out: Path | None) -> str:
        """What was done, for people."""
        count = f"tagged {counted(self.tagged, 'recording')}"
        speed = f", {self.audio_s / self.wall_s:,.0f} x real time" if self.wall_s else ""
        parts = [f"{count} ({_length(self.audio_s)} of audio in {self.wall_s:.1f} s{speed})"]
        if self.already:
            parts.append(f"{counted(self.already, 'was', 'were')} tagged before")
        if self.partial:
            parts.append(f"{self.partial} read in part")
        if self.unknown:
            parts.append(f"{self.unknown} unknown")
        if self.refused:
            why = ", ".join(f"{count} {reason}" for reason, count in sorted(self.reasons.items()))
            parts.append(f"{self.refused} refused ({why})")
        return "; ".join(parts) + (f" -> {out}" if out is not None else "")

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "reasons": dict(self.reasons)}


class Sink(Protocol):
    """Where Scores go: `done` is what earlier runs had tagged, `keeps` whether a later one can go on from this."""

    done: PathSet
    keeps: bool

    def add(self, scores: Scores) -> None: ...
    def finish(self) -> None: ...
    def close(self) -> None: ...


class StreamSink:
    """Rows to an open stream, e.g. stdout: nothing is kept, so nothing can be gone on from."""

    def __init__(self, stream: BinaryIO, format: Format, choice: Choice) -> None:
        self.done, self.keeps = PathSet(), False
        self._stream, self._choice = stream, choice
        self._encode = csv_rows if format == "csv" else json_line
        if format == "csv":
            stream.write(csv_header())

    def add(self, scores: Scores) -> None:
        self._stream.write(self._encode(scores, self._choice))
        self._stream.flush()

    def finish(self) -> None:
        self._stream.flush()

    def close(self) -> None:
        pass


class CallSink:
    """Scores to a function."""

    def __init__(self, call: Callable[[Scores], None]) -> None:
        self.done, self.keeps = PathSet(), False
        self.add = call

    def finish(self) -> None:
        pass

    def close(self) -> None:
        pass


class FileSink:
    """Rows to a file, with a journal beside it. JSON and Parquet are gathered in `OUT.part` and made at the end."""

    def __init__(self, out: Path, format: Format, choice: Choice, model: str, overlap: float, *, restart: bool) -> None:
        if out.is_dir():
            raise InputError(f"{out}: a folder; {format} is written to one file, name it.")
        self._out, self._format, self._choice, self._model = out, format, choice, model
        self._gathered = format in GATHERED
        if self._gathered and out.exists() and not restart and not _beside(out, ".part").exists():
            raise InputError(
                f"{out}: stands there already and has no journal to go on from; "
                "choose another --out, or --restart to write it anew."
            )
        lines = format in ("csv", "parquet")
        self._encode = csv_rows if lines else json_line
        self._file = JournaledFile(
            _beside(out, ".part") if self._gathered else out,
            csv_header() if lines else b"",
            {"model": model, "format": format, "overlap": overlap, **asdict(choice)},
            restart=restart,
        )
        self.done, self.keeps = self._file.done, True

    def add(self, scores: Scores) -> None:
        self._file.add(scores.recording, self._encode(scores, self._choice))

    def finish(self) -> None:
        self._file.commit()
        if self._format == "parquet":
            gathered_parquet(self._file.path, self._out)
        elif self._format == "json":
            gathered_json(self._file.path, self._out, {"model": self._model})

    def close(self) -> None:
        self._file.close()


def file_sink(
    out: Path, format: Format, choice: Choice, tagger: Tagger, overlap: float | None, *, restart: bool
) -> Sink:
    """The sink for `out`: a file, or a folder for formats of one file a recording."""
    share = tagger.header.windows.overlap if overlap is None else overlap
    if format in PER_RECORDING:
        from earmark.tagging.labels import FolderSink

        return FolderSink(out, format, choice, tagger.bundle.hash, share, restart=restart)
    return FileSink(out, format, choice, tagger.bundle.hash, share, restart=restart)


def tag_all(
    tagger: Tagger,
    paths: Iterable[str | AudioError],
    sink: Sink,
    *,
    total: int | None = None,
    overlap: float | None = None,
    workers: int | None = None,
    timeout_s: float | None = None,
    first: Decoder | None = None,
    progress: Progress | None = None,
) -> Summary:
    """Tag every recording of `paths` that `sink` has not had yet, each once.

    Args:
        tagger: does the tagging.
        paths: of recordings, taken as they are needed; one that comes twice is tagged once. An AudioError among them
            (`expand` gives one for a pattern that matches nothing) is counted as refused.
        sink: takes the scores.
        total: how many of them are still to do, where that is known; of 1, progress is told in seconds of audio.
        overlap, workers, timeout_s, first: as in `tag_many`.
        progress: told of every recording.

    Raises:
        Interrupted: on Ctrl-C or SIGTERM, after what was done is on the disk.
        InputError: from `paths`, or nothing in them.
        EarmarkError: the sink cannot be written.
    """
    summary = Summary()
    began = time.monotonic()
    bar = progress or Quiet()
    alone = _Alone(bar) if total == 1 else None
    bar.start("tagging", total, "files")
    nowhere: list[AudioError] = []
    results = tag_many(
        tagger,
        _todo(paths, sink.done, summary, nowhere),
        overlap=overlap,
        workers=workers,
        timeout_s=timeout_s,
        first=first,
        heard=alone,
    )
    try:
        for result in results:
            if result.error is not None:
                summary.refuse(result.error)
            elif result.scores is not None:
                sink.add(result.scores)
                summary.count(result.scores)
            if alone is None:
                bar.advance(note=f"{summary.audio_s / (time.monotonic() - began):,.0f} x real time")
        if not (summary.tagged or summary.already or summary.refused):
            raise InputError(_no_recording(nowhere))
        for error in nowhere:
            summary.refuse(error)
        sink.finish()
    except KeyboardInterrupt:
        kept = "what is done is kept, run the same command again to go on." if sink.keeps else "nothing of it is kept."
        raise Interrupted(f"stopped after {counted(summary.tagged, 'recording')}; {kept}") from None
    finally:
        results.close()
        bar.stop()
        # on a disk that has failed, closing fails too: what came first is what is told
        with suppress(EarmarkError) if sys.exception() else nullcontext():
            sink.close()
        summary.wall_s = time.monotonic() - began
    return summary


def _no_recording(nowhere: list[AudioError]) -> str:
    if not nowhere:
        return "nothing to tag: no recording was named; name files, folders, patterns or - for a list."
    more = f" (and {len(nowhere) - 1} more such inputs)" if len(nowhere) > 1 else ""
    return f"{nowhere[0]}{more}"


class _Alone:
    """Progress within the only recording."""

    def __init__(self, bar: Progress) -> None:
        self._bar, self._started = bar, False

    def __call__(self, path: str, seconds: float, duration_s: float | None) -> None:
        if not self._started:
            self._started = True
            self._bar.start("tagging", None if duration_s is None else round(duration_s), "s of audio")
        self._bar.advance(seconds)


def _todo(
    paths: Iterable[str | AudioError], done: PathSet, summary: Summary, nowhere: list[AudioError]
) -> Iterator[str]:
    taken = PathSet()
    for path in paths:
        if isinstance(path, AudioError):
            nowhere.append(path)
            continue
        if not taken.add(path):
            continue
        if path in done:
            summary.already += 1
        else:
            yield path


def _length(seconds: float) -> str:
    hours, minutes = seconds / 3600, seconds / 60
    return f"{hours:.1f} h" if hours >= 2 else f"{minutes:.1f} min" if minutes >= 2 else f"{seconds:.1f} s"


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)

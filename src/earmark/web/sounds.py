"""The files of clips that pages show, made in worker processes when they are first asked for, and kept on disk.

A recording that crashes a decoder or never ends costs its own answer. All three files of a clip are made at once
(`earmark.web.drawing`) and kept in the workspace's `cache/web`.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from earmark.audio.standing import Workers
from earmark.catalog.database import Workspace
from earmark.catalog.pages import ClipInfo
from earmark.errors import AudioError, EarmarkError
from earmark.types import Reason
from earmark.web.drawing import Job, draw
from earmark.web.settings import WebSettings

Kind = Literal["audio.wav", "picture.png", "peaks.json"]

_STRIPES = 64
_SWEEP_EVERY = 200  # clips decoded between two looks at how much is kept
_COSTLY = (Reason.TIMED_OUT, Reason.CRASHED, Reason.TOO_LARGE)
_REMEMBERED_S = 300.0  # for so long a recording that cost a worker is not tried again


class TooLongError(EarmarkError):
    """A clip that is too long to be shown."""


class Sounds:
    """The files of clips.

    Args:
        draw: makes them, in a worker process.
    """

    def __init__(self, workspace: Workspace, settings: WebSettings, draw: Callable[[Job], None] = draw) -> None:
        self._workspace, self._settings = workspace, settings
        self._folder = workspace.root / "cache" / "web"
        self._one_at_a_time = [threading.Lock() for _ in range(_STRIPES)]
        self._workers = Workers(draw, most=settings.decoders, timeout_s=settings.decode_s, wait_s=settings.decode_s)
        self._costly: dict[str, tuple[float, AudioError]] = {}
        self._made = 0
        self._front_end = hashlib.sha256(settings.front_end.model_dump_json().encode()).hexdigest()[:12]

    def warm(self) -> None:
        """Have a worker ready before the first clip is asked for."""
        self._workers.warm()

    def close(self) -> None:
        self._workers.close()

    def path(self, clip: ClipInfo, kind: Kind) -> Path:
        """A file of a clip.

        Raises:
            TooLongError: the clip is longer than the settings allow.
            AudioError: its recording is gone, or cannot be decoded; for a while without trying again, where that cost
                a worker.
            BusyError: all workers were busy for too long.
        """
        longest_s = self._settings.longest_clip_s
        if clip.seconds > longest_s:
            raise TooLongError(
                f"clip {clip.clip_id} is {clip.seconds:.0f} s long, more than the {longest_s:.0f} s that a page shows: "
                "cut its recording with `earmark catalog add --chunk 5s`."
            )
        span = f"{clip.file_sha256}:{clip.start}:{clip.stop}"
        name = f"{hashlib.sha256(span.encode()).hexdigest()[:24]}-{self._front_end}"
        folder = self._folder / name[:2]
        wanted = folder / f"{name}.{kind}"
        with self._one_at_a_time[hash(name) % _STRIPES]:
            if not wanted.exists():
                self._make(clip, folder / name)
        os.utime(wanted)  # what is asked for stays
        return wanted

    def _make(self, clip: ClipInfo, stem: Path) -> None:
        until, error = self._costly.get(clip.file_sha256, (0.0, None))
        if error is not None and time.monotonic() < until:
            raise error
        spec = self._settings.front_end
        if clip.file is not None:
            job = Job(self._workspace.path_of(clip.file), 0.0, None, stem, spec)
        else:
            rate = clip.sample_rate_hz
            job = Job(self._workspace.path_of(clip.uri), clip.start / rate, clip.stop / rate, stem, spec)
        try:
            self._workers.run(clip.name, job)
        except AudioError as failed:
            if failed.reason in _COSTLY:
                self._costly[clip.file_sha256] = (time.monotonic() + _REMEMBERED_S, failed)
            raise
        self._made += 1
        if self._made % _SWEEP_EVERY == 0:
            self._sweep()

    def _sweep(self) -> None:
        """Files that were asked for longest ago go, until nine tenths of the room are left."""
        files = [(path.stat(), path) for path in self._folder.rglob("*.*") if path.is_file()]
        kept = sum(stat.st_size for stat, _ in files)
        if kept <= self._settings.most_kept_bytes:
            return
        for stat, path in sorted(files, key=lambda pair: pair[0].st_mtime):
            path.unlink(missing_ok=True)
            kept -= stat.st_size
            if kept <= 0.9 * self._settings.most_kept_bytes:
                return

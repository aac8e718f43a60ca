"""How a command speaks: one JSON object on stdout with --json, words for people on stderr (on stdout without it)."""

from __future__ import annotations

import json
import logging
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from earmark.errors import MissingExtraError

if TYPE_CHECKING:
    from rich.console import Console as RichConsole
    from rich.progress import Progress as RichBar
    from rich.progress import TaskID


class Console:
    """One command's voice.

    Args:
        as_json: one JSON object is printed on stdout at the end, and everything for people goes to stderr.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        _show_warnings()

    @property
    def rich(self) -> RichConsole:
        """A rich console on the stream that people read: for tables."""
        from rich.console import Console as RichConsole

        return RichConsole(stderr=self.as_json, highlight=False, soft_wrap=True)

    def say(self, message: str = "") -> None:
        """Plain words for people."""
        print(message, file=sys.stderr if self.as_json else sys.stdout, flush=True)

    def finish(self, result: dict[str, Any], next_step: str | None = None) -> None:
        """The command's result (printed only with --json) and the next useful step."""
        if next_step:
            self.say(f"Next: {next_step}")
        if self.as_json:
            print(json.dumps(_finite(result), ensure_ascii=False, allow_nan=False))

    def progress(self) -> RichProgress:
        """A progress bar with rate and time left, on stderr; silent where stderr is no terminal."""
        return RichProgress()


class RichProgress:
    """`earmark.types.Progress` drawn with rich: bar, count, rate, time left and a note."""

    def __init__(self) -> None:
        self._bar: RichBar | None = None
        self._task: TaskID | None = None

    def start(self, task: str, total: int | None, unit: str) -> None:
        self.stop()
        if not sys.stderr.isatty():
            return
        from rich.console import Console as RichConsole
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
        from rich.progress import TimeRemainingColumn as Left

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]} {task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            Left(),
            TextColumn("{task.fields[note]}"),
            console=RichConsole(stderr=True),
            transient=True,
        )
        self._bar.start()
        self._task = self._bar.add_task(task, total=total, unit=unit, rate="", note="")

    def advance(self, n: float = 1, note: str = "") -> None:
        if self._bar is None or self._task is None:
            return
        fields: dict[str, Any] = {"note": note} if note else {}
        self._bar.update(self._task, advance=n, **fields)
        task = self._bar.tasks[0]
        if task.speed:
            self._bar.update(self._task, rate=f"({task.speed:,.1f}/s)")

    def stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = self._task = None


@contextmanager
def need_extra(extra: str) -> Iterator[None]:
    """Imports that an extra brings: without it, one sentence says what to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f'this command needs {error.name!r}, which is not installed: pip install "earmark[{extra}]"'
        ) from None


def _show_warnings() -> None:
    """Our own log records go to stderr as plain sentences; nobody else's chatter does."""
    log = logging.getLogger("earmark")
    handler = logging.StreamHandler(sys.stderr)  # anew each time: stderr may be another one than at the last command
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    log.handlers[:] = [handler]
    log.setLevel(logging.INFO)
    log.propagate = False


def _finite(value: Any) -> Any:
    """`value` as JSON takes it: numpy as numbers and lists, paths as text, NaN and infinity as null."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)

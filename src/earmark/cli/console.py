"""How a command speaks: one JSON object on stdout with --json, words for people on stderr (on stdout without it)."""

from __future__ import annotations

import io
import json
import logging
import math
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from earmark.errors import Interrupted, MissingExtraError
from earmark.formats.names import printable

if TYPE_CHECKING:
    from rich.console import Console as RichConsole
    from rich.progress import Progress as RichBar
    from rich.progress import TaskID

    from earmark.types import Progress


class _Now:
    """The command that is running: whether its JSON object is still to come, its bar on the screen, what ended it."""

    wants_json = False
    stopped: ClassVar[list[int]] = []
    live: RichProgress | None = None


class Console:
    """One command's voice.

    Args:
        as_json: one JSON object is printed on stdout at the end, and everything for people goes to stderr.

    Attributes:
        aside: whether words for people go to stderr; to be set where stdout is for rows or a file.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = self.aside = as_json
        _show_warnings()

    @property
    def rich(self) -> RichConsole:
        """A rich console on the stream that people read: for tables."""
        from rich.console import Console as RichConsole

        # names come as they are: [x] is no markup and :dog: no picture
        return RichConsole(stderr=self.aside, highlight=False, soft_wrap=True, markup=False, emoji=False)

    def say(self, message: str = "") -> None:
        """Plain words for people."""
        print(printable(message), file=sys.stderr if self.aside else sys.stdout, flush=True)

    def finish(self, result: dict[str, Any], next_step: str | None = None) -> None:
        """The command's result (printed only with --json) and the next useful step."""
        if next_step:
            self.say(f"Next: {next_step}")
        if self.as_json:
            _print_json(result)

    def progress(self) -> Progress:
        """Rate and time left on stderr: a bar, or a plain line now and then where stderr is no terminal."""
        from earmark.cli.log_lines import LogLines

        return RichProgress() if sys.stderr.isatty() else LogLines()


class RichProgress:
    """`earmark.types.Progress` drawn with rich: bar, count, rate, time left and a note."""

    def __init__(self) -> None:
        self._bar: RichBar | None = None
        self._task: TaskID | None = None

    def start(self, task: str, total: int | None, unit: str) -> None:
        self.stop()
        from rich.console import Console as RichConsole
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
        from rich.progress import TimeRemainingColumn as Left

        known = total is not None
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn() if known else TextColumn("{task.completed:,.0f}"),
            TextColumn("{task.fields[unit]} {task.fields[rate]}"),
            TimeElapsedColumn(),
            *([TextColumn("left"), Left()] if known else []),
            TextColumn("{task.fields[note]}", markup=False),
            console=RichConsole(stderr=True),
            transient=True,
        )
        _Now.live = self
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


def begin(*, as_json: bool) -> list[int]:
    """Before a command: streams that take any file name, and whether --json was given.

    Returns:
        Where the signals that are to end the command are noted as they come.
    """
    _Now.wants_json, _Now.stopped = as_json, []
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    return _Now.stopped


def fail(message: str, exit_code: int, *, said: bool = False) -> int:
    """An error's sentence on stderr (unless it is `said` already), with --json an object too; gives the exit code."""
    tidy()
    if not said:
        print(f"earmark: {printable(message)}", file=sys.stderr)
    if _Now.wants_json:
        with suppress(OSError):  # a stdout that cannot be written may be the very error
            _print_json({"error": message, "exit_code": exit_code})
            sys.stdout.flush()
    return exit_code


def tidy() -> None:
    """Take the bar off the screen, and give the cursor back."""
    live, _Now.live = _Now.live, None
    if live is None:
        return
    with suppress(IndexError):  # rich, of a bar that was interrupted while it was put up
        live.stop()
    if sys.stderr.isatty():
        print("\x1b[?25h", end="", file=sys.stderr, flush=True)


@contextmanager
def on_ctrl_c(words: str) -> Iterator[None]:
    """Ctrl-C or SIGTERM ends the command with these words: what is kept, how to go on."""
    try:
        yield
    except Interrupted:  # who knows more of what is kept has told it
        raise
    except KeyboardInterrupt:
        raise Interrupted(f"stopped; {words}") from None
    except Exception:
        if not _Now.stopped:
            raise
        # native code that is interrupted, an import of onnxruntime say, has errors of its own
        raise Interrupted(f"stopped; {words}") from None


def _print_json(result: dict[str, Any]) -> None:
    _Now.wants_json = False
    text = json.dumps(_finite(result), ensure_ascii=False, allow_nan=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:  # a terminal that is not UTF-8: escapes, which JSON has of its own
        text = json.dumps(_finite(result), allow_nan=False)
    print(text)


def train_command(
    data: Path, out: Path, recipe: str, overrides: list[str], layout: str | None, group_by: list[str]
) -> str:
    """The `earmark train` to run next, with all that decides the splits: left out, a group could be parted."""
    parts = ["earmark", "train", str(data), "--recipe", recipe, "--out", str(out)]
    parts += ["--layout", layout] if layout else []
    for option, values in (("--group-by", group_by), ("--set", overrides)):
        parts += [part for value in values for part in (option, value)]
    return shlex.join(parts)


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
        return {printable(str(key)): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int)) else printable(str(value))

"""`earmark`: one file a verb. Each verb imports what it needs when it runs, so --help answers at once."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeAlias

import typer
from typer.main import get_command

from earmark import __version__
from earmark.cli import VERBS
from earmark.cli.console import begin, fail, tidy
from earmark.errors import EarmarkError, Interrupted

app = typer.Typer(
    name="earmark",
    help="From a folder of sounds to a tagger you can trust.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_STOPPED = "stopped before it was done; run the same command again."
_Handler: TypeAlias = Callable[[int, FrameType | None], Any] | int | None
# typer does not export the base of its own usage errors
_UsageError: type[typer.BadParameter] = typer.BadParameter.__mro__[1]
# what the system says of a path that was badly chosen, as opposed to a disk that failed
_BAD_PATH = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR),
    *(errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL),
}


def _version(show: bool) -> None:
    if show:
        print(f"earmark {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """From a folder of sounds to a tagger you can trust."""


for _register in VERBS:
    _register(app)


def run() -> None:
    """The console script: one sentence for an error, never a traceback; 2 for bad input, 1 for a failed run.

    With --json an error is one JSON object on stdout too.
    """
    stopped = begin(as_json="--json" in sys.argv[1:])
    before: dict[int, _Handler] = {}
    try:
        try:
            _watch_for_the_end(stopped, before)
            code = _call(sys.argv[1:])
            sys.stdout.flush()  # here, where a full disk can still be told
        finally:
            for number in before:  # now it is only told how it went, and Ctrl-C once more is not to break into that
                signal.signal(number, signal.SIG_IGN)
    except EarmarkError as error:
        code = (
            fail(_STOPPED, 1) if stopped and not isinstance(error, Interrupted) else fail(str(error), error.exit_code)
        )
    except typer.Abort:
        code = fail("the question was not answered, so nothing was done.", 1)
    except KeyboardInterrupt:
        code = fail(_STOPPED, 1)
    except BrokenPipeError:  # whoever read us, has read enough
        _drop_stdout()
        code = 1
    except OSError as error:
        if error.filename is None:  # most likely a redirected stdout; what it still holds must not fail a second time
            _drop_stdout()
        code = fail(_sentence(error), 2 if error.errno in _BAD_PATH else 1)
    except Exception:
        if not stopped:
            raise
        code = fail(_STOPPED, 1)  # an error that native code made of it, as in `on_ctrl_c`
    finally:
        tidy()
        for number, handler in before.items():
            signal.signal(number, handler)
    if stopped:
        # An import of native code that Ctrl-C broke off leaves a mark in CPython (unhandled_keyboard_interrupt), which
        # would end this process by the signal after all, without its exit code. Running any source text clears it.
        exec("", {})  # noqa: S102
        stopped.clear()  # it is over, should this process call another command
    sys.exit(code)


def _watch_for_the_end(stopped: list[int], before: dict[int, _Handler]) -> None:
    """From now on Ctrl-C and SIGTERM are noted in `stopped` and raised as KeyboardInterrupt; `before`: who had them.

    SIGTERM is how a cluster, a container or a service ends a program: what a command does when it is stopped, it does
    then too. Where somebody else handles a signal, or it is ignored, as in the background, that stays.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    process = os.getpid()

    def note(number: int, frame: FrameType | None) -> None:
        if os.getpid() != process:  # a fork of ours, which has nothing to keep
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        stopped.append(number)
        signal.default_int_handler(number, frame)

    for number in (signal.SIGINT, signal.SIGTERM):
        handler = signal.getsignal(number)
        # SIG_DFL of SIGINT: `earmark.__main__` set it for the time of the imports
        if handler in (signal.default_int_handler, signal.SIG_DFL):
            before[number] = handler
            signal.signal(number, note)


def _call(arguments: list[str]) -> int:
    """The command; not by typer's own way of calling it, which makes Ctrl-C a silent exit."""
    command = get_command(app)
    try:
        with command.make_context("earmark", arguments) as context:
            command.invoke(context)
    except typer.Exit as left:
        return left.exit_code
    except _UsageError as error:
        error.show()
        return fail(error.message, 2, said=True)
    return 0


def _sentence(error: OSError) -> str:
    what = error.filename if error.filename is not None else "the output"
    if isinstance(what, bytes):
        what = os.fsdecode(what)
    why = (error.strerror or str(error)).rstrip(".")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        step = "free some space and run the same command again"
    elif error.errno in _BAD_PATH:
        step = "choose another path, or mend this one and its permissions"
    else:
        step = "check the disk and run the same command again"
    return f"{what}: {why}; {step}."


def _drop_stdout() -> None:
    """What cannot be written goes nowhere, so that the interpreter's last flush does not fail on it again."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    except (OSError, ValueError):  # no such stream: nothing to flush either
        pass


if __name__ == "__main__":
    run()

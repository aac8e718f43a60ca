"""The processes behind `earmark.audio.pool`: a template that has everything imported, and the workers it forks.

A fresh interpreter with numpy and soundfile takes a quarter of a second to start, a fork of one a few milliseconds, so
a crashed worker is replaced at hardly any cost. The template is started anew (not forked from the caller), so it holds
none of the caller's threads, torch least of all; it never decodes anything itself. When the caller ends, however it
ends, the template sees its socket close and takes all workers down with it.

The template's requests, on a sequenced-packet socket: b"fork NUMBER" with a file descriptor -> the process id of a
worker that lends from the places of this number; b"wait PID" -> its exit status, once it is dead.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import itertools
import os
import resource
import signal
import socket
from typing import Any

from earmark.audio.channel import AHEAD, Channel, Lent

GRACE_S = 5.0
"""A worker ends itself so long after its time limit, should the caller be too busy to do it."""


def template(control_fd: int, module: str, memory_limit: int, lent: Lent) -> None:
    """Serves fork requests until the caller goes away; never returns."""
    from earmark.settings import limit_native_threads

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    limit_native_threads(1)
    _import_decoders(module)
    gc.freeze()  # what is here by now stays, and a worker's collections need not touch (and so copy) its pages
    control = socket.socket(fileno=control_fd)
    children: set[int] = set()
    try:
        while True:
            message, fds, _, _ = socket.recv_fds(control, 64, 1)
            if not message:
                break
            what, number = message.split()
            if what == b"fork":
                pid = os.fork()
                if pid == 0:
                    control.close()
                    serve(fds[0], memory_limit, lent, int(number))
                os.close(fds[0])
                children.add(pid)
                control.send(str(pid).encode())
            else:
                pid = int(number)
                children.discard(pid)
                control.send(str(os.waitpid(pid, 0)[1]).encode())
    except (ConnectionError, BrokenPipeError):
        pass  # the caller is gone
    finally:
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    os._exit(0)  # taking numpy down in order would cost as much as ten more clips


def _import_decoders(module: str) -> None:
    """What every worker needs, and the module of the work itself where it is ours."""
    names = ["earmark.audio.read"]
    if module.startswith("earmark."):
        names.append(module)
    for name in names:
        # a module that cannot be imported is reported by the first worker that needs it
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def serve(fd: int, memory_limit: int, lent: Lent, worker: int) -> None:
    """One worker: takes (index, timeout_s, work, argument), answers (index, kind, value); never returns."""
    status = 1
    try:
        _silence()
        _bound_memory(memory_limit)
        channel = Channel(fd, lent.places(worker, write=True))
        lent.close()
        for turn in itertools.count():
            try:
                index, timeout_s, work, argument = channel.recv()
            except EOFError:
                break
            except Exception as error:  # the work cannot be imported here
                _answer(channel, (-1, "broken", f"{type(error).__name__}: {error}"), turn)
                break
            signal.setitimer(signal.ITIMER_REAL, timeout_s + GRACE_S)  # SIGALRM's default action ends the process
            kind, value = _run(work, argument)
            signal.setitimer(signal.ITIMER_REAL, 0)
            _answer(channel, (index, kind, value), turn)
            del value
        status = 0
    except (ConnectionError, BrokenPipeError, KeyboardInterrupt):
        status = 0
    finally:
        os._exit(status)


def _run(work: Any, argument: Any) -> tuple[str, Any]:
    from earmark.errors import AudioError, EarmarkError

    try:
        return "value", work(argument)
    except AudioError as error:
        return "refused", error
    except EarmarkError as error:
        return "stop", error
    except MemoryError:
        return "memory", None
    except Exception as error:  # told to the caller as this file's failure, with its reason
        return "failed", f"{type(error).__name__}: {error}"


def _answer(channel: Channel, answer: tuple[int, str, Any], turn: int) -> None:
    try:
        channel.send(answer, place=turn % AHEAD)
    except (ConnectionError, BrokenPipeError):
        raise
    except MemoryError:
        channel.send((answer[0], "memory", None))
    except Exception as error:  # a result that cannot be sent between processes
        channel.send((answer[0], "failed", f"its result cannot be sent: {type(error).__name__}: {error}"))


def _silence() -> None:
    """Decoders write their complaints to stderr themselves; what matters of them is in the verdict."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.close(nowhere)


def _bound_memory(limit: int) -> None:
    """Private memory (not mapped files, as RLIMIT_AS would count) beyond `limit` bytes is refused to this process."""
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    soft = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

"""The processes behind `earmark.audio.pool`: a template that has everything imported, and the workers it forks.

A fresh interpreter with numpy and soundfile takes a quarter of a second to start, a fork of one a few milliseconds, so
a crashed worker is replaced at hardly any cost. The template is started anew (not forked from the caller), so it holds
none of the caller's threads, torch least of all; it never decodes anything itself. When the caller ends, however it
ends, the template sees its socket close and takes all workers down with it.

The template's requests, on a sequenced-packet socket: b"fork" with a file descriptor -> the worker's process id;
b"wait PID" -> its exit status, once it is dead.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import resource
import signal
import socket
from multiprocessing.connection import Connection
from typing import Any

GRACE_S = 5.0
"""A worker ends itself so long after its time limit, should the caller be too busy to do it."""


def template(control_fd: int, module: str, memory_limit: int) -> None:
    """Serves fork requests until the caller goes away."""
    from earmark.settings import limit_native_threads

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    limit_native_threads(1)
    _import_decoders(module)
    control = socket.socket(fileno=control_fd)
    children: set[int] = set()
    try:
        while True:
            message, fds, _, _ = socket.recv_fds(control, 64, 1)
            if not message:
                return
            if message == b"fork":
                pid = os.fork()
                if pid == 0:
                    control.close()
                    serve(fds[0], memory_limit)
                os.close(fds[0])
                children.add(pid)
                control.send(str(pid).encode())
            else:
                pid = int(message.split()[1])
                children.discard(pid)
                control.send(str(os.waitpid(pid, 0)[1]).encode())
    except (ConnectionError, BrokenPipeError):
        return
    finally:
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _import_decoders(module: str) -> None:
    """What every worker needs, and the module of the work itself where it is ours."""
    names = ["earmark.audio.read"]
    if module.startswith("earmark."):
        names.append(module)
    for name in names:
        # a module that cannot be imported is reported by the first worker that needs it
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def serve(fd: int, memory_limit: int) -> None:
    """One worker: takes (index, timeout_s, work, argument), answers (index, kind, value); never returns."""
    status = 1
    try:
        _silence()
        _bound_memory(memory_limit)
        connection = Connection(fd)
        while True:
            try:
                index, timeout_s, work, argument = connection.recv()
            except EOFError:
                break
            except Exception as error:  # the work cannot be imported here
                _answer(connection, -1, "broken", f"{type(error).__name__}: {error}")
                break
            signal.setitimer(signal.ITIMER_REAL, timeout_s + GRACE_S)  # SIGALRM's default action ends the process
            kind, value = _run(work, argument)
            signal.setitimer(signal.ITIMER_REAL, 0)
            _answer(connection, index, kind, value)
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


def _answer(connection: Connection, index: int, kind: str, value: Any) -> None:
    try:
        connection.send((index, kind, value))
    except (ConnectionError, BrokenPipeError):
        raise
    except MemoryError:
        connection.send((index, "memory", None))
    except Exception as error:  # a result that cannot be sent between processes
        connection.send((index, "failed", f"its result cannot be sent: {type(error).__name__}: {error}"))


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

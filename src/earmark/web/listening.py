"""The socket that the server listens on, opened before anything is promised, and serving on it."""

from __future__ import annotations

import logging
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import uvicorn
from starlette.types import ASGIApp

from earmark.errors import EarmarkError, InputError

GRACE_S = 5
"""For requests that are under way when the server is stopped."""
KEEP_ALIVE_S = 75
"""A connection stays open longer than anybody listens to a clip: one that is closed just as an answer is sent on it
breaks that answer off. Longer than the 60 s of common proxies, for the same reason."""
SWITCH_S = 0.0005
"""After how long a thread gives way to others. Each answer of the database has to wait its turn; with Python's own 5 ms
a request of ten questions would spend most of its time waiting behind threads that compute."""


@contextmanager
def listen(host: str, port: int) -> Iterator[socket.socket]:
    """A bound socket, closed at the end.

    Raises:
        InputError: the port is taken or forbidden, or the host is none of this machine's.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listening = socket.socket(family, kind, protocol)
    except OSError as error:
        raise InputError(f"--host {host}: {error.strerror or error}; 127.0.0.1 is this machine alone.") from None
    with listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(address)
            listening.listen(128)  # from here on who comes early waits, until the app has started
        except OSError as error:
            raise InputError(
                f"{host} port {port} cannot be listened on ({(error.strerror or str(error)).lower()}): "
                "choose another --port, or --port 0 for any that is free."
            ) from None
        yield listening


def run(app: ASGIApp, listening: socket.socket, *, behind_proxy: bool) -> None:
    """Serves until Ctrl-C; requests that are under way are answered first.

    Args:
        behind_proxy: what a proxy on this machine says of its visitors' addresses and https is believed.

    Raises:
        EarmarkError: the app did not start.
    """
    # no log of requests: an invite's address is its secret; what is refused is logged by `earmark.web`
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=behind_proxy,
        timeout_graceful_shutdown=GRACE_S,
        timeout_keep_alive=KEEP_ALIVE_S,
    )
    _log_to_stderr()
    sys.setswitchinterval(SWITCH_S)
    server = uvicorn.Server(config)
    with suppress(KeyboardInterrupt):  # uvicorn raises it again once it has stopped: that is how it is meant to end
        server.run(sockets=[listening])
    if not server.started:
        raise EarmarkError("the server could not start; what went wrong stands above.")


def _log_to_stderr() -> None:
    """What was refused and what failed: a line each, with its time; never who, a secret, or what was sent."""
    logger = logging.getLogger("earmark.web")
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False  # the command line's own handler would say it again, without the time

"""Around every request: known host names, a body that is not too large, and headers that keep a page to itself."""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from earmark.web.problems import answer
from earmark.web.settings import WebSettings

# no script or style but our own files; blob: is the sound and picture of a clip that was fetched ahead
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self' blob:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class _TooLargeError(Exception):
    """The body went on past the limit."""


class Shields:
    """ASGI middleware around the app."""

    def __init__(self, app: ASGIApp, settings: WebSettings) -> None:
        self._app, self._settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = over = False

        async def with_headers(message: Message) -> None:
            nonlocal started
            if over and not started:
                return  # whatever the app makes of a body that broke off, we answer it below
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if scope["scheme"] == "https":
                    headers["Strict-Transport-Security"] = "max-age=31536000"
            await send(message)

        headers = Headers(scope=scope)
        host = headers.get("host", "")
        name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
        most = self._settings.most_body_bytes
        refused: tuple[int, str, str] | None = None
        if self._settings.hosts is not None and name not in self._settings.hosts:
            refused = (
                400,
                "this server is not called that: use the address that `earmark serve` printed.",
                "HostError",
            )
        claimed = headers.get("content-length", "0")
        too_large = (413, f"the request is larger than the {most:,} bytes that are taken.", "TooLargeError")
        if not claimed.isdigit() or int(claimed) > most:
            refused = refused or too_large
        if refused is None:
            taken = 0

            async def counted() -> Message:
                nonlocal taken, over
                message = await receive()
                taken += len(message.get("body", b""))
                if taken > most:
                    over = True
                    raise _TooLargeError
                return message

            try:
                await self._app(scope, counted, with_headers)
            except _TooLargeError:
                if started:
                    raise
            if not over or started:
                return
            over, refused = False, too_large
        await answer(Request(scope), *refused, headers={"Connection": "close"})(scope, receive, with_headers)

"""Errors as answers: the one error tree mapped to statuses, as problem+json (RFC 9457) or as a page."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from earmark.errors import (
    AudioError,
    BusyError,
    ConflictError,
    EarmarkError,
    InputError,
    NotAllowedError,
    NotFoundError,
    UnreachableError,
)
from earmark.web.limits import TooManyError
from earmark.web.sounds import TooLongError

_log = logging.getLogger("earmark.web")

PROBLEM = "application/problem+json"


class LoginNeededError(NotAllowedError):
    """Nobody is logged in, or no longer."""


STATUSES: tuple[tuple[type[EarmarkError], int], ...] = (
    (LoginNeededError, 401),
    (NotAllowedError, 403),
    (NotFoundError, 404),
    (ConflictError, 409),
    (TooLongError, 413),
    (TooManyError, 429),
    (BusyError, 503),
    (UnreachableError, 503),
    (AudioError, 422),
    (InputError, 422),
)
"""The first that fits."""


def status_of(error: EarmarkError) -> int:
    return next((status for kind, status in STATUSES if isinstance(error, kind)), 500)


def is_api(request: Request) -> bool:
    return request.url.path.startswith("/api/")


def add_handlers(app: FastAPI) -> None:
    app.add_exception_handler(EarmarkError, _earmark)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _unexpected)


def _earmark(request: Request, error: Exception) -> Response:
    assert isinstance(error, EarmarkError)
    status = status_of(error)
    headers: dict[str, str] = {}
    if isinstance(error, TooManyError):
        headers["Retry-After"] = str(max(1, round(error.wait_s)))
    elif status == 503:
        headers["Retry-After"] = "2"
    if status == 401 and not is_api(request) and request.method == "GET":
        return RedirectResponse(f"/login?next={request.url.path}", 303)
    detail = str(error)
    if status >= 500:
        _log.error("%s %s: %s", request.method, _shown(request), detail)
        if isinstance(error, UnreachableError):
            detail = "the database cannot be reached just now: try again; what you labelled is kept in your browser."
    return answer(request, status, detail, type(error).__name__, headers)


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    words = {404: "there is no such page.", 405: "this address does not take that method."}
    detail = words.get(error.status_code, str(error.detail))
    return answer(request, error.status_code, detail, "HTTPError", error.headers or {})


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part != "body") or "the request"
    return answer(request, 422, f"{where}: {first['msg']}.", "ValidationError")


def _unexpected(request: Request, error: Exception) -> Response:
    # starlette logs the traceback; the visitor is told nothing of our insides
    return answer(request, 500, "something went wrong here; it was noted. Try again.", "InternalError")


def _shown(request: Request) -> str:
    """The path for the log, without the secret of an invite; what a line cannot hold is escaped."""
    path, found, _ = request.url.path.partition("/invite/")
    return ascii(path + (found and "/invite/..."))[1:-1][:200]


def answer(request: Request, status: int, detail: str, kind: str, headers: Mapping[str, str] | None = None) -> Response:
    """One sentence with its status; noted in the log from 400 on, without who or what was sent."""
    if 400 <= status < 500:
        _log.info("%s %s: %d %s", request.method, _shown(request), status, kind)
    title = HTTPStatus(status).phrase
    if is_api(request) or request.url.path.startswith("/static/"):
        body: dict[str, Any] = {"type": "about:blank", "title": title, "status": status, "detail": detail}
        return JSONResponse({**body, "error": kind}, status, dict(headers or {}), media_type=PROBLEM)
    page: Response = request.app.state.site.page(
        request, "error.html", {"status": status, "title": title, "detail": detail}, status
    )
    for name, value in (headers or {}).items():
        page.headers[name] = value
    return page

"""The app, put together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI
from fastapi.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.staticfiles import StaticFiles

from earmark import __version__
from earmark.catalog.database import Catalog, Workspace
from earmark.web import admin, api, entry, pages, problems, task_pages
from earmark.web.settings import WebSettings
from earmark.web.shields import Shields
from earmark.web.signing import load_key
from earmark.web.site import HERE, Site
from earmark.web.visits import check_csrf


def create_app(catalog: Catalog, workspace: Workspace, settings: WebSettings) -> FastAPI:
    """The labelling app over an open catalog, which stays the caller's to close.

    Raises:
        InputError: the server's key cannot be read or made.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        site: Site = app.state.site
        warming = asyncio.create_task(run_in_threadpool(site.sounds.warm))  # pages are answered meanwhile
        yield
        await asyncio.gather(warming, return_exceptions=True)
        await run_in_threadpool(site.sounds.close)

    app = FastAPI(
        title="Earmark",
        version=__version__,
        description="Label clips with others. State-changing requests carry X-CSRF-Token.",
        docs_url=None,  # its scripts come from elsewhere
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
        debug=False,
        lifespan=lifespan,
        dependencies=[Depends(check_csrf)],
        middleware=[Middleware(Shields, settings=settings)],
    )
    app.state.site = Site(catalog, workspace, settings, load_key(workspace.root))
    problems.add_handlers(app)
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
    for room in (api.router, entry.router, admin.router, task_pages.router, pages.router):
        app.include_router(room)
    return app

"""The app: REST for programs and the portal for people, one process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware

import vigia.portal
from vigia.api import docs, document, problems, routes
from vigia.api.config import ApiConfig
from vigia.api.etags import ETags
from vigia.api.guard import Guard
from vigia.api.live import Hub
from vigia.api.state import State
from vigia.concurrency import ended
from vigia.store.database import Database

DESCRIPTION = """
Machines, what is known about them, the work that follows and the outcome delivered.

Times are ISO 8601 in UTC. A quantity's unit is in its name or in a field beside it (UCUM). Lists are paged: pass `next` of one
page as `cursor` of the following one. Every error is a problem (RFC 9457). A customer sees its own machines only: the id of
another customer's gives the same 404 as one that does not exist.
"""


def create_app(config: ApiConfig) -> FastAPI:
    """The app. Entering its lifespan connects to the database; DatabaseUnavailableError if none answers."""
    database = Database(config.dsn, "vigia_app", clock=config.clock)
    hub = Hub(config.dsn)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with database:
            listening = asyncio.create_task(hub.run(), name="live changes")
            try:
                yield
            finally:
                hub.close()
                await ended(listening)

    app = FastAPI(
        title="Vigía",
        version="1",
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        redirect_slashes=False,
    )
    app.state.vigia = State(config, database, hub)
    app.include_router(routes.router)
    app.include_router(docs.router)
    portal_router = getattr(vigia.portal, "router", None)
    if portal_router is not None:
        app.include_router(portal_router)
    answer = problems.answering(getattr(vigia.portal, "error_page", None))
    problems.install(app, answer)
    app.add_middleware(ETags)
    # A compressed event stream would be held back until a block is full: GZipMiddleware leaves text/event-stream alone.
    app.add_middleware(GZipMiddleware, minimum_size=1000)
    app.add_middleware(Guard, answer=answer)
    document.install(app)
    return app

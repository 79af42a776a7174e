"""The web application: `uvicorn app.web.main:application`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.concurrency import run_in_threadpool
from starlette.routing import Mount

from app import language, queue, tracing
from app.settings import settings
from app.web import lost, problems
from app.web.ahead import Ahead
from app.web.api import routers as api
from app.web.auth import GuardedRoute, RouteWithoutRule
from app.web.dicomweb import routers as dicomweb
from app.web.events import EventHub
from app.web.events import router as events
from app.web.health import router as health
from app.web.languages import Languages
from app.web.openapi import router as openapi
from app.web.pages import problem_page
from app.web.pages import router as pages
from app.web.parts import Parts
from app.web.security import Guard
from app.web.static import Static

_DESCRIPTION = """\
Radiographs in, readings and reviews out. Send an API key as `Authorization: Bearer fr_...` (or as the
password of HTTP Basic). Every error is a problem document (RFC 9457) whose `type` is explained at its
address.

For prioritisation only: no output of this service is a diagnosis.
"""


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    language.load()
    queue.configure_from_settings()
    tracing.start(settings(), part="web")
    app.state.parts = parts = await run_in_threadpool(Parts)
    app.state.hub = hub = EventHub()
    app.state.ahead = ahead = Ahead()
    try:
        yield
    finally:
        ahead.stop()
        await hub.stop()
        await run_in_threadpool(parts.close)
        await run_in_threadpool(tracing.stop)


def create_app() -> FastAPI:
    """The application with all its routes; it reads its settings when it starts, not here."""
    app = FastAPI(
        title="FirstRead",
        version="1",
        description=_DESCRIPTION,
        lifespan=_lifespan,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.add_middleware(Guard)
    app.add_middleware(Languages)
    problems.install(app)
    app.state.problem_page = problem_page
    app.state.recognise = lost.recognise
    app.state.page_above, app.state.came_from = lost.page_above, lost.came_from
    for router in (*api, *dicomweb, events, health, openapi, pages):
        app.include_router(router)
    app.mount("/static", Static(), name="static")
    _check_every_route_is_guarded(app)
    return app


def _check_every_route_is_guarded(app: FastAPI) -> None:
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if not isinstance(route, GuardedRoute) and not (isinstance(route, Mount) and route.path == "/static"):
            raise RouteWithoutRule(f"{context.path} is not a GuardedRoute")


application = create_app()

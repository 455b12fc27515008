"""How the parts become one ASGI application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import metadata

from fastapi import FastAPI
from starlette.types import ASGIApp

from doable import runtime
from doable.compiled_routes import Wraps, compile_routes
from doable.core import telemetry
from doable.core.http import docs, errors, openapi, parameters, routing
from doable.core.http.edge import Edge
from doable.core.http.health import Readiness, health_router
from doable.core.http.home import home_router
from doable.core.telemetry import Metrics
from doable.features import FEATURES
from doable.settings import Settings, get_settings

TAGS = [
    {"name": "accounts", "description": "Who somebody is: registration, profile, API tokens."},
    {"name": "auth", "description": "How somebody proves it: login, sessions, passwords, addresses."},
    {"name": "lists", "description": "Lists of todos. Everybody has an inbox."},
    {"name": "members", "description": "Who is in a list, and as what."},
    {"name": "invitations", "description": "How somebody is asked into a list, and what he answers."},
    {"name": "todos", "description": "What there is to do."},
    {"name": "reminders", "description": "Mine, of todos that I see."},
    {"name": "trash", "description": "What was deleted, for 30 days."},
    {"name": "events", "description": "What has happened, in order and without a gap: docs/events.md."},
    {"name": "batch", "description": "Several operations as one."},
    {"name": "webhooks", "description": "Other servers that are told what happens."},
    {"name": "sync", "description": "Copies that catch up."},
    {"name": "transfer", "description": "All that somebody has, in one file and out of one: docs/export.md."},
    {"name": "health", "description": "For those who run the server."},
]

WRAPS: Wraps = {routing.Route: routing.around}
"""What a compiled route has to know of our class of routes."""


def application() -> ASGIApp:
    """For servers that call a factory: `uvicorn --factory doable.app:application`. Sets up the log of the process."""
    settings = get_settings()
    telemetry.configure(settings)
    return create_app(settings)


def create_app(settings: Settings) -> ASGIApp:
    metrics = Metrics()
    return Edge(create_api(settings, metrics), settings, metrics)


def create_api(settings: Settings, metrics: Metrics | None = None) -> FastAPI:
    """The application without its edge: routes, error answers and the OpenAPI document."""
    api = FastAPI(
        title=settings.app_name,
        version=metadata.version("doable"),
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        openapi_tags=TAGS,
        redirect_slashes=False,
        generate_unique_id_function=openapi.operation_id,
        # FastAPI would look into os.environ for OpenTelemetry on every request.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    api.state.settings = settings
    api.state.metrics = metrics or Metrics()
    for feature in FEATURES:
        api.include_router(feature.router, prefix=settings.api_v1_prefix)
        if feature.root is not None:
            api.include_router(feature.root)
    api.include_router(home_router(settings))
    api.include_router(health_router(settings))
    if settings.docs_enabled:
        api.include_router(docs.docs_router(settings))
    parameters.install(api)
    openapi.install(api, settings)
    errors.install(api)
    if settings.compiled_routes:
        # Around the application nothing cancels through AnyIO, which is what a shield would be for.
        compile_routes(api, WRAPS, shield=False)
    return api


@asynccontextmanager
async def _lifespan(api: FastAPI) -> AsyncIterator[dict[str, object]]:
    """What is open belongs to a start, not to the routes: requests find it under `request.state`."""
    settings: Settings = api.state.settings
    async with runtime.open_runtime(settings, api.state.metrics, working=settings.embedded_worker) as opened:
        yield {**opened.state(), "readiness": Readiness(api.state.metrics)}

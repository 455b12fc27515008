"""The application for a test, with routes that were worked out for an earlier one of the same settings."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx2
from fastapi import FastAPI
from starlette.types import ASGIApp

from doable.app import create_api
from doable.core.http.edge import Edge
from doable.core.telemetry import Metrics
from doable.settings import Settings
from tests.support import asgi

MOST = 8

_free: dict[Settings, FastAPI] = {}


@contextmanager
def lent(settings: Settings) -> Iterator[ASGIApp]:
    """What `create_app` makes; to be started once, and not changed.

    FastAPI takes a tenth of a second to work out all routes. They depend on settings, not on what a start opens.
    """
    shape = settings.model_copy(update={"database_url": None, "data_dir": Path()})
    metrics = Metrics()
    api = _free.pop(shape, None) or create_api(settings)
    api.state.settings, api.state.metrics = settings, metrics
    yield Edge(api, settings, metrics)
    _free[shape] = api
    if len(_free) > MOST:
        del _free[next(iter(_free))]


@asynccontextmanager
async def started(settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of an app of its own: of another process, as far as the database can tell."""
    with lent(settings) as app:
        async with (
            asgi.Running(app) as running,
            httpx2.AsyncClient(transport=asgi.Transport(running), base_url="http://testserver") as client,
        ):
            yield client

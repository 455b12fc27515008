"""A small application behind the real edge, with its log kept for the test to read."""

import asyncio
import io
import json
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from fastapi import APIRouter, FastAPI

from doable.core import telemetry
from doable.core.http import errors, health
from doable.core.http.edge import Edge
from doable.core.limits import Limiter
from doable.settings import Settings
from tests.support import asgi, configuration


@dataclass
class Edged:
    client: httpx2.AsyncClient
    running: asgi.Running
    metrics: telemetry.Metrics
    stream: io.StringIO

    def log(self) -> list[dict[str, Any]]:
        """What was logged, one record a line; a line that is no JSON fails the test."""
        telemetry.flush()
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]

    def log_text(self) -> str:
        telemetry.flush()
        return self.stream.getvalue()

    def requests(self) -> list[dict[str, Any]]:
        return [record for record in self.log() if record["event"] == "request"]


def settings(tmp_path: Path, **changes: object) -> Settings:
    return configuration.make_settings("sqlite:///unused.db", tmp_path, **{"log_format": "json", **changes})


@asynccontextmanager
async def serving(
    router: APIRouter, settings: Settings, *, deadline: float = 15.0, state: Mapping[str, object] | None = None
) -> AsyncIterator[Edged]:
    """Serve the router under the API's prefix, and the health routes beside it."""
    metrics = telemetry.Metrics()
    limiter = Limiter()
    opened = {
        "settings": settings,
        "metrics": metrics,
        "limiter": limiter,
        "lifecycle": telemetry.Lifecycle(),
        "readiness": health.Readiness(metrics),
        **(state or {}),
    }

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[Mapping[str, object]]:
        await limiter.start()
        yield opened
        await limiter.close()

    app = FastAPI(lifespan=lifespan, openapi_url=None, redirect_slashes=False)
    errors.install(app)
    app.include_router(router, prefix=settings.api_v1_prefix)
    app.include_router(health.health_router(settings))
    edge = Edge(app, settings, metrics, deadline=deadline)
    with logged(settings) as stream:
        async with (
            asgi.Running(edge) as running,
            httpx2.AsyncClient(transport=asgi.Transport(running), base_url="http://testserver") as client,
        ):
            yield Edged(client, running, metrics, stream)


@contextmanager
def logged(settings: Settings) -> Iterator[io.StringIO]:
    """What is logged meanwhile; afterwards logging is as it was."""
    handlers, level = logging.root.handlers, logging.root.level
    stream = io.StringIO()
    telemetry.configure(settings, stream)
    try:
        yield stream
    finally:
        telemetry.flush()
        configuration.log_plainly()
        logging.root.handlers, logging.root.level = handlers, level


async def raw_request(edged: Edged, **scope: object) -> tuple[int, dict[bytes, bytes], bytes]:
    """Send what no well-mannered client sends."""
    messages: list[Any] = []
    complete = asyncio.Event()
    parts = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, Any]:
        if parts:
            return parts.pop()
        await complete.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        messages.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            complete.set()

    whole = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "headers": [(b"host", b"testserver")],
        "client": ("127.0.0.1", 50000),
        "root_path": "",
        **scope,
    }
    await edged.running(whole, receive, send)
    body = b"".join(message.get("body", b"") for message in messages[1:])
    return messages[0]["status"], dict(messages[0]["headers"]), body

"""What orchestrators and monitoring ask: is the process alive, does it want requests, what are its numbers."""

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from typing import Literal

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from doable.core import clock
from doable.core.db import Database, DatabaseError
from doable.core.errors import AppException, Code
from doable.core.http import syntax
from doable.core.http.routing import Route
from doable.core.telemetry import Metrics
from doable.settings import LOOPBACK_HOSTS, Settings

PING_SECONDS = 1.0
CACHED_SECONDS = 1.0
LATE_SECONDS = 2.0
"""An event loop that is later than this can do more good without new requests."""

type Status = Literal["ok", "degraded", "unavailable", "draining"]


class Live(BaseModel):
    status: Literal["ok"]


class Checks(BaseModel):
    database: Literal["ok", "unavailable"]
    redis: Literal["ok", "unavailable", "not configured"]
    event_loop: Literal["ok", "late"]


class Ready(BaseModel):
    status: Status
    checks: Checks


def health_router(settings: Settings) -> APIRouter:
    """`/health/live`, `/health/ready` and, with a METRICS_TOKEN, `/metrics`; to be included without a prefix."""
    router = APIRouter(route_class=Route, tags=["health"])

    @router.get("/health/live", operation_id="health_live", summary="Whether the process answers")
    async def live() -> Live:
        return Live(status="ok")

    @router.get(
        "/health/ready",
        operation_id="health_ready",
        summary="Whether the process wants requests",
        response_model=Ready,
        responses={503: {"model": Ready, "description": "It cannot serve them, or is about to stop."}},
    )
    async def ready(request: Request) -> Response:
        answer: Ready = await request.state.readiness.of(request)
        # An answer, not an error: the checks are what a person looks for, and nothing is there to roll back.
        status = 200 if answer.status in {"ok", "degraded"} else 503
        return JSONResponse(answer.model_dump(), status, headers={"Cache-Control": "no-store"})

    if settings.metrics_token:
        router.get("/metrics", include_in_schema=False)(_metrics_route(settings.metrics_token.get_secret_value()))
    return router


def metrics_app(metrics: Metrics) -> ASGIApp:
    """`/metrics` alone and without a token, for a port of its own on the loopback interface."""
    hosts = syntax.Hosts(LOOPBACK_HOSTS)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            hosts.check(dict(scope["headers"]).get(b"host"))  # no page in a browser may read it by rebinding a name
        except AppException as refusal:
            response = Response(refusal.message, refusal.code.status, media_type="text/plain")
        else:
            found = scope["path"] == "/metrics" and scope["method"] in {"GET", "HEAD"}
            response = (
                Response(metrics.render(), media_type=CONTENT_TYPE_LATEST) if found else Response(status_code=404)
            )
        await response(scope, receive, send)

    return app


def _metrics_route(token: str) -> Callable[[Request], Awaitable[Response]]:
    async def show_metrics(request: Request) -> Response:
        _require_token(request, token)
        metrics: Metrics = request.state.metrics
        return Response(metrics.render(), media_type=CONTENT_TYPE_LATEST, headers={"Cache-Control": "no-store"})

    return show_metrics


def _require_token(request: Request, token: str) -> None:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(given.encode("latin-1"), token.encode()):
        raise AppException(Code.UNAUTHENTICATED, "The metrics need the METRICS_TOKEN as bearer token.")


class Readiness:
    """Asks the database once in a while, however often it is asked itself."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._lock = asyncio.Lock()
        self._asked = float("-inf")
        self._database_answers = False
        self._ping: asyncio.Task[bool] | None = None

    async def of(self, request: Request) -> Ready:
        late = self._metrics.lag() > LATE_SECONDS
        checks = Checks(
            database="ok" if await self._ask(request.state.db) else "unavailable",
            redis=_redis(request),
            event_loop="late" if late else "ok",
        )
        return Ready(status=_status(checks, draining=request.state.lifecycle.draining), checks=checks)

    async def _ask(self, database: Database) -> bool:
        async with self._lock:
            if clock.monotonic() - self._asked >= CACHED_SECONDS:
                self._database_answers = await self._answers(database)
                self._asked = clock.monotonic()
            return self._database_answers

    async def _answers(self, database: Database) -> bool:
        # A task, because a connection that is being opened waits for its end even when it is cancelled.
        if self._ping is None or self._ping.done():
            self._ping = asyncio.create_task(_ping(database), name="ping")
        await asyncio.wait({self._ping}, timeout=PING_SECONDS)
        return self._ping.done() and self._ping.result()


async def _ping(database: Database) -> bool:
    try:
        await database.ping()
    except DatabaseError:
        return False
    return True


def _redis(request: Request) -> Literal["ok", "unavailable", "not configured"]:
    if request.state.settings.redis_url is None:
        return "not configured"
    degraded = request.state.limiter.degraded or request.state.hub.degraded
    return "unavailable" if degraded else "ok"


def _status(checks: Checks, *, draining: bool) -> Status:
    if draining:
        return "draining"
    if checks.database != "ok" or checks.event_loop != "ok":
        return "unavailable"
    return "degraded" if checks.redis == "unavailable" else "ok"

"""The outer ring around the application: what every request gets and every answer carries, one log line, one count."""

import re
from functools import cached_property
from itertools import count

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from doable import compiled_routes
from doable.core import clock, ids, telemetry
from doable.core.http import limiting, syntax
from doable.core.http.context import RequestInfo
from doable.core.http.exchange import Exchange, Terms
from doable.core.http.guard import Guard
from doable.core.http.routing import Templates
from doable.core.http.standard import StandardHeaders
from doable.settings import Settings

DEADLINE_SECONDS = 15.0
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
CORS_HEADERS = (
    "Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "Last-Event-ID", "X-Request-ID",
)  # fmt: skip
CORS_EXPOSED = (
    "Doable-Position", "ETag", "Idempotent-Replayed", "Location", "RateLimit-Limit", "RateLimit-Remaining",
    "RateLimit-Reset", "Retry-After", "X-Request-ID",
)  # fmt: skip
CLIENT_GONE = 499  # in log and metrics only: nothing was answered

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class Edge:
    """One wrapper instead of a stack of middleware: what a layer passes on costs as much as what it does.

    `deadline` bounds, in seconds, the time between a complete body and the start of the answer.
    """

    def __init__(
        self,
        app: FastAPI,
        settings: Settings,
        metrics: telemetry.Metrics,
        *,
        deadline: float = DEADLINE_SECONDS,
    ) -> None:
        self._app = app
        self._settings = settings
        self._metrics = metrics
        self._trusted = limiting.networks(settings.trusted_proxies)
        self._guard: ASGIApp = Guard(app, syntax.Hosts(settings.hosts))
        self._shared = bool(settings.cors_origins)
        if self._shared:
            self._guard = _cors(self._guard, settings.cors_origins)
        self._terms = Terms(StandardHeaders(settings), deadline)
        # Unique and without a system call for each; nobody may rely on not guessing it.
        self._ids = count(1)
        self._process = ids.new_secret()[:6].hex()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            exchange = self._exchange(scope, receive, send)
            self._metrics.in_flight += 1
            try:
                await self._guard(exchange.scope, exchange.receive, exchange.send)
            finally:
                self._metrics.in_flight -= 1
                self._record(exchange)
                exchange.end()
        elif scope["type"] == "websocket":
            inner = _canonical(scope)
            self._introduce(inner, RequestInfo(*self._known(scope)))
            await self._guard(inner, receive, send)
        else:
            try:
                await self._app(scope, receive, send)
            finally:
                telemetry.flush()

    def _exchange(self, scope: Scope, receive: Receive, send: Send) -> Exchange:
        inner = _canonical(scope)
        exchange = Exchange(self._terms, inner, receive, send, self._known(scope), scope["method"])
        self._introduce(inner, exchange)
        # What CORS adds to the start of an answer it adds to a message.
        if exchange.can_be_whole and not (self._shared and b"origin" in exchange.headers):
            inner[compiled_routes.WHOLE] = exchange.whole
        return exchange

    def _known(self, scope: Scope) -> tuple[str, str, dict[bytes, bytes]]:
        """The id of the request, the address of the client, and the headers, the last of each name."""
        headers = dict(scope["headers"])
        claimed = headers.get(b"x-request-id")
        request_id = claimed.decode() if claimed and _REQUEST_ID.fullmatch(claimed) else self._new_id()
        return request_id, limiting.client_address(scope, self._trusted), headers

    def _new_id(self) -> str:
        return f"{self._process}-{next(self._ids):x}"

    def _introduce(self, scope: Scope, introduced: RequestInfo) -> None:
        state = scope.setdefault("state", {})
        state["info"] = introduced
        state["settings"] = self._settings

    def _record(self, exchange: Exchange) -> None:
        method = exchange.asked if exchange.asked in METHODS else "OTHER"
        template = self._templates.of(exchange.scope)
        status = exchange.status or CLIENT_GONE
        seconds = clock.monotonic() - exchange.began
        self._metrics.observe(method, template, status, seconds)
        telemetry.access(
            {
                "method": method,
                "route": template,
                "status": status,
                "duration_ms": round(seconds * 100_000) / 100,
                "user": exchange.user_id,
                "client": exchange.client,
                "request_id": exchange.request_id,
                "bytes": exchange.sent,
            }
        )

    @cached_property
    def _templates(self) -> Templates:
        return Templates(self._app)


def _canonical(scope: Scope) -> Scope:
    """What is routed: HEAD as GET, one trailing slash cut off. The server's own scope stays as it was."""
    changes: dict[str, object] = {}
    if scope["type"] == "http" and scope["method"] == "HEAD":
        changes["method"] = "GET"
    path, raw_path = scope["path"], scope.get("raw_path") or b""
    # `%2F` at the end is no slash.
    if len(path) > 1 and path.endswith("/") and not raw_path.upper().endswith(b"%2F"):
        changes |= {"path": path[:-1], "raw_path": raw_path[:-1]}
    return {**scope, **changes} if changes else scope


def _cors(app: ASGIApp, origins: tuple[str, ...]) -> ASGIApp:
    return CORSMiddleware(
        app,
        allow_origins=frozenset(origins),
        allow_credentials=True,
        allow_methods=METHODS,
        allow_headers=CORS_HEADERS,
        expose_headers=CORS_EXPOSED,
    )

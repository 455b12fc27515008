"""The outer ring around the application: what every request gets and every answer carries, one log line, one count."""

import re
from functools import cached_property
from itertools import count

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from doable.core import clock, ids, telemetry
from doable.core.http import compression, limiting, syntax
from doable.core.http.context import RequestInfo
from doable.core.http.guard import Guard
from doable.core.http.routing import Templates
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
SECRET_PATHS = ("/auth/", "/users/me/tokens")
CLIENT_GONE = 499  # in log and metrics only: nothing was answered

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_PRIVATE = (b"cache-control", b"private, no-cache")
_NO_STORE = (b"cache-control", b"no-store")
_VARY = (b"vary", b"Accept-Encoding")


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
        self._guard: ASGIApp = Guard(app, syntax.Hosts(settings.hosts), deadline)
        if settings.cors_origins:
            self._guard = _cors(self._guard, settings.cors_origins)
        self._security = _security_headers(settings)
        self._security_names = frozenset(name for name, _ in self._security)
        self._api = f"{settings.api_v1_prefix}/"
        self._secret_paths = tuple(settings.api_v1_prefix + path for path in SECRET_PATHS)
        # Unique and without a system call for each; nobody may rely on not guessing it.
        self._ids = count(1)
        self._process = ids.new_secret()[:6].hex()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._serve(scope, receive, send)
        elif scope["type"] == "websocket":
            self._introduce(scope)
            await self._guard(_canonical(scope), receive, send)
        else:
            try:
                await self._app(scope, receive, send)
            finally:
                telemetry.flush()

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = clock.monotonic()
        self._metrics.in_flight += 1
        method = scope["method"] if scope["method"] in METHODS else "OTHER"
        inner = _canonical(scope)
        answer = _Answer(self, inner, self._introduce(inner), send, bodiless=method == "HEAD")
        try:
            await self._guard(inner, receive, answer.send)
        finally:
            self._metrics.in_flight -= 1
            self._record(inner, answer, method, clock.monotonic() - began)

    def _introduce(self, scope: Scope) -> RequestInfo:
        headers = dict(scope["headers"])
        claimed = headers.get(b"x-request-id", b"")
        request_id = claimed.decode() if _REQUEST_ID.fullmatch(claimed) else f"{self._process}-{next(self._ids):x}"
        introduced = RequestInfo(request_id, limiting.client_address(scope, self._trusted), headers)
        state = scope.setdefault("state", {})
        state["info"] = introduced
        state["settings"] = self._settings
        return introduced

    def complete(
        self, scope: Scope, introduced: RequestInfo, headers: compression.Headers
    ) -> list[tuple[bytes, bytes]]:
        """The headers that an answer still lacks."""
        limit = introduced.limit or limiting.network_decision(scope)
        lacking = [(b"x-request-id", introduced.request_id.encode()), *limiting.headers(limit)]
        if self._security_names.isdisjoint(headers):
            lacking += self._security
        else:
            lacking += [header for header in self._security if header[0] not in headers]
        if b"cache-control" not in headers and scope["path"].startswith(self._api):
            lacking.append(_PRIVATE if b"etag" in headers else _NO_STORE)
        return lacking

    def may_compress(self, scope: Scope) -> bool:
        """Not where an answer holds secrets: its length would tell what it has in common with the request."""
        return not scope["path"].startswith(self._secret_paths)

    def _record(self, scope: Scope, answer: "_Answer", method: str, seconds: float) -> None:
        template = self._templates.of(scope)
        status = answer.status or CLIENT_GONE
        self._metrics.observe(method, template, status, seconds)
        telemetry.access(
            {
                "method": method,
                "route": template,
                "status": status,
                "duration_ms": round(seconds * 1000, 2),
                "user": answer.introduced.user_id,
                "client": answer.introduced.client,
                "request_id": answer.introduced.request_id,
                "bytes": answer.sent,
            }
        )

    @cached_property
    def _templates(self) -> Templates:
        return Templates(self._app)


class _Answer:
    """An answer on its way out: completed, compressed where that pays, cut off after the headers for HEAD."""

    def __init__(self, edge: Edge, scope: Scope, introduced: RequestInfo, send: Send, *, bodiless: bool) -> None:
        self._edge = edge
        self._scope = scope
        self._send = send
        self._bodiless = bodiless
        self._held: Message | None = None
        self.introduced = introduced
        self.status = 0
        self.sent = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            start = self._completed(message)
            if self._held is None:
                await self._send(start)
            if self._bodiless:
                await self._send({"type": "http.response.body", "body": b""})
        elif message["type"] != "http.response.body":
            await self._send(message)
        elif not self._bodiless:
            if self._held is not None:
                message = await self._release(self._held, message)
            self.sent += len(message.get("body", b""))
            await self._send(message)

    def _completed(self, message: Message) -> Message:
        """The start with all its headers, held back where the body is to be compressed."""
        self.status = message["status"]
        given = message.get("headers", ())
        found = dict(given)
        headers = [*given, *self._edge.complete(self._scope, self.introduced, found)]
        start = {**message, "headers": headers}
        if self._bodiless or not compression.eligible(self.status, found) or not self._edge.may_compress(self._scope):
            return start
        headers.append(_VARY)
        if compression.accepts_gzip(self.introduced.headers.get(b"accept-encoding", b"")):
            self._held = start
        return start

    async def _release(self, start: Message, message: Message) -> Message:
        self._held = None
        if not message.get("more_body", False):
            body = compression.compress(message["body"])
            kept = [header for header in start["headers"] if header[0] != b"content-length"]
            start["headers"] = [*kept, (b"content-encoding", b"gzip"), (b"content-length", b"%d" % len(body))]
            message = {**message, "body": body}
        await self._send(start)
        return message


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


def _security_headers(settings: Settings) -> list[tuple[bytes, bytes]]:
    headers = [
        (b"x-content-type-options", b"nosniff"),
        (b"x-frame-options", b"DENY"),
        (b"referrer-policy", b"no-referrer"),
        (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
        (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
        (b"cross-origin-opener-policy", b"same-origin"),
        # Only embedding without CORS is refused; a listed origin's requests are CORS.
        (b"cross-origin-resource-policy", b"same-origin"),
    ]
    if settings.public_url.startswith("https:"):
        headers.append((b"strict-transport-security", b"max-age=31536000"))
    return headers

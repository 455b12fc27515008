"""The innermost middleware of an application: what it cannot serve goes on to FastAPI."""

import logging
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from fastapi.routing import RouteContext
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from doable.compiled_routes import framework, handler
from doable.compiled_routes.eligibility import Ineligible, Wraps
from doable.compiled_routes.failures import answering
from doable.compiled_routes.table import PARAMETER, Entry, Table, may_shadow, segments_of

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a route is compiled; `reason` says why not."""

    methods: tuple[str, ...]
    path: str
    reason: str | None


def compile_routes(app: FastAPI, wraps: Wraps | None = None, *, shield: bool = True) -> None:
    """Serve the routes that `app` has when it starts by compiled handlers, as far as they are eligible.

    `shield=False` saves some microseconds where nothing around the application cancels through AnyIO.
    """
    if framework.is_tested:
        app.user_middleware.append(Middleware(CompiledRoutes, owner=app, wraps=wraps or {}, shield=shield))
    else:
        log.warning("Routes are not compiled: that is tested with FastAPI %s only.", framework.TESTED)


def verdicts(app: FastAPI, wraps: Wraps | None = None) -> list[Verdict]:
    """What becomes of each route of `app`, were it to start now."""
    return _compiled(app, wraps or {}, shield=True)[1]


class CompiledRoutes:
    """Starlette makes it when the application starts; its routes are complete by then."""

    def __init__(self, app: ASGIApp, owner: FastAPI, wraps: Wraps, *, shield: bool) -> None:
        self._app = app
        self._owner = owner
        self._table, _ = _compiled(owner, wraps, shield=shield)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app
        if scope["type"] == "http" and not self._owner.dependency_overrides and "fastapi.telemetry" not in scope:
            app = self._table.find(scope, _path(scope)) or app
        await app(scope, receive, send)


def _compiled(app: FastAPI, wraps: Wraps, *, shield: bool) -> tuple[Table, list[Verdict]]:
    table, found, answer = Table(), [], answering(app)
    opaque: list[RouteContext] = []

    def compiled(route: RouteContext, segments: list[str]) -> ASGIApp | str:
        if any(may_shadow(earlier, segments) for earlier in opaque):
            return "a route declared earlier may match the same paths"
        try:
            return handler.compile_route(app, route, wraps, answer, shield=shield)
        except Ineligible as why:
            return str(why)

    for order, route in enumerate(framework.iter_route_contexts(app.routes)):
        segments = segments_of(route)
        if segments is None:
            opaque.append(route)
            served: ASGIApp | str = "its path is not made of whole segments"
        else:
            served = compiled(route, segments)
            left = {"endpoint": route.endpoint, "route": route.original_route, "router": app.router}
            entry = Entry(order, _names(segments), None if isinstance(served, str) else served, left)
            table.add(segments, route.methods or set(), entry)
        reason = served if isinstance(served, str) else None
        found.append(Verdict(tuple(sorted(route.methods or ())), route.path or "", reason))
    return table, found


def _names(segments: list[str]) -> tuple[str, ...]:
    return tuple(match[1] for segment in segments if (match := PARAMETER.fullmatch(segment)))


def _path(scope: Scope) -> str:
    """Without the path that the application is mounted at."""
    path: Any = scope["path"]
    root: Any = scope.get("root_path")
    if root and path.startswith(root) and path[len(root) :][:1] in {"", "/"}:
        path = path[len(root) :]
    return str(path)

"""The innermost middleware of an application: what it cannot serve goes on to FastAPI."""

import logging
from collections.abc import Callable
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


type Find = Callable[[Scope], ASGIApp | None]
"""The handler of a request, with what routing leaves in its scope; `None`: FastAPI serves it."""


def compile_routes(app: FastAPI, wraps: Wraps | None = None, *, shield: bool = True) -> None:
    """Serve the routes that `app` has when it starts by compiled handlers, as far as they are eligible.

    `shield=False` saves some microseconds where nothing around the application cancels through AnyIO.
    """
    if framework.is_tested:
        routes = app.state.compiled_routes = Routes(app, wraps or {}, shield=shield)
        app.user_middleware.append(Middleware(CompiledRoutes, routes=routes))
    else:
        log.warning("Routes are not compiled: that is tested with FastAPI %s only.", framework.TESTED)


def finding(app: FastAPI) -> Find:
    """For who stands in front of `app` and calls a handler past its middleware, which then has to have no part in it.

    What the handler raises comes out as it is, where the application would have answered by 500 first.
    """
    routes: Routes | None = getattr(app.state, "compiled_routes", None)
    return (lambda _: None) if routes is None else routes.find


def verdicts(app: FastAPI, wraps: Wraps | None = None) -> list[Verdict]:
    """What becomes of each route of `app`, were it to start now."""
    return _compiled(app, wraps or {}, shield=True)[1]


class Routes:
    """The compiled routes of an application; there are none before it starts."""

    def __init__(self, app: FastAPI, wraps: Wraps, *, shield: bool) -> None:
        self._app = app
        self._wraps = wraps
        self._shield = shield
        self._table = Table()

    def compile(self) -> None:
        self._table, _ = _compiled(self._app, self._wraps, shield=self._shield)

    def find(self, scope: Scope) -> ASGIApp | None:
        if self._app.dependency_overrides or "fastapi.telemetry" in scope:
            return None
        return self._table.find(scope, _path(scope))


class CompiledRoutes:
    """Starlette makes it when the application starts; its routes are complete by then."""

    def __init__(self, app: ASGIApp, routes: Routes) -> None:
        self._app = app
        self._routes = routes
        routes.compile()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = (self._routes.find(scope) if scope["type"] == "http" else None) or self._app
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
            left = {"app": app, "endpoint": route.endpoint, "route": route.original_route, "router": app.router}
            entry = Entry(order, _names(segments), None if isinstance(served, str) else served, left)
            table.add(segments, route.methods or set(), entry)
        reason = served if isinstance(served, str) else None
        found.append(Verdict(tuple(sorted(route.methods or ())), route.path or "", reason))
    table.settle()
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

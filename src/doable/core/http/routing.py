"""The route class of every router, and what is known of all routes together: their templates and methods."""

from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Scope

from doable.core.errors import AppException, Code
from doable.core.http import body, conditional, idempotency
from doable.core.http.context import info

UNMATCHED = "unmatched"
_JSON = b"application/json"

type Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class Route(APIRoute):
    """The class of every route below the API's prefix."""

    def get_route_handler(self) -> Handler:
        return around(self, super().get_route_handler())


def around(route: APIRoute, handle: Handler) -> Handler:
    """What is the same on every route, around what FastAPI, or a compiled route, does with one.

    The body is read and parsed here: FastAPI's own reader would turn our refusals into a vague 400. An answer is kept
    under the request's idempotency key here: it is serialised by then, and the transaction is still open.
    """
    has_body = route.body_field is not None
    takes_key = idempotency.applies(route.methods or (), route.dependant)
    streamed = idempotency.depends_on(route.dependant, idempotency.stream)

    async def read_and_handle(request: Request) -> Response:
        if has_body:
            await _read(request)
        conditional.check(request)
        claim = await idempotency.read(request, streamed=streamed) if takes_key else None
        try:
            response = await handle(request)
        except conditional.NotModified as answer:
            return conditional.not_modified(answer)
        if response.status_code == HTTPStatus.NO_CONTENT and "content-type" in response.headers:
            del response.headers["content-type"]  # FastAPI gives nothing the type of JSON
        if claim is not None:
            await idempotency.keep(claim, response)
        return response

    return read_and_handle


async def _read(request: Request) -> None:
    """Read the body, and leave it where Starlette's `body` and `json` keep what they have read."""
    pieces, more = [], True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        pieces.append(message.get("body", b""))
        more = message.get("more_body", False)
    request._body = raw = b"".join(pieces)  # noqa: SLF001
    # No body at all is a missing one: 422, and FastAPI's to say.
    if raw:
        content_type = info(request.scope).headers.get(b"content-type", b"")
        if content_type != _JSON:
            _require_json(content_type.decode("latin-1"))
        request._json = body.parse(raw)  # noqa: SLF001


def _require_json(content_type: str) -> None:
    media_type, *parameters = (part.strip() for part in content_type.lower().split(";"))
    if media_type != "application/json" and not (
        media_type.startswith("application/") and media_type.endswith("+json")
    ):
        raise AppException(Code.UNSUPPORTED_MEDIA_TYPE, "The body has to be application/json.")
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name == "charset" and value.strip('"') not in {"utf-8", "utf8"}:
            raise AppException(Code.UNSUPPORTED_MEDIA_TYPE, "The body has to be UTF-8.")


class Templates:
    """Finds the template of the route that served a request, with its prefix: `/api/v1/todos/{todo_id}`."""

    def __init__(self, app: FastAPI) -> None:
        # `scope["route"].path` lacks the prefixes of the routers around it.
        self._by_endpoint: dict[object, list[Any]] = {}
        for route in iter_route_contexts(app.routes):
            if route.endpoint is not None and route.path_format is not None:
                self._by_endpoint.setdefault(route.endpoint, []).append(route)
        self._only = {
            endpoint: str(routes[0].path_format) for endpoint, routes in self._by_endpoint.items() if len(routes) == 1
        }

    def of(self, scope: Scope) -> str:
        endpoint = scope.get("endpoint")
        return self._only.get(endpoint) or self._matching(endpoint, _route_path(scope))

    def _matching(self, endpoint: object, path: str) -> str:
        """Of the routes of an endpoint that has several, or none, the first that fits."""
        routes = self._by_endpoint.get(endpoint, ())
        return next((str(route.path_format) for route in routes if route.path_regex.match(path)), UNMATCHED)


def allowed_methods(app: FastAPI, scope: Scope) -> list[str]:
    """Every method that some route offers at this path; Starlette would name the first route's only."""
    path = _route_path(scope)
    methods: set[str] = set()
    for route in iter_route_contexts(app.routes):
        if route.methods and route.path_regex.match(path):
            methods |= route.methods
    if "GET" in methods:
        methods.add("HEAD")
    return sorted(methods)


def _route_path(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))

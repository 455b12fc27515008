"""What becomes of an exception: it goes through Starlette's own layers, first the route's, then the application's."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from fastapi import FastAPI
from starlette._exception_handler import wrap_app_handling_exceptions
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

_FAILURE = "compiled_routes.failure"

type Answer = Callable[[Request, Send, Exception, bool], Awaitable[None]]


class _Failure(NamedTuple):
    request: Request
    error: Exception
    started: bool


def answering(app: FastAPI) -> Answer:
    """A function that answers an exception by the handler that is registered for it, or raises."""
    handlers = {kind: handler for kind, handler in app.exception_handlers.items() if kind not in (500, Exception)}
    # Once, for it refers to itself; and nothing may keep an error but who looks at it, for the error keeps all of them.
    layers = ExceptionMiddleware(_fail_in_route, handlers, debug=app.debug)

    async def answer(request: Request, send: Send, error: Exception, started: bool) -> None:  # noqa: FBT001
        scope = request.scope
        scope[_FAILURE] = _Failure(request, error, started)
        try:
            await layers(scope, request.receive, _nowhere if started else send)
        finally:
            del scope[_FAILURE], error

    return answer


async def _fail_in_route(scope: Scope, receive: Receive, send: Send) -> None:
    await wrap_app_handling_exceptions(_fail, scope[_FAILURE].request)(scope, receive, send)


async def _fail(scope: Scope, _: Receive, send: Send) -> None:
    if scope[_FAILURE].started:  # tells both layers so; it reaches nobody
        await send({"type": "http.response.start"})
    raise scope[_FAILURE].error


async def _nowhere(_: Message) -> None:
    pass

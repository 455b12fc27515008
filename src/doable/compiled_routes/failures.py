"""What becomes of an exception: it goes through Starlette's own layers, first the route's, then the application's."""

from collections.abc import Awaitable, Callable

from fastapi import FastAPI
from starlette._exception_handler import wrap_app_handling_exceptions
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

type Answer = Callable[[Request, Send, Exception, bool], Awaitable[None]]


def answering(app: FastAPI) -> Answer:
    """A function that answers an exception by the handler that is registered for it, or raises."""
    handlers = {kind: handler for kind, handler in app.exception_handlers.items() if kind not in (500, Exception)}

    async def answer(request: Request, send: Send, error: Exception, started: bool) -> None:  # noqa: FBT001
        async def fail(_: Scope, __: Receive, send: Send) -> None:
            if started:  # tells both layers so; it reaches nobody
                await send({"type": "http.response.start"})
            raise error

        async def route(scope: Scope, receive: Receive, send: Send) -> None:
            await wrap_app_handling_exceptions(fail, request)(scope, receive, send)

        layers = ExceptionMiddleware(route, handlers, debug=app.debug)
        await layers(request.scope, request.receive, _nowhere if started else send)

    return answer


async def _nowhere(_: Message) -> None:
    pass

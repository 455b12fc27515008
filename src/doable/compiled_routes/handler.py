"""One handler for each route: read the body, take the steps of its plan, shape the answer, send it, close up."""

import email.message
import json
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from functools import lru_cache
from typing import Any

from anyio import CancelScope
from fastapi import FastAPI
from fastapi.datastructures import DefaultPlaceholder
from fastapi.exceptions import HTTPException, RequestValidationError
from fastapi.routing import RouteContext
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from doable.compiled_routes import cleanup, eligibility, plan, responses, straight
from doable.compiled_routes.eligibility import Handle, Wraps
from doable.compiled_routes.failures import Answer
from doable.compiled_routes.parameters import MISSING, Call
from doable.compiled_routes.plan import Plan, Step

WHOLE = "compiled_routes.whole"
"""In the scope of a request: a function of status, headers and body by which an answer is given in one call.

Whoever puts it there sends the answer and returns True, or returns False, and it is sent by messages as always.
"""

type ReadBody = Callable[[Request], Awaitable[Any]]


def compile_route(app: FastAPI, route: RouteContext, wraps: Wraps, answer: Answer, *, shield: bool) -> ASGIApp:
    """Raises `Ineligible`."""
    eligibility.check(app, route, wraps)
    planned = plan.build(route)
    handle = _handle(route, planned)
    original: Any = route.original_route
    if type(original) in wraps:
        handle = wraps[type(original)](original, handle)
    return _opening(handle, answer, shield=shield) if planned.opens else _plain(handle, answer)


def _handle(route: RouteContext, planned: Plan) -> Handle:
    *steps, endpoint = planned.steps
    shape = responses.shaping(route)

    async def walk(call: Call, number: int) -> Response:
        request = call.request
        for step in steps[number:]:
            arguments = await step.bind_slowly(call)
            if arguments is not None:
                result = step.invoke(**arguments)
                call.values[step.slot] = await (_open(step, result, request.scope) if step.opens else result)
        arguments = await endpoint.bind_slowly(call)
        if arguments is None:
            body = None if call.body is MISSING else call.body
            where = responses.context(route, request.scope)
            raise RequestValidationError(call.failures[endpoint.slot], body=body, endpoint_ctx=where)
        return shape(call, await endpoint.invoke(**arguments))

    names = {"walk": walk, "shape": shape, "open": _open, "read_body": _body_reader(route)}
    return straight.handler(f"{route.path} by {route.name}", planned.steps, names)


async def _open(step: Step, manager: cleanup.Opened, scope: Scope) -> Any:
    opening = cleanup.opening(scope)
    value = await manager.__aenter__()
    (opening.before_answer if step.closes_before_answer else opening.after_answer).append(manager)
    return value


def _plain(handle: Handle, answer: Answer) -> ASGIApp:
    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        request, started = Request(scope, receive, send), False
        try:
            response = await handle(request)
            started = True
            if not _is_given(response, scope):
                await response(scope, receive, send)
        except Exception as error:  # noqa: BLE001 — raised again when it has no handler
            await answer(request, send, error, started)

    return serve


def _is_given(response: Response, scope: Scope) -> bool:
    """Whether that was the whole answer: of a class that sends no other way, with nothing to do afterwards."""
    whole: Callable[..., bool] | None = scope.get(WHOLE)
    if whole is None or type(response).__call__ is not Response.__call__ or response.background is not None:
        return False
    return whole(response.status_code, response.raw_headers, response.body)


def _opening(handle: Handle, answer: Answer, *, shield: bool) -> ASGIApp:
    """For a route with dependencies that yield."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        request, started = Request(scope, receive, send), False
        try:
            with CancelScope() if shield else nullcontext() as guard:
                opening = scope[cleanup.KEY] = cleanup.Opening(guard)
                try:
                    response = await _closing(handle, request, opening)
                    started = True
                    if not _is_given(response, scope):
                        await response(scope, receive, send)
                except BaseException as error:  # noqa: BLE001 — raised again, or what closing makes of it
                    await opening.fail(opening.after_answer, error)
                await opening.close(opening.after_answer)
        except Exception as error:  # noqa: BLE001 — raised again when it has no handler
            await answer(request, send, error, started)

    return serve


async def _closing(handle: Handle, request: Request, opening: cleanup.Opening) -> Response:
    try:
        response = await handle(request)
    except BaseException as error:
        await opening.fail(opening.before_answer, error)
        raise
    await opening.close(opening.before_answer)
    return response


def _body_reader(route: RouteContext) -> ReadBody | None:
    if route.body_field is None:
        return None
    declared = route.strict_content_type
    strict = bool(declared.value if isinstance(declared, DefaultPlaceholder) else declared)

    async def read(request: Request) -> Any:
        try:
            raw = await request.body()
            if not raw:
                return MISSING
            content_type = next((value for name, value in request.scope["headers"] if name == b"content-type"), b"")
            is_json = _is_json(content_type.decode("latin-1")) if content_type else not strict
            return await request.json() if is_json else raw
        except json.JSONDecodeError as error:
            raise _not_json(error, responses.context(route, request.scope)) from error
        except StarletteHTTPException:
            raise
        except Exception as error:
            raise HTTPException(400, "There was an error parsing the body") from error

    return read


def _not_json(error: json.JSONDecodeError, where: Any) -> RequestValidationError:
    return RequestValidationError(
        [
            {
                "type": "json_invalid",
                "loc": ("body", error.pos),
                "msg": "JSON decode error",
                "input": {},
                "ctx": {"error": error.msg},
            }
        ],
        body=error.doc,
        endpoint_ctx=where,
    )


@lru_cache(maxsize=256)
def _is_json(content_type: str) -> bool:
    message = email.message.Message()
    message["content-type"] = content_type
    subtype = message.get_content_subtype()
    return message.get_content_maintype() == "application" and (subtype == "json" or subtype.endswith("+json"))

"""The inner ring of the edge: what is refused before routing, which handler serves the rest, what becomes of bugs."""

import asyncio

import structlog
from fastapi import FastAPI
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from doable import compiled_routes
from doable.core.errors import AppException
from doable.core.http import errors, exchange, syntax

log = structlog.get_logger(__name__)


class Guard:
    def __init__(self, app: FastAPI, hosts: syntax.Hosts) -> None:
        self._app = app
        self._compiled = compiled_routes.finding(app)
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._guard_socket(scope, receive, send)
            return
        served = exchange.of(scope)
        try:
            syntax.check(scope, self._hosts)
            with served.timer:
                served.start()
                # None of the application's own layers has a part in what is compiled: there is no other middleware.
                await (self._compiled(scope) or self._app)(scope, receive, send)
        except asyncio.CancelledError:  # the server stops, and the grace that it gave is over
            if served.started:
                raise
            await _refuse(scope, send, served.cut("The server is stopping."))
        except Exception as error:  # the end of the line: each becomes an answer, a log entry or both
            refusal = served.refusal(error)
            if refusal is None and not isinstance(error, ClientDisconnect):
                log.exception("unhandled exception", request_id=served.request_id)
            if not served.started:
                await _refuse(scope, send, refusal or error)
            # Else what was sent stands; the server closes a connection whose answer stays incomplete.

    async def _guard_socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            syntax.check(scope, self._hosts)
        except AppException as error:
            await refuse_socket(scope, send, error)
        else:
            await self._app(scope, receive, send)


async def _refuse(scope: Scope, send: Send, error: Exception) -> None:
    status, headers, body = errors.error_response(scope, error)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def refuse_socket(scope: Scope, send: Send, error: Exception) -> None:
    """Answer a handshake with HTTP instead."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008})
        return
    status, headers, body = errors.error_response(scope, error)
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})

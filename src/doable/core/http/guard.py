"""The inner ring of the edge: what is refused before routing, how long a request may take, and what becomes of bugs."""

import asyncio

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from doable.core.errors import AppException, Code
from doable.core.http import errors, syntax
from doable.core.http.context import info
from doable.core.http.transaction import SAFE_METHODS
from doable.core.wheel import Limit, Wheel

BODY_SECONDS = 60.0

log = structlog.get_logger(__name__)


class Guard:
    """`deadline` bounds, in seconds, the time between a complete body and the start of the answer."""

    def __init__(self, app: ASGIApp, hosts: syntax.Hosts, deadline: float) -> None:
        self._app = app
        self._hosts = hosts
        self._deadline = deadline
        self._wheel = Wheel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._guard_socket(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, self._deadline, Limit(self._wheel))
        try:
            syntax.check(scope, self._hosts)
            with exchange.limit:
                exchange.start()
                await self._app(scope, exchange.receive, exchange.send)
        except asyncio.CancelledError:  # the server stops, and the grace that it gave is over
            if exchange.started:
                raise
            await _refuse(scope, send, exchange.cut("The server is stopping."))
        except Exception as error:  # the end of the line: each becomes an answer, a log entry or both
            refusal = exchange.refusal(error)
            if refusal is None and not isinstance(error, ClientDisconnect):
                log.exception("unhandled exception", request_id=info(scope).request_id)
            if not exchange.started:
                await _refuse(scope, send, refusal or error)
            # Else what was sent stands; the server closes a connection whose answer stays incomplete.

    async def _guard_socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            syntax.check(scope, self._hosts)
        except AppException as error:
            await refuse_socket(scope, send, error)
        else:
            await self._app(scope, receive, send)


class _Exchange:
    """One request on its way in and its answer on its way out."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, deadline: float, limit: Limit) -> None:
        self._method: str = scope["method"]
        self._most = syntax.max_body(self._method, scope["path"])
        self._receive = receive
        self._send = send
        self._deadline = deadline
        self._received = 0
        self._body_complete = False
        self._awaits_body = False
        self._loop = asyncio.get_running_loop()
        self._body_due = self._loop.time() + BODY_SECONDS
        self.limit = limit
        self.started = False

    def start(self) -> None:
        self.limit.move(self._loop.time() + self._deadline)

    async def receive(self) -> Message:
        if self._body_complete or self.started:
            return await self._receive()
        # The client's pace is not the handler's: its time stands still while it waits for the body.
        self._awaits_body = True
        self.limit.move(self._body_due)
        message = await self._receive()
        self._awaits_body = False
        self.start()
        self._received += len(message.get("body", b""))
        self._body_complete = not message.get("more_body", False)
        if self._received > self._most:
            # An HTTPException is the only kind that FastAPI lets pass while it reads a body.
            raise HTTPException(Code.BODY_TOO_LARGE.status, syntax.body_too_large(self._most).message)
        return message

    async def send(self, message: Message) -> None:
        if not self.started:
            self.started = True
            self.limit.move(None)  # an answer that has started is never cut
        try:
            await self._send(message)
        except OSError as error:  # how a server says, by ASGI 2.4, that nobody listens any more
            raise ClientDisconnect from error

    def refusal(self, error: Exception) -> Exception | None:
        """What to tell a client that did something wrong or waited too long; nothing for a bug."""
        if self.limit.expired and isinstance(error, TimeoutError):
            if self._awaits_body:
                return AppException(Code.MALFORMED_REQUEST, f"The body did not arrive within {BODY_SECONDS:g} s.")
            return self.cut(f"The answer took more than {self._deadline:g} s.")
        return error if isinstance(error, AppException | HTTPException) else None

    def cut(self, why: str) -> AppException:
        """For a request that is ended before its answer: a write may have been under way."""
        if self._method in SAFE_METHODS:
            return AppException(Code.UNAVAILABLE, why)
        return AppException(Code.OUTCOME_UNKNOWN, f"{why} Look whether the change was made before you repeat it.")


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

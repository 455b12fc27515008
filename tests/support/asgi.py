"""The app in this process, served no more kindly than uvicorn serves it."""

import asyncio
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Self

import httpx2
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from doable.core.http.cycle import WHOLE


class Running:
    """An app between its start and its end, with its lifespan in a task of its own; itself the ASGI app to call.

    As under uvicorn every request gets a copy of the lifespan's state.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.state: dict[str, Any] = {}
        self._app = app
        self._to_app: asyncio.Queue[Message] = asyncio.Queue()
        self._from_app: asyncio.Queue[Message] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._lifespan(), name="lifespan")
        await self._pass("startup")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._pass("shutdown")
        await self._task

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app({**scope, "state": self.state.copy()}, receive, send)

    async def _lifespan(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        await self._app(scope, self._to_app.get, self._from_app.put)

    async def _pass(self, phase: str) -> None:
        await self._to_app.put({"type": f"lifespan.{phase}"})
        answer = asyncio.create_task(self._from_app.get())
        await asyncio.wait({answer, self._task}, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            answer.cancel()
            await self._task  # tells why it ended
        message = await answer
        assert message["type"] == f"lifespan.{phase}.complete", message


class Transport(httpx2.AsyncBaseTransport):
    """Fails a test whose app sends what uvicorn or a proxy would not pass on, and cuts off what ends half way."""

    def __init__(self, app: ASGIApp, client: tuple[str, int] = ("127.0.0.1", 50000)) -> None:
        self._app = app
        self._client = client

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        answer = _Answer(self._app, request.method)
        inner = httpx2.ASGITransport(answer, raise_app_exceptions=False, client=self._client)
        response = await inner.handle_async_request(request)
        assert not answer.faults, f"{request.method} {request.url}: {answer.faults}"
        if answer.started and not answer.complete:
            message = "the app ended in the middle of its answer"
            raise httpx2.RemoteProtocolError(message, request=request)
        return response


def _take(given: list[Message], status: int, headers: Mapping[bytes, bytes], lines: bytes, body: bytes) -> bool:
    """As `Cycle.answer`, whose bytes become messages: what is written is checked as what is sent."""
    first, *rest = lines.split(b"\r\n")
    assert not first, "each line begins with the end of the one before"
    more = [tuple(line.split(b": ", 1)) for line in rest]
    given.append({"type": "http.response.start", "status": status, "headers": [*headers.items(), *more]})
    given.append({"type": "http.response.body", "body": body})
    return True


class _Answer:
    """One request's answer, checked while it is sent."""

    def __init__(self, app: ASGIApp, method: str) -> None:
        self.faults: list[str] = []
        self.started = False
        self.complete = False
        self._app = app
        self._method = method
        self._left: int | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def checked(message: Message) -> None:
            self.faults += self._body(message) if self.started else self._start(message)
            if self.faults:
                raise RuntimeError(self.faults[-1])
            await send(message)

        given: list[Message] = []
        extensions = {**scope.get("extensions", {}), WHOLE: {"answer": partial(_take, given)}}
        await self._app({**scope, "extensions": extensions}, receive, checked)
        for part in given:
            await checked(part)
        if not self.complete:
            message = "no complete answer"
            raise RuntimeError(message)

    def _start(self, message: Message) -> Iterator[str]:
        if message["type"] != "http.response.start":
            yield f"{message['type']} before http.response.start"
            return
        self.started = True
        headers = message.get("headers", [])
        yield from (f"header {name!r} is not in lower case" for name, _ in headers if name != name.lower())
        lengths = [int(value) for name, value in headers if name == b"content-length"]
        if len(lengths) > 1:
            yield "several Content-Length"
        self._left = 0 if message["status"] in {204, 304} else next(iter(lengths), None)

    def _body(self, message: Message) -> Iterator[str]:
        if message["type"] != "http.response.body":
            yield f"{message['type']} instead of http.response.body"
        if self.complete:
            yield "a message after the end of the answer"
        self.complete = not message.get("more_body", False)
        # The body of an answer to HEAD is thrown away by every server, so frameworks send it.
        if self._left is not None and self._method != "HEAD":
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                yield "more body than Content-Length or the status allows"
            elif self.complete and self._left:
                yield "less body than Content-Length says"

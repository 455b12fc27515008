"""A real uvicorn in a thread with a small app that remembers what it saw, and a client that speaks raw bytes to it."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import uvicorn
import uvloop
from starlette.types import ASGIApp, Receive, Scope, Send

PATIENCE = 20.0  # seconds; only a broken server makes a test wait so long


@dataclass
class Echo:
    """Answers what it got; paths choose how. `seen` has a pair for each request: path, body or why there is none."""

    seen: list[tuple[str, bytes | str]] = field(default_factory=list)
    state: dict[str, Any] = field(default_factory=dict)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
            return
        path = scope["path"]
        if path.startswith("/unread"):
            if path == "/unread/slow":
                await asyncio.sleep(0.5)
            await _answer(send, b"{}")
            self.seen.append((path, "unread"))
            return
        if path == "/early":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        if path == "/lazy":
            await asyncio.sleep(0.6)
        body = await _body(receive)
        self.seen.append((path, body if body is not None else "disconnect"))
        if path == "/slow":
            await asyncio.sleep(0.6)
        _, kind, *size = path.split("/")
        if kind in {"much", "parts"}:
            await _answer(send, b"x" * int(size[0]), 64 * 1024 if kind == "parts" else None)
        else:
            await _answer(send, _content(scope, body or b""))

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        scope["state"].update(self.state)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})


async def _body(receive: Receive) -> bytes | None:
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += bytes(message["body"])
        if not message["more_body"]:
            return body


def _content(scope: Scope, body: bytes) -> bytes:
    headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]]
    return json.dumps({"path": scope["path"], "headers": headers, "body": body.decode("latin-1")}).encode()


async def _answer(send: Send, content: bytes, part: int | None = None) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for start in range(0, len(content), part or len(content)):
        end = start + (part or len(content))
        await send({"type": "http.response.body", "body": content[start:end], "more_body": end < len(content)})


@contextmanager
def serving(app: ASGIApp, protocol: type[asyncio.Protocol], *, loop: str, **options: Any) -> Iterator[int]:
    """The port of a server that stops at the end."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, http=protocol, log_config=None, access_log=False, **options)
        server = uvicorn.Server(config)
        factory = uvloop.new_event_loop if loop == "uvloop" else asyncio.new_event_loop

        def run() -> None:
            with asyncio.Runner(loop_factory=factory) as runner:
                runner.run(server.serve([listener]))

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = server.force_exit = True
            thread.join(PATIENCE)


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Wire:
    """A connection. `reply` and `ended` wait; a reset by the server is an error."""

    def __init__(self, port: int, receive_buffer: int | None = None) -> None:
        self._socket = socket.socket()
        self._socket.settimeout(PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_buffer:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._socket.connect(("127.0.0.1", port))
        self._input = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes, piece: int | None = None) -> None:
        """Send it all, or in pieces until the server no longer listens."""
        for start in range(0, len(data), piece or len(data)):
            self._socket.sendall(data[start : start + (piece or len(data))])

    def reply(self) -> Reply:
        head, _, self._input = self._until(b"\r\n\r\n").partition(b"\r\n\r\n")
        line, *fields = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (field.partition(": ") for field in fields)}
        length = int(headers.get("content-length", 0))
        while len(self._input) < length:
            self._more()
        body, self._input = self._input[:length], self._input[length:]
        return Reply(int(line.split(" ")[1]), headers, body)

    def ended(self) -> bool:
        """Whether the server ends its side without another byte."""
        return not self._input and not self._socket.recv(1)

    def cut(self) -> bool:
        """Whether the server ends the connection, no matter how."""
        try:
            return self.ended()
        except ConnectionResetError:
            return True

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._input:
            self._more()
        return self._input

    def _more(self) -> None:
        data = self._socket.recv(65536)
        if not data:
            message = f"the server ended the connection after {self._input[:200]!r}"
            raise EOFError(message)
        self._input += data

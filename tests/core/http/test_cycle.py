"""Answers as uvicorn would have written them, byte for byte, over real connections."""

import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from doable.core.http.cycle import WHOLE
from doable.core.http.protocol import BoundedHttpProtocol
from doable.core.http.standard import lines
from tests.support.wire import PATIENCE, serving

type Answer = tuple[int, list[tuple[bytes, bytes]], list[bytes]]

TWO = (b"content-length", b"2")
ANSWERS: dict[str, Answer] = {
    "whole": (200, [TWO, (b"content-type", b"application/json")], [b"{}"]),
    "empty": (200, [(b"content-length", b"0")], [b""]),
    "in-parts": (200, [TWO], [b"a", b"b"]),
    "of-no-length": (200, [], [b"some", b"more"]),
    "of-nothing": (204, [], [b""]),
    "not-modified": (304, [(b"etag", b'"1"')], [b""]),
    "headers-twice": (404, [(b"Set-Cookie", b"a=1"), (b"Set-Cookie", b"b=\t2"), TWO], [b"ab"]),
    "last-of-its-connection": (200, [TWO, (b"connection", b"close")], [b"ab"]),
    "chunked": (200, [(b"transfer-encoding", b"chunked")], [b"ab"]),
    "too-long": (200, [TWO], [b"abc"]),
    "too-short": (200, [TWO], [b"a"]),
    "a-line-in-a-value": (200, [TWO, (b"location", b"/a\r\nset-cookie: b")], [b"ab"]),
    "a-line-in-a-name": (200, [TWO, (b"a\r\nb", b"c")], [b"ab"]),
    "a-name-with-a-percent-sign": (200, [TWO, (b"a%b", b"%c")], [b"ab"]),
    "two-lengths": (200, [TWO, (b"Content-Length", b"2")], [b"ab"]),
    "a-length-that-is-none": (200, [(b"content-length", b"many")], [b"ab"]),
}


async def app(scope: Scope, _: Receive, send: Send) -> None:
    if scope["type"] == "http":
        status, headers, parts = ANSWERS[scope["path"].strip("/")]
        whole = scope.get("extensions", {}).get(WHOLE)
        if whole and scope["query_string"] and whole["answer"](status, dict(headers[:1]), lines(headers[1:]), parts[0]):
            return
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for number, part in enumerate(parts, 1):
            await send({"type": "http.response.body", "body": part, "more_body": number < len(parts)})


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def ports(request: pytest.FixtureRequest) -> Iterator[tuple[int, int]]:
    protocols: list[Any] = [HttpToolsProtocol, BoundedHttpProtocol]
    with ExitStack() as stack:
        first, second = (
            stack.enter_context(serving(app, protocol, loop=request.param, lifespan="off")) for protocol in protocols
        )
        yield first, second


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_is_written_as_uvicorn_writes_it(ports: tuple[int, int], name: str, method: str) -> None:
    theirs, ours = (answered(port, method, name) for port in ports)
    assert ours == theirs


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("name", ["whole", "empty", "of-no-length", "of-nothing", "too-long", "too-short"])
def test_a_whole_answer_is_written_as_uvicorn_writes_it(ports: tuple[int, int], name: str, method: str) -> None:
    theirs, ours = (answered(port, method, f"{name}?whole") for port in ports)
    assert ours == theirs


def answered(port: int, method: str, name: str) -> bytes:
    """All that comes for a request, and for one right behind it that closes the connection; without the time."""
    asked = f"{method} /{name} HTTP/1.1\r\nHost: a\r\n\r\n"
    asked += f"{method} /whole HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(asked.encode())
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    return re.sub(rb"date: [^\r]*", b"date: now", received)

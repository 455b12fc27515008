"""What is left of a request when it is answered."""

import asyncio
import gc
from pathlib import Path

import uvicorn
from fastapi import FastAPI, HTTPException
from starlette.requests import Request
from uvicorn.server import ServerState

from doable.compiled_routes import compile_routes
from doable.core import telemetry
from doable.core.http.edge import Edge
from doable.core.http.protocol import BoundedHttpProtocol
from doable.core.limits import Limiter
from tests.support import asgi, edged
from tests.support.people import Person


class Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 50000), "sockname": ("127.0.0.1", 8000)})
        self.written = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        pass


async def answer() -> dict[str, str]:
    return {"is": "short"}


async def refuse() -> None:
    raise HTTPException(403)


async def test_nothing_is_left_to_the_garbage_collector(tmp_path: Path) -> None:
    """What only it can free costs a tenth of a request, in pauses."""
    settings = edged.settings(tmp_path)
    app = FastAPI(openapi_url=None)
    app.add_api_route("/compiled", answer)
    app.add_api_route("/refused", refuse)
    compile_routes(app)
    app.middleware_stack = app.build_middleware_stack()
    config = uvicorn.Config(Edge(app, settings, telemetry.Metrics()), log_config=None)
    protocol = BoundedHttpProtocol(config, ServerState(), {"limiter": Limiter(), "settings": settings})
    protocol.connection_made(transport := Transport())
    with edged.logged(settings):
        for path in ("compiled", "refused", "nowhere"):
            for _ in range(2):  # the first one makes what is kept
                gc.collect()
                protocol.data_received(f"GET /{path} HTTP/1.1\r\nHost: testserver\r\n\r\n".encode())
                await asyncio.gather(*protocol.tasks)
                await asyncio.sleep(0)
            assert gc.collect() == 0, path
    assert transport.written.count(b"HTTP/1.1 200 OK") == 2
    protocol.connection_lost(None)


async def test_no_keyed_write_is_left_to_the_garbage_collector(running: asgi.Running, ana: Person) -> None:
    protocol = BoundedHttpProtocol(uvicorn.Config(running, log_config=None), ServerState(), {})
    protocol.connection_made(transport := Transport())
    head = "POST /api/v1/todos HTTP/1.1\r\nHost: testserver\r\nContent-Type: application/json\r\nContent-Length: 16"
    gc.collect()
    gc.disable()
    before = _requests()  # of other tests, which somebody still holds
    try:
        for key in range(3):
            lines = f"{head}\r\nAuthorization: {ana.headers['Authorization']}\r\nIdempotency-Key: {key}\r\n\r\n"
            protocol.data_received(f'{lines}{{"title":"milk"}}'.encode())
            await asyncio.gather(*protocol.tasks)
            await asyncio.sleep(0)
        assert transport.written.count(b"HTTP/1.1 201 Created") == 3
        assert len(_requests()) == len(before)
    finally:
        gc.enable()
        protocol.connection_lost(None)


def _requests() -> list[object]:
    return [one for one in gc.get_objects() if issubclass(type(one), Request)]

"""What a route costs that has sixty before it, with compiled routes and without."""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Annotated

import uvloop
from fastapi import APIRouter, Depends, FastAPI, Path
from starlette.types import Message

from bench.comparison import Comparison, Options, at_most, compare
from doable.compiled_routes import compile_routes

ROUTES = 60
CALLS = 3_000
type Number = Annotated[int, Path(ge=1)]


def measure(options: Options) -> Iterator[Comparison]:
    """The last route and the first, CPU of this process for a call."""
    for name, app, aim in (
        ("compiled", _app(compiled=True), at_most(1.1)),
        ("FastAPI alone", _app(compiled=False), None),
    ):
        pair = _calling(app, "/r0/7"), _calling(app, f"/r{ROUTES - 1}/7")
        what = f"route 1 and route {ROUTES}, {name}"
        yield compare(what, "µs of CPU a call", pair, options.rounds, aim)


def _app(*, compiled: bool) -> FastAPI:
    app, router = FastAPI(openapi_url=None), APIRouter()
    for number in range(ROUTES):
        router.add_api_route(f"/r{number}/{{number}}", _endpoint)
    app.include_router(router)
    if compiled:
        compile_routes(app)
    return app


async def _double(number: Number) -> int:
    return number * 2


async def _endpoint(doubled: Annotated[int, Depends(_double)]) -> dict[str, int]:
    return {"doubled": doubled}


def _calling(app: FastAPI, path: str) -> Callable[[], float]:
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"127.0.0.1")],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
    }
    answered: list[Message] = []

    async def receive() -> Message:
        await asyncio.sleep(0)
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        answered.append(message)

    async def calls() -> float:
        used = time.process_time()
        for _ in range(CALLS):
            await app(scope.copy(), receive, send)
        return (time.process_time() - used) / CALLS * 1e6

    def measured() -> float:
        answered.clear()
        spent = uvloop.run(calls())
        assert answered[-1]["body"] == b'{"doubled":14}'
        return spent

    return measured

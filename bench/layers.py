"""Where the CPU of GET one goes, ring by ring: `python -m bench.layers [--rounds 9] [--requests 2000]`.

In this process and without a socket: the bytes of a request are given to our protocol, and what it writes ends the
request. Each ring is measured with what is inside of it made free, in turns; a row says what a ring adds.
"""

import argparse
import asyncio
import os
import random
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, override

import uvicorn
import uvloop
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.lifespan.on import LifespanOn
from uvicorn.server import ServerState

from bench import edge, operations, report, world
from doable import compiled_routes
from doable.app import create_app
from doable.core import telemetry
from doable.core.executors.postgres.native import Postgres
from doable.core.http.edge import Edge
from doable.core.http.protocol import BoundedHttpProtocol
from doable.core.limits import Limiter
from doable.core.queries import Query
from doable.settings import Settings
from tests.support import configuration

CONNECTIONS = 8
RINGS = (
    "our protocol, with a bare function",
    "the edge",
    "the route, with its row at hand",
    "the statement, on PostgreSQL",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--write", action="store_true", help="into docs/performance.md")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        nowhere = stack.enter_context(Path(os.devnull).open("w"))
        url = stack.enter_context(stack.enter_context(world.postgres()).fresh())
        person = asyncio.run(world.prepare(url, 1, 100))[0]
        settings = configuration.make_settings(
            url, folder, log_format="json", allowed_hosts=("127.0.0.1",), access_token_expire_minutes=1440
        )
        telemetry.configure(settings, nowhere)
        asked = operations.get_one(person, random.Random(22))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            taken = runner.run(measure(settings, asked, options))
        telemetry.flush()
    text = table(taken)
    print(text)
    if options.write:
        report.write("layers", text)


def table(taken: Sequence[Sequence[float]]) -> str:
    medians = [statistics.median(times) for times in zip(*taken, strict=True)]
    lines = ["| ring | µs that it adds | µs in all |", "|---|---:|---:|"]
    for name, before, median in zip(RINGS, [0.0, *medians], medians, strict=False):
        lines.append(f"| {name} | {median - before:.0f} | {median:.0f} |")
    return "\n".join([f"{report.machine()}; {len(taken)} rounds.", "", *lines])


async def measure(settings: Settings, asked: bytes, options: argparse.Namespace) -> list[list[float]]:
    """In each round the µs of CPU of a request with one ring, with two, and so on."""
    state = {"limiter": Limiter(), "settings": settings}
    surrounded = Edge(Bare(), settings, telemetry.Metrics())
    async with served(create_app(settings)) as (whole, opened):
        executor = opened["db"].executor
        assert isinstance(executor, Postgres)
        rounds = []
        for _ in range(options.rounds):
            times = [
                await spent(edge.answer, state, asked, options.requests),
                await spent(surrounded, state, asked, options.requests),
            ]
            with remembered(executor):
                times.append(await spent(whole, opened, asked, options.requests))
            times.append(await spent(whole, opened, asked, options.requests))
            rounds.append(times)
        return rounds


class Bare(FastAPI):
    """An application whose only part is a function that answers as a compiled handler does."""

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        whole = scope.get(compiled_routes.WHOLE)
        if whole is None or not whole(200, edge.HEADERS, edge.BODY):
            await edge.answer(scope, receive, send)


@asynccontextmanager
async def served(app: ASGIApp) -> AsyncIterator[tuple[ASGIApp, dict[str, Any]]]:
    """The application, started, and what its start has opened."""
    config = uvicorn.Config(app, log_config=None)
    config.load()
    lifespan = LifespanOn(config)
    await lifespan.startup()
    yield app, lifespan.state
    await lifespan.shutdown()


@contextmanager
def remembered(executor: Postgres) -> Iterator[None]:
    """Rows that have been read before are at hand."""
    read, known = executor.read, {}

    async def at_hand(question: Query[Any], params: Mapping[str, Any]) -> list[Any]:
        if question not in known:
            known[question] = await read(question, params)
        return known[question]

    vars(executor)["read"] = at_hand
    yield
    del vars(executor)["read"]


async def spent(app: ASGIApp, state: Mapping[str, object], asked: bytes, requests: int) -> float:
    """µs of CPU of this thread for each request."""
    config = uvicorn.Config(app, log_config=None, access_log=False, proxy_headers=False)
    server = ServerState()
    server.default_headers = [(b"date", b"Sun, 22 Nov 2026 08:41:52 GMT")]
    protocols = [BoundedHttpProtocol(config, server, dict(state)) for _ in range(CONNECTIONS)]
    began = time.thread_time()
    await asyncio.gather(*(_ask(protocol, asked, requests // CONNECTIONS) for protocol in protocols))
    return (time.thread_time() - began) / (requests // CONNECTIONS * CONNECTIONS) * 1e6


async def _ask(protocol: BoundedHttpProtocol, asked: bytes, times: int) -> None:
    protocol.connection_made(transport := _Transport())
    for _ in range(times):
        transport.answered = asyncio.get_running_loop().create_future()
        protocol.data_received(asked)
        await transport.answered
    protocol.connection_lost(None)


class _Transport(asyncio.Transport):
    """Goes nowhere."""

    answered: asyncio.Future[None]

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 50000), "sockname": ("127.0.0.1", 8000)})

    @override
    def write(self, data: Any) -> None:
        if not self.answered.done():
            if data.startswith(b"HTTP/1.1 200"):
                self.answered.set_result(None)
            else:
                self.answered.set_exception(RuntimeError(bytes(data)))

    @override
    def is_closing(self) -> bool:
        return False

    @override
    def close(self) -> None:
        pass


if __name__ == "__main__":
    main()

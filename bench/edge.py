"""What the edge costs a request: `python -m bench.edge [--rounds 9] [--requests 5000]`.

In the process and without a socket: an ASGI function that answers with a todo, alone and behind the edge, in turns.
"""

import argparse
import asyncio
import os
import statistics
import time
from collections.abc import Mapping
from pathlib import Path

import uvloop
from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from doable.core import telemetry
from doable.core.http.edge import Edge
from doable.core.limits import Limiter
from doable.settings import Settings

BODY = b'{"title":"Buy milk"}' + b" " * 500
HEADERS = [(b"content-length", b"%d" % len(BODY)), (b"content-type", b"application/json"), (b"etag", b'"k3v9x2mq.7"')]


async def answer(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})


class Alone(FastAPI):
    """An application whose only part is that function."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await answer(scope, receive, send)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--requests", type=int, default=5000)
    options = parser.parse_args()
    settings = Settings(_env_file=None, log_format="json", rate_limit_per_minute=1_000_000)
    with Path(os.devnull).open("w") as stream, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        telemetry.configure(settings, stream)
        taken = runner.run(compare(settings, options.rounds, options.requests))
        telemetry.flush()
    alone, behind = (statistics.median(times) for times in zip(*taken, strict=True))
    edge_only = [with_edge - without for without, with_edge in taken]
    print(f"alone {alone:.1f} µs, behind the edge {behind:.1f} µs")
    print(f"the edge: median {statistics.median(edge_only):.1f} µs, least {min(edge_only):.1f} µs")


async def compare(settings: Settings, rounds: int, requests: int) -> list[tuple[float, float]]:
    """In each round µs of CPU for each request, alone and behind the edge."""
    state = {"limiter": Limiter(), "settings": settings}
    edge = Edge(Alone(), settings, telemetry.Metrics())
    return [(await spent(answer, state, requests), await spent(edge, state, requests)) for _ in range(rounds)]


async def spent(app: ASGIApp, state: Mapping[str, object], requests: int) -> float:
    """µs of CPU for each request."""
    began = time.thread_time()
    for _ in range(requests):
        await app(scope(state), receive, send)
    return (time.thread_time() - began) / requests * 1e6


def scope(state: Mapping[str, object]) -> Scope:
    path = "/api/v1/todos/0190f5a1-0b7d-7e52-a1c4-6d5e4f3a2b1c"
    return {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
        "scheme": "http", "client": ("127.0.0.1", 50000), "server": ("127.0.0.1", 8000), "state": {**state},
        "headers": [
            (b"host", b"127.0.0.1:8000"), (b"user-agent", b"bench"), (b"accept", b"*/*"),
            (b"authorization", b"Bearer " + b"x" * 400), (b"accept-encoding", b"gzip"),
        ],
    }  # fmt: skip


async def receive() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def send(_message: Message) -> None:
    pass


if __name__ == "__main__":
    main()

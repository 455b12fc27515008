"""Load: a process of its own that keeps connections busy with requests that were made before.

`run` starts one and answers what it saw. It counts what the server used in the same window, by `/proc`. It understands
of HTTP what it needs: a status and a `Content-Length`, so that it costs less than any server that it measures.
"""

import asyncio
import itertools
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple, cast, override

import uvloop

from bench.processes import CLIENT_CORE, Server

CONNECTIONS = 32
UNIQUE = b"################"
"""Stands in a request for sixteen hexadecimal digits that no other request has."""
_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length: "
_FIRST_REFUSAL = 300


class Load(NamedTuple):
    """`requests` are sent over and over, in an order of chance, by `connections` that never pause."""

    requests: Sequence[bytes]
    seconds: float
    connections: int = CONNECTIONS
    warm_up: float = 0.3


class Sample(NamedTuple):
    """What a load has seen: CPU of the server for each request in µs, requests a second, latencies in ms, bytes."""

    cpu: float
    rate: float
    p50: float
    p99: float
    memory: float


class Refused(Exception):
    """The server has answered what was not asked for: nothing was measured."""


def run(server: Server, load: Load) -> Sample:
    """Raises `Refused` if any answer is not a 2xx."""
    task = {
        "server": server,
        "seconds": load.seconds,
        "connections": load.connections,
        "warm_up": load.warm_up,
        "requests": [request.decode() for request in load.requests],
    }
    command = ["taskset", "-c", str(CLIENT_CORE), sys.executable, "-m", "bench.load"]
    done = subprocess.run(command, input=json.dumps(task).encode(), stdout=subprocess.PIPE, check=True)
    seen = json.loads(done.stdout)
    if seen["refused"]:
        raise Refused(f"{server.name}: {seen['refused']}\n{server.said()}")
    return Sample(*seen["sample"])


class _Connection(asyncio.Protocol):
    """One request at a time, the next as soon as the answer is complete."""

    def __init__(self, requests: Iterator[bytes], seen: "_Seen") -> None:
        self._requests = requests
        self._seen = seen
        self._received = b""
        self._missing = 0  # bytes of the answer's body
        self._status = 0
        self._since = 0.0

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own has the methods, not the class
        self._send()

    @override
    def data_received(self, data: bytes) -> None:
        if self._missing:
            self._missing -= len(data)
        else:
            self._received += data
            end = self._received.find(_HEAD_END)
            if end < 0:
                return
            self._status = int(self._received[9:12])
            self._missing = self._length(self._received[: end + 2]) - (len(self._received) - end - len(_HEAD_END))
            self._received = b""
        if not self._missing:
            self._seen.answer(self._status, self._since)
            self._send()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._seen.lost(exc)

    def _length(self, head: bytes) -> int:
        low = head.lower()
        at = low.find(_LENGTH)
        return 0 if at < 0 else int(low[at + len(_LENGTH) : low.index(b"\r", at)])

    def _send(self) -> None:
        self._since = time.perf_counter()
        self._transport.write(next(self._requests))


class _Seen:
    """Answers of all connections."""

    def __init__(self) -> None:
        self.counting = False
        self.over = False
        self.refused: Counter[str] = Counter()
        self.latencies: list[float] = []

    def answer(self, status: int, since: float) -> None:
        if status >= _FIRST_REFUSAL:
            self.refused[str(status)] += 1
        elif self.counting:
            self.latencies.append(time.perf_counter() - since)

    def lost(self, exc: Exception | None) -> None:
        if not self.over:
            self.refused[f"connection lost: {exc}"] += 1


def _endless(requests: list[bytes]) -> Iterator[bytes]:
    """In an order of chance that costs nothing while it is measured."""
    parts = [request.split(UNIQUE) for request in random.sample(requests, len(requests))]
    start = int.from_bytes(os.urandom(7)) << 8
    for number, (first, *rest) in enumerate(itertools.cycle(parts), start):
        yield first if not rest else (b"%016x" % number).join((first, *rest))


async def _measure(server: Server, load: Load) -> dict[str, object]:
    loop = asyncio.get_running_loop()
    seen, requests = _Seen(), _endless(list(load.requests))
    opened = [
        await loop.create_connection(lambda: _Connection(requests, seen), "127.0.0.1", server.port)
        for _ in range(load.connections)
    ]
    await asyncio.sleep(load.warm_up)
    began, used, seen.counting = time.perf_counter(), server.usage(), True
    await asyncio.sleep(load.seconds)
    ended, use, seen.over = time.perf_counter(), server.usage(), True
    for transport, _ in opened:
        transport.abort()
    times = sorted(seen.latencies)
    if not times:
        return {"refused": dict(seen.refused) or "it never answered", "sample": []}
    sample = Sample(
        (use.cpu - used.cpu) / len(times) * 1e6,
        len(times) / (ended - began),
        times[len(times) // 2] * 1e3,
        times[int(len(times) * 0.99)] * 1e3,
        use.memory,
    )
    return {"refused": dict(seen.refused), "sample": sample}


def main() -> None:
    task = json.load(sys.stdin)
    load = Load([text.encode() for text in task["requests"]], task["seconds"], task["connections"], task["warm_up"])
    json.dump(uvloop.run(_measure(Server(*task["server"]), load)), sys.stdout)


if __name__ == "__main__":
    main()

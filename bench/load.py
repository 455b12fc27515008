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
_PATIENCE = 30.0
"""Seconds for the first answer, on a machine that is busy with other things."""


class Load(NamedTuple):
    """`requests` are sent over and over, in an order of chance, by `connections` that never pause.

    With a `pace` they send so many a second together; then an answer is as late as it is behind its time to be sent.
    `refusals`: answers that are no 2xx are what is measured.
    """

    requests: Sequence[bytes]
    seconds: float
    connections: int = CONNECTIONS
    warm_up: float = 0.3
    pace: float | None = None
    refusals: bool = False


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
    task = {"server": server, "requests": [request.decode() for request in load.requests], "load": load[1:]}
    command = [sys.executable, "-m", "bench.load"]
    done = subprocess.run(command, input=json.dumps(task).encode(), stdout=subprocess.PIPE, check=True)
    seen = json.loads(done.stdout)
    if seen["refused"]:
        raise Refused(f"{server.name}: {seen['refused']}\n{server.said()}")
    return Sample(*seen["sample"])


class _Connection(asyncio.Protocol):
    """One request at a time, the next as soon as the answer is complete."""

    def __init__(self, requests: Iterator[bytes], seen: "_Seen", pause: float | None) -> None:
        self._requests = requests
        self._seen = seen
        self._pause = pause
        self._received = b""
        self._missing = 0  # bytes of the answer's body
        self._status = 0
        self._since = 0.0

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own has the methods, not the class
        self._since = time.perf_counter() - (self._pause or 0.0) * random.random()  # not all at the same moment
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
        now = time.perf_counter()
        if self._pause is None:
            self._since = now
            self._transport.write(next(self._requests))
            return
        self._since += self._pause
        asyncio.get_running_loop().call_later(max(0.0, self._since - now), self._send_late)

    def _send_late(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(next(self._requests))


class _Seen:
    """Answers of all connections."""

    def __init__(self, load: Load) -> None:
        self._refusals = load.refusals
        self.counting = False
        self.over = False
        self.refused: Counter[str] = Counter()
        self.latencies: list[float] = []

    def answer(self, status: int, since: float) -> None:
        if (status >= _FIRST_REFUSAL) != self._refusals:
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
    seen, requests = _Seen(load), _endless(list(load.requests))
    pause = None if load.pace is None else load.connections / load.pace
    opened = [
        await loop.create_connection(lambda: _Connection(requests, seen, pause), "127.0.0.1", server.port)
        for _ in range(load.connections)
    ]
    await asyncio.sleep(load.warm_up)
    began, used, seen.counting = time.perf_counter(), server.usage(), True
    await asyncio.sleep(load.seconds)
    # It looks now and then: an event would cost something with each answer.
    while not (seen.latencies or seen.refused) and time.perf_counter() < began + _PATIENCE:  # noqa: ASYNC110
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
    os.sched_setaffinity(0, {CLIENT_CORE})
    task = json.load(sys.stdin)
    load = Load([text.encode() for text in task["requests"]], *task["load"])
    json.dump(uvloop.run(_measure(Server(*task["server"]), load)), sys.stdout)


if __name__ == "__main__":
    main()

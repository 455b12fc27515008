"""What rooms cost: one with many people in it while things happen, and sockets that are merely open.

`python -m bench.rooms [--sockets 1000] [--events 10] [--seconds 20] [--idle 10000] [--write]`: one worker, SQLite. This
process is the load; the server is another one. A latency is the time from before the request that writes until the
event has come to a socket.
"""

import argparse
import asyncio
import os
import re
import resource
import struct
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple, cast, override
from uuid import UUID

import uvloop

from bench import report
from doable import migrations, runtime
from doable.accounts.operations import registration, sessions
from doable.accounts.operations.sessions import Device, Signers
from doable.accounts.schemas import Login, UserCreate
from doable.client import Client
from doable.core.passwords import Hasher, Verified
from doable.realtime.connections import PER_PERSON
from doable.settings import Settings
from tests.support import configuration, servers
from tests.support.people import PASSWORD
from tests.support.servers import Server

AT_ONCE = 64
"""Handshakes under way."""
ATTEMPTS, RETRY = 20, 2.0
SETTLE = 5.0
TICKS = os.sysconf("SC_CLK_TCK")
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
HANDSHAKE = (
    "GET /ws/{room} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer {token}\r\n\r\n"
)


class Somebody(NamedTuple):
    user_id: UUID
    inbox_id: UUID
    token: str


class Busy(NamedTuple):
    sockets: int
    events: float
    deliveries: int
    p50: float
    p99: float
    cpu: float


class Idle(NamedTuple):
    sockets: int
    memory: float
    cpu: float


class Seen:
    def __init__(self) -> None:
        self.latencies: list[float] = []
        self.closed: list[int] = []


class Listener(asyncio.Protocol):
    """A socket in a room, which costs less than the server's end of it."""

    def __init__(self, room: object, token: str, seen: Seen) -> None:
        self.welcomed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._hello = HANDSHAKE.format(room=room, token=token).encode()
        self._seen = seen
        self._buffer = b""
        self._open = False

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._hello)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if not self.welcomed.done():
            self.welcomed.set_exception(exc or ConnectionError(self._buffer[:200]))

    @override
    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._open:
            head, end, rest = self._buffer.partition(b"\r\n\r\n")
            if not end or b" 101 " not in head:
                return
            self._open, self._buffer = True, rest
        while (frame := self._frame()) is not None:
            self._take(*frame)

    def close(self) -> None:
        self._transport.abort()

    def _frame(self) -> tuple[int, bytes] | None:
        buffer = self._buffer
        if len(buffer) < 2:  # noqa: PLR2004 — the shortest frame
            return None
        length, begin = buffer[1], 2
        if length == 126:  # noqa: PLR2004 — the protocol's: two bytes follow
            length, begin = int.from_bytes(buffer[2:4]), 4
        elif length == 127:  # noqa: PLR2004 — the protocol's: eight bytes follow
            length, begin = int.from_bytes(buffer[2:10]), 10
        if len(buffer) < begin + length:
            return None
        self._buffer = buffer[begin + length :]
        return buffer[0] & 15, buffer[begin : begin + length]

    def _take(self, opcode: int, content: bytes) -> None:
        if opcode == TEXT:
            if not self.welcomed.done():
                self.welcomed.set_result(None)
            elif b'"todo.created"' in content:
                written = float(content.partition(b'"title":"')[2].partition(b'"')[0])
                self._seen.latencies.append(time.monotonic() - written)
        elif opcode == PING:
            self._transport.write(struct.pack("!BB4x", 0x80 | PONG, 0x80 | len(content)) + content)
        elif opcode == CLOSE:
            self._seen.closed.append(int.from_bytes(content[:2]))


class Credulous(Hasher):
    """Hundreds of people are made here; what their passwords cost is measured elsewhere."""

    @override
    def _hash(self, password: str) -> str:
        return self._nobodys

    @override
    def _verify(self, password: str, stored: str | None) -> Verified:
        return Verified(ok=True, rehashed=None)


async def main() -> None:
    options = _options()
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        settings = configuration.make_settings(f"sqlite:///{folder / 'bench.db'}", folder)
        people = await _populate(settings, -(-max(options.sockets, options.idle) // PER_PERSON))
        server = stack.enter_context(servers.serve(settings, folder))
        idle = await _measure_idle(server, people, options.idle)
        busy = await _measure_busy(server, people, options)
    text = _table(busy, idle)
    print(text)
    if options.write:
        report.write("rooms", text)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sockets", type=int, default=1_000)
    parser.add_argument("--events", type=float, default=10, help="a second")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--idle", type=int, default=10_000)
    parser.add_argument("--write", action="store_true", help="into docs/performance.md")
    return parser.parse_args()


async def _populate(settings: Settings, count: int) -> list[Somebody]:
    await migrations.migrate(settings.database)
    people = []
    async with runtime.open_runtime(settings) as opened:
        hasher = Credulous()
        signers = Signers(opened.access_tokens, opened.refresh_tokens)
        for n in range(count):
            name = f"person{n}"
            form = UserCreate(email=f"{name}@example.com", username=name, password=PASSWORD, confirm_password=PASSWORD)
            row = await registration.create_user(opened.db, hasher, form)
            login = Login(login=name, password=PASSWORD)
            pair = await sessions.login(opened.db, hasher, signers, login, Device(None, None, "127.0.0.1"))
            people.append(Somebody(row.id, row.inbox_id, pair.access_token))
        hasher.close()
    return people


async def _measure_idle(server: Server, people: list[Somebody], count: int) -> Idle:
    """Each person's inbox, open as often as he may."""
    seen = Seen()
    warm = await _open(server, [(people[0].inbox_id, people[0].token)] * PER_PERSON, seen)
    for listener in warm:
        listener.close()
    await asyncio.sleep(SETTLE)
    before = _resident(server)
    places = [(person.inbox_id, person.token) for person in people for _ in range(PER_PERSON)][:count]
    listeners = await _open(server, places, seen)
    await asyncio.sleep(SETTLE)
    memory = (_resident(server) - before) / count
    used, began = _cpu(server), time.monotonic()
    await asyncio.sleep(25)  # each is pinged once
    cpu = (_cpu(server) - used) / (time.monotonic() - began)
    _close(listeners, seen)
    await asyncio.sleep(SETTLE)
    return Idle(count, memory, cpu)


async def _measure_busy(server: Server, people: list[Somebody], options: argparse.Namespace) -> Busy:
    some = people[: -(-options.sockets // PER_PERSON)]
    seen = Seen()
    async with Client(server.base_url, token=some[0].token, trust_env=False) as owner:
        home = (await owner.create_list("Everybody's"))["id"]
        for n, person in enumerate(some[1:], 1):
            await _join(server, owner, home, n, person)
        places = [(UUID(home), person.token) for person in some for _ in range(PER_PERSON)][: options.sockets]
        listeners = await _open(server, places, seen)
        await asyncio.sleep(SETTLE)
        count = int(options.seconds * options.events)
        used, began = _cpu(server), time.monotonic()
        for n in range(count):
            await asyncio.sleep(max(0.0, began + n / options.events - time.monotonic()))
            await owner.create_todo(repr(time.monotonic()), list_id=home)
        cpu = (_cpu(server) - used) / (time.monotonic() - began)
        await asyncio.sleep(1)
    _close(listeners, seen)
    if len(seen.latencies) != count * options.sockets:
        raise SystemExit(f"{len(seen.latencies)} deliveries instead of {count * options.sockets}")
    ordered = sorted(seen.latencies)
    p50, p99 = (ordered[len(ordered) * percent // 100] for percent in (50, 99))
    return Busy(options.sockets, options.events, len(ordered), p50, p99, cpu)


async def _join(server: Server, owner: Client, home: str, n: int, person: Somebody) -> None:
    body = {"email": f"person{n}@example.com", "role": "viewer"}
    invitation = (await owner.call("POST", f"/lists/{home}/invitations", body)).json()
    async with Client(server.base_url, token=person.token, trust_env=False) as client:
        await client.call("POST", "/invitations/acceptance", {"id": invitation["id"]})


async def _open(server: Server, places: list[tuple[UUID, str]], seen: Seen) -> list[Listener]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(room: UUID, token: str) -> Listener:
        loop = asyncio.get_running_loop()
        async with gate:
            for _ in range(ATTEMPTS):
                _, listener = await loop.create_connection(
                    lambda: Listener(room, token, seen), "127.0.0.1", server.port
                )
                try:
                    await listener.welcomed
                except ConnectionError:  # too many at once: it says when to come back
                    await asyncio.sleep(RETRY)
                else:
                    return listener
        raise SystemExit(server.log[-2_000:])

    return await asyncio.gather(*(one(room, token) for room, token in places))


def _close(listeners: list[Listener], seen: Seen) -> None:
    for listener in listeners:
        listener.close()
    if seen.closed:
        raise SystemExit(f"the server has closed {len(seen.closed)} sockets: {set(seen.closed)}")


def _resident(server: Server) -> int:
    """Bytes."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{server.pid}/status").read_text())
    if found is None:
        raise SystemExit(server.log)
    return int(found[1]) * 1024


def _cpu(server: Server) -> float:
    """Seconds."""
    fields = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _table(busy: Busy, idle: Idle) -> str:
    return f"""
One worker, SQLite; {report.machine()}. A latency is the time from before the request that writes until the event has
come to a socket.

| one room, {busy.sockets:,} sockets of {-(-busy.sockets // PER_PERSON)} people, {busy.events:g} events a second | |
|---|---:|
| latency, p50 | {busy.p50 * 1000:.0f} ms |
| latency, p99 | {busy.p99 * 1000:.0f} ms |
| CPU of the worker | {busy.cpu * 100:.0f} % of a core |
| CPU of a delivery, all that belongs to it | {busy.cpu / (busy.events * busy.sockets) * 1e6:.0f} µs |

| {idle.sockets:,} idle sockets of {-(-idle.sockets // PER_PERSON)} people in as many rooms | |
|---|---:|
| memory of a socket | {idle.memory / 1024:.1f} KiB |
| CPU of the worker, pings and all | {idle.cpu * 100:.0f} % of a core |
"""


if __name__ == "__main__":
    uvloop.run(main())

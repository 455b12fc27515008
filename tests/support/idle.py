"""Thousands of sockets that say nothing but what they are asked: whether they are there."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import insert

from doable import runtime
from doable.accounts.tables import sessions, users
from doable.core import clock, ids
from doable.core.tokens import AccessTokens
from doable.lists.tables import members
from doable.realtime.connections import PER_PERSON
from doable.settings import Settings
from tests.support.configuration import SECRET_KEY
from tests.support.people import API

AT_ONCE = 40
PING, PONG, CLOSE = 0x89, 0x8A, 0x88
SHORT = 126
SOURCES = 4
"""Addresses of this machine; each has so many ports."""


class Socket(asyncio.Protocol):
    """Counts nothing and keeps nothing: what is measured is the server."""

    def __init__(self, request: bytes) -> None:
        self.welcomed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._request = request
        self._received = bytearray()
        self._upgraded = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._upgraded:
            head, end, rest = bytes(self._received).partition(b"\r\n\r\n")
            if not end:
                return
            if b" 101 " not in head[:20]:
                self._fail(f"{head.decode()}\n\n{rest.decode()}")
                return
            self._upgraded, self._received = True, bytearray(rest)
        while self._frame():
            pass

    def connection_lost(self, _error: Exception | None) -> None:
        self._fail("cut off")

    def _frame(self) -> bool:
        """Take a frame from what was received; whether there was one."""
        if len(self._received) < 4:
            return False
        length, start = self._received[1], 2
        if length >= SHORT:
            length, start = int.from_bytes(self._received[2:4]), 4
        if len(self._received) < start + length:
            return False
        kind, content = self._received[0], bytes(self._received[start : start + length])
        del self._received[: start + length]
        if kind == PING:
            self.transport.write(bytes([PONG, 0x80 | length, 0, 0, 0, 0]) + content)
        elif kind == CLOSE:
            self._fail(f"closed: {content!r}")
        else:
            self.hear(content)
        return True

    def hear(self, _text: bytes) -> None:
        if not self.welcomed.done():
            self.welcomed.set_result(None)

    def _fail(self, why: str) -> None:
        if not self.welcomed.done():
            self.welcomed.set_exception(ConnectionError(why))


class Ticket(NamedTuple):
    """Where somebody may sit, and by what."""

    list_id: UUID
    token: str


async def tickets(settings: Settings, list_ids: Sequence[UUID], count: int) -> list[Ticket]:
    """Of so many new members of these lists, without the time that their passwords would take."""
    now = clock.now()
    issuer = AccessTokens(SECRET_KEY.encode(), None, issuer="doable", lifetime=timedelta(minutes=30))
    people = [(ids.new_id(), ids.new_id(), f"idle{n}") for n in range(count)]
    database = runtime.open_database(settings)
    try:
        async with database.transaction() as tx:
            await tx.many(insert(users), [_user(user_id, name) for user_id, _, name in people])
            await tx.many(insert(sessions), [_session(user_id, session_id) for user_id, session_id, _ in people])
            joined = [
                {"list_id": list_ids[n % len(list_ids)], "user_id": user_id, "role": "viewer", "joined_at": now}
                for n, (user_id, *_) in enumerate(people)
            ]
            await tx.many(insert(members), joined)
    finally:
        await database.close()
    return [
        Ticket(list_ids[n % len(list_ids)], issuer.issue(user_id, session_id, 0, now))
        for n, (user_id, session_id, _) in enumerate(people)
    ]


def _user(user_id: UUID, name: str) -> dict[str, object]:
    now = clock.now()
    return {
        "id": user_id, "email": f"{name}@example.com", "email_key": f"{name}@example.com", "username": name,
        "username_key": name, "password_hash": None, "email_verified_at": None, "disabled_at": None,
        "deleted_at": None, "is_admin": False, "timezone": "UTC", "inbox_id": ids.new_id(), "created_at": now,
        "updated_at": now,
    }  # fmt: skip


def _session(user_id: UUID, session_id: UUID) -> dict[str, object]:
    now = clock.now()
    return {
        "id": session_id, "user_id": user_id, "refresh_hash": session_id.bytes * 2, "previous_hash": None,
        "grandparent_hash": None, "grandparent_replaced_at": None, "rotation_salt": None, "generation": 0,
        "seen_generation": 0, "seen_at": None, "rotated_at": now, "created_at": now, "last_used_at": now,
        "expires_at": now + timedelta(days=1), "revoked_at": None, "user_agent": None, "ip": None,
    }  # fmt: skip


@asynccontextmanager
async def sitting[S: Socket](
    port: int, held: Sequence[Ticket], count: int, kind: Callable[[bytes], S]
) -> AsyncIterator[list[S]]:
    """So many sockets, as many of each person as he may have."""
    gate = asyncio.Semaphore(AT_ONCE)
    made: list[S] = []

    async def sit(n: int) -> None:
        list_id, token = held[n // PER_PERSON]
        key = base64.b64encode(n.to_bytes(16)).decode()
        lines = [
            f"GET {API}/ws/{list_id} HTTP/1.1", "Host: 127.0.0.1", "Upgrade: websocket", "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", f"Authorization: Bearer {token}",
        ]  # fmt: skip
        request = "\r\n".join([*lines, "", ""]).encode()
        async with gate:
            loop, source = asyncio.get_running_loop(), (f"127.0.0.{2 + n % SOURCES}", 0)
            _, socket = await loop.create_connection(lambda: kind(request), "127.0.0.1", port, local_addr=source)
            made.append(socket)
            await socket.welcomed

    try:
        async with asyncio.TaskGroup() as group:
            for n in range(count):
                group.create_task(sit(n))
        yield made
    finally:
        for socket in made:
            socket.transport.abort()

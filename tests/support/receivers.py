"""Servers that webhooks are sent to: real ones, on the loopback, which look at signatures as any receiver would."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any, NamedTuple

import standardwebhooks
from sqlalchemy import update

from doable.core.db import Database
from doable.core.jobs.tables import WAITING, jobs
from doable.webhooks.tables import FAILED, deliveries, webhooks
from tests.support import asgi
from tests.support.people import Person

type Json = dict[str, Any]


class Received(NamedTuple):
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Json:
        parsed: Json = json.loads(self.body)
        return parsed

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def verify(self, secret: str) -> Json:
        """Raises `WebhookVerificationError`."""
        verified: Json = standardwebhooks.Webhook(secret).verify(self.body, self.headers)
        return verified


class Receiver:
    """Answers with `status`, after `delay` seconds, and with more `headers`."""

    def __init__(self) -> None:
        self.port = 0
        self.status = 204
        self.delay = 0.0
        self.headers: dict[str, str] = {}
        self.received: list[Received] = []
        self.over = asyncio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def kinds(self) -> list[str]:
        return [each.json["type"] for each in self.received]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            body = await reader.readexactly(int(headers["content-length"]))
            self.received.append(Received(head.split()[1], headers, body))
            with suppress(TimeoutError):
                async with asyncio.timeout(self.delay):
                    await self.over.wait()
            more = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
            writer.write(f"HTTP/1.1 {self.status} X\r\nContent-Length: 0\r\n{more}\r\n".encode())
            await writer.drain()
        writer.close()


@asynccontextmanager
async def listening() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    async with server:
        receiver.port = server.sockets[0].getsockname()[1]
        yield receiver
        receiver.over.set()  # the server waits for those who are being answered


async def subscribe(person: Person, receiver: Receiver, **members: object) -> Json:
    """A new webhook, with its secret."""
    answer = await person.post("/webhooks", {"url": receiver.url, **members})
    assert answer.status_code == 201, answer.text
    made: Json = answer.json()
    return made


async def skip_ahead(running: asgi.Running) -> None:
    """Let everything be due that waits for its time."""
    database: Database = running.state["db"]
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    async with database.transaction() as tx:
        await tx.execute(update(deliveries).where(deliveries.c.status == FAILED).values(next_attempt_at=long_ago))
        await tx.execute(update(webhooks).values(resumes_at=None))
        await tx.execute(update(jobs).where(jobs.c.state == WAITING).values(run_at=long_ago))


async def log(person: Person, webhook_id: str) -> list[Json]:
    """The deliveries, the oldest first."""
    answer = await person.get(f"/webhooks/{webhook_id}/deliveries")
    assert answer.status_code == 200, answer.text
    return list(reversed(answer.json()["items"]))

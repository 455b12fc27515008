"""Many who sit in a room and do nothing but come back, as a good client does: after the time that they are told."""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from doable.realtime.connections import PER_PERSON
from doable.realtime.outbox import LEAVING
from tests.support import idle
from tests.support.idle import Ticket
from tests.support.ledger import Ledger
from tests.support.people import API
from tests.support.systems import System

EACH = PER_PERSON - 5
"""Sockets of a person: one whose end the server has not noticed counts, too."""


class Member:
    """`gap`: the longest time without a room. `recovered`: whether everything it missed has come, if it was away."""

    def __init__(self, base_url: str, ticket: Ticket, epoch: str) -> None:
        self.there = False
        self.recovered: bool | None = None
        self.gap = 0.0
        self.codes: list[int | None] = []
        self.refused = 0
        self.socket: ClientConnection | None = None
        self._url = f"{base_url.replace('http', 'ws', 1)}{API}/ws/{ticket.list_id}"
        self._headers = {"Authorization": f"Bearer {ticket.token}"}
        self._epoch = epoch
        self._revision: int | None = None
        self._left = 0.0

    async def stay(self) -> None:
        """Until it is cancelled."""
        while True:
            pause = random.uniform(0.05, 0.3)  # noqa: S311 — no secret
            try:
                await self._sit()
            except ConnectionClosed as end:
                self.codes.append(end.rcvd.code if end.rcvd else None)
                if end.rcvd is not None and end.rcvd.code == LEAVING:
                    pause = float(json.loads(end.rcvd.reason)["retry_after"])
            except InvalidStatus as refusal:
                self.refused += 1
                pause = float(refusal.response.headers.get("Retry-After", 1))
            except (OSError, EOFError, TimeoutError):
                pass
            if self.there:
                self.there, self._left = False, time.monotonic()
            await asyncio.sleep(pause)

    async def _sit(self) -> None:
        since = "" if self._revision is None else f"?since={self._epoch}:{self._revision}"
        options: dict[str, Any] = {"proxy": None, "compression": None, "open_timeout": 15, "ping_interval": None}
        async with connect(self._url + since, additional_headers=self._headers, **options) as self.socket:
            async for text in self.socket:
                self._hear(json.loads(text))

    def _hear(self, message: dict[str, Any]) -> None:
        if message["type"] == "welcome":
            if self._left:
                self.gap = max(self.gap, time.monotonic() - self._left)
                self.recovered = message["recovered"] is not False and self.recovered is not False
            if self._revision is None or message["recovered"] is False:
                self._revision = message["revision"]
            self.there = True
        elif message["type"] == "event":
            assert self._revision is not None
            assert message["event"]["revision"] == self._revision + 1, "a gap"
            self._revision += 1


@asynccontextmanager
async def gathered(system: System, ledger: Ledger, count: int) -> AsyncIterator[list[Member]]:
    """So many sockets of as few people as may have them, in the ledger's first list."""
    tickets = await idle.tickets(system.settings, [UUID(ledger.list_ids[0])], -(-count // EACH))
    crowd = [Member(system.base_url, tickets[n // EACH], ledger.epoch) for n in range(count)]
    tasks = [asyncio.create_task(member.stay(), name="member") for member in crowd]
    try:
        async with asyncio.timeout(60):
            while not all(member.there for member in crowd):  # noqa: ASYNC110 — nothing tells
                await asyncio.sleep(0.05)
        yield crowd
        assert [task for task in tasks if task.done()] == []
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

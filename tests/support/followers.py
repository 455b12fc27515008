"""Those who follow a list over all breaks, by a room and by polling; each keeps a copy that admits no gap."""

import asyncio
import json
import random
from typing import Any

import httpx2
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tests.support import folding
from tests.support.people import API, Person

PAUSE = 0.3


class Follower:
    """`breaks`: how often it had to begin again; `lost`: how often it was told that its position is."""

    def __init__(self, person: Person, list_id: str, epoch: str) -> None:
        self.person, self.list_id, self.epoch = person, list_id, epoch
        self.copy = folding.Copy()
        self.breaks = 0
        self.lost = 0
        self.codes: list[int | None] = []

    async def follow(self) -> None:
        """Until it is cancelled."""
        raise NotImplementedError


class RoomReader(Follower):
    async def follow(self) -> None:
        while True:
            try:
                await self._sit()
            except ConnectionClosed as end:
                self.codes.append(end.rcvd.code if end.rcvd else None)
            except (OSError, InvalidHandshake, EOFError, TimeoutError):
                pass
            self.breaks += 1
            await asyncio.sleep(random.uniform(0.05, PAUSE))  # noqa: S311 — no secret

    async def _sit(self) -> None:
        base = str(self.person.client.base_url).rstrip("/").replace("http", "ws", 1)
        url = f"{base}{API}/ws/{self.list_id}?since={self.epoch}:{self.copy.revision}"
        options: dict[str, Any] = {"proxy": None, "max_size": None, "open_timeout": 10, "close_timeout": 1}
        async with connect(url, additional_headers=self.person.headers, **options) as socket:
            async for text in socket:
                message = json.loads(text)
                if message["type"] == "welcome" and not message["recovered"]:
                    self.lost += 1
                    await _catch_up(self)
                    return
                if message["type"] == "event":
                    self.copy.apply(message["event"])


class Poller(Follower):
    async def follow(self) -> None:
        while True:
            if not await _catch_up(self):
                self.breaks += 1
            await asyncio.sleep(PAUSE)


async def _catch_up(follower: Follower) -> bool:
    """Whether all was read that there is."""
    while True:
        position = f"{follower.epoch}:{follower.copy.revision}"
        try:
            answer = await follower.person.get(f"/lists/{follower.list_id}/events?after={position}")
        except httpx2.TransportError:
            return False
        if answer.status_code != 200:
            return False
        page = answer.json()
        for event in page["events"]:
            follower.copy.apply(event)
        if not page["more"]:
            return True

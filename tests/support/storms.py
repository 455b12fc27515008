"""Many people in many rooms whose connections are cut again and again, while others write: who has seen what."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import NamedTuple

import httpx2

from doable.client import Change, Client, Following, Position
from tests.support.people import Person, register
from tests.support.relays import Relay
from tests.support.sharing import join

CUT = 2.0
"""Seconds that a connection stays cut."""
PATIENCE = 60.0
"""Seconds in which everybody has everything, once it is quiet."""
WRITES = 3
"""Over one connection."""
AT_ONCE = 4
"""Requests under way while lists and people are made."""

type Trouble = Callable[[float], Awaitable[None]]
"""What else goes wrong during so many seconds."""


@dataclass(frozen=True)
class Size:
    rooms: int
    sockets: int
    seconds: float
    relays: int = 10
    pause: float = 0.25
    """Between two writes to a list."""


@dataclass
class Reader:
    """One subscriber, from the first event of the list."""

    list_id: str
    seen: list[int] = field(default_factory=list)
    following: Following | None = None


class Figures(NamedTuple):
    written: int
    delivered: int
    doubled: int
    missed: int
    breaks: int
    workers: int
    p50: float
    p99: float

    def __str__(self) -> str:
        return (
            f"{self.written} events, {self.delivered} delivered, {self.doubled} twice, {self.missed} missed, "
            f"{self.breaks} breaks, p50 {self.p50 * 1000:.0f} ms, p99 {self.p99 * 1000:.0f} ms, "
            f"writers at {self.workers} workers"
        )


class Storm:
    def __init__(self, port: int, size: Size) -> None:
        self.size = size
        self.readers: list[Reader] = []
        self._port = port
        self._lists: dict[str, Person] = {}
        self._last: dict[str, Position] = {}
        self._processes: set[str] = set()
        self._latencies: list[float] = []
        self._told = asyncio.Event()

    async def run(self, trouble: Trouble | None = None) -> Figures:
        """All of it; afterwards `readers` have seen what they have seen."""
        async with AsyncExitStack() as stack:
            url = f"http://127.0.0.1:{self._port}"
            http = await stack.enter_async_context(httpx2.AsyncClient(base_url=url, trust_env=False, timeout=30))
            places = await self._populate(http)
            relays = [await stack.enter_async_context(Relay(self._port)) for _ in range(self.size.relays)]
            reading = [
                asyncio.create_task(self._read(relays[n % len(relays)], person, list_id))
                for n, (person, list_id) in enumerate(places)
            ]
            stack.push_async_callback(_end, reading)
            await self._until(lambda: len(self.readers) == len(places) and all(r.seen for r in self.readers), reading)
            await self._rage(url, relays, trouble)
            expected = sum(self._last[reader.list_id].revision for reader in self.readers)
            await self._until(lambda: sum(len(reader.seen) for reader in self.readers) >= expected, reading)
        return self._figures()

    def wrong(self) -> dict[str, list[int]]:
        """What those have seen who have not seen exactly everything once and in order."""
        return {
            reader.list_id: reader.seen
            for reader in self.readers
            if reader.seen != list(range(1, self._last[reader.list_id].revision + 1))
        }

    async def _populate(self, http: httpx2.AsyncClient) -> list[tuple[Person, str]]:
        """As many people as rooms; each room is of one of them, with those who come after him."""
        people = await _few(register(http, f"person{n}") for n in range(self.size.rooms))
        lists = await _few(person.list(f"list of {person.user['username']}") for person in people)
        self._lists = {made["id"]: person for made, person in zip(lists, people, strict=True)}
        places, joining = [], []
        for n, (list_id, owner) in enumerate(self._lists.items()):
            for k in range(self.size.sockets // self.size.rooms):
                person = people[(n + k) % len(people)]
                places.append((person, list_id))
                if k:
                    joining.append(join(owner, person, list_id, "viewer"))
        await _few(joining)
        return places

    async def _rage(self, url: str, relays: Sequence[Relay], trouble: Trouble | None) -> None:
        ends = time.monotonic() + self.size.seconds
        async with asyncio.TaskGroup() as group:
            for list_id, owner in self._lists.items():
                group.create_task(self._write(url, owner, list_id, ends))
            for relay in relays:
                group.create_task(_cut_again_and_again(relay, ends))
            if trouble is not None:
                group.create_task(_as_coroutine(trouble(self.size.seconds)))

    async def _write(self, url: str, owner: Person, list_id: str, ends: float) -> None:
        """Over one connection after the other: which worker takes one is chance."""
        while time.monotonic() < ends:
            async with Client(url, token=owner.tokens["access_token"], trust_env=False) as client:
                for _ in range(WRITES):
                    body = {"list_id": list_id, "title": repr(time.monotonic())}
                    answer = await client.call("POST", "/todos", body)
                    self._last[list_id] = Position.parse(answer.headers["Doable-Position"])
                    self._processes.add(answer.headers["X-Request-Id"].partition("-")[0])
                    await asyncio.sleep(self.size.pause * random.uniform(0.5, 1.5))  # noqa: S311 — no secret

    async def _read(self, relay: Relay, person: Person, list_id: str) -> None:
        reader = Reader(list_id)
        self.readers.append(reader)
        async with Client(relay.base_url, token=person.tokens["access_token"], trust_env=False) as client:
            epoch = (await client.snapshot(list_id)).position.epoch
            async with client.follow(list_id, Position(epoch, 0)) as reader.following:
                async for item in reader.following:
                    assert isinstance(item, Change), "a position that nobody has trimmed is never lost"
                    reader.seen.append(item.position.revision)
                    if item.event["kind"] == "todo.created":
                        self._latencies.append(time.monotonic() - float(item.event["data"]["todo"]["title"]))
                    self._told.set()

    async def _until(self, holds: Callable[[], bool], reading: Sequence[asyncio.Task[None]]) -> None:
        """Readers have been told so much; or until somebody has given up."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not holds():
                    self._told.clear()
                    told = asyncio.create_task(self._told.wait())
                    done, _ = await asyncio.wait([told, *reading], return_when=asyncio.FIRST_COMPLETED)
                    told.cancel()
                    for task in done - {told}:
                        await task
        except TimeoutError:
            pass  # `wrong` tells who, in the end

    def _figures(self) -> Figures:
        followings = [reader.following for reader in self.readers if reader.following is not None]
        latencies = sorted(self._latencies)
        return Figures(
            written=sum(position.revision for position in self._last.values()),
            delivered=sum(len(reader.seen) for reader in self.readers),
            doubled=sum(following.doubles for following in followings),
            missed=sum(following.gaps for following in followings),
            breaks=sum(following.breaks for following in followings),
            workers=len(self._processes),
            p50=latencies[len(latencies) // 2],
            p99=latencies[len(latencies) * 99 // 100],
        )


async def _few[T](doing: Iterable[Awaitable[T]]) -> list[T]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(awaited: Awaitable[T]) -> T:
        async with gate:
            return await awaited

    return await asyncio.gather(*map(one, doing))


async def _cut_again_and_again(relay: Relay, ends: float) -> None:
    while time.monotonic() + CUT < ends:
        await asyncio.sleep(random.uniform(CUT / 2, CUT * 2))  # noqa: S311 — no secret
        relay.down = True
        relay.cut()
        await asyncio.sleep(CUT)
        relay.down = False


async def _as_coroutine(awaited: Awaitable[None]) -> None:
    await awaited


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

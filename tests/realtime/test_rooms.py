"""Everybody in a room sees what happens at once and in order, and who comes back has missed nothing."""

import asyncio
import json
from uuid import UUID

import pytest
from websockets.exceptions import InvalidStatus

from doable.core import clock, streams
from doable.core import events as log
from doable.core.events import Event
from doable.realtime.admission import leaving
from tests.support.people import Person
from tests.support.rooms import Served, hear_only_the_bell


async def test_who_is_in_the_room_sees_what_happens_as_the_log_has_it(served: Served, ana: Person) -> None:
    async with served.visit(ana, ana.inbox_id) as seat:
        assert seat.welcome == {
            "type": "welcome",
            "room": ana.inbox_id,
            "epoch": served.state["epoch"],
            "revision": 2,
            "recovered": None,
            "online": [{"id": ana.user["id"], "username": "ana"}],
            "streams": None,
        }
        todo = await ana.todo("Milk")
        await ana.patch(f"/todos/{todo['id']}", {"title": "Oat milk"})
        messages = [await seat.hear(), await seat.hear()]
    log = (await ana.get(f"/lists/{ana.inbox_id}/events", params={"after": f"{served.state['epoch']}:2"})).json()
    assert messages == [{"type": "event", "room": ana.inbox_id, "event": event} for event in log["events"]]
    assert [event["kind"] for event in log["events"]] == ["todo.created", "todo.updated"]


async def test_every_event_is_told_by_the_bell(served: Served, ana: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    hear_only_the_bell(monkeypatch)
    async with served.visit(ana, ana.inbox_id) as seat:
        for n in range(20):
            await ana.todo(f"todo {n}")
            assert [event["revision"] for event in await seat.events(1)] == [3 + n]


async def test_who_comes_back_gets_what_happened_meanwhile_once_and_in_order(served: Served, ana: Person) -> None:
    async with served.visit(ana, ana.inbox_id) as seat:
        await ana.todo("before")
        seen = [event["revision"] for event in await seat.events(1)]
    for n in range(5):
        await ana.todo(f"while away {n}")
    position = f"{served.state['epoch']}:{seen[-1]}"
    async with served.visit(ana, ana.inbox_id, query=f"?since={position}") as seat:
        writing = asyncio.gather(*(ana.todo(f"at the same time {n}") for n in range(10)))
        assert seat.welcome["recovered"] is True
        seen += [event["revision"] for event in await seat.events(15)]
        await writing
        assert seen == list(range(3, 19))
        caught_up = [message for message in seat.seen if message["type"] == "caught_up"]
        assert [message["revision"] for message in caught_up] == [seat.welcome["revision"]]


async def test_who_is_there_when_the_process_leaves_is_told_when_to_come_back(served: Served, ana: Person) -> None:
    async with served.visit(ana, ana.inbox_id) as seat:
        served.state["lifecycle"].drain()
        code, reason = await seat.closed()
        with pytest.raises(InvalidStatus) as refusal:
            async with served.visit(ana, ana.inbox_id):
                pass
    assert code == 1012
    assert json.loads(reason)["retry_after"] in {1, 2}
    assert refusal.value.response.status_code == 503
    assert refusal.value.response.headers["Retry-After"] == "1"


def test_a_large_crowd_is_told_to_come_back_spread_over_some_seconds() -> None:
    told = [json.loads(leaving(2_000).reason)["retry_after"] for _ in range(200)]
    assert set(told) == {1, 2, 3, 4, 5, 6}


@pytest.mark.parametrize(("count", "size"), [(2_000, 0), (600, 2_000)])
async def test_who_listens_is_not_too_slow_for_what_happens_in_one_moment(
    served: Served, ana: Person, count: int, size: int
) -> None:
    inbox = UUID(ana.inbox_id)
    async with served.visit(ana, ana.inbox_id) as seat:
        async with served.state["db"].transaction() as tx:
            revision = await streams.bump(tx, inbox, count)
            told = [Event("list.updated", json.dumps({"list": "x" * size}))] * count
            await log.append(tx, inbox, revision, log.operation(None, clock.now()), *told)
        seen = [json.loads(await seat.socket.recv())["event"]["revision"] for _ in range(count)]
    assert seen == list(range(3, count + 3))

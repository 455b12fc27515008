"""Coming back: all that was missed or a clear no, and one look at the log for all who come at once."""

import asyncio
from contextlib import AsyncExitStack
from uuid import UUID

import pytest

from doable.core import clock, streams
from doable.core import events as log
from doable.core.events import Event, EventRow
from doable.realtime import clients, frames, rooms
from tests.support.people import Person
from tests.support.rooms import Served, eventually
from tests.test_statement_counts import counted

sqlite_only = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


async def happen(served: Served, list_id: str, count: int) -> None:
    """So many events at once."""
    async with served.state["db"].transaction() as tx:
        revision = await streams.bump(tx, UUID(list_id), count)
        told = [Event("list.updated", "{}")] * count
        await log.append(tx, UUID(list_id), revision, log.operation(None, clock.now()), *told)


@pytest.mark.parametrize("since", ["otherepoch:2", "{epoch}:3", "{epoch}:999999999", "nonsense", ""])
async def test_from_a_lost_position_nothing_is_replayed(served: Served, ana: Person, since: str) -> None:
    query = "?since=" + since.format(epoch=served.state["epoch"])
    async with served.visit(ana, ana.inbox_id, query=query) as seat:
        assert (seat.welcome["recovered"], seat.welcome["revision"]) == (False, 2)
        await ana.todo()
        assert [event["revision"] for event in await seat.events(1)] == [3]


async def test_a_thousand_events_are_replayed_and_one_more_is_too_much(served: Served, ana: Person) -> None:
    epoch = served.state["epoch"]
    await happen(served, ana.inbox_id, 1000)
    async with served.visit(ana, ana.inbox_id, query=f"?since={epoch}:2") as seat:
        assert seat.welcome["recovered"] is True
        assert [event["revision"] for event in await seat.events(1000)] == list(range(3, 1003))
        assert await seat.hear() == {"type": "caught_up", "revision": 1002}
    async with served.visit(ana, ana.inbox_id, query=f"?since={epoch}:1") as seat:
        assert seat.welcome["recovered"] is False
        assert await seat.silent()


async def test_at_the_newest_position_there_is_nothing_to_replay(served: Served, ana: Person) -> None:
    async with served.visit(ana, ana.inbox_id, query=f"?since={served.state['epoch']}:2") as seat:
        assert seat.welcome["recovered"] is True
        assert await seat.hear() == {"type": "caught_up", "revision": 2}


async def test_where_the_log_was_trimmed_nothing_is_replayed(served: Served, ana: Person) -> None:
    await happen(served, ana.inbox_id, 5)
    async with served.state["db"].transaction() as tx:
        old = (log.events.c.stream_id == UUID(ana.inbox_id)) & (log.events.c.revision < 5)
        await tx.execute(log.events.delete().where(old))
    for known, recovered in ((2, False), (4, True)):
        async with served.visit(ana, ana.inbox_id, query=f"?since={served.state['epoch']}:{known}") as seat:
            assert seat.welcome["recovered"] is recovered


@sqlite_only
async def test_however_many_come_back_the_log_is_read_once(
    served: Served, ana: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("doable.realtime.connections.PER_PERSON", 1_000)
    await happen(served, ana.inbox_id, 100)
    back = f"?since={served.state['epoch']}:50"
    with counted(served) as statements:
        async with AsyncExitStack() as stack:
            seats = [served.visit(ana, ana.inbox_id, query=back) for _ in range(100)]
            await asyncio.gather(*map(stack.enter_async_context, seats))
            for seat in seats:
                assert [event["revision"] for event in await seat.events(52)] == list(range(51, 103))
    assert len([text for text in statements if text.startswith("SELECT events")]) == 1


async def test_those_who_come_from_different_places_get_what_each_has_missed(served: Served, ana: Person) -> None:
    await happen(served, ana.inbox_id, 10)
    async with served.visit(ana, ana.inbox_id) as seat:
        await happen(served, ana.inbox_id, 3)
        await seat.events(3)
        for known in (14, 9, 5, 11):
            async with served.visit(ana, ana.inbox_id, query=f"?since={served.state['epoch']}:{known}") as back:
                missed = [event["revision"] for event in await back.events(15 - known)]
                assert missed == list(range(known + 1, 16))
                assert (await back.hear())["type"] == "caught_up"


@sqlite_only
async def test_one_event_is_read_and_made_into_text_once_for_all_who_are_there(
    served: Served, ana: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    make = frames.event

    def counting(row: EventRow, room: str) -> frames.Frame:
        made.append(row.revision)
        return make(row, room)

    monkeypatch.setattr(frames, "event", counting)
    monkeypatch.setattr("doable.realtime.connections.PER_PERSON", 1_000)
    async with AsyncExitStack() as stack:
        seats = [await stack.enter_async_context(served.visit(ana, ana.inbox_id)) for _ in range(30)]
        with counted(served) as statements:
            await ana.todo()
            for seat in seats:
                await seat.events(1)
        assert len([text for text in statements if text.startswith("SELECT events")]) == 1
    assert made == [3]


async def test_no_gap_and_no_double_between_replay_and_live(served: Served, ana: Person) -> None:
    """People come and go all the time while others write."""
    writing = asyncio.create_task(_write(ana, 60))
    seen: list[int] = []
    position = 2
    while len(seen) < 60:
        query = f"?since={served.state['epoch']}:{position}"
        # A client that leaves more unread than its queue holds reads no close frame either.
        async with served.visit(ana, ana.inbox_id, query=query, max_queue=None) as seat:
            assert seat.welcome["recovered"] is True
            seen += [event["revision"] for event in await seat.events(1 + len(seen) % 3)]
            position = seen[-1]
    await writing
    assert seen[:60] == list(range(3, 63))


async def _write(person: Person, count: int) -> None:
    for n in range(count + 3):
        await person.todo(f"todo {n}")


@sqlite_only
async def test_who_reads_too_slowly_is_closed_and_others_are_not_kept_waiting(
    served: Served, ana: Person, ben: Person, home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "BYTES_AT_ONCE", 400 * 64 * 1024)  # as if many had said it
    slow = served.visit(ben, home, max_queue=1)
    async with served.visit(ana, home) as quick, slow:
        slow.socket.transport.pause_reading()
        for n in range(400):
            await quick.say(f"{n}" + "x" * 60_000)
            assert (await quick.until("message"))["message"].startswith(f"{n}x")
            await asyncio.sleep(0.02)
            if not served.state["rooms"]._people.get(UUID(ben.user["id"])):
                break
        assert UUID(ben.user["id"]) not in served.state["rooms"]._people
        assert n < 200


@sqlite_only
async def test_a_room_that_everybody_has_left_is_let_go(
    served: Served, ana: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served.visit(ana, ana.inbox_id):
        pass
    manager = served.state["rooms"]
    assert list(manager._rooms) == [UUID(ana.inbox_id)]
    monkeypatch.setattr(rooms, "KEPT", 0.0)
    await eventually(lambda: not manager._rooms)
    assert (manager._people, manager._suspects) == ({}, set())


async def test_what_was_deleted_for_good_is_not_replayed(served: Served, ana: Person) -> None:
    async with served.visit(ana, ana.inbox_id) as seat:
        todo = await ana.todo("a secret")
        await ana.delete(f"/todos/{todo['id']}")
        await ana.delete(f"/trash/{todo['id']}")
        await ana.todo("and on")
        await seat.events(4)
    async with served.visit(ana, ana.inbox_id, query=f"?since={served.state['epoch']}:2") as seat:
        assert [event["revision"] for event in await seat.events(4)] == [3, 4, 5, 6]
        assert "a secret" not in str(seat.seen)

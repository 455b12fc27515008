"""The room `me`: everything that happens to a person and in all of his lists."""

import asyncio
from uuid import UUID

import pytest

from tests.support.people import Person
from tests.support.rooms import Served, eventually, expel
from tests.support.sharing import join


async def test_everything_is_heard_from_where_each_list_stands(served: Served, ana: Person) -> None:
    first, second = await ana.list("first"), await ana.list("second")
    await ana.todo("one", list_id=first["id"])
    await ana.delete(f"/lists/{second['id']}")
    async with served.visit(ana, "me") as seat:
        assert seat.welcome["room"] == "me"
        assert seat.welcome["recovered"] is None
        assert seat.welcome["online"] == []
        assert seat.welcome["streams"] == {ana.inbox_id: 2, first["id"]: 3}
        await ana.todo("two", list_id=first["id"])
        await ana.put(f"/lists/{second['id']}/restoration")
        heard = [await seat.hear(), await seat.hear()]  # of two lists, each of which has an order for itself
        assert {(message["room"], message["event"]["revision"]) for message in heard} == {
            (first["id"], 4),
            (second["id"], 4),
        }


async def test_a_list_that_is_joined_is_heard_before_one_is_told(served: Served, ana: Person, ben: Person) -> None:
    shared = (await ana.list("shared"))["id"]
    async with served.visit(ben, "me") as seat:
        await join(ana, ben, shared)
        told = await seat.hear()
        assert (told["room"], told["event"]["kind"], told["event"]["list_id"]) == ("me", "list.joined", None)
        await ana.todo("live at once", list_id=shared)
        assert [event["revision"] for event in await seat.events(1)] == [4]
        removal = await expel(ana, shared, ben)
        await ana.todo("none of his business", list_id=shared)
        kinds = {event["kind"]: event["revision"] for event in await seat.events(2)}
        assert kinds.pop("member.removed") == removal
        assert list(kinds) == ["list.left"]
        await ben.todo("his own")
        assert [event["list_id"] for event in await seat.events(1)] == [ben.inbox_id]


async def test_a_list_that_one_makes_is_heard_too(served: Served, ana: Person) -> None:
    async with served.visit(ana, "me") as seat:
        made = await ana.list("new")
        assert (await seat.events(1))[0]["data"]["list_id"] == made["id"]
        await ana.todo("in it", list_id=made["id"])
        assert [event["list_id"] for event in await seat.events(1)] == [made["id"]]


async def test_it_has_no_messages_no_presence_and_no_position(served: Served, ana: Person) -> None:
    async with served.visit(ana, "me", query=f"?since={served.state['epoch']}:1") as seat:
        refusal = await seat.hear()
        assert (refusal["type"], refusal["code"]) == ("error", "VALIDATION_ERROR")
        async with served.visit(ana, ana.inbox_id) as other:
            await other.say("hello")
            await other.until("message")
        await seat.say("hello")
        assert (await seat.hear())["code"] == "FORBIDDEN"
        assert await seat.silent()


def hold(served: Served, list_id: str) -> asyncio.Event:
    """Have the list's room deliver nothing until the event is set."""
    room, released = served.state["rooms"]._room(UUID(list_id), list_id), asyncio.Event()
    room._source = room._source._replace(may_deliver=released.is_set)
    return released


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_list_that_one_leaves_and_joins_again_is_heard_again_whichever_room_is_read_first(
    served: Served, ana: Person, ben: Person, home: str
) -> None:
    async with served.visit(ben, "me") as seat:
        released = hold(served, home)
        await expel(ana, home, ben)
        await join(ana, ben, home)
        await asyncio.sleep(0.5)  # his own room has told of it, or waits for the other one
        released.set()
        while (await seat.events(1))[0]["kind"] != "list.joined":
            pass
        todo = await ana.todo("Milk", list_id=home)
        while (event := (await seat.events(1))[0])["kind"] != "todo.created":
            pass
        assert event["data"]["todo"]["id"] == todo["id"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_who_has_gone_meanwhile_is_not_brought_into_a_list(served: Served, ana: Person, ben: Person) -> None:
    made, manager = (await ana.list("shared"))["id"], served.state["rooms"]
    room, released = manager._room(UUID(made), made), hold(served, made)
    room.position = 1
    async with served.visit(ben, "me"), served.visit(ben, "me"):
        await join(ana, ben, made)
        await eventually(lambda: room.subscriptions)
    await eventually(lambda: UUID(ben.user["id"]) not in manager._people)
    released.set()
    await eventually(lambda: room.position > 1)
    await asyncio.sleep(0.3)
    assert not room.subscriptions

"""The room `me`: everything that happens to a person and in all of his lists."""

import json
from uuid import UUID

from doable.core import clock, streams
from doable.core import events as log
from doable.core.events import Event
from tests.support.people import Person
from tests.support.rooms import Served, admit, expel


async def tell(served: Served, person: Person, kind: str, data: dict[str, object]) -> None:
    """Add an event to the person's own stream."""
    user_id = UUID(person.user["id"])
    async with served.state["db"].transaction() as tx:
        try:
            revision = await streams.bump(tx, user_id)
        except Exception:  # noqa: BLE001
            await streams.open_stream(tx, user_id, revision := 1)
        await log.append(tx, user_id, revision, log.operation(None, clock.now()), Event(kind, json.dumps(data)))


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
        heard = [await seat.hear(), await seat.hear()]
        assert [(message["room"], message["event"]["revision"]) for message in heard] == [
            (first["id"], 4),
            (second["id"], 4),
        ]


async def test_a_list_that_is_joined_is_heard_before_one_is_told(served: Served, ana: Person, ben: Person) -> None:
    await tell(served, ben, "user.updated", {})
    async with served.visit(ben, "me") as seat:
        await admit(served, ana.inbox_id, ben)
        await tell(served, ben, "list.joined", {"list_id": ana.inbox_id, "role": "editor"})
        joined = await seat.hear()
        assert (joined["room"], joined["event"]["kind"]) == ("me", "list.joined")
        await ana.todo("live at once")
        assert (await seat.events(1))[0]["revision"] == 4
        removal = await expel(served, ana.inbox_id, ben)
        await ana.todo("none of his business")
        assert [event["revision"] for event in await seat.events(1)] == [removal]
        await ben.todo("his own")
        assert [event["list_id"] for event in await seat.events(1)] == [ben.inbox_id]


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

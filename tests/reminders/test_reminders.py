"""Reminders: each fires once, at a time that follows the due, for whoever has made it and may still see the todo."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from doable.core.db import Database
from doable.core.hub import LocalHub
from doable.reminders import operations
from doable.reminders.operations import Appointment
from tests.support import asgi
from tests.support.accounts import Mailbox, Wait
from tests.support.jobs import work
from tests.support.people import Person
from tests.support.receivers import Receiver, skip_ahead, subscribe
from tests.support.sharing import join

type Json = dict[str, Any]
ZONED = {"date": "2090-11-27", "time": "14:30", "timezone": "Europe/Zagreb"}


async def remind(person: Person, todo_id: str, **members: object) -> Json:
    answer = await person.post(f"/todos/{todo_id}/reminders", members)
    assert answer.status_code == 201, answer.text
    made: Json = answer.json()
    return made


async def of(person: Person, todo_id: str) -> list[Json]:
    answer = await person.get(f"/todos/{todo_id}/reminders")
    assert answer.status_code == 200, answer.text
    items: list[Json] = answer.json()["items"]
    return items


async def times(person: Person, todo_id: str) -> list[tuple[str | None, bool]]:
    """When each fires, and whether it has."""
    return [(each["fires_at"], each["fired_at"] is not None) for each in await of(person, todo_id)]


async def test_a_reminder_is_mailed_once(running: asgi.Running, ana: Person, mailbox: Mailbox) -> None:
    todo = await ana.todo("Buy milk", due=ZONED)
    made = await remind(ana, todo["id"], offset_minutes=-30)
    assert made == {
        "id": made["id"],
        "todo_id": todo["id"],
        "at": None,
        "offset_minutes": -30,
        "channels": ["email"],
        "fires_at": "2090-11-27T13:00:00.000Z",
        "fired_at": None,
    }
    before = len(await mailbox.to("ana@example.com"))
    for _ in range(3):
        await skip_ahead(running)
        await work(running)
    (mail,) = (await mailbox.to("ana@example.com"))[before:]
    assert mail.partition("\n")[0].endswith("Reminder: Buy milk")
    assert "2090-11-27 14:30 Europe/Zagreb" in mail
    assert await times(ana, todo["id"]) == [("2090-11-27T13:00:00.000Z", True)]


@pytest.mark.parametrize(
    ("due", "fires_at"),
    [
        (ZONED, "2090-11-27T13:30:00.000Z"),
        ({"date": "2090-11-27", "time": "14:30", "timezone": "Asia/Tokyo"}, "2090-11-27T05:30:00.000Z"),
        ({"date": "2090-11-27", "time": "14:30"}, "2090-11-27T13:30:00.000Z"),
        ({"date": "2090-11-27"}, "2090-11-27T08:00:00.000Z"),
        ({"date": "2090-07-27"}, "2090-07-27T07:00:00.000Z"),
        (None, None),
    ],
)
async def test_what_has_no_zone_or_no_time_is_in_the_zone_of_who_is_reminded(
    ana: Person, due: Json | None, fires_at: str | None
) -> None:
    todo = await ana.todo(due=due)
    assert (await remind(ana, todo["id"], offset_minutes=0))["fires_at"] == fires_at


async def test_a_reminder_follows_the_due(running: asgi.Running, ana: Person, mailbox: Mailbox) -> None:
    todo = await ana.todo(due=ZONED)
    reminder_id = UUID((await remind(ana, todo["id"], offset_minutes=-30))["id"])
    path = f"/todos/{todo['id']}"
    await ana.patch(path, {"due": {**ZONED, "date": "2091-01-01"}})
    await work(running)
    assert await times(ana, todo["id"]) == [("2091-01-01T13:00:00.000Z", False)]
    before_it = Appointment(reminder_id, datetime(2090, 11, 27, 13, tzinfo=UTC))
    database: Database = running.state["db"]
    async with database.transaction() as tx:
        await operations.keep(tx, before_it)
    assert await times(ana, todo["id"]) == [("2091-01-01T13:00:00.000Z", False)]
    await ana.patch(path, {"due": None})
    await work(running)
    assert await times(ana, todo["id"]) == [(None, False)]
    before = len(await mailbox.to("ana@example.com"))
    await skip_ahead(running)
    await work(running)
    assert len(await mailbox.to("ana@example.com")) == before
    await ana.patch(path, {"due": ZONED})
    await work(running)
    assert await times(ana, todo["id"]) == [("2090-11-27T13:00:00.000Z", False)]


async def test_a_reminder_follows_its_reader_to_another_zone_and_fires_once(running: asgi.Running, ana: Person) -> None:
    todo = await ana.todo(due={"date": "2090-11-27"})
    await remind(ana, todo["id"], offset_minutes=0)
    assert await times(ana, todo["id"]) == [("2090-11-27T08:00:00.000Z", False)]
    for zone, at in (("Asia/Tokyo", "2090-11-27T00:00:00.000Z"), ("America/New_York", "2090-11-27T14:00:00.000Z")):
        await ana.patch("/users/me", {"timezone": zone})
        await work(running)
        assert await times(ana, todo["id"]) == [(at, False)]
    await skip_ahead(running)
    await work(running)
    for path, change in (("/users/me", {"timezone": "Pacific/Honolulu"}), (f"/todos/{todo['id']}", {"title": "x"})):
        await ana.patch(path, change)
        await work(running)
        assert await times(ana, todo["id"]) == [("2090-11-27T19:00:00.000Z", True)]


async def test_a_title_that_turns_the_writing_round_is_no_obstacle(
    running: asgi.Running, ana: Person, mailbox: Mailbox
) -> None:
    todo = await ana.todo("Buy \u202eklim", due=ZONED)
    await remind(ana, todo["id"], offset_minutes=-30)
    await skip_ahead(running)
    await work(running)
    assert (await mailbox.to("ana@example.com"))[-1].partition("\n")[0].endswith("Reminder: Buy klim")


@pytest.mark.parametrize("end", ["completion", "deletion"])
async def test_nobody_is_reminded_of_what_is_done_or_deleted(
    running: asgi.Running, ana: Person, mailbox: Mailbox, end: str
) -> None:
    todo = await ana.todo(due=ZONED)
    await remind(ana, todo["id"], offset_minutes=-30)
    await remind(ana, todo["id"], at="2090-01-01T00:00:00Z")
    path = f"/todos/{todo['id']}"
    before = len(await mailbox.to("ana@example.com"))
    await (ana.put(f"{path}/completion") if end == "completion" else ana.delete(path))
    await work(running)
    assert await times(ana, todo["id"]) == [(None, False), (None, False)]
    await skip_ahead(running)
    await work(running)
    assert len(await mailbox.to("ana@example.com")) == before
    await (ana.delete(f"{path}/completion") if end == "completion" else ana.put(f"{path}/restoration"))
    await work(running)
    assert await times(ana, todo["id"]) == [("2090-11-27T13:00:00.000Z", False), ("2090-01-01T00:00:00.000Z", False)]


async def test_one_is_reminded_of_each_occurrence(running: asgi.Running, ana: Person) -> None:
    todo = await ana.todo(due=ZONED, recurrence={"rule": "FREQ=DAILY"})
    await remind(ana, todo["id"], offset_minutes=-30)
    await skip_ahead(running)
    await work(running)
    assert await times(ana, todo["id"]) == [("2090-11-27T13:00:00.000Z", True)]
    await ana.put(f"/todos/{todo['id']}/completion", {"occurrence": "2090-11-27"})
    await work(running)
    assert await times(ana, todo["id"]) == [("2090-11-28T13:00:00.000Z", False)]


async def test_reminders_are_ones_own_and_go_with_their_owner(ana: Person, bob: Person) -> None:
    home = (await ana.list())["id"]
    await join(ana, bob, home, "viewer")
    todo = await ana.todo(due=ZONED, list_id=home)
    of_bob = await remind(bob, todo["id"], offset_minutes=-30)
    assert await of(ana, todo["id"]) == []
    assert (await ana.delete(f"/todos/{todo['id']}/reminders/{of_bob['id']}")).status_code == 404
    await ana.delete(f"/lists/{home}/members/{bob.user['id']}")
    assert (await bob.get(f"/todos/{todo['id']}/reminders")).status_code == 404
    await join(ana, bob, home)
    assert await of(bob, todo["id"]) == []
    of_bob = await remind(bob, todo["id"], offset_minutes=-30)
    assert (await bob.delete(f"/todos/{todo['id']}/reminders/{of_bob['id']}")).status_code == 204
    assert await of(bob, todo["id"]) == []


async def test_a_reminder_goes_along_to_another_list(running: asgi.Running, ana: Person) -> None:
    todo = await ana.todo(due=ZONED)
    await remind(ana, todo["id"], offset_minutes=-30)
    await ana.put(f"/todos/{todo['id']}/position", {"list_id": (await ana.list())["id"]})
    await work(running)
    await ana.patch(f"/todos/{todo['id']}", {"due": {**ZONED, "date": "2091-01-01"}})
    await work(running)
    assert await times(ana, todo["id"]) == [("2091-01-01T13:00:00.000Z", False)]


@pytest.mark.parametrize(("hours", "fires"), [(23, True), (25, False)])
async def test_a_late_reminder_fires_and_a_very_late_one_is_missed(
    running: asgi.Running, ana: Person, mailbox: Mailbox, wait: Wait, hours: int, *, fires: bool
) -> None:
    todo = await ana.todo()
    at = datetime.now(UTC) + timedelta(minutes=5)
    await remind(ana, todo["id"], at=at.isoformat())
    before = len(await mailbox.to("ana@example.com"))
    wait(timedelta(minutes=5, hours=hours))
    await skip_ahead(running)
    await work(running)
    assert len(await mailbox.to("ana@example.com")) == before + fires
    await ana.log_in()
    assert [fired for _, fired in await times(ana, todo["id"])] == [fires]


async def test_a_webhook_and_a_room_are_told(running: asgi.Running, ana: Person, receiver: Receiver) -> None:
    todo = await ana.todo("Buy milk", due=ZONED)
    hook = await subscribe(ana, receiver, kinds=["reminder"])
    await subscribe(ana, receiver, kinds=["todo.created"])
    heard: list[bytes] = []
    hub: LocalHub = running.state["hub"]
    hub.on_said(heard.append)
    await remind(ana, todo["id"], offset_minutes=-30, channels=["webhook", "room"])
    await skip_ahead(running)
    await work(running)
    (received,) = receiver.received
    told = received.verify(hook["secret"])
    assert (told["type"], told["data"]["todo"], told["data"]["reminder"]["todo_id"]) == ("reminder", todo, todo["id"])
    assert told["timestamp"] == told["data"]["reminder"]["fired_at"]
    (said,) = heard
    assert b"Buy milk" in said
    assert ana.inbox_id.encode() in said


@pytest.mark.parametrize(
    "body",
    [
        {}, {"at": "2090-01-01T00:00:00Z", "offset_minutes": 1}, {"at": "2020-01-01T00:00:00Z"}, {"at": "2090-01-01"},
        {"offset_minutes": 1.5}, {"offset_minutes": 10**9}, {"offset_minutes": None}, {"offset_minutes": "1"},
        {"offset_minutes": 1, "channels": []}, {"offset_minutes": 1, "channels": ["fax"]},
    ],
)  # fmt: skip
async def test_what_is_no_reminder_is_refused(ana: Person, body: Json) -> None:
    todo = await ana.todo(due=ZONED)
    assert (await ana.post(f"/todos/{todo['id']}/reminders", body)).status_code == 422


async def test_there_are_so_many_and_no_more(ana: Person) -> None:
    todo = await ana.todo(due=ZONED)
    for minutes in range(20):
        await remind(ana, todo["id"], offset_minutes=minutes)
    refused = await ana.post(f"/todos/{todo['id']}/reminders", {"offset_minutes": 99})
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "LIMIT_REACHED")

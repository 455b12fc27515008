"""What people say in a room, and that they are there."""

import asyncio
import json
from contextlib import AsyncExitStack
from uuid import UUID

import pytest

from doable.accounts import endings
from doable.realtime import clients
from tests.support.people import Person
from tests.support.rooms import Served, eventually, expel

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


async def test_what_one_says_everybody_hears_himself_too(served: Served, ana: Person, ben: Person, home: str) -> None:
    said: list[object] = ["hello", 5, None, [1, {"type": "x"}], {"text": "no type"}]
    async with served.visit(ana, home) as anas, served.visit(ben, home) as bens:
        for message in said:
            await bens.say(message)
        await bens.say({"type": "message", "message": {"type": "anything"}})
        for seat in (anas, bens):
            heard = [await seat.until("message") for _ in range(6)]
            assert [message["message"] for message in heard] == [*said, {"type": "anything"}]
            assert {(message["user"], message["user_id"]) for message in heard} == {("ben", ben.user["id"])}


async def test_a_person_is_there_once_however_many_connections_he_has(
    served: Served, ana: Person, ben: Person, home: str
) -> None:
    async with served.visit(ana, home) as seat:
        async with AsyncExitStack() as stack:
            for _ in range(2):
                other = await stack.enter_async_context(served.visit(ben, home))
                assert [user["username"] for user in other.welcome["online"]] == ["ana", "ben"]
            assert await seat.hear() == {
                "type": "presence",
                "user": {"id": ben.user["id"], "username": "ben"},
                "state": "joined",
            }
            await asyncio.sleep(0.1)
        left = await seat.hear()
        assert (left["type"], left["user"]["username"], left["state"]) == ("presence", "ben", "left")
        assert await seat.silent()


async def test_a_ping_is_answered_with_its_id(served: Served, ana: Person) -> None:
    async with served.visit(ana, ana.inbox_id) as seat:
        for ping in ({"type": "ping"}, {"type": "ping", "id": "x"}, {"type": "ping", "id": 7}):
            await seat.say(ping)
            assert await seat.hear() == {**ping, "type": "pong"}


@pytest.mark.parametrize(
    "message",
    [{"type": "shout"}, {"type": 5}, {"type": "message"}, {"type": "ping", "id": []}, {"type": "ping", "x": 1}],
)
async def test_a_message_of_no_known_type_is_an_error_and_nothing_more(
    served: Served, ana: Person, message: dict[str, object]
) -> None:
    async with served.visit(ana, ana.inbox_id) as seat:
        await seat.say(message)
        answer = await seat.hear()
        assert (answer["type"], answer["code"]) == ("error", "VALIDATION_ERROR")
        await seat.say({"type": "ping"})
        assert (await seat.hear())["type"] == "pong"


@pytest.mark.parametrize("sent", ["%d", '{"type":"ping","id":%d}', '{"type":"message","message":[%d]}', '{"a":-%d}'])
async def test_an_integer_that_no_answer_can_carry_is_an_error_and_nothing_more(
    served: Served, ana: Person, sent: str
) -> None:
    async with served.visit(ana, ana.inbox_id) as seat:
        await seat.socket.send(sent % 2**64)
        answer = await seat.hear()
        assert (answer["type"], answer["code"]) == ("error", "VALIDATION_ERROR")
        await seat.socket.send(sent % 5)
        assert (await seat.hear())["type"] in {"pong", "message"}


async def test_who_is_being_sent_away_says_nothing_more(served: Served, ana: Person, ben: Person, home: str) -> None:
    async with served.visit(ben, home) as bens, served.visit(ana, home) as anas:
        (client,) = served.state["rooms"]._people[UUID(ben.user["id"])]
        unread, real = asyncio.Event(), client.outbox.next

        async def when_read() -> object:
            await unread.wait()
            return await real()

        client.outbox.next = when_read  # as if he did not read what he is sent
        await ana.todo("wake", list_id=home)
        await anas.until("event")
        await expel(ana, home, ben)
        await eventually(lambda: client.outbox.closing is not None)
        await bens.say("I am still here")
        await bens.say("and here")
        await anas.until("event")
        await asyncio.sleep(0.3)
        await anas.say("the next message")
        assert (await anas.until("message"))["message"] == "the next message"
        unread.set()


async def test_while_it_is_not_known_who_is_a_member_nobody_hears_what_is_said(
    served: Served, ana: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = json.dumps({"room": ana.inbox_id, "text": '{"type":"pong","id":"said elsewhere"}'}).encode()
    async with served.visit(ana, ana.inbox_id) as seat:
        with monkeypatch.context() as patch:
            patch.setattr(endings, "LONGEST_SILENCE", -1.0)
            served.state["hub"].hear_said(said)
            assert await seat.silent()
        served.state["hub"].hear_said(said)
        assert await seat.hear() == {"type": "pong", "id": "said elsewhere"}


@pytest.mark.parametrize("sent", [b"\x00\x01", "no json", "", '{"a": 1, "a": 2}', "NaN"])
async def test_what_is_no_json_text_ends_the_connection(served: Served, ana: Person, sent: str | bytes) -> None:
    async with served.visit(ana, ana.inbox_id) as seat:
        await seat.socket.send(sent)
        assert (await seat.closed())[0] == 1003


async def test_a_message_may_have_64_kib(served: Served, ana: Person) -> None:
    async with served.visit(ana, ana.inbox_id) as seat:
        await seat.socket.send('"' + "x" * (64 * 1024 - 2) + '"')
        assert len((await seat.hear())["message"]) == 64 * 1024 - 2
        await seat.socket.send('"' + "x" * (64 * 1024 - 1) + '"')
        assert (await seat.closed())[0] == 1009


async def test_who_sends_too_much_is_out(served: Served, ana: Person) -> None:
    async with served.visit(ana, ana.inbox_id) as seat:
        for _ in range(300):
            await seat.say({"type": "ping"})
        assert (await seat.closed())[0] == 4429


async def test_who_says_too_much_on_all_his_connections_together_is_out(
    served: Served, ana: Person, ben: Person, home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "BYTES_PER_SECOND", 0)
    long = '"' + "x" * (60 * 1024) + '"'
    async with served.visit(ben, home) as bens, served.visit(ana, home) as first:
        for _ in range(3):
            await first.socket.send(long)
            assert len((await bens.until("message"))["message"]) == 60 * 1024
        async with served.visit(ana, home) as second:
            for _ in range(2):
                await second.socket.send(long)
            assert (await second.closed())[0] == 4429
        await bens.socket.send(long)  # his own is another matter
        assert len((await bens.until("message"))["message"]) == 60 * 1024

"""Who may hear no more hears no more: at the event that says so, or within a second."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest

from doable.accounts.access import Actor
from doable.accounts.operations import administration
from doable.realtime.clients import Client
from tests.support.people import API, PASSWORD, Person
from tests.support.rooms import Served, eventually, expel

OTHER = "a walk by another sea 43"
AT_ONCE = 3.0
"""A second, on a machine that may be busy."""


async def test_a_removed_member_hears_of_his_removal_and_nothing_after_it(
    served: Served, ana: Person, ben: Person, home: str
) -> None:
    async with served.visit(ben, home) as bens, served.visit(ana, home) as anas:
        await ana.todo("before", list_id=home)
        removal, _ = await asyncio.gather(expel(ana, home, ben), ana.todo("at the same time", list_id=home))
        await ana.todo("after", list_id=home)
        await anas.say("he is gone")
        assert (await bens.closed())[0] == 4003
        heard = [message["event"]["revision"] for message in bens.seen if message["type"] == "event"]
        assert heard == list(range(4, removal + 1))
        assert bens.seen[-1]["event"]["kind"] == "member.removed"
        assert [event["revision"] for event in await anas.events(4)] == [4, 5, 6, 7]


async def test_a_deleted_list_has_no_room(served: Served, ana: Person) -> None:
    made = await ana.list()
    async with served.visit(ana, made["id"]) as seat:
        await ana.delete(f"/lists/{made['id']}")
        assert (await seat.closed(), seat.seen[-1]["event"]["kind"]) == ((4003, "not a member"), "list.deleted")


async def logout(ana: Person) -> None:
    await ana.post("/auth/logout")


async def change_password(ana: Person) -> None:
    login = await ana.client.post(f"{API}/auth/login", json={"login": "ana", "password": PASSWORD})
    headers = {"Authorization": f"Bearer {login.json()['access_token']}"}
    body = {"current_password": PASSWORD, "password": OTHER, "confirm_password": OTHER}
    answer = await ana.client.put(f"{API}/users/me/password", json=body, headers=headers)
    assert answer.status_code == 204, answer.text


async def end_this_session(ana: Person) -> None:
    (session,) = (await ana.get("/auth/sessions")).json()["items"]
    await ana.delete(f"/auth/sessions/{session['id']}")


async def end_other_sessions(ana: Person) -> None:
    login = await ana.client.post(f"{API}/auth/login", json={"login": "ana", "password": PASSWORD})
    headers = {"Authorization": f"Bearer {login.json()['access_token']}"}
    await ana.client.delete(f"{API}/auth/sessions", headers=headers)


async def leave(ana: Person) -> None:
    await ana.request("DELETE", "/users/me", json={"current_password": PASSWORD})


@pytest.mark.parametrize("ends", [logout, change_password, end_this_session, end_other_sessions, leave])
async def test_a_connection_ends_with_its_session(
    served: Served, ana: Person, ends: Callable[[Person], Awaitable[None]]
) -> None:
    async with served.visit(ana, ana.inbox_id) as room, served.visit(ana, "me") as me:
        await ends(ana)
        began = time.monotonic()
        codes = {(await room.closed())[0], (await me.closed())[0]}
        assert codes <= {4004, 4003}
        assert codes == {4004} or ends is leave
        assert time.monotonic() - began < AT_ONCE


async def test_a_connection_ends_with_its_account_s_standing(served: Served, ana: Person, ben: Person) -> None:
    async with served.visit(ana, ana.inbox_id) as anas, served.visit(ben, ben.inbox_id) as bens:
        async with served.state["db"].transaction() as tx:
            await administration.change_standing(tx, UUID(ana.user["id"]), disabled=True)
        assert (await anas.closed(AT_ONCE))[0] == 4004
        await bens.say("still here")
        assert (await bens.hear())["message"] == "still here"


async def test_a_bug_while_credentials_are_looked_at_leaves_nobody_in(
    served: Served, ana: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    rooms, failed = served.state["rooms"], asyncio.Event()

    async def fail(_suspects: object) -> None:
        failed.set()
        raise RuntimeError("planted")

    async with served.visit(ana, ana.inbox_id) as seat:
        await asyncio.sleep(0.3)  # who comes is looked at once anyway
        with monkeypatch.context() as patched:
            patched.setattr(rooms, "_verify", fail)
            await logout(ana)
            await asyncio.wait_for(failed.wait(), AT_ONCE)
        assert (await seat.closed(AT_ONCE + 1))[0] == 4004


async def test_who_was_let_in_by_a_session_that_has_ended_since_is_closed(served: Served, ana: Person) -> None:
    (session,) = (await ana.get("/auth/sessions")).json()["items"]
    user_id, inbox_id = UUID(ana.user["id"]), UUID(ana.inbox_id)
    actor = Actor(user_id, "ana", False, "UTC", inbox_id, UUID(session["id"]), None, None)  # noqa: FBT003
    await logout(ana)
    await asyncio.sleep(0.5)  # its end is known by now, and was told before the client was there
    client = Client(actor)
    await served.state["rooms"].connect(client, inbox_id, None)
    await eventually(lambda: client.outbox.closing is not None)
    assert client.outbox.closing == (4004, "the session has ended")
    served.state["rooms"].disconnect(client)


async def test_a_session_that_ends_while_its_connection_is_made_closes_it(served: Served, ana: Person) -> None:
    async def visit() -> int:
        seat = served.visit(ana, ana.inbox_id, welcomed=False)
        async with seat:
            return (await seat.closed())[0]

    ends = await asyncio.gather(*(visit() for _ in range(10)), logout(ana))
    assert set(ends[:10]) == {4004}

"""Roles that change under other writes: each outcome is one that the two, one after the other, could have had."""

import asyncio
from collections.abc import Coroutine
from typing import Any
from uuid import UUID

import httpx2
import pytest
from sqlalchemy import bindparam, delete, exists, func, insert, literal, select, update
from sqlalchemy.sql.base import Executable

from doable.accounts import endings
from doable.accounts.tables import users
from doable.core import clock, streams
from doable.core import events as log
from doable.core.db import Database
from doable.core.queries import query, scalar
from doable.core.streams import streams as table
from doable.lists.tables import invitations, lists, members
from tests.support import asgi, folding
from tests.support.jobs import work
from tests.support.people import PASSWORD, Person, register
from tests.support.sharing import invite, join
from tests.support.sharing import members as roles

ROUNDS = 5
OF = (members.c.list_id == bindparam("home"), members.c.user_id == bindparam("person"))
REMOVE = delete(members).where(*OF)
DEMOTE = update(members).where(*OF).values(role="editor")


@pytest.fixture
async def home(ana: Person) -> str:
    return str((await ana.list())["id"])


async def log_of(person: Person, list_id: str) -> list[dict[str, Any]]:
    answer = await person.get(f"/lists/{list_id}/events?limit=1000")
    found: list[dict[str, Any]] = answer.json()["events"]
    return found


async def _meanwhile(
    running: asgi.Running, home: str, change: Executable, person: Person, request: Coroutine[Any, Any, httpx2.Response]
) -> httpx2.Response:
    """Hold the list's stream, let the request wait for it, change a membership, commit: the request comes second."""
    database: Database = running.state["db"]
    async with database.transaction() as tx:
        await streams.lock(tx, [UUID(home)])
        waiting = asyncio.create_task(request)
        await asyncio.sleep(0.3)
        assert not waiting.done()
        await tx.execute(change, home=UUID(home), person=UUID(person.user["id"]))
    return await waiting


@pytest.mark.parametrize(("change", "status"), [(REMOVE, 404), (DEMOTE, 403)], ids=["removed", "demoted"])
async def test_who_does_not_manage_a_list_any_more_when_his_turn_comes_does_not(
    running: asgi.Running, ana: Person, bob: Person, change: Executable, status: int
) -> None:
    requests: list[tuple[str, str, object]] = [
        ("PATCH", f"/members/{bob.user['id']}", {"role": "viewer"}),
        ("DELETE", f"/members/{bob.user['id']}", None),
        ("PUT", "/owner", {"user_id": bob.user["id"]}),
        ("POST", "/invitations", {"email": "new@example.com", "role": "editor"}),
        ("DELETE", "/invitations/{invitation_id}", None),
    ]
    for method, path, body in requests:
        home = (await ana.list())["id"]
        await join(ana, bob, home)
        open_one = await invite(ana, "eve@example.com", home)
        there = f"/lists/{home}{path.format(invitation_id=open_one['id'])}"
        answer = await _meanwhile(running, home, change, ana, ana.request(method, there, json=body))
        assert answer.status_code == status, f"{method} {path}: {answer.text}"
        assert (await roles(bob, home))["bob"] == "editor"
        eve = await register(ana.client, f"eve-{open_one['id'][-12:]}")
        assert (await eve.post("/invitations/acceptance", {"token": open_one["token"]})).status_code == 200


async def test_who_is_gone_when_the_turn_comes_is_neither_changed_nor_removed_nor_made_the_owner(
    running: asgi.Running, ana: Person, bob: Person
) -> None:
    for method, path, body in [
        ("PATCH", f"/members/{bob.user['id']}", {"role": "viewer"}),
        ("DELETE", f"/members/{bob.user['id']}", None),
        ("PUT", "/owner", {"user_id": bob.user["id"]}),
    ]:
        home = (await ana.list())["id"]
        await join(ana, bob, home)
        answer = await _meanwhile(running, home, REMOVE, bob, ana.request(method, f"/lists/{home}{path}", json=body))
        assert (answer.status_code, answer.json()["error"]["message"]) == (404, "There is no such member."), path
        assert (await folding.fold(ana, home)).revision == 3


@pytest.mark.parametrize("status", ["declined", "revoked", "accepted"])
async def test_an_invitation_that_is_answered_when_the_turn_comes_is_not_accepted(
    running: asgi.Running, ana: Person, bob: Person, home: str, status: str
) -> None:
    made = await invite(ana, "bob@example.com", home)
    answered = update(invitations).where(
        invitations.c.list_id == bindparam("home"), invitations.c.invited_by != bindparam("person")
    )
    request = bob.post("/invitations/acceptance", {"token": made["token"]})
    answer = await _meanwhile(running, home, answered.values(status=status), bob, request)
    assert answer.status_code == 409
    assert await roles(ana, home) == {"ana": "owner"}


async def test_an_account_is_not_deleted_under_a_list_that_somebody_joins(
    running: asgi.Running, ana: Person, bob: Person, home: str
) -> None:
    joined = insert(members).from_select(
        ["list_id", "user_id", "role", "joined_at"],
        select(
            members.c.list_id, bindparam("person", type_=members.c.user_id.type), literal("viewer"), members.c.joined_at
        ).where(members.c.list_id == bindparam("home")),
    )
    leave = ana.delete("/users/me", json={"current_password": PASSWORD})
    answer = await _meanwhile(running, home, joined, bob, leave)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "OWNS_SHARED_LISTS")
    assert await roles(bob, home) == {"ana": "owner", "bob": "viewer"}


async def test_nothing_by_a_removed_member_comes_after_his_removal(ana: Person, bob: Person, home: str) -> None:
    me = f"/lists/{home}/members/{bob.user['id']}"
    for n in range(ROUNDS):
        await join(ana, bob, home)
        todo = await ana.todo(list_id=home)
        writes = [
            *(bob.post("/todos", {"title": f"{n}", "list_id": home}) for _ in range(4)),
            *(bob.patch(f"/todos/{todo['id']}", {"title": f"{n} {k}"}) for k in range(4)),
            bob.patch(f"/lists/{home}", {"name": f"{n}"}),
        ]
        leaver = ana if n % 2 else bob
        *written, gone = await asyncio.gather(*writes[:5], leaver.delete(me), *writes[5:], leaver.delete(me))
        assert {answer.status_code for answer in written} <= {200, 201, 204, 404}
        told = await log_of(ana, home)
        removed = max(event["revision"] for event in told if event["kind"] == "member.removed")
        assert {event["actor_id"] for event in told if event["revision"] > removed} <= {ana.user["id"]}
        assert gone.status_code in {204, 404}
        for answer in written:
            if answer.status_code in {200, 201}:
                assert int(answer.headers["doable-position"].partition(":")[2]) < removed
    await folding.fold(ana, home)


async def test_nothing_by_who_has_become_a_viewer_comes_after_it(ana: Person, bob: Person, home: str) -> None:
    me = f"/lists/{home}/members/{bob.user['id']}"
    await join(ana, bob, home)
    for n in range(ROUNDS):
        await ana.patch(me, {"role": "editor"})
        writes = [bob.post("/todos", {"title": f"{n}", "list_id": home}) for _ in range(8)]
        *written, demoted = await asyncio.gather(*writes, ana.patch(me, {"role": "viewer"}))
        position = int(demoted.headers["doable-position"].partition(":")[2])
        for answer in written:
            assert answer.status_code in {201, 403}
            if answer.status_code == 201:
                assert int(answer.headers["doable-position"].partition(":")[2]) < position
    await folding.fold(ana, home)


async def test_of_many_who_present_one_token_one_joins(ana: Person, client: httpx2.AsyncClient, home: str) -> None:
    people = [await register(client, name) for name in ("eve", "ivo", "mia", "zoe")]
    for role in ("editor", "viewer"):
        token = {"token": (await invite(ana, "somebody@example.com", home, role))["token"]}
        answers = await asyncio.gather(
            *(person.post("/invitations/acceptance", token) for person in people * 2),
        )
        winners = {n % len(people) for n, answer in enumerate(answers) if answer.status_code == 200}
        assert len(winners) == 1
        assert [answer.status_code for answer in answers].count(200) == 2, "the same person may ask twice"
        assert {answer.status_code for answer in answers} == {200, 409}
        assert sum("doable-position" in answer.headers for answer in answers) == 1
        people.pop(winners.pop())
    assert len(await roles(ana, home)) == 3
    await folding.fold(ana, home)


async def test_an_invitation_has_one_answer(ana: Person, bob: Person, home: str) -> None:
    for n in range(ROUNDS):
        made = await invite(ana, f"{n}@example.com", home)
        token = {"token": made["token"]}
        accepted, refused, revoked = await asyncio.gather(
            bob.post("/invitations/acceptance", token),
            bob.post("/invitations/refusal", token),
            ana.delete(f"/lists/{home}/invitations/{made['id']}"),
        )
        status = (await ana.get(f"/lists/{home}/invitations")).json()["items"][0]["status"]
        assert (accepted.status_code, refused.status_code, revoked.status_code) in {
            "accepted": {(200, 409, 409)},
            "declined": {(409, 204, 204)},
            "revoked": {(409, 409, 204)},
        }[status]
        assert ("bob" in await roles(ana, home)) == (status == "accepted")
        if status == "accepted":
            await bob.delete(f"/lists/{home}/members/{bob.user['id']}")


async def test_the_limit_holds_for_invitations_that_are_sent_at_once(
    ana: Person, home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("doable.lists.operations.invitations.MOST", 4)
    there = f"/lists/{home}/invitations"
    answers = await asyncio.gather(
        *(ana.post(there, {"email": f"{n}@example.com", "role": "editor"}) for n in range(8)),
        *(ana.post(there, {"email": "same@example.com", "role": "editor"}) for _ in range(4)),
    )
    assert sum(answer.status_code == 201 for answer in answers) == 3
    assert (await ana.get(there)).json()["total"] == 3


async def test_a_list_has_one_owner_while_it_is_given_away_and_accounts_are_deleted(
    running: asgi.Running, client: httpx2.AsyncClient
) -> None:
    leave = {"current_password": PASSWORD}
    for n in range(ROUNDS):
        owner, heir = await register(client, f"owner{n}"), await register(client, f"heir{n}")
        home = (await owner.list())["id"]
        await join(owner, heir, home)
        given, gone, left = await asyncio.gather(
            owner.put(f"/lists/{home}/owner", {"user_id": heir.user["id"]}),
            heir.delete("/users/me", json=leave),
            owner.delete("/users/me", json=leave),
        )
        assert given.status_code in {200, 401, 404}
        assert gone.status_code in {204, 409}
        assert left.status_code in {204, 409}
        assert (given.status_code, gone.status_code) != (200, 204) or left.status_code == 204
        await work(running)
        await _nothing_is_left_over(running.state["db"])


async def test_a_new_name_is_told_once_in_each_list_however_they_change(ana: Person, bob: Person) -> None:
    homes = [(await ana.list())["id"] for _ in range(3)]
    for home in homes:
        await join(ana, bob, home)
    answers = await asyncio.gather(
        bob.patch("/users/me", {"username": "bobby"}),
        *(bob.post("/todos", {"title": "x", "list_id": home}) for home in homes * 3),
        ana.delete(f"/lists/{homes[0]}/members/{bob.user['id']}"),
        bob.delete(f"/lists/{homes[1]}/members/{bob.user['id']}"),
        bob.post("/lists", {"name": "another"}),
    )
    assert {answer.status_code for answer in answers} <= {200, 201, 204, 404}
    for home in homes:
        await folding.fold(ana, home)
    copy = await folding.fold(bob, homes[2])
    assert copy.members[bob.user["id"]]["user"]["username"] == "bobby"


async def test_who_joins_while_a_new_name_is_written_joins_with_that_name(
    ana: Person, bob: Person, running: asgi.Running
) -> None:
    home = (await ana.list())["id"]
    invitation = await invite(ana, bob.user["email"], home)
    database: Database = running.state["db"]
    async with database.transaction() as tx:
        await tx.execute(update(users).where(users.c.id == UUID(bob.user["id"])).values(username="robert"))
        joining = asyncio.create_task(bob.post("/invitations/acceptance", {"token": invitation["token"]}))
        making = asyncio.create_task(bob.post("/lists", {"name": "another"}))
        await asyncio.sleep(0.5)  # long enough for both to know who is asking
    assert (await joining).status_code == 200
    for list_id in (home, (await making).json()["id"]):
        copy = await folding.fold(bob, list_id)
        assert copy.members[bob.user["id"]]["user"]["username"] == "robert"


@pytest.mark.parametrize("what", ["rename", "delete"])
async def test_what_becomes_of_a_person_is_told_at_an_instant_after_what_was_told_before(
    ana: Person, bob: Person, home: str, running: asgi.Running, what: str
) -> None:
    await join(ana, bob, home)
    database: Database = running.state["db"]
    async with database.transaction() as tx:
        revision = await streams.bump(tx, UUID(home))
        request = (
            bob.patch("/users/me", {"username": "robert"})
            if what == "rename"
            else bob.delete("/users/me", json={"current_password": PASSWORD})
        )
        waiting = asyncio.create_task(request)
        await asyncio.sleep(1)
        event = log.Event("member.removed", '{"user_id":"0190f5a0-6a11-7c0e-8f3b-0d1c2b3a4f5e"}')
        await log.append(tx, UUID(home), revision, log.operation(None, clock.now()), event)
    assert (await waiting).is_success
    instants = [event["at"] for event in await log_of(ana, home)]
    assert instants == sorted(instants)


async def test_invitations_to_strangers_do_not_wait_for_each_other(
    ana: Person, home: str, running: asgi.Running
) -> None:
    database: Database = running.state["db"]
    turn = await database.turns.take(UUID(int=0))
    try:
        await invite(ana, "nobody@example.com", home)
    finally:
        turn.release(in_vain=False)


async def _nothing_is_left_over(database: Database) -> None:
    """No list without its owner as a member, no stream of nobody."""
    owned = exists().where(members.c.list_id == lists.c.id, members.c.user_id == lists.c.owner_id)
    whole = owned.where(members.c.role == "owner")
    assert await database.reads.all(query(scalar, select(lists.c.id).where(~whole))) == []
    owners = select(func.count().label("owners")).select_from(members).where(members.c.role == "owner")
    listed = select(func.count().label("listed")).select_from(lists)
    assert await database.reads.one(query(scalar, owners)) == await database.reads.one(query(scalar, listed))
    listed_or_lived = table.c.id.in_(select(lists.c.id)) | table.c.id.in_(select(members.c.user_id))
    known = listed_or_lived | (table.c.id == endings.STREAM)
    assert await database.reads.all(query(scalar, select(table.c.id).where(~known))) == []

"""Who a todo is given to: a member of its list, and nobody else, whatever happens at the same time."""

import asyncio
from uuid import UUID, uuid4

import httpx2
import pytest
from sqlalchemy import delete

from doable.core import clock, streams
from doable.core.db import Database
from doable.lists.tables import members
from tests.support import asgi
from tests.support.people import Person, register


@pytest.fixture
async def ana(client: httpx2.AsyncClient) -> Person:
    return await register(client, "ana")


@pytest.fixture
async def bob(client: httpx2.AsyncClient) -> Person:
    return await register(client, "bob")


async def _join(running: asgi.Running, home: str, person: Person, role: str) -> None:
    db: Database = running.state["db"]
    async with db.transaction() as tx:
        values = {"list_id": UUID(home), "user_id": UUID(person.user["id"]), "role": role, "joined_at": clock.now()}
        await tx.execute(members.insert(), **values)


def _refusal(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["details"][0]["field"]


async def test_a_member_can_be_given_a_todo_and_nobody_else(running: asgi.Running, ana: Person, bob: Person) -> None:
    home = (await ana.list())["id"]
    todo = await ana.todo(list_id=home)
    path, new = f"/todos/{todo['id']}", f"/todos/{uuid4()}"
    for stranger in (bob.user["id"], str(uuid4())):
        for answer in (
            await ana.patch(path, {"assignee_id": stranger}),
            await ana.post("/todos", {"title": "x", "list_id": home, "assignee_id": stranger}),
            await ana.put(new, {"title": "x", "list_id": home, "assignee_id": stranger}),
        ):
            assert _refusal(answer) == (422, "body.assignee_id")
    assert (await ana.get(f"/todos?list_id={home}")).json()["items"] == [todo]
    await _join(running, home, bob, "viewer")
    given = await ana.patch(path, {"assignee_id": bob.user["id"]})
    assert (given.status_code, given.json()["assignee_id"]) == (200, bob.user["id"])
    body = {"title": "x", "list_id": home, "assignee_id": bob.user["id"]}
    assert (await ana.put(new, body)).status_code == 201
    assert (await ana.put(new, body)).status_code == 200
    assert (await ana.patch(path, {"assignee_id": None})).json()["assignee_id"] is None


async def test_a_todo_is_found_by_who_it_is_given_to(running: asgi.Running, ana: Person, bob: Person) -> None:
    home = (await ana.list())["id"]
    await _join(running, home, bob, "editor")
    for title, person in (("ana", ana), ("bob", bob), ("nobody", None)):
        await ana.todo(title, list_id=home, assignee_id=person and person.user["id"])
    for person, query, expected in (
        (ana, "assignee=me", ["ana"]),
        (bob, "assignee=me", ["bob"]),
        (bob, f"assignee={ana.user['id'].upper()}", ["ana"]),
        (ana, f"assignee={uuid4()}", []),
        (ana, "assignee=none", ["nobody"]),
        (ana, f"assignee=me&list_id={home}&q=ana", ["ana"]),
    ):
        items = (await person.get(f"/todos?{query}")).json()["items"]
        assert [todo["title"] for todo in items] == expected, query


async def test_who_may_not_write_learns_nothing_of_the_members(running: asgi.Running, ana: Person, bob: Person) -> None:
    home = (await ana.list())["id"]
    todo = await ana.todo(list_id=home)
    await _join(running, home, bob, "viewer")
    for user_id in (ana.user["id"], str(uuid4())):
        assert (await bob.patch(f"/todos/{todo['id']}", {"assignee_id": user_id})).status_code == 403


async def test_who_leaves_meanwhile_is_not_given_a_todo(running: asgi.Running, ana: Person, bob: Person) -> None:
    home = (await ana.list())["id"]
    todo = await ana.todo(list_id=home)
    db: Database = running.state["db"]
    gone = delete(members).where(members.c.list_id == UUID(home), members.c.user_id == UUID(bob.user["id"]))
    for request in (
        ana.patch(f"/todos/{todo['id']}", {"assignee_id": bob.user["id"]}),
        ana.post("/todos", {"title": "x", "list_id": home, "assignee_id": bob.user["id"]}),
    ):
        await _join(running, home, bob, "editor")
        async with db.transaction() as tx:
            await streams.bump(tx, UUID(home))
            waiting = asyncio.create_task(request)
            await asyncio.sleep(0.3)
            assert not waiting.done()
            await tx.execute(gone)
        assert _refusal(await waiting) == (422, "body.assignee_id")
    assert (await ana.get(f"/todos?list_id={home}")).json()["items"] == [todo]


@pytest.mark.parametrize("bad", ["x", 1, "me", True, ["x"]], ids=str)
async def test_what_an_assignee_cannot_be(ana: Person, bad: object) -> None:
    todo = await ana.todo()
    assert _refusal(await ana.patch(f"/todos/{todo['id']}", {"assignee_id": bad})) == (422, "body.assignee_id")

"""Who a todo is given to: a member of its list, and nobody else, whatever happens at the same time."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from sqlalchemy import delete

from doable.core import streams
from doable.core.db import Database
from doable.lists.tables import members
from tests.support import asgi, folding
from tests.support.people import PASSWORD, Person
from tests.support.sharing import join

type Json = dict[str, Any]


@pytest.fixture
async def home(ana: Person) -> str:
    return str((await ana.list())["id"])


def _refusal(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["details"][0]["field"]


async def test_a_member_can_be_given_a_todo_and_nobody_else(ana: Person, bob: Person, home: str) -> None:
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
    await join(ana, bob, home, "viewer")
    given = await ana.patch(path, {"assignee_id": bob.user["id"]})
    assert (given.status_code, given.json()["assignee_id"]) == (200, bob.user["id"])
    body = {"title": "x", "list_id": home, "assignee_id": bob.user["id"]}
    assert (await ana.put(new, body)).status_code == 201
    assert (await ana.put(new, body)).status_code == 200
    assert (await ana.patch(path, {"assignee_id": None})).json()["assignee_id"] is None


async def test_a_todo_is_found_by_who_it_is_given_to(ana: Person, bob: Person, home: str) -> None:
    await join(ana, bob, home, "editor")
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


async def test_who_may_not_write_learns_nothing_of_the_members(ana: Person, bob: Person, home: str) -> None:
    todo = await ana.todo(list_id=home)
    await join(ana, bob, home, "viewer")
    for user_id in (ana.user["id"], str(uuid4())):
        assert (await bob.patch(f"/todos/{todo['id']}", {"assignee_id": user_id})).status_code == 403


async def test_who_leaves_meanwhile_is_not_given_a_todo(
    ana: Person, bob: Person, home: str, running: asgi.Running
) -> None:
    todo = await ana.todo(list_id=home)
    db: Database = running.state["db"]
    gone = delete(members).where(members.c.list_id == UUID(home), members.c.user_id == UUID(bob.user["id"]))
    for request in (
        ana.patch(f"/todos/{todo['id']}", {"assignee_id": bob.user["id"]}),
        ana.post("/todos", {"title": "x", "list_id": home, "assignee_id": bob.user["id"]}),
    ):
        await join(ana, bob, home)
        async with db.transaction() as tx:
            await streams.bump(tx, UUID(home))
            waiting = asyncio.create_task(request)
            await asyncio.sleep(0.3)
            assert not waiting.done()
            await tx.execute(gone)
        assert _refusal(await waiting) == (422, "body.assignee_id")
    assert (await ana.get(f"/todos?list_id={home}")).json()["items"] == [todo]


async def _shown(person: Person, home: str) -> list[Json]:
    items: list[Json] = (await person.get(f"/todos?list_id={home}&size=200")).json()["items"]
    return items


async def test_who_leaves_gives_back_his_todos_in_one_operation(ana: Person, bob: Person, home: str) -> None:
    await join(ana, bob, home)
    his = [await ana.todo(f"{n}", list_id=home, assignee_id=bob.user["id"]) for n in range(3)]
    kept = await ana.todo("hers", list_id=home, assignee_id=ana.user["id"])
    await ana.put(f"/todos/{his[1]['id']}/completion")
    await ana.delete(f"/todos/{his[2]['id']}")
    elsewhere = await bob.todo(assignee_id=bob.user["id"])
    assert (await bob.delete(f"/lists/{home}/members/{bob.user['id']}")).status_code == 204
    *_, first, second, last = (await ana.get(f"/lists/{home}/events")).json()["events"]
    assert [event["kind"] for event in (first, second, last)] == ["todo.updated", "todo.updated", "member.removed"]
    assert len({event["operation_id"] for event in (first, second, last)}) == 1
    assert {event["actor_id"] for event in (first, second, last)} == {bob.user["id"]}
    for event in (first, second):
        assert event["data"]["changes"] == {"assignee_id": {"from": bob.user["id"], "to": None}}
    copy = await folding.fold(ana, home)
    assert copy.in_order() == await _shown(ana, home)
    assert {todo["id"]: todo["assignee_id"] for todo in copy.in_order()} == {
        his[0]["id"]: None,
        his[1]["id"]: None,
        kept["id"]: ana.user["id"],
    }
    assert (await ana.get(f"/todos/{his[2]['id']}")).json()["assignee_id"] is None, "in the trash too"
    assert (await bob.get(f"/todos/{elsewhere['id']}")).json() == elsewhere


async def test_a_deleted_account_is_no_assignee_any_more(ana: Person, bob: Person, home: str) -> None:
    await join(ana, bob, home)
    todo = await ana.todo(list_id=home, assignee_id=bob.user["id"])
    assert (await bob.delete("/users/me", json={"current_password": PASSWORD})).status_code == 204
    now = (await ana.get(f"/todos/{todo['id']}")).json()
    assert (now["assignee_id"], now["version"]) == (None, 2)
    last = (await ana.get(f"/lists/{home}/events")).json()["events"][-2]
    assert (last["kind"], last["data"]["todo"]) == ("todo.updated", now)


async def test_whoever_leaves_and_is_given_todos_at_once_ends_without_any(ana: Person, bob: Person, home: str) -> None:
    todos = [await ana.todo(f"{n}", list_id=home) for n in range(4)]
    me = bob.user["id"]
    for n in range(5):
        await join(ana, bob, home)
        giving = [ana.patch(f"/todos/{todo['id']}", {"assignee_id": me}) for todo in todos]
        making = [ana.post("/todos", {"title": f"{n}", "list_id": home, "assignee_id": me}) for _ in range(2)]
        leaving = (ana if n % 2 else bob).delete(f"/lists/{home}/members/{me}")
        *given, gone = await asyncio.gather(*giving[:2], *making[:1], leaving, *making[1:], *giving[2:])
        assert {answer.status_code for answer in (*given, gone)} <= {200, 201, 204, 422}
        shown = await _shown(ana, home)
        assert {todo["assignee_id"] for todo in shown} == {None}
        assert (await folding.fold(ana, home)).in_order() == shown


@pytest.mark.parametrize("bad", ["x", 1, "me", True, ["x"]], ids=str)
async def test_what_an_assignee_cannot_be(ana: Person, bad: object) -> None:
    todo = await ana.todo()
    assert _refusal(await ana.patch(f"/todos/{todo['id']}", {"assignee_id": bad})) == (422, "body.assignee_id")

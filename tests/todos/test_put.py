"""Creating a todo under an id that the client has made, as often as it takes."""

import asyncio
from uuid import UUID, uuid4

import httpx2
import pytest
from sqlalchemy import update

from doable.core import clock
from doable.core.db import Database
from doable.lists.tables import lists, members
from tests.support import asgi
from tests.support.people import Person

SOME_ID = "0190f5a0-7c3e-7b1a-9d2c-5f6e7a8b9c0d"


def code(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


async def test_a_free_id_is_taken_and_the_same_again_changes_nothing(ana: Person) -> None:
    home = await ana.list()
    path = f"/todos/{uuid4()}"
    body = {"title": " Buy milk ", "list_id": home["id"], "priority": 2, "description": "two\r\nlitres"}
    made = await ana.put(path, body)
    assert made.status_code == 201
    assert made.headers["location"] == f"/api/v1{path}"
    assert made.headers["doable-position"].endswith(":3")
    assert (made.json()["id"], made.json()["title"]) == (path.removeprefix("/todos/"), "Buy milk")
    for same in (body, {"title": "Buy milk"}, {"title": "Buy milk", "priority": 2}):
        again = await ana.put(path, same)
        assert (again.status_code, again.json()) == (200, made.json())
        assert again.headers["etag"] == made.headers["etag"]
        assert not {"location", "doable-position"} & set(again.headers)
    assert (await ana.get(f"/todos?list_id={home['id']}")).headers["etag"].endswith('.3"'), "no revision was used up"
    assert (await ana.get(path)).json() == made.json()


@pytest.mark.parametrize(
    "other",
    [{"title": "x"}, {"priority": 1}, {"description": "x"}, {"description": ""}],
    ids=str,
)
async def test_what_differs_is_refused_and_never_overwrites(ana: Person, other: dict[str, object]) -> None:
    home = await ana.list()
    todo = await ana.todo(list_id=home["id"])
    answer = await ana.put(f"/todos/{todo['id']}", {"title": "Buy milk", **other})
    assert code(answer) == (409, "ALREADY_EXISTS")
    elsewhere = await ana.put(f"/todos/{todo['id']}", {"title": "Buy milk", "list_id": ana.inbox_id})
    assert code(elsewhere) == (409, "ALREADY_EXISTS")
    assert (await ana.get(f"/todos/{todo['id']}")).json() == todo


@pytest.mark.parametrize("fate", ["trashed", "purged", "moved with it"])
async def test_sent_again_it_is_found_whatever_has_become_of_the_todo_above(ana: Person, fate: str) -> None:
    above = await ana.todo("above")
    path, body = f"/todos/{uuid4()}", {"title": "x", "parent_id": above["id"], "list_id": ana.inbox_id}
    made = (await ana.put(path, body)).json()
    if fate == "moved with it":
        await ana.put(f"/todos/{above['id']}/position", {"list_id": (await ana.list())["id"]})
    else:
        await ana.put(f"{path}/position", {"parent_id": None})
        await ana.delete(f"/todos/{above['id']}")
        if fate == "purged":
            await ana.delete(f"/trash/{above['id']}")
    assert code(await ana.put(path, body)) == (409, "ALREADY_EXISTS")
    assert (await ana.put(path, {"title": "x"})).json()["created_at"] == made["created_at"]


async def test_the_id_of_one_that_was_purged_names_no_other_one(ana: Person) -> None:
    todo = await ana.todo()
    await ana.delete(f"/todos/{todo['id']}")
    assert (await ana.delete(f"/trash/{todo['id']}")).status_code == 204
    for list_id in (ana.inbox_id, (await ana.list())["id"]):
        body = {"title": "Buy bread", "list_id": list_id}
        assert code(await ana.put(f"/todos/{todo['id']}", body)) == (409, "ALREADY_EXISTS")
        assert code(await ana.post("/todos", {"id": todo["id"], **body})) == (409, "ALREADY_EXISTS")
        assert (await ana.get("/todos", params={"list_id": list_id})).json()["total"] == 0


async def test_one_in_the_trash_is_said_to_be_there(ana: Person) -> None:
    todo = await ana.todo()
    await ana.delete(f"/todos/{todo['id']}")
    for title in ("Buy milk", "x"):
        assert code(await ana.put(f"/todos/{todo['id']}", {"title": title})) == (409, "IN_TRASH")


async def test_an_id_of_somebody_else_is_taken_as_for_post(ana: Person, bob: Person, running: asgi.Running) -> None:
    todo = await ana.todo()
    put = await bob.put(f"/todos/{todo['id']}", {"title": "Buy milk"})
    post = await bob.post("/todos", {"id": todo["id"], "title": "Buy milk"})
    errors = [{**answer.json()["error"], "request_id": None} for answer in (put, post)]
    assert code(put) == (409, "ALREADY_EXISTS")
    assert errors[0] == errors[1]
    db: Database = running.state["db"]
    async with db.transaction() as tx:
        values = {"user_id": UUID(bob.user["id"]), "role": "viewer", "joined_at": clock.now()}
        await tx.execute(members.insert(), list_id=UUID(todo["list_id"]), **values)
    assert code(await bob.put(f"/todos/{todo['id']}", {"title": "Buy milk"})) == (403, "FORBIDDEN")
    async with db.transaction() as tx:
        await tx.execute(update(lists).values(deleted_at=clock.now()).where(lists.c.id == UUID(todo["list_id"])))
    assert code(await bob.put(f"/todos/{todo['id']}", {"title": "Buy milk"})) == (409, "ALREADY_EXISTS")


@pytest.mark.parametrize(
    ("id_", "body", "field"),
    [
        ("x", {"title": "x"}, "path.todo_id"),
        (str(UUID(int=0)), {"title": "x"}, "path.todo_id"),
        (SOME_ID, {}, "body.title"),
        (SOME_ID, {"title": "x", "id": SOME_ID}, "body.id"),
        (SOME_ID, {"title": "x", "completed": True}, "body.completed"),
        (SOME_ID, {"title": "x", "list_id": None}, "body.list_id"),
    ],
    ids=str,
)
async def test_what_cannot_be_put(ana: Person, id_: str, body: dict[str, object], field: str) -> None:
    answer = await ana.put(f"/todos/{id_}", body)
    assert (answer.status_code, answer.json()["error"]["details"][0]["field"]) == (422, field)


async def test_of_many_at_once_one_creates_and_the_others_find_it(ana: Person) -> None:
    path = f"/todos/{uuid4()}"
    answers = await asyncio.gather(*(ana.put(path, {"title": "x"}) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] * 9 + [201]
    assert len({answer.text for answer in answers}) == 1
    assert (await ana.get(f"/todos?list_id={ana.inbox_id}")).headers["etag"].endswith('.3"')


async def test_put_and_post_of_one_id_at_once_leave_one_todo(ana: Person) -> None:
    chosen = str(uuid4())
    answers = await asyncio.gather(
        *(ana.put(f"/todos/{chosen}", {"title": f"{n}"}) for n in range(5)),
        *(ana.post("/todos", {"id": chosen, "title": f"{n}"}) for n in range(5, 10)),
    )
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 9
    made = next(answer.json() for answer in answers if answer.status_code == 201)
    assert (await ana.get("/todos")).json()["items"] == [made]

"""Lists over HTTP: the inbox is there and stays, my own lists are mine."""

import asyncio
from uuid import uuid4

import httpx2
import pytest
from sqlalchemy import func, select

from doable.accounts import endings
from doable.core.db import Database
from doable.core.events import events
from doable.core.queries import Query, query, scalar
from doable.core.streams import streams
from doable.lists.tables import lists, members
from tests.support import asgi
from tests.support.jobs import work
from tests.support.people import PASSWORD, Person, register

SOME_ID = "0190f5a0-7c3e-7b1a-9d2c-5f6e7a8b9c0d"
KEYS = {
    "id", "name", "color", "is_inbox", "owner_id", "role", "archived_at", "deleted_at", "created_at", "updated_at",
    "version",
}  # fmt: skip


async def test_everybody_has_an_inbox_that_can_be_neither_deleted_nor_archived(ana: Person) -> None:
    inbox = (await ana.get("/lists")).json()["items"][0]
    assert (inbox["id"], inbox["is_inbox"], inbox["role"], inbox["owner_id"]) == (
        ana.inbox_id, True, "owner", ana.user["id"],
    )  # fmt: skip
    for answer in (
        await ana.delete(f"/lists/{ana.inbox_id}"),
        await ana.patch(f"/lists/{ana.inbox_id}", {"archived": True}),
    ):
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "CONFLICT")
    assert (await ana.get(f"/lists/{ana.inbox_id}")).json() == inbox
    assert (await ana.patch(f"/lists/{ana.inbox_id}", {"name": "In"})).json()["name"] == "In"


async def test_a_list_is_made_read_and_changed(ana: Person) -> None:
    answer = await ana.post("/lists", {"name": " Groceries ", "color": "#33AA55"})
    made = answer.json()
    assert answer.status_code == 201
    assert set(made) == KEYS
    assert (made["name"], made["color"], made["is_inbox"], made["version"]) == ("Groceries", "#33aa55", False, 1)
    assert answer.headers["location"] == f"/api/v1/lists/{made['id']}"
    read = await ana.get(f"/lists/{made['id']}")
    assert read.json() == made
    assert read.headers["etag"] == answer.headers["etag"]
    assert read.headers["etag"].endswith('.1.owner"')
    renamed = await ana.patch(f"/lists/{made['id']}", {"name": "Food"})
    assert renamed.json() == {**made, "name": "Food", "version": 2, "updated_at": renamed.json()["updated_at"]}
    assert renamed.headers["doable-position"].endswith(":3")
    cleared = (await ana.patch(f"/lists/{made['id']}", {"color": None})).json()
    assert (cleared["name"], cleared["color"]) == ("Food", None)
    same = await ana.patch(f"/lists/{made['id']}", {"name": "Food"})
    assert same.json() == cleared
    assert "doable-position" not in same.headers


async def test_an_archived_list_is_listed_apart(ana: Person) -> None:
    made = await ana.list()
    archived = (await ana.patch(f"/lists/{made['id']}", {"archived": True})).json()
    again = (await ana.patch(f"/lists/{made['id']}", {"archived": True})).json()
    assert archived["archived_at"] is not None
    assert again == archived
    assert [x["id"] for x in (await ana.get("/lists")).json()["items"]] == [ana.inbox_id]
    assert (await ana.get("/lists?archived=true")).json()["items"] == [archived]
    assert (await ana.patch(f"/lists/{made['id']}", {"archived": False})).json()["archived_at"] is None


async def test_a_deleted_list_is_gone_with_its_todos_and_comes_back_with_them(ana: Person) -> None:
    made = await ana.list()
    todo = await ana.todo(list_id=made["id"])
    path = f"/lists/{made['id']}"
    assert (await ana.delete(path)).status_code == 204
    assert (await ana.delete(path)).status_code == 204
    for gone in (path, f"/todos/{todo['id']}", f"/todos?list_id={made['id']}"):
        assert (await ana.get(gone)).status_code == 404
    assert (await ana.patch(path, {"name": "x"})).status_code == 404
    assert (await ana.post("/todos", {"title": "x", "list_id": made["id"]})).status_code == 404
    restored = (await ana.put(f"{path}/restoration")).json()
    assert (restored["deleted_at"], restored["name"]) == (None, "Groceries")
    assert (await ana.put(f"{path}/restoration")).json() == restored
    assert (await ana.get(f"/todos/{todo['id']}")).json() == todo


async def test_a_stranger_gets_the_answer_of_an_unknown_id(ana: Person, bob: Person) -> None:
    made = await ana.list()
    for method, rest, body in [
        ("GET", "", None),
        ("PATCH", "", {"name": "mine"}),
        ("DELETE", "", None),
        ("PUT", "/restoration", None),
    ]:
        answers = [await bob.request(method, f"/lists/{id_}{rest}", json=body) for id_ in (made["id"], uuid4())]
        bodies = [answer.json()["error"] | {"request_id": None} for answer in answers]
        assert [answer.status_code for answer in answers] == [404, 404]
        assert bodies[0] == bodies[1]
    assert (await ana.get(f"/lists/{made['id']}")).json() == made


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body.name"),
        ({"name": ""}, "body.name"),
        ({"name": "x" * 101}, "body.name"),
        ({"name": "a\u202eb"}, "body.name"),
        ({"name": "x", "color": "red"}, "body.color"),
        ({"name": "x", "color": "#12345g"}, "body.color"),
        ({"name": "x", "id": "00000000-0000-0000-0000-000000000000"}, "body.id"),
        ({"name": "x", "id": None}, "body.id"),
        ({"name": "x", "is_inbox": True}, "body.is_inbox"),
        ({"name": "x", "owner_id": SOME_ID}, "body.owner_id"),
    ],
)
async def test_a_bad_list_is_refused(ana: Person, body: dict[str, object], field: str) -> None:
    answer = await ana.post("/lists", body)
    assert (answer.status_code, answer.json()["error"]["details"][0]["field"]) == (422, field)


async def test_lists_that_are_changed_at_once_lose_no_change(ana: Person) -> None:
    made = await ana.list()
    path = f"/lists/{made['id']}"
    bodies = [{"name": f"n{n}"} if n % 2 else {"color": f"#0000{n:02}"} for n in range(10)]
    answers = await asyncio.gather(*(ana.patch(path, body) for body in bodies))
    assert {answer.status_code for answer in answers} == {200}
    last = (await ana.get(path)).json()
    assert last["version"] == 11
    assert last["name"].startswith("n")
    assert last["color"].startswith("#0000")


async def test_no_list_outlives_an_account_that_is_deleted_meanwhile(
    running: asgi.Running, client: httpx2.AsyncClient
) -> None:
    for name in ("eve", "ivo", "mia"):
        person = await register(client, name)
        answers = await asyncio.gather(
            *(person.post("/lists", {"name": f"{n}"}) for n in range(5)),
            person.delete("/users/me", json={"current_password": PASSWORD}),
            *(person.post("/lists", {"name": f"{n}"}) for n in range(5)),
        )
        assert answers[5].status_code == 204
        assert {answer.status_code for answer in answers} <= {201, 204, 401}
    await work(running)
    database: Database = running.state["db"]
    for column in (lists.c.id, members.c.list_id, streams.c.id, events.c.stream_id):
        left: Query[int] = query(scalar, select(func.count().label("left")).where(column != endings.STREAM))
        assert await database.reads.one(left) == 0, column


async def test_the_limit_holds_for_lists_that_are_made_at_once(ana: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("doable.lists.operations.creation.MOST", 4)
    answers = await asyncio.gather(*(ana.post("/lists", {"name": f"{n}"}) for n in range(10)))
    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [422] * 7


async def test_more_lists_than_the_limit_are_refused(ana: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("doable.lists.operations.creation.MOST", 3)
    await ana.list("one")
    await ana.list("two")
    answer = await ana.post("/lists", {"name": "three"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "LIMIT_REACHED")


async def test_the_inbox_comes_first_whatever_ids_clients_make(ana: Person) -> None:
    await ana.list("early", id="00000000-0000-4000-8000-000000000001")
    names = [page["is_inbox"] for page in (await ana.get("/lists")).json()["items"]]
    assert names == [True, False]
    first = (await ana.get("/lists?size=1")).json()
    rest = (await ana.get(f"/lists?size=1&cursor={first['next_cursor']}")).json()
    assert [first["items"][0]["is_inbox"], rest["items"][0]["name"]] == [True, "early"]


@pytest.mark.parametrize("settings", [{"public_url": "https://h.example/doable"}], indirect=True)
async def test_locations_have_the_path_of_the_public_url(ana: Person) -> None:
    answer = await ana.post("/lists", {"name": "x"})
    assert answer.headers["location"] == f"/doable/api/v1/lists/{answer.json()['id']}"
